//! What is known of a node from elsewhere than Pgpool.

use crate::Node;

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

/// Evidence for callers who have none: every PostgreSQL is taken to answer, so that nothing is given up on a guess.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoEvidence;

impl Evidence for NoEvidence {
    async fn answers(&self, _: &Node) -> bool {
        true
    }

    async fn recovery(&self, node: &Node) -> Recovery {
        self.recovery_at_once(node).unwrap_or(Recovery::Unknown { reason: String::new() })
    }

    fn recovery_at_once(&self, _: &Node) -> Option<Recovery> {
        Some(Recovery::Unknown { reason: "no login to PostgreSQL is configured".to_owned() })
    }
}
