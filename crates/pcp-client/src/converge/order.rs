//! What a caller asks of the engine.

use std::time::Duration;

use super::{LastNode, Stop, Want};
use crate::{Deadline, NodeName, PortOnly};

/// The state of a node that a caller wants to see on a Pgpool, and how far the engine may go for it.
#[derive(Debug)]
pub struct Order<'a, E = PortOnly> {
    /// The node.
    pub name: &'a NodeName,
    /// Its state.
    pub want: Want,
    /// The failed primary, where it is known. Nothing attaches it, and it may be down at the end. One that Pgpool does
    /// not have makes no difference.
    pub failed: Option<&'a NodeName>,
    /// Nodes that somebody holds for maintenance: nothing but the order itself attaches them.
    pub held: &'a [NodeName],
    /// Whether the last node that is up may be detached.
    pub last_node: LastNode,
    /// How the run is bounded.
    pub options: Options,
    /// What is known of the nodes from elsewhere.
    pub evidence: &'a E,
    /// What ends the run early.
    pub stop: Stop,
}

/// How a run is bounded.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// When it ends, whatever happens.
    pub deadline: Deadline,
    /// How long a state has to last before it counts, after an attach or a change of primary.
    pub settle: Duration,
}

impl<'a> Order<'a> {
    /// Orders a state without exceptions or an early end, knowing of PostgreSQL only whether its port answers.
    pub fn new(name: &'a NodeName, want: Want, options: Options) -> Self {
        Self {
            name,
            want,
            failed: None,
            held: &[],
            last_node: LastNode::Kept,
            options,
            evidence: &PortOnly,
            stop: Stop::new(),
        }
    }
}

impl<'a, E> Order<'a, E> {
    /// Orders the same with what is known of the nodes from elsewhere.
    pub fn with_evidence<F>(self, evidence: &'a F) -> Order<'a, F> {
        let Self { name, want, failed, held, last_node, options, evidence: _, stop } = self;
        Order { name, want, failed, held, last_node, options, evidence, stop }
    }
}
