//! What is wanted.

use std::fmt;

use pcp_proto::NodeId;

use crate::observe::{Node, View};

/// The state of one node that a caller wants to see, and what must not be done for it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Goal {
    /// The node.
    pub node: NodeId,
    /// Its state.
    pub want: Want,
    /// The failed primary, where it is known. Nothing attaches it, and it may be down at the end.
    pub failed: Option<NodeId>,
    /// Nodes that somebody holds for maintenance. Nothing attaches them either.
    pub held: Vec<NodeId>,
    /// Whether the last node that is up may be detached.
    pub last_node: LastNode,
}

/// The wanted state of a node. Where Pgpool tells no roles, only up and down are looked at.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Want {
    /// It is up, and some node that is up is the primary.
    Attached,
    /// It is up and not the primary, and another node that is up is.
    Standby,
    /// It is up, and some node that is up is the primary; and if it has to be attached for that, it is one that
    /// answers and follows that primary.
    Follower(Proof),
    /// It is up and the primary.
    Primary,
    /// It is down.
    Detached,
}

/// What has to be known of a node before it is attached as a follower.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Proof {
    /// That its PostgreSQL answers, and nothing that says that it is no standby.
    Answers,
    /// That its PostgreSQL is in recovery: it may be the old primary.
    InRecovery,
}

/// Whether the last node that is up may be detached.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum LastNode {
    /// Only where its PostgreSQL gives no answer: without it Pgpool serves nobody.
    #[default]
    Kept,
    /// It may be.
    GivenUp,
}

impl Goal {
    /// Makes a goal without exceptions.
    pub fn new(node: NodeId, want: Want) -> Self {
        Self { node, want, failed: None, held: Vec::new(), last_node: LastNode::Kept }
    }

    /// Tells whether `view` shows the wanted state.
    pub fn is_met(&self, view: &View) -> bool {
        let Some(node) = view.node(self.node) else { return false };
        let primary = view.primary().map(|primary| primary.id);
        let roles = view.has_primary_role();
        match self.want {
            Want::Detached => node.is_down(),
            Want::Attached | Want::Follower(_) => node.is_attached() && (!roles || primary.is_some()),
            Want::Standby => node.is_attached() && (!roles || primary.is_some_and(|id| id != node.id)),
            Want::Primary => node.is_attached() && (!roles || primary == Some(node.id)),
        }
    }

    /// Returns the nodes that somebody has to look after although the wanted state is there: those that are down
    /// beside a new primary. Where the failed primary is not named, it may be any one of them.
    pub fn left_down<'a>(&self, view: &'a View) -> Vec<&'a Node> {
        if self.want != Want::Primary {
            return Vec::new();
        }
        let down: Vec<_> = others_down(view, self.node).filter(|node| self.may_attach(node.id)).collect();
        if self.failed.is_none() && down.len() == 1 { Vec::new() } else { down }
    }

    /// Tells whether a node other than the one that the goal is about may be attached on the way.
    pub(super) fn may_attach(&self, node: NodeId) -> bool {
        self.failed != Some(node) && !self.held.contains(&node)
    }
}

/// Returns the nodes that are down, other than `node`.
pub(super) fn others_down(view: &View, node: NodeId) -> impl Iterator<Item = &Node> {
    view.nodes.iter().filter(move |other| other.id != node && other.is_down())
}

/// Shows the wanted state as a verdict says it.
impl fmt::Display for Want {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Attached => "attached",
            Self::Standby => "attached as a standby",
            Self::Follower(_) => "attached as a follower",
            Self::Primary => "attached as the primary",
            Self::Detached => "detached",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::test::view;
    use super::*;

    fn id(id: usize) -> NodeId {
        id.try_into().unwrap()
    }

    /// What node 1 is, for the four wants in their order.
    #[test]
    fn a_goal_is_met_by_status_and_role_together() {
        let wants = [Want::Attached, Want::Standby, Want::Primary, Want::Detached];
        for (nodes, met) in [
            ("up primary, up standby", [true, true, false, false]),
            ("up primary, waiting standby", [true, true, false, false]),
            ("up standby, up primary", [true, false, true, false]),
            ("down standby, up primary", [true, false, true, false]),
            ("up primary, down standby", [false, false, false, true]),
            ("up standby, down primary", [false, false, false, true]),
            // Pgpool searches for a primary, or found none.
            ("down primary, up standby", [false, false, false, false]),
            ("up standby, up standby", [false, false, false, false]),
            ("up primary, unused standby", [false, false, false, false]),
            // It tells no roles, or has none of these.
            ("up, up", [true, true, true, false]),
            ("up, down", [false, false, false, true]),
            ("up main, up replica", [true, true, true, false]),
            ("up primary", [false, false, false, false]),
        ] {
            let view = view(nodes);
            assert_eq!(wants.map(|want| Goal::new(id(1), want).is_met(&view)), met, "{nodes}");
        }
    }

    #[test]
    fn wants_have_names() {
        let wants = [Want::Attached, Want::Standby, Want::Primary, Want::Detached].map(|want| want.to_string());
        assert_eq!(wants, ["attached", "attached as a standby", "attached as the primary", "detached"]);
        for proof in [Proof::Answers, Proof::InRecovery] {
            assert_eq!(Want::Follower(proof).to_string(), "attached as a follower");
        }
    }

    #[test]
    fn nodes_that_are_down_beside_a_new_primary_are_somebodys_business() {
        let ids = |nodes: Vec<&Node>| nodes.iter().map(|node| node.id.get()).collect::<Vec<_>>();
        let mut goal = Goal::new(id(1), Want::Primary);
        let one = view("down standby, up primary, up standby");
        let two = view("down standby, up primary, down standby");
        // The one may be the failed primary.
        assert_eq!((ids(goal.left_down(&one)), ids(goal.left_down(&two))), (vec![], vec![0, 2]));
        goal.failed = Some(id(0));
        assert_eq!((ids(goal.left_down(&one)), ids(goal.left_down(&two))), (vec![], vec![2]));
        goal.failed = Some(id(2));
        assert_eq!((ids(goal.left_down(&one)), ids(goal.left_down(&two))), (vec![0], vec![0]));
        goal.held = vec![id(0)];
        assert_eq!((ids(goal.left_down(&one)), ids(goal.left_down(&two))), (vec![], vec![]));
        goal.want = Want::Standby;
        goal.held.clear();
        assert!(ids(goal.left_down(&two)).is_empty(), "for its primary, not for a standby");
    }
}
