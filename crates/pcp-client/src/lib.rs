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
//! * `blocking` has the main functions for programs that are not asynchronous.
//! * [`passfile`] finds passwords as libpcp does, but says why where it finds none.
//!
//! Everything is bounded by a [`Deadline`]; time comes from tokio alone, so a paused clock tests all of it.
//!
//! # Features
//!
//! None is on by default.
//!
//! | feature | what it adds | and needs |
//! |---|---|---|
//! | `blocking` | [`blocking`]: the main functions for programs that are not asynchronous | tokio's runtime |
//! | `postgres` | [`Postgres`]: asks PostgreSQL itself whether it is in recovery | tokio-postgres |
//! | `efm` | [`truth::EfmCommand`]: runs EFM's `efm` for its status | rustix, tokio's processes; Unix |
//! | `sandbox` | [`sandbox`]: a Pgpool that speaks only PCP, for tests | tokio's runtime |
//!
//! The minimum supported Rust version is 1.85.
//!
//! # Examples
//!
//! List the nodes:
//!
//! ```
//! # #[cfg(feature = "sandbox")]
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let world = pcp_client::sandbox::World::new(pcp_client::sandbox::Age::V4_7).node("10.0.0.1", 5432);
//! # let sandbox = pcp_client::sandbox::Sandbox::start(world).await?;
//! # let address = sandbox.address().to_string();
//! use std::time::Duration;
//! use pcp_client::{Client, Connector, Deadline, Endpoint, observe};
//! use pcp_proto::Credentials;
//!
//! let pgpool = Connector {
//!     endpoint: Endpoint::parse(&address, 9898)?,   // "pgpool1", "10.0.0.5:9898", "/var/run/postgresql"
//!     connect_timeout: Duration::from_secs(3),
//! };
//! let credentials = Credentials::new("pcpadmin", b"secret")?;
//! let deadline = Deadline::after(Duration::from_secs(8));
//!
//! let mut client = Client::connect(&pgpool, &credentials, deadline).await?;
//! let view = observe(&mut client).await?;
//! client.close().await;
//! for node in &view.nodes {
//!     println!("node {node} is {}", node.state());   // node 0 (10.0.0.1:5432) is up primary
//! }
//! # assert_eq!(view.nodes[0].state(), "up primary");
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "sandbox"))]
//! # fn main() {}
//! ```
//!
//! Detach a node, and know that it is detached:
//!
//! ```
//! # #[cfg(feature = "sandbox")]
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # use std::time::Duration;
//! # use pcp_client::{Connector, Deadline, Endpoint};
//! # use pcp_client::sandbox::{Age, Sandbox, World};
//! # let world = World::new(Age::V4_7).node("10.0.0.1", 5432).node("10.0.0.3", 5432);
//! # let sandbox = Sandbox::start(world).await?;
//! # let endpoint = Endpoint::parse(&sandbox.address().to_string(), 9898)?;
//! # let pgpool = Connector { endpoint, connect_timeout: Duration::from_secs(3) };
//! # let credentials = pcp_proto::Credentials::new("pcpadmin", b"secret")?;
//! use pcp_client::{Options, Order, Want, converge};
//!
//! let node = "10.0.0.3".parse()?;
//! let options = Options { deadline: Deadline::after(Duration::from_secs(30)), settle: Duration::ZERO };
//! let report = converge(&pgpool, &credentials, &Order::new(&node, Want::Detached, options)).await;
//! report.result?;   // an error unless Pgpool was seen to show it down
//! # assert_eq!(sandbox.with(|world| world.show_pool_nodes()), "0=up/primary 1=down/standby");
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "sandbox"))]
//! # fn main() {}
//! ```
//!
//! The same on several Pgpools at once; ids are looked up on each:
//!
//! ```
//! # #[cfg(feature = "sandbox")]
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # use std::time::Duration;
//! # use pcp_client::{Connector, Deadline, Endpoint, Options};
//! # use pcp_client::sandbox::{Age, Sandbox, World};
//! # let world = |age| World::new(age).node("10.0.0.1", 5432).node("10.0.0.3", 5432);
//! # let (one, two) = (Sandbox::start(world(Age::V4_1)).await?, Sandbox::start(world(Age::V4_7)).await?);
//! # let connector = |sandbox: &Sandbox| Endpoint::parse(&sandbox.address().to_string(), 9898)
//! #     .map(|endpoint| Connector { endpoint, connect_timeout: Duration::from_secs(3) });
//! # let pgpools = [connector(&one)?, connector(&two)?];
//! # let credentials = pcp_proto::Credentials::new("pcpadmin", b"secret")?;
//! # let options = Options { deadline: Deadline::after(Duration::from_secs(30)), settle: Duration::ZERO };
//! use pcp_client::{Order, Want, converge_all};
//!
//! let node = "10.0.0.3".parse()?;
//! let order = Order::new(&node, Want::Detached, options);
//! let reports = converge_all(pgpools.iter().map(|pgpool| (pgpool, &credentials)), &order).await;
//! for (pgpool, report) in pgpools.iter().zip(reports) {
//!     match report.result {
//!         Ok(()) => println!("{}: verified", pgpool.endpoint),
//!         Err(failure) => println!("{}: {failure}", pgpool.endpoint),
//!     }
//! #     assert!(one.with(|world| world.show_pool_nodes()).contains("1=down"));
//! }
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "sandbox"))]
//! # fn main() {}
//! ```
//!
//! Test your own program against a Pgpool of any age, with what real ones do to you; feature `sandbox`:
//!
//! ```
//! # #[cfg(feature = "sandbox")]
//! #[tokio::main(flavor = "current_thread")]   // in a test: #[tokio::test]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     use pcp_client::sandbox::{Age, Fault, Sandbox, World};
//!
//!     let world = World::new(Age::V4_3_1).node("10.0.0.1", 5432).node("10.0.0.2", 5432);
//!     let sandbox = Sandbox::start(world).await?;
//!     sandbox.fault(Fault::CloseBeforeSalt);   // as a Pgpool that replaces its PCP process does
//!     my_program(&sandbox.address().to_string()).await?;
//!     assert_eq!(sandbox.with(|world| world.show_pool_nodes()), "0=up/primary 1=down/standby");
//!     Ok(())
//! }
//!
//! # #[cfg(feature = "sandbox")]
//! async fn my_program(pgpool: &str) -> Result<(), Box<dyn std::error::Error>> {
//!     // ...
//! #     use std::time::Duration;
//! #     use pcp_client::{Connector, Deadline, Endpoint, Options, Order, Want, converge};
//! #     let endpoint = Endpoint::parse(pgpool, 9898)?;
//! #     let pgpool = Connector { endpoint, connect_timeout: Duration::from_secs(3) };
//! #     let credentials = pcp_proto::Credentials::new("pcpadmin", b"secret")?;
//! #     let options = Options { deadline: Deadline::after(Duration::from_secs(30)), settle: Duration::ZERO };
//! #     let node = "10.0.0.2".parse()?;
//! #     converge(&pgpool, &credentials, &Order::new(&node, Want::Detached, options)).await.result?;
//!     Ok(())
//! }
//! # #[cfg(not(feature = "sandbox"))]
//! # fn main() {}
//! ```
//!
//! The folder `examples` holds whole programs.

#[cfg(feature = "blocking")]
pub mod blocking;
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
    Report, Sessions, Step, Stop, Time, Want, converge, forecast, forecast_all, plan, read_back,
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
