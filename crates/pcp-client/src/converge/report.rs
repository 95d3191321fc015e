//! What a run did and saw.

use std::fmt;
use std::time::Duration;

use pcp_proto::RequestKind;

use super::Change;
use crate::observe::Node;
use crate::{Error, ResolveError};

/// What a run did and saw on one Pgpool.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Report {
    /// Whether the wanted state was read back; if not, why.
    pub result: Result<(), Failure>,
    /// The node as it was first seen.
    pub before: Option<Node>,
    /// The node as it was last seen.
    pub after: Option<Node>,
    /// Other nodes that are down at the end.
    pub others_down: Vec<Node>,
    /// Those of them that somebody has to look after; see [`Goal::left_down`](super::Goal::left_down).
    pub left_down: Vec<Node>,
    /// Those of them that the order holds.
    pub held: Vec<Node>,
    /// What a reader of the result should know besides.
    pub remarks: Vec<Remark>,
    /// The changes sent, in order; those that undid a half-done step are the last ones.
    pub changes: Vec<Change>,
    /// What was asked, connection by connection, logins not counted.
    pub asked: Vec<Vec<RequestKind>>,
    /// How long it took.
    pub elapsed: Duration,
}

/// Why the wanted state was not read back.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// Pgpool could not be asked; nothing was changed.
    #[error("nothing was changed")]
    Unreachable(#[source] Error),
    /// The login was refused; nothing was changed.
    #[error("nothing was changed")]
    Authentication(#[source] Error),
    /// The name means no node, or several, or another one on another Pgpool; nothing was changed.
    #[error(transparent)]
    Node(#[from] ResolveError),
    /// Pgpool refused, or the planner did.
    #[error("{reason}")]
    Refused {
        /// Why.
        reason: String,
        /// What Pgpool said.
        source: Option<Error>,
    },
    /// The deadline passed before the state was read back.
    #[error("not verified in time: waited for {awaited}")]
    NotVerified {
        /// What was awaited.
        awaited: String,
        /// The last error on the way.
        source: Option<Error>,
    },
    /// The run was [told](super::Stop) to end before the state was read back.
    #[error("ended before it was verified: waited for {awaited}")]
    Stopped {
        /// What was awaited.
        awaited: String,
    },
}

/// Something that a reader of the result should know besides.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Remark {
    /// This Pgpool tells no roles: 3.5 and 3.6 do not.
    RolesUnknown,
    /// It took the connection and said nothing, as servers before 4.5 do while somebody else's connection is open.
    LooksFrozen,
    /// The run had set this node down, did not reach its goal, and attached the node again.
    Restored(Node),
    /// The run had set this node down, did not reach its goal, and asked Pgpool to attach the node again, which does not
    /// show yet: Pgpool may be searching for a primary.
    AttachPending(Node),
    /// The run had set this node down, did not reach its goal, and could not ask Pgpool to attach the node again.
    LeftDown(Node),
    /// A promotion of this run set the node down, the run did not reach its goal, and nobody proved that the node is a
    /// standby, so it was not attached again.
    NotProven(Node),
}

/// Shows the remark as a verdict says it.
impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RolesUnknown => f.write_str(
                "this Pgpool is older than 3.7 and tells no roles: which node is its primary was not verified",
            ),
            Self::LooksFrozen => f.write_str(
                "it accepts connections and says nothing: so does a Pgpool older than 4.5 when somebody else's PCP \
                 connection stayed open after a change; it goes on when that connection is closed",
            ),
            Self::Restored(node) => write!(f, "node {node} was set down on the way and is attached again"),
            Self::AttachPending(node) => write!(
                f,
                "node {node} was set down on the way; Pgpool was asked to attach it again and does NOT show it yet"
            ),
            Self::LeftDown(node) => {
                write!(f, "node {node} was set down on the way and could NOT be attached again: attach it by hand")
            }
            Self::NotProven(node) => write!(
                f,
                "node {node} was set down on the way and is not proven to be a standby: attach it when it is one"
            ),
        }
    }
}
