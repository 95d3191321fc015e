//! What has to be true when everything is over.

use std::time::Duration;

use pcp_client::sandbox::{Age, World};
use pcp_client::{Change, Goal, LastNode, Proof, Want};

use super::schedule::{Event, Fate, Follow, Hook, Id, Knows, Schedule};
use super::truth::{Part, Truth};

/// What became of one run of a hook on one Pgpool.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    pub(crate) hook: Hook,
    pub(crate) fate: Fate,
    pub(crate) ended: Duration,
    pub(crate) end: End,
    pub(crate) changes: Vec<Change>,
    /// What the world had carried out when it ended, or before its last look.
    pub(crate) operations: usize,
    /// Whether the primary that Pgpool showed then was one.
    pub(crate) primary_answered: bool,
}

impl Run {
    fn has_sent(&self, change: pcp_client::sandbox::Change) -> bool {
        self.changes.iter().any(|&sent| is_same(sent, change))
    }

    /// Tells whether it sent a change, or cannot tell any more.
    fn may_have_sent(&self, change: pcp_client::sandbox::Change) -> bool {
        self.end == End::Killed || self.has_sent(change)
    }

    /// Tells whether it was still at work then, or something that it had sent was carried out later.
    pub(crate) fn has_effect_after(&self, then: Duration, world: &World) -> bool {
        let mut later = world.operations().iter().filter(|operation| operation.at >= then);
        self.ended >= then || later.any(|operation| self.may_have_sent(operation.change))
    }
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum End {
    /// Exit code 0.
    Verified,
    /// Any other one, for this reason.
    Failed(String),
    Killed,
}

/// Returns the goal that a hook has.
pub(crate) fn goal(hook: Hook) -> Goal {
    let want = match hook {
        Hook::Detach(_) => Want::Detached,
        Hook::Attach(_) => Want::Attached,
        Hook::AttachStandby(_) => Want::Standby,
        Hook::AttachPrimary(_) | Hook::Promote(..) => Want::Primary,
        Hook::Follow(_, Some(_)) => Want::Follower(Proof::Answers),
        Hook::Follow(_, None) => Want::Follower(Proof::InRecovery),
    };
    let failed = match hook {
        Hook::Promote(_, failed) => failed.map(node_id),
        _ => None,
    };
    Goal { failed, last_node: LastNode::Kept, ..Goal::new(node_id(hook.node()), want) }
}

pub(crate) fn node_id(id: Id) -> pcp_proto::NodeId {
    id.try_into().unwrap()
}

/// What could be judged of a schedule in which nothing went wrong.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Judged {
    /// Not all that happened was told.
    Untold,
    /// All was told, and a hook said that not all is well.
    OwnedUp,
    /// All was told, no hook complained, and Pgpool shows the truth.
    True,
}

/// Judges what one Pgpool shows at the end.
pub(crate) fn judge(schedule: &Schedule, age: Age, world: &World, runs: &[Run]) -> Result<Judged, String> {
    // Where a host that is up swallows packets, Pgpool looks for a primary for longer than any state is watched, and
    // what waits behind that comes to pass after it was verified: only the steps are judged.
    if schedule.events.iter().any(|(_, event)| matches!(event, Event::Silence(_))) {
        return Ok(Judged::Untold);
    }
    let truth = Truth::after(schedule);
    last_words_are_true(schedule, age, world, runs)?;
    let is_told =
        truth.primary().is_some() && (0..schedule.nodes).all(|id| truth.is_told(schedule, world, runs, id));
    if truth.interfered || !is_told {
        return Ok(Judged::Untold);
    }
    for id in 0..schedule.nodes {
        let is_up = world.nodes()[id].is_attached();
        if is_up == (truth.parts[id] == Part::Gone) && !is_owned_up(runs, id, &truth) {
            return Err(format!("lie: node {id} is {:?}, all was said: {}", truth.parts[id], shown(world, runs)));
        }
    }
    if age != Age::V3_5 && world.primary() != truth.primary() {
        let concerned = truth.primary().into_iter().chain(world.primary());
        if !concerned.clone().any(|id| is_owned_up(runs, id, &truth)) {
            let primary = truth.primary();
            return Err(format!("lie: the primary is {primary:?}, all was said: {}", shown(world, runs)));
        }
    }
    let complained = runs.iter().any(|run| matches!(run.end, End::Failed(_)));
    Ok(if complained { Judged::OwnedUp } else { Judged::True })
}

/// Whoever was the last to speak of a Pgpool that nothing happened to any more has to be right.
fn last_words_are_true(schedule: &Schedule, age: Age, world: &World, runs: &[Run]) -> Result<(), String> {
    let Some(last) = runs.iter().max_by_key(|run| run.ended) else { return Ok(()) };
    let happened_later = schedule
        .events
        .iter()
        .any(|&(at, event)| at >= last.ended && !matches!(event, Event::Fault(_) | Event::Cut(_)));
    let others = || runs.iter().filter(|run| !std::ptr::eq(*run, last));
    let changed_later = world.operations().get(last.operations..).unwrap_or_default().iter().any(|operation| {
        !last.has_sent(operation.change) || others().any(|other| other.may_have_sent(operation.change))
    });
    if last.end != End::Verified || happened_later || changed_later {
        return Ok(());
    }
    // Where the primary is dead, Pgpool finds out when it looks for one.
    if !last.primary_answered && goal(last.hook).want != Want::Detached {
        return Ok(());
    }
    if !is_met(age, last.hook, world) {
        return Err(format!(
            "last word: \"hook {}\" was verified at {:?}: {}",
            last.hook,
            last.ended,
            shown(world, runs)
        ));
    }
    Ok(())
}

/// Tells whether a world shows what a hook wants, written down once more.
pub(crate) fn is_met(age: Age, hook: Hook, world: &World) -> bool {
    let node = hook.node();
    let is_up = |id: Id| world.nodes()[id].is_attached();
    let primary = world.primary().filter(|&id| is_up(id));
    match hook {
        Hook::Detach(_) => !is_up(node),
        _ if age == Age::V3_5 => is_up(node),
        Hook::Attach(_) | Hook::Follow(..) => is_up(node) && primary.is_some(),
        Hook::AttachStandby(_) => is_up(node) && primary.is_some_and(|id| id != node),
        Hook::AttachPrimary(_) | Hook::Promote(..) => is_up(node) && primary == Some(node),
    }
}

/// Tells whether a hook that has to do with the node said that something is wrong.
fn is_owned_up(runs: &[Run], id: Id, truth: &Truth) -> bool {
    runs.iter().filter(|run| matches!(run.end, End::Failed(_))).any(|run| {
        let touches = |change: &Change| change.node() == node_id(id) || matches!(change, Change::Promote(_));
        let makes_primary = goal(run.hook).want == Want::Primary && Some(run.hook.node()) == truth.primary();
        run.hook.node() == id || run.changes.iter().any(touches) || makes_primary
    })
}

fn is_same(ours: Change, theirs: pcp_client::sandbox::Change) -> bool {
    use pcp_client::sandbox::Change as Theirs;
    match (ours, theirs) {
        (Change::Attach(node), Theirs::Attach(id))
        | (Change::Detach(node), Theirs::Detach(id))
        | (Change::Promote(node), Theirs::Promote(id)) => node == node_id(id),
        _ => false,
    }
}

pub(crate) fn shown(world: &World, runs: &[Run]) -> String {
    let runs = runs.iter().map(|run| {
        let changes: Vec<_> = run.changes.iter().map(ToString::to_string).collect();
        format!("\n  hook {}{} until {:?}: {:?} [{}]", run.hook, run.fate, run.ended, run.end, changes.join(", "))
    });
    format!("{}{}\n  {:?}", world.show_pool_nodes(), runs.collect::<String>(), operations(world))
}

fn operations(world: &World) -> Vec<String> {
    world.operations().iter().map(|operation| format!("{:?} {:?}", operation.at, operation.change)).collect()
}

/// Tells whether the engine is known to go wrong: `follow_primary_command` brings nodes back that answer, and where
/// nobody can tell that two of them take writes, they take the role from each other for ever.
pub(crate) fn is_out_of_bounds(schedule: &Schedule) -> bool {
    follows(schedule) && schedule.evidence == Knows::Nothing && Truth::after(schedule).rivals > 1
}

/// Tells whether Pgpool's own hooks take part.
pub(crate) fn follows(schedule: &Schedule) -> bool {
    schedule.follow == Follow::Set
}
