//! What a run would do.

use pcp_proto::Credentials;

use super::drive::Run;
use super::{Change, Failure, Order, Step, Want};
use crate::fleet::Table;
use crate::observe::{Node, View};
use crate::{Connect, Evidence};

/// What a run would do first, and what that would cost.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Forecast {
    /// The node as it is.
    pub node: Node,
    /// The first step.
    pub step: Step,
    /// Which sessions of Pgpool's clients the step ends.
    pub sessions: Sessions,
    /// Nodes that the step sets down beside the one that it names.
    pub set_down: Vec<Node>,
}

/// Sessions of Pgpool's clients.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Sessions {
    /// None.
    None,
    /// Those whose queries are balanced to the node.
    OnTheNode,
    /// All.
    All,
}

/// Reads the state of a Pgpool and tells what [`converge`](super::converge) would do first. Nothing is changed.
///
/// Only the first step is certain: the others depend on what Pgpool makes of it.
///
/// # Errors
///
/// As a run would fail before its first step.
pub async fn forecast<C: Connect, E: Evidence>(
    connect: &C,
    credentials: &Credentials,
    order: &Order<'_, E>,
) -> Result<Forecast, Failure> {
    let table = Table::new(1);
    let mut run = Run::new(connect, credentials, order, table.seat(0));
    let (goal, view, step) = run.foresee().await?;
    let node = view.node(goal.node).cloned().ok_or_else(|| Failure::Refused {
        reason: format!("Pgpool has no node {} any more", goal.node),
        source: None,
    })?;
    let (sessions, set_down) = consequences(&step, &view, order.want);
    Ok(Forecast { node, step, sessions, set_down })
}

fn consequences(step: &Step, view: &View, want: Want) -> (Sessions, Vec<Node>) {
    let Step::Act(change, _) = step else { return (Sessions::None, Vec::new()) };
    let is_primary = |id| view.primary().is_some_and(|primary| primary.id == id);
    match *change {
        Change::Detach(id) if is_primary(id) => (Sessions::All, Vec::new()),
        Change::Detach(_) => (Sessions::OnTheNode, Vec::new()),
        // The search behind it may find another primary.
        Change::Attach(_) if want == Want::Primary => (Sessions::All, Vec::new()),
        Change::Attach(_) => (Sessions::None, Vec::new()),
        Change::Promote(id) => {
            let others = view.nodes.iter().filter(|node| node.id != id && node.is_attached());
            (Sessions::All, others.cloned().collect())
        }
    }
}
