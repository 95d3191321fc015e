//! A Pgpool that speaks only PCP, for tests, drills and rehearsals.
//!
//! * [`World`] is Pgpool's part in it: its view of the nodes, the truth about their PostgreSQL servers, the queue of
//!   operations and the search for a primary. It is pure: no runtime, no clock, and the same calls give the same answers.
//! * [`Sandbox`] puts a world on a socket, and [`Fault`]s between it and its clients.
//!
//! Each [`Age`] behaves as its servers do, their bugs included: what the wire looks like, what is refused with
//! which words, and that servers before 4.5 freeze while a connection is open after a change.
//!
//! # Example
//!
//! ```
//! use std::time::Duration;
//! use pcp_client::sandbox::{Age, World};
//!
//! let mut world = World::new(Age::V4_3_1).node("10.0.0.1", 5432).node("10.0.0.2", 5432);
//! assert_eq!(world.show_pool_nodes(), "0=up/primary 1=up/standby");
//! world.kill_postgres(0);
//! world.promote_postgres(1);
//! world.detach(Duration::ZERO, 0);
//! world.advance(Duration::from_secs(1));
//! assert_eq!(world.show_pool_nodes(), "0=down/standby 1=up/primary");
//! ```

mod age;
mod answer;
mod change;
mod connection;
#[cfg(test)]
mod every_request;
mod fault;
mod health_check;
mod layout;
mod main_process;
mod node;
mod notice;
mod operation;
mod pool;
mod pool_status;
mod recovery;
mod request;
mod search;
mod server;
mod settings;
mod stop;
#[cfg(test)]
mod test;
mod watchdog;
mod work;
mod worker;
mod world;

pub use age::{Age, AgeError};
pub use answer::{Answer, Reply, Then};
pub use connection::Standing;
pub use fault::Fault;
pub use node::{FailoverFlag, Node, Postgres};
pub use operation::{Change, FollowRun, Operation};
pub use server::Sandbox;
pub use settings::{FailoverCommand, Mode, Settings};
pub use watchdog::{Watchdog, WatchdogPeer, WatchdogState};
pub use world::World;
