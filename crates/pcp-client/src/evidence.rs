//! What is known of a node from elsewhere than Pgpool.

use crate::Node;

/// Tells what a node's PostgreSQL does, which Pgpool does not know or does not say.
pub trait Evidence: Sync {
    /// Tells whether the node's PostgreSQL answers at all, within 3 s. A port that refuses the connection is no
    /// answer, and neither is one that accepts it and says nothing.
    fn answers(&self, node: &Node) -> impl Future<Output = bool> + Send;

    /// Tells whether the node's PostgreSQL takes writes, within 3 s.
    fn recovery(&self, node: &Node) -> impl Future<Output = Recovery> + Send;
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
