//! Attaches a standby on several Pgpools at once: `fleet USER NODE HOST[:PORT]...`, with the password in PCP_PASSWORD.
//!
//! Node ids may differ from Pgpool to Pgpool, so that the node is best named by its address. In a watchdog cluster
//! the leader carries the change out, and all have to show it.

use std::error::Error;
use std::time::Duration;

use pcp_client::{
    Connector, DEFAULT_PORT, Deadline, Endpoint, NodeName, Options, Order, Require, Want, converge_all,
};
use pcp_proto::Credentials;

#[tokio::main(flavor = "current_thread")]
#[expect(clippy::print_stdout, reason = "this is what it is for")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(user), Some(node)) = (args.next(), args.next()) else {
        return Err("usage: fleet USER NODE HOST[:PORT]...".into());
    };
    let connectors = args
        .map(|address| {
            let endpoint = Endpoint::parse(&address, DEFAULT_PORT)?;
            Ok(Connector { endpoint, connect_timeout: Duration::from_secs(3) })
        })
        .collect::<Result<Vec<_>, Box<dyn Error>>>()?;
    let credentials = Credentials::new(user, std::env::var("PCP_PASSWORD")?.as_bytes())?;

    let node: NodeName = node.parse()?;
    let deadline = Deadline::after(Duration::from_secs(60));
    // A state that was read has to last this long: Pgpool replaces its PCP process about a second after an attach.
    let options = Options { deadline, settle: Duration::from_millis(1500) };
    let order = Order::new(&node, Want::Standby, options);
    let pgpools = connectors.iter().map(|connector| (connector, &credentials));
    let reports = converge_all(pgpools, &order).await;

    for (connector, report) in connectors.iter().zip(&reports) {
        match &report.result {
            Ok(()) => println!("{}: verified", connector.endpoint),
            Err(failure) => println!("{}: {failure}", connector.endpoint),
        }
    }
    let verified = reports.iter().filter(|report| report.result.is_ok()).count();
    match Require::All.is_met(verified, reports.len()) {
        true => Ok(()),
        false => Err(format!("verified on {verified} of {} Pgpools", reports.len()).into()),
    }
}
