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
