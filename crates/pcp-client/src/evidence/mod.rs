//! What is known of a node from elsewhere than Pgpool.

mod combine;
mod efm;
mod port;
#[cfg(feature = "postgres")]
mod postgres;

use std::fmt;
use std::time::Duration;

pub use combine::FirstThatKnows;
pub use efm::EfmEvidence;
pub use port::PortOnly;
#[cfg(feature = "postgres")]
pub use postgres::{Login, Postgres};

use crate::Node;

/// The whole time of one question, whatever it takes: looking up the name, connecting, logging in, asking.
pub(crate) const LIMIT: Duration = Duration::from_secs(3);

/// Tells what a node's PostgreSQL does, which Pgpool does not know or does not say.
pub trait Evidence: Sync {
    /// Tells whether the node's PostgreSQL answers at all, within 3 s. A port that refuses the connection is no
    /// answer, and neither is one that accepts it and says nothing.
    fn answers(&self, node: &Node) -> impl Future<Output = bool> + Send;

    /// Tells whether the node's PostgreSQL takes writes, within 3 s.
    fn recovery(&self, node: &Node) -> impl Future<Output = Recovery> + Send;

    /// Returns what [`recovery`](Self::recovery) tells, where nobody has to be asked for it.
    fn recovery_at_once(&self, _node: &Node) -> Option<Recovery> {
        None
    }
}

/// Whether a PostgreSQL is in recovery, as a standby is and a primary is not.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Recovery {
    /// It is in recovery: proven a standby.
    InRecovery,
    /// It is not: it takes writes.
    NotInRecovery,
    /// Nobody can tell.
    Unknown {
        /// Why not, as the verdict says it.
        reason: String,
    },
}

impl Recovery {
    fn unknown(reason: impl fmt::Display) -> Self {
        Self::Unknown { reason: reason.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A node at an address of its own.
    pub(super) fn node(host: &str, port: u16) -> Node {
        Node {
            id: 0_usize.try_into().unwrap(),
            host: host.into(),
            port,
            status: None,
            role: None,
            quarantine: false,
            failover_disallowed: false,
        }
    }
}
