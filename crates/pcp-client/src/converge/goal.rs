//! What is wanted, and what can be done.

use std::fmt;

use pcp_proto::{NodeId, RequestKind};

use crate::observe::View;

/// The state of one node that a caller wants to see.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Goal {
    /// The node.
    pub node: NodeId,
    /// Its state.
    pub want: Want,
}

/// The wanted state of a node. Where Pgpool tells no roles, only up and down are looked at.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Want {
    /// It is up, and some node that is up is the primary.
    Attached,
    /// It is up and not the primary, and another node that is up is.
    Standby,
    /// It is up and the primary.
    Primary,
    /// It is down.
    Detached,
}

impl Goal {
    /// Tells whether `view` shows the wanted state.
    pub fn is_met(&self, view: &View) -> bool {
        let Some(node) = view.node(self.node) else { return false };
        let primary = view.primary().map(|primary| primary.id);
        let roles = view.has_primary_role();
        match self.want {
            Want::Detached => node.is_down(),
            Want::Attached => node.is_attached() && (!roles || primary.is_some()),
            Want::Standby => node.is_attached() && (!roles || primary.is_some_and(|id| id != node.id)),
            Want::Primary => node.is_attached() && (!roles || primary == Some(node.id)),
        }
    }
}

/// Shows the wanted state as a verdict says it.
impl fmt::Display for Want {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Attached => "attached",
            Self::Standby => "attached as a standby",
            Self::Primary => "attached as the primary",
            Self::Detached => "detached",
        })
    }
}

/// Something that the engine does to a node.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Change {
    /// Attach it.
    Attach(NodeId),
    /// Detach it.
    Detach(NodeId),
    /// Make it Pgpool's primary, which sets every other node down.
    Promote(NodeId),
}

impl Change {
    /// Returns the node.
    pub fn node(self) -> NodeId {
        match self {
            Self::Attach(node) | Self::Detach(node) | Self::Promote(node) => node,
        }
    }

    /// Returns what it is on the wire.
    pub fn request_kind(self) -> RequestKind {
        match self {
            Self::Attach(_) => RequestKind::ATTACH_NODE,
            Self::Detach(_) => RequestKind::DETACH_NODE,
            Self::Promote(_) => RequestKind::PROMOTE_NODE,
        }
    }

    /// Tells whether `view` shows what the change brings about.
    pub fn is_visible(self, view: &View) -> bool {
        view.node(self.node()).is_some_and(|node| match self {
            Self::Attach(_) => node.is_attached(),
            Self::Detach(_) => node.is_down(),
            Self::Promote(_) => node.is_attached() && node.is_primary(),
        })
    }
}

/// Shows the change as a report lists it: `detach 2`.
impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = match self {
            Self::Attach(_) => "attach",
            Self::Detach(_) => "detach",
            Self::Promote(_) => "promote",
        };
        write!(f, "{verb} {}", self.node())
    }
}

#[cfg(test)]
mod tests {
    use super::super::plan::tests::view;
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
            assert_eq!(wants.map(|want| Goal { node: id(1), want }.is_met(&view)), met, "{nodes}");
        }
    }

    #[test]
    fn a_change_shows_in_the_state_of_its_node() {
        let changes = [Change::Attach, Change::Detach, Change::Promote].map(|change| change(id(1)));
        for (nodes, visible) in [
            ("up standby, up primary", [true, false, true]),
            ("up primary, waiting standby", [true, false, false]),
            ("up standby, down primary", [false, true, false]),
            ("up primary, unused standby", [false, false, false]),
            ("up primary", [false, false, false]),
        ] {
            let view = view(nodes);
            assert_eq!(changes.map(|change| change.is_visible(&view)), visible, "{nodes}");
        }
    }

    #[test]
    fn wants_and_changes_have_names() {
        let wants = [Want::Attached, Want::Standby, Want::Primary, Want::Detached].map(|want| want.to_string());
        assert_eq!(wants, ["attached", "attached as a standby", "attached as the primary", "detached"]);
        for (change, name, kind) in [
            (Change::Attach(id(1)), "attach 1", RequestKind::ATTACH_NODE),
            (Change::Detach(id(2)), "detach 2", RequestKind::DETACH_NODE),
            (Change::Promote(id(3)), "promote 3", RequestKind::PROMOTE_NODE),
        ] {
            assert_eq!((change.to_string().as_str(), change.request_kind()), (name, kind));
        }
    }
}
