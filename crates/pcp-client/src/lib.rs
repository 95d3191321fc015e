//! Async client for Pgpool-II's PCP port, and the engine that makes its state what the caller asked for.
//!
//! * [`Client`] is one connection: queries in batches or row by row, changes last, nothing ever answered by the wrong reply.
//! * [`Error`] tells what went wrong, and [`Refusal`] what Pgpool has against a request.
//! * [`observe()`] reads the state of a Pgpool without making it connect to a backend.
//! * [`inspect()`] adds what Pgpool finds when it asks the backends, for people.
//! * [`survey()`] reads all that monitoring wants, in the same way.
//! * [`resolve()`] finds the node that an address means.
//! * [`converge()`] takes a wanted state, acts where it differs, and reads it back.
//! * [`converge_all()`] does that on several Pgpools at once.
//! * [`truth`] says what the cluster should look like, from EFM or from a file.
//! * [`passfile`] finds passwords as libpcp does, but says why where it finds none.
//!
//! Everything is bounded by a [`Deadline`]; time comes from tokio alone, so a paused clock tests all of it.
//!
//! # Example
//!
//! Detach a node and know that it is detached:
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use std::time::Duration;
//! use pcp_client::{Connector, Deadline, Endpoint, Options, Order, Want, converge};
//! use pcp_proto::Credentials;
//!
//! let pgpool = Connector {
//!     endpoint: Endpoint::parse("pgpool1", 9898)?,
//!     connect_timeout: Duration::from_secs(3),
//! };
//! let credentials = Credentials::new("pcpadmin", b"secret")?;
//! let options = Options { deadline: Deadline::after(Duration::from_secs(30)), settle: Duration::ZERO };
//! let node = "10.0.0.3".parse()?;
//! let report = converge(&pgpool, &credentials, &Order::new(&node, Want::Detached, options)).await;
//! report.result?;
//! # Ok(())
//! # }
//! ```

mod client;
mod connect;
mod converge;
mod deadline;
mod endpoint;
mod error;
mod evidence;
mod fleet;
#[cfg(feature = "__fuzz")]
#[doc(hidden)]
pub mod fuzz;
mod inspect;
mod observe;
mod operate;
pub mod passfile;
pub mod pcp_conf;
mod refusal;
mod resolve;
#[cfg(feature = "sandbox")]
pub mod sandbox;
mod survey;
pub mod truth;

pub use client::{Client, Limits, Rows, WithNotices};
pub use connect::{Connect, Connector, Stream};
pub use converge::{
    Answer, Change, Failure, Forecast, Goal, LastNode, Memory, Options, Order, Proof, Question, Reason, Remark,
    Report, Sessions, Step, Stop, Time, Want, converge, forecast, forecast_all, plan,
};
pub use deadline::Deadline;
pub use endpoint::{DEFAULT_PORT, Endpoint, EndpointError};
pub use error::{Error, ErrorKind};
pub use evidence::{EfmEvidence, Evidence, FirstThatKnows, PortOnly, Recovery};
#[cfg(feature = "postgres")]
pub use evidence::{Login, Postgres};
pub use fleet::{Require, converge_all};
pub use inspect::{Inspection, inspect, inspect_node};
pub use observe::{Node, NodeDetail, Observation, Server, View, observe, observe_again, observe_in_detail};
pub use operate::{
    Caution, ChangedParameter, Expectation, Followers, NodeOperation, Operated, RecoveryPlan, Reload, Reloaded,
    StopPlan, SwitchoverPlan, foresee_recovery, foresee_stop, foresee_switchover, invalidate_query_cache, recover,
    reload, rotate_log, stop_cluster, stop_pgpool, switch_over,
};
pub use refusal::Refusal;
pub use resolve::{NodeName, NodeNameError, ResolveError, resolve};
pub use survey::{ChildState, NodeSurvey, PoolUse, Survey, read_pool_use, read_watchdog, survey};

/// The README's example compiles.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
