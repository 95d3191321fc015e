//! Views, and runs as words, for tests.

use std::time::Duration;

use pcp_proto::ServerAge;
use pcp_proto::message::{NodeRole, NodeStatus, PoolStatus};

use super::{Answer, Change, Goal, Memory, Question, Reason, Step, Time, Want, plan};
use crate::Recovery;
use crate::observe::{Node, Server, View};

/// A cluster as words: `up primary, up standby, down standby`.
pub(super) fn view(nodes: &str) -> View {
    let nodes = nodes.split(", ").enumerate().map(|(id, state)| {
        let (status, role) = state.split_once(' ').unwrap_or((state, ""));
        Node {
            id: id.try_into().unwrap(),
            host: format!("10.0.0.{id}").into(),
            port: 5432,
            status: NodeStatus::from_word(&status.into()),
            role: NodeRole::from_word(&role.into()),
            quarantine: false,
            failover_disallowed: false,
        }
    });
    let server = Server {
        age: ServerAge::of(&PoolStatus::default()),
        search_primary_node_timeout: Some(Duration::from_secs(3)),
        follow_primary_command: false,
        watchdog: false,
        node_info_dials_backends: false,
    };
    View { server, nodes: nodes.collect() }
}

/// A goal for a node.
pub(super) fn goal(node: usize, want: Want) -> Goal {
    Goal::new(node.try_into().unwrap(), want)
}

pub(super) fn attach(node: usize) -> (Change, Reason) {
    (Change::Attach(node.try_into().unwrap()), Reason::Goal)
}

pub(super) fn detach(node: usize) -> (Change, Reason) {
    (Change::Detach(node.try_into().unwrap()), Reason::Goal)
}

pub(super) fn displace(node: usize) -> (Change, Reason) {
    (detach(node).0, Reason::Displace)
}

pub(super) fn cycle(node: usize) -> (Change, Reason) {
    (detach(node).0, Reason::Cycle)
}

pub(super) fn take_back(node: usize) -> (Change, Reason) {
    (detach(node).0, Reason::TakeBack)
}

pub(super) fn act((change, reason): (Change, Reason)) -> Step {
    Step::Act(change, reason)
}

pub(super) fn record(memory: &mut Memory, (change, reason): (Change, Reason)) {
    memory.record(change, reason, &view(""), Duration::ZERO);
}

/// Plans as for a caller who knows nothing of PostgreSQL: what is asked gets no answer.
pub(super) fn decide(goal: &Goal, memory: &Memory, view: &View, time: Time) -> Step {
    let mut memory = memory.clone();
    for _ in 0..=view.nodes.len() {
        match plan(goal, &memory, view, time) {
            Step::Ask(question @ Question::Recovery(_)) => {
                memory.learn(question, Answer::Recovery(unknown()), time.elapsed);
            }
            step => return step,
        }
    }
    panic!("what was answered is asked again");
}

/// Plans the next step of a run that saw these views and sent these changes, a view or a change a second.
pub(super) fn next(goal: &Goal, past: &[Result<&str, (Change, Reason)>], remaining: u64) -> Step {
    let (memory, last, time) = remember(goal, past, remaining);
    decide(goal, &memory, &last, time)
}

/// The same for a run that has just been told these facts, and knows nothing else of PostgreSQL.
pub(super) fn told_after(
    goal: &Goal,
    past: &[Result<&str, (Change, Reason)>],
    facts: &[(Question, Answer)],
    remaining: u64,
) -> Step {
    let (mut memory, last, time) = remember(goal, past, remaining);
    facts.iter().for_each(|(question, answer)| memory.learn(*question, answer.clone(), time.elapsed));
    plan(goal, &memory, &last, time)
}

/// The same for a run that sees this view for the first time.
pub(super) fn told(goal: &Goal, nodes: &str, facts: &[(Question, Answer)]) -> Step {
    told_after(goal, &[Ok(nodes)], facts, 60)
}

/// Plans for a caller who knows nothing of PostgreSQL, this long after the run began.
pub(super) fn plan_at(goal: &Goal, memory: &Memory, view: &View, elapsed: Duration) -> Step {
    decide(goal, memory, view, Time { elapsed, ..TIME })
}

/// The beginning of a run that has a minute.
pub(super) const TIME: Time =
    Time { elapsed: Duration::ZERO, remaining: Duration::from_secs(60), settle: Duration::from_millis(1500) };

pub(super) fn answering(node: usize) -> (Question, Answer) {
    (Question::Answers(node.try_into().unwrap()), Answer::Answers(true))
}

pub(super) fn recovery(node: usize, recovery: Recovery) -> (Question, Answer) {
    (Question::Recovery(node.try_into().unwrap()), Answer::Recovery(recovery))
}

pub(super) fn unknown() -> Recovery {
    Recovery::Unknown { reason: "nobody was asked".to_owned() }
}

fn remember(goal: &Goal, past: &[Result<&str, (Change, Reason)>], remaining: u64) -> (Memory, View, Time) {
    let mut memory = Memory::default();
    let mut last = view("");
    let mut elapsed = Duration::ZERO;
    for event in past {
        match event {
            Ok(nodes) => {
                last = view(nodes);
                memory.observe(goal, &last, elapsed);
            }
            Err((change, reason)) => memory.record(*change, *reason, &last, elapsed),
        }
        elapsed += Duration::from_secs(1);
    }
    let time = Time {
        elapsed: elapsed.saturating_sub(Duration::from_secs(1)),
        remaining: Duration::from_secs(remaining),
        settle: Duration::from_millis(1500),
    };
    (memory, last, time)
}

pub(super) const HEALTHY: &str = "up primary, up standby, waiting standby";
pub(super) const DETACHED: &str = "up primary, up standby, down standby";
pub(super) const SEARCHING: &str = "down primary, up standby, up standby";
pub(super) const NO_PRIMARY: &str = "down standby, up standby, up standby";

#[track_caller]
pub(super) fn assert_waits_for(step: &Step, text: &str) {
    assert!(matches!(step, Step::Wait { reason } if reason.contains(text)), "{step:?}");
}

#[track_caller]
pub(super) fn assert_refused(step: &Step, text: &str) {
    assert!(matches!(step, Step::Refuse { reason } if reason.contains(text)), "{step:?}");
}
