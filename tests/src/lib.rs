//! Real clusters for tests: PostgreSQL and Pgpool in containers, made to fail in every way that a network knows.
//!
//! [`Cluster::start`] is the way in; [`pcpctl!`] runs the program under test against it. Every test needs a running
//! Docker engine and fails without one. Images are built on first use, from `docker/`. Recorded traffic, for tests that
//! need no server, is in [`captures`].
//!
//! ```no_run
//! use pcp_tests::{Cluster, Settings, Version};
//!
//! let cluster = Cluster::start(Version::V4_7, Settings::default())?;
//! cluster.kill_postgres(0)?;
//! cluster.promote_postgres(1)?;
//! assert_eq!(cluster.pool_nodes()?.len(), 3);
//! # Ok::<(), anyhow::Error>(())
//! ```

mod agent;
mod base;
mod c_tools;
pub mod captures;
mod cluster;
mod docker;
pub mod drills;
mod efm;
pub mod faults;
mod host;
mod image;
mod lock;
mod network;
mod owner;
mod pcpctl;
mod pgpool;
mod pool_node;
mod postgres;
mod process;
mod proxy;
mod session;
mod settings;
mod shell;
mod version;
mod wait;
mod writer;

pub use crate::agent::{Agent, Call, Calling};
pub use crate::c_tools::{C_TOOLS, CTools, parameters, shown};
pub use crate::cluster::Cluster;
pub use crate::efm::{Efm, Hook, NodeType};
pub use crate::host::Host;
pub use crate::pcpctl::Pcpctl;
pub use crate::pgpool::{PCP_PASSWORD, PCP_USER, Pgpool};
pub use crate::pool_node::PoolNode;
pub use crate::postgres::Postgres;
pub use crate::process::{Output, Running};
pub use crate::proxy::Proxy;
pub use crate::session::Session;
pub use crate::settings::Settings;
pub use crate::version::Version;
pub use crate::wait::wait_until;
pub use crate::writer::{Writer, Writes};
