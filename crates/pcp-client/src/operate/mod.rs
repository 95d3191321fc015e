//! What people do to a Pgpool beside attaching and detaching: recovery, a switchover, a stop, a reload.
//!
//! As everywhere, Pgpool's answer is not believed where something can be read back. Each of the three that cost
//! somebody something has a function that only looks, and tells what would happen: `foresee_…`. What it refuses, the
//! function that acts refuses too, by a look of its own.

mod accepted;
mod recover;
mod reload;
mod site;
mod stop;
mod switchover;

use std::time::Duration;

pub use accepted::{invalidate_query_cache, rotate_log};
pub use recover::{RecoveryPlan, foresee_recovery, recover};
pub use reload::{ChangedParameter, Expectation, Reload, Reloaded, reload};
pub use stop::{StopPlan, foresee_stop, stop_cluster, stop_pgpool};
pub use switchover::{Followers, SwitchoverPlan, foresee_switchover, switch_over};

use crate::observe::{Node, View};
use crate::{Failure, NodeName, Options};

/// A node to recover, or to switch over to.
#[derive(Debug)]
pub struct NodeOperation<'a, E> {
    /// The node.
    pub node: &'a NodeName,
    /// How the run is bounded.
    pub options: Options,
    /// Whether to do what looks wrong.
    pub caution: Caution,
    /// What is known of the nodes from elsewhere.
    pub evidence: &'a E,
}

/// Whether to do what looks wrong by what the node's PostgreSQL says.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Caution {
    /// It is refused.
    #[default]
    Kept,
    /// It is done.
    GivenUp,
}

/// What became of an operation on one Pgpool.
#[derive(Clone, Debug)]
pub struct Operated {
    /// Whether the state that was wanted was read back; if not, why.
    pub result: Result<(), Failure>,
    /// Whether Pgpool was asked for anything. False where it was so already, too.
    pub asked: bool,
    /// The nodes as they were first seen.
    pub before: Vec<Node>,
    /// The nodes as they were last seen.
    pub after: Vec<Node>,
    /// Nodes that were up before, are down now, and have to be looked after; the old primary of a switchover is not
    /// among them.
    pub left_down: Vec<Node>,
    /// Nodes that are up and do not replicate from the new primary of a switchover, as far as Pgpool has seen by the
    /// deadline.
    pub not_following: Vec<Node>,
    /// Nodes that are up and of which Pgpool does not show whether they replicate from it.
    pub replication_unseen: Vec<Node>,
    /// How long it took.
    pub elapsed: Duration,
}

impl Operated {
    fn of(result: Result<(), Failure>) -> Self {
        Self {
            result,
            asked: false,
            before: Vec::new(),
            after: Vec::new(),
            left_down: Vec::new(),
            not_following: Vec::new(),
            replication_unseen: Vec::new(),
            elapsed: Duration::ZERO,
        }
    }

    fn failed(failure: Failure) -> Self {
        Self::of(Err(failure))
    }
}

/// Returns a refusal that no server has to be asked for.
fn refuse(reason: impl Into<String>) -> Failure {
    Failure::Refused { reason: reason.into(), source: None }
}

fn changed_meanwhile() -> Failure {
    refuse("the nodes have changed meanwhile: nothing was asked for")
}

/// Returns a node that was seen a moment ago.
fn known<'a>(view: &'a View, node: &Node) -> Option<&'a Node> {
    view.node(node.id).filter(|now| now.address() == node.address())
}
