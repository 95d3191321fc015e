//! A node: Pgpool's view of it, and the truth.

use pcp_proto::message::{Delay, NodeStatus};

use super::health_check::Checks;

/// A backend of the sandbox.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// `backend_hostnameN`.
    pub host: String,
    /// `backend_portN`.
    pub port: u16,
    /// What Pgpool does with the node.
    pub status: NodeStatus,
    /// Whether the node is down only on this Pgpool, for want of a quorum.
    pub quarantine: bool,
    /// When Pgpool changed the status last, in Unix seconds; 0 is never.
    pub changed: i64,
    /// `backend_weightN`, in proportion to the weights of the others.
    pub weight: f64,
    /// `backend_flagN`.
    pub flag: FailoverFlag,
    /// How far the node is behind the primary, as Pgpool has measured it.
    pub delay: Delay,
    /// The truth.
    pub postgres: Postgres,
    pub(super) checks: Checks,
}

/// Whether Pgpool may set a node down.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum FailoverFlag {
    /// It may.
    #[default]
    AllowToFailover,
    /// It may not: a detach is an error.
    DisallowToFailover,
}

impl FailoverFlag {
    /// Returns the word that `pgpool.conf` uses.
    pub fn word(self) -> &'static str {
        match self {
            Self::AllowToFailover => "ALLOW_TO_FAILOVER",
            Self::DisallowToFailover => "DISALLOW_TO_FAILOVER",
        }
    }
}

/// The state of a node's PostgreSQL and its host, which Pgpool does not know until it asks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Postgres {
    /// Whether the server runs.
    pub alive: bool,
    /// Whether it is a standby.
    pub in_recovery: bool,
    /// Whether the host swallows packets: whoever connects waits for a timeout.
    pub silent: bool,
}

impl Node {
    pub(super) fn new(host: &str, port: u16, in_recovery: bool) -> Self {
        Self {
            host: host.to_owned(),
            port,
            status: NodeStatus::Up,
            quarantine: false,
            changed: 0,
            weight: 1.0,
            flag: FailoverFlag::default(),
            delay: Delay::Bytes(0),
            postgres: Postgres { alive: true, in_recovery, silent: false },
            checks: Checks::default(),
        }
    }

    /// Tells whether Pgpool sends sessions to the node.
    pub fn is_attached(&self) -> bool {
        self.status.is_attached()
    }
}

impl Postgres {
    /// Tells whether a connection to it comes about.
    pub fn answers(self) -> bool {
        self.alive && !self.silent
    }
}
