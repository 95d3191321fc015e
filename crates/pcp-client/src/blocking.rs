//! The same for programs that are not asynchronous: [`observe`], [`inspect`], [`converge`], [`converge_all`].
//!
//! Each call runs on the caller's thread until it is done, by the deadline at the latest, and leaves nothing behind
//! that runs. Arguments and results are those of the functions of the same names in the crate's root, whose
//! documentation tells what they do.
//!
//! # Panics
//!
//! Every function here, where it is called from asynchronous code: a runtime of tokio cannot wait inside another.
//!
//! # Example
//!
//! ```
//! # #[cfg(feature = "sandbox")]
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
//! # let world = pcp_client::sandbox::World::new(pcp_client::sandbox::Age::V4_7).node("10.0.0.1", 5432).node("10.0.0.3", 5432);
//! # let sandbox = runtime.block_on(pcp_client::sandbox::Sandbox::start(world))?;
//! # let pgpool1 = sandbox.address().to_string();
//! use std::time::Duration;
//! use pcp_client::{Connector, Deadline, Endpoint, Options, Order, Want, blocking};
//! use pcp_proto::Credentials;
//!
//! let pgpool = Connector {
//!     endpoint: Endpoint::parse(&pgpool1, 9898)?,
//!     connect_timeout: Duration::from_secs(3),
//! };
//! let credentials = Credentials::new("pcpadmin", b"secret")?;
//! let deadline = Deadline::after(Duration::from_secs(30));
//!
//! let node = "10.0.0.3".parse()?;
//! let options = Options { deadline, settle: Duration::ZERO };
//! blocking::converge(&pgpool, &credentials, &Order::new(&node, Want::Detached, options)).result?;
//!
//! let view = blocking::observe(&pgpool, &credentials, deadline)?;
//! assert!(view.nodes[1].is_down());
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "sandbox"))]
//! # fn main() {}
//! ```

use std::io;
use std::time::Duration;

use pcp_proto::Credentials;

use crate::converge::{Failure, Order, Report};
use crate::inspect::Inspection;
use crate::observe::View;
use crate::{Client, Connect, Deadline, Error, ErrorKind, Evidence};

/// Connects and reads the state, as [`observe`](crate::observe()) does.
///
/// # Errors
///
/// Those of the connection and of the requests.
pub fn observe<C: Connect>(connect: &C, credentials: &Credentials, deadline: Deadline) -> Result<View, Error> {
    let observing = async {
        let mut client = Client::connect(connect, credentials, deadline).await?;
        let view = crate::observe(&mut client).await?;
        client.close().await;
        Ok(view)
    };
    run(observing).map_err(no_runtime)?
}

/// Reads the state and every node's node info, as [`inspect`](crate::inspect()) does.
///
/// # Errors
///
/// Those of the connection and of reading the state.
pub fn inspect<C: Connect>(
    connect: &C,
    credentials: &Credentials,
    deadline: Deadline,
) -> Result<Inspection, Error> {
    run(crate::inspect(connect, credentials, deadline)).map_err(no_runtime)?
}

/// Makes one Pgpool show the wanted state of a node, as [`converge`](crate::converge()) does.
pub fn converge<C: Connect, E: Evidence>(connect: &C, credentials: &Credentials, order: &Order<'_, E>) -> Report {
    run(crate::converge(connect, credentials, order)).unwrap_or_else(not_begun)
}

/// Makes every Pgpool show the wanted state of a node, as [`converge_all`](crate::converge_all()) does.
pub fn converge_all<'a, C, E>(
    pgpools: impl IntoIterator<Item = (&'a C, &'a Credentials)>,
    order: &Order<'_, E>,
) -> Vec<Report>
where
    C: Connect + 'a,
    E: Evidence,
{
    let pgpools: Vec<_> = pgpools.into_iter().collect();
    let count = pgpools.len();
    run(crate::converge_all(pgpools, order)).unwrap_or_else(|error| {
        let report = not_begun(error);
        vec![report; count]
    })
}

/// Runs a future to its end on this thread.
fn run<F: Future>(future: F) -> io::Result<F::Output> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let output = runtime.block_on(future);
    // A resolver may hang in a thread of the runtime, and nothing waits for it.
    runtime.shutdown_background();
    Ok(output)
}

/// The process has no descriptors left to wait with, and so none to connect with.
fn no_runtime(error: io::Error) -> Error {
    Error::because(ErrorKind::Unreachable, "cannot start a runtime to connect with", error)
}

fn not_begun(error: io::Error) -> Report {
    Report {
        result: Err(Failure::Unreachable(no_runtime(error))),
        before: None,
        after: None,
        others_down: Vec::new(),
        left_down: Vec::new(),
        held: Vec::new(),
        remarks: Vec::new(),
        changes: Vec::new(),
        asked: Vec::new(),
        elapsed: Duration::ZERO,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_cannot_begin_is_a_report_of_its_own() {
        let report = not_begun(io::ErrorKind::Other.into());
        assert_eq!(report.result.unwrap_err().to_string(), "nothing was changed");
        assert!(no_runtime(io::ErrorKind::Other.into()).is_retryable());
    }
}
