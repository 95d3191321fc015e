//! What a run would do.

use futures_util::future::join_all;
use pcp_proto::Credentials;
use pcp_proto::message::NodeStatus;

use super::drive::Run;
use super::plan::wait;
use super::{Change, Failure, Goal, Order, Reason, Step, Want};
use crate::fleet::Table;
use crate::observe::{Node, View};
use crate::{Connect, Evidence, NodeName};

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
    /// Nodes that somebody would have to look after, as far as the first step tells; see
    /// [`Goal::left_down`](super::Goal::left_down).
    pub left_down: Vec<Node>,
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
    tell(goal, view, step, order.want)
}

/// Reads the state of every Pgpool and tells what [`converge_all`](crate::converge_all) would do first on each, in
/// their order. Nothing is changed.
///
/// Where another member of a watchdog cluster acts, the step is to wait for it.
pub async fn forecast_all<'a, C, E>(
    pgpools: impl IntoIterator<Item = (&'a C, &'a Credentials)>,
    order: &Order<'_, E>,
) -> Vec<Result<Forecast, Failure>>
where
    C: Connect + 'a,
    E: Evidence,
{
    let pgpools: Vec<_> = pgpools.into_iter().collect();
    let table = Table::new(pgpools.len());
    let seats = pgpools.iter().enumerate().map(|(at, &(connect, credentials))| (at, connect, credentials));
    let mut runs: Vec<_> =
        seats.map(|(at, connect, credentials)| Run::new(connect, credentials, order, table.seat(at))).collect();
    let seen = join_all(runs.iter_mut().map(Run::foresee)).await;
    let told = runs.iter().zip(seen).map(|(run, seen)| {
        let (goal, view, mut step) = seen?;
        if matches!(step, Step::Act(..)) {
            if matches!(order.name, NodeName::Id(_)) {
                run.compare_backends(&goal)?;
            }
            if !run.seat.acts() {
                step = wait("the watchdog's leader to act".to_owned());
            }
        }
        tell(goal, view, step, order.want)
    });
    told.collect()
}

fn tell(goal: Goal, view: View, step: Step, want: Want) -> Result<Forecast, Failure> {
    let node = view.node(goal.node).cloned().ok_or_else(|| Failure::Refused {
        reason: format!("Pgpool has no node {} any more", goal.node),
        source: None,
    })?;
    let (sessions, set_down) = consequences(&step, &view, want);
    let left_down = left_down(&goal, &view, &step);
    Ok(Forecast { node, step, sessions, set_down, left_down })
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

/// Returns the nodes that are down now, or by this step, and that the run is not known to bring back.
fn left_down(goal: &Goal, view: &View, step: &Step) -> Vec<Node> {
    let is_set_down = |node: &Node| match *step {
        Step::Act(Change::Detach(id), reason) => reason != Reason::Cycle && node.id == id,
        Step::Act(Change::Promote(id), _) => node.id != id,
        _ => false,
    };
    let mut then = view.clone();
    for node in then.nodes.iter_mut().filter(|node| is_set_down(node)) {
        node.status = Some(NodeStatus::Down);
    }
    goal.left_down(&then).into_iter().cloned().collect()
}
