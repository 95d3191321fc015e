//! What can be done.

use std::fmt;

use pcp_proto::{NodeId, RequestKind};

use crate::observe::View;

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

/// Why the engine does it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Reason {
    /// The wanted state is just that.
    Goal,
    /// The node holds the role of the primary that another one is to have.
    Displace,
    /// The node is detached to be attached again: that makes Pgpool look for a primary.
    Cycle,
    /// By the node's attach Pgpool came to take a node for the primary that nobody named.
    TakeBack,
    /// This run set it down, and it does not have to be.
    Restore,
}

#[cfg(test)]
mod tests {
    use super::super::test::view;
    use super::*;

    fn id(id: usize) -> NodeId {
        id.try_into().unwrap()
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
    fn changes_have_names() {
        for (change, name, kind) in [
            (Change::Attach(id(1)), "attach 1", RequestKind::ATTACH_NODE),
            (Change::Detach(id(2)), "detach 2", RequestKind::DETACH_NODE),
            (Change::Promote(id(3)), "promote 3", RequestKind::PROMOTE_NODE),
        ] {
            assert_eq!((change.to_string().as_str(), change.request_kind()), (name, kind));
        }
    }
}
