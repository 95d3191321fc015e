//! What one run has seen, done and been told.

use std::collections::BTreeMap;
use std::time::Duration;

use pcp_proto::NodeId;

use super::plan::CHANGE_PATIENCE;
use super::{Change, Goal, Reason};
use crate::Recovery;
use crate::observe::View;

/// What one run has seen, done and been told so far. It begins empty with each run: no goal depends on what earlier
/// runs did.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    first: Option<First>,
    sent: Vec<Sent>,
    met_since: Option<Duration>,
    no_primary_since: Option<Duration>,
    set_down_by_promotion: Vec<NodeId>,
    answers: BTreeMap<NodeId, (bool, Duration)>,
    recovery: BTreeMap<NodeId, (Recovery, Duration)>,
    asking_since: Option<Duration>,
}

/// What the first view showed.
#[derive(Clone, Copy, Debug)]
struct First {
    primary: Option<NodeId>,
    /// Whether it showed the wanted state, and every one since.
    met: bool,
}

/// A change that was sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent {
    pub(super) change: Change,
    pub(super) reason: Reason,
    pub(super) at: Duration,
}

/// Something that Pgpool does not know of a node, and that its PostgreSQL does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Question {
    /// Whether it answers.
    Answers(NodeId),
    /// Whether it is in recovery.
    Recovery(NodeId),
}

impl Question {
    /// Returns the node that it is about.
    pub(super) fn node(self) -> NodeId {
        let (Self::Answers(node) | Self::Recovery(node)) = self;
        node
    }
}

/// What is known about a [`Question`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Answer {
    /// Whether it answers.
    Answers(bool),
    /// Whether it is in recovery.
    Recovery(Recovery),
}

impl Memory {
    /// Takes note of a view, `elapsed` after the run began.
    pub fn observe(&mut self, goal: &Goal, view: &View, elapsed: Duration) {
        let met = goal.is_met(view);
        let first =
            self.first.get_or_insert_with(|| First { primary: view.primary().map(|primary| primary.id), met });
        first.met &= met;
        keep_while(&mut self.met_since, met, elapsed);
        let no_primary = view.has_primary_role() && !view.nodes.iter().any(|node| node.is_primary());
        keep_while(&mut self.no_primary_since, no_primary, elapsed);
    }

    /// Takes note of a change that is sent while Pgpool shows `view`, `at` after the run began.
    pub fn record(&mut self, change: Change, reason: Reason, view: &View, at: Duration) {
        if let Change::Promote(promoted) = change {
            let others = view.nodes.iter().filter(|node| node.id != promoted && node.is_attached());
            self.set_down_by_promotion.extend(others.map(|node| node.id));
        }
        self.sent.push(Sent { change, reason, at });
        self.met_since = None;
        self.no_primary_since = None;
    }

    /// Takes the last change back: Pgpool refused it.
    pub fn forget_last_change(&mut self) {
        if let Some(Sent { change: Change::Promote(_), .. }) = self.sent.pop() {
            self.set_down_by_promotion.clear();
        }
    }

    /// Takes note of what is known about a question, `at` after the run began.
    pub fn learn(&mut self, question: Question, answer: Answer, at: Duration) {
        match (question, answer) {
            (Question::Answers(node), Answer::Answers(answers)) => {
                self.answers.insert(node, (answers, at));
            }
            (Question::Recovery(node), Answer::Recovery(recovery)) => {
                self.recovery.insert(node, (recovery, at));
            }
            _ => {}
        }
    }

    /// Takes note that questions are asked one after the other, or that nothing more is to be asked. What is found out
    /// meanwhile counts until then, however long it takes: else two slow answers, or one and a slow Pgpool, would be
    /// asked for again and again.
    pub(super) fn note_asking(&mut self, asks: bool, now: Duration) {
        keep_while(&mut self.asking_since, asks, now);
    }

    /// Forgets what is known of the nodes that a promotion of this run set down, and returns those that may be attached:
    /// what is not proven to be a standby by then does not come back.
    pub fn doubt(&mut self, goal: &Goal) -> Vec<NodeId> {
        let nodes: Vec<_> =
            self.set_down_by_promotion.iter().copied().filter(|&node| goal.may_attach(node)).collect();
        nodes.iter().for_each(|node| {
            self.recovery.remove(node);
        });
        nodes
    }

    /// Returns the nodes that this run set down and that do not have to be, as far as `view` still shows them down.
    pub fn half_done(&self, goal: &Goal, view: &View) -> Vec<NodeId> {
        let mut nodes = self.to_restore(goal);
        nodes.retain(|&id| view.node(id).is_some_and(|node| !node.is_attached()));
        nodes
    }

    /// Returns the nodes that this run set down and that do not have to be, whatever became of them.
    ///
    /// The node of a cycle is one, and so is a proven standby that a promotion set down: any other may be the old
    /// primary. A primary that was displaced is not: the caller named another one.
    pub(super) fn to_restore(&self, goal: &Goal) -> Vec<NodeId> {
        let sent_for = |reason| self.sent.iter().filter(move |sent| sent.reason == reason);
        let taken_back = |node| sent_for(Reason::TakeBack).any(|sent| sent.change.node() == node);
        let cycled = sent_for(Reason::Cycle).map(|sent| sent.change.node()).filter(|&node| !taken_back(node));
        let is_proven = |node| matches!(self.recovery.get(node), Some((Recovery::InRecovery, _)));
        let set_down = self.set_down_by_promotion.iter().filter(|node| goal.may_attach(**node) && is_proven(node));
        let mut nodes: Vec<_> = cycled.chain(set_down.copied()).collect();
        nodes.sort_unstable();
        nodes.dedup();
        nodes
    }

    /// Returns the nodes that this run asked Pgpool to attach a moment ago.
    pub(super) fn attaching(&self, now: Duration) -> impl Iterator<Item = NodeId> {
        let recent = self.sent.iter().filter(move |sent| now.saturating_sub(sent.at) < CHANGE_PATIENCE);
        recent.filter_map(|sent| match sent.change {
            Change::Attach(node) => Some(node),
            Change::Detach(_) | Change::Promote(_) => None,
        })
    }

    /// Tells whether anything was sent that may have to be restored.
    pub(super) fn may_be_half_done(&self) -> bool {
        !self.set_down_by_promotion.is_empty() || self.sent.iter().any(|sent| sent.reason == Reason::Cycle)
    }

    /// Returns the nodes that this run set down for the sake of a new primary.
    pub(super) fn set_down(&self) -> impl Iterator<Item = NodeId> {
        let displaced = self.sent.iter().filter(|sent| sent.reason == Reason::Displace);
        displaced.map(|sent| sent.change.node()).chain(self.set_down_by_promotion.iter().copied())
    }

    /// Returns the last change.
    pub(super) fn last_sent(&self) -> Option<Sent> {
        self.sent.last().copied()
    }

    /// Tells whether this run sent `change`, for whatever reason.
    pub(super) fn has_sent(&self, change: Change) -> bool {
        self.sent.iter().any(|sent| sent.change == change)
    }

    /// Tells whether this run detached the node to attach it again.
    pub(super) fn has_cycled(&self, node: NodeId) -> bool {
        self.sent.iter().any(|sent| sent.reason == Reason::Cycle && sent.change.node() == node)
    }

    /// Tells whether this run did something for this reason.
    pub(super) fn has_acted_for(&self, reason: Reason) -> bool {
        self.sent.iter().any(|sent| sent.reason == reason)
    }

    /// Returns the node that was the primary, and up, when the run began.
    pub(super) fn primary_at_first(&self) -> Option<NodeId> {
        self.first.and_then(|first| first.primary)
    }

    /// Tells whether the first view showed the wanted state, and every one since.
    pub(super) fn always_met(&self) -> bool {
        self.first.is_some_and(|first| first.met)
    }

    /// Returns since when every view showed the wanted state.
    pub(super) fn met_since(&self) -> Option<Duration> {
        self.met_since
    }

    /// Returns since when every view showed no node in the primary's role.
    pub(super) fn no_primary_since(&self) -> Option<Duration> {
        self.no_primary_since
    }

    /// Returns whether the node's PostgreSQL answers, if that was asked no longer than `patience` ago.
    pub(super) fn answers(&self, node: NodeId, now: Duration, patience: Duration) -> Option<bool> {
        let &(answers, at) = self.answers.get(&node)?;
        self.is_fresh(at, now, patience).then_some(answers)
    }

    /// Returns whether the node's PostgreSQL is in recovery, if that was asked no longer than `patience` ago.
    pub(super) fn recovery(&self, node: NodeId, now: Duration, patience: Duration) -> Option<&Recovery> {
        let (recovery, at) = self.recovery.get(&node)?;
        self.is_fresh(*at, now, patience).then_some(recovery)
    }

    fn is_fresh(&self, at: Duration, now: Duration, patience: Duration) -> bool {
        now.saturating_sub(at) <= patience || self.asking_since.is_some_and(|since| since <= at)
    }
}

/// Keeps the time at which something began to be so for as long as it is.
fn keep_while(since: &mut Option<Duration>, holds: bool, now: Duration) {
    if holds {
        since.get_or_insert(now);
    } else {
        *since = None;
    }
}

#[cfg(test)]
mod tests {
    use super::super::Want;
    use super::super::test::*;
    use super::*;

    #[test]
    fn what_is_half_done_is_what_this_run_set_down_and_what_is_still_down() {
        let ids = |nodes: Vec<NodeId>| nodes.into_iter().map(NodeId::get).collect::<Vec<_>>();
        let mut primary = goal(1, Want::Primary);
        let promote = (Change::Promote(1.try_into().unwrap()), Reason::Goal);
        for (seen, sent, now, half_done) in [
            (NO_PRIMARY, cycle(1), "down standby, down standby, up standby", vec![1]),
            (NO_PRIMARY, cycle(1), NO_PRIMARY, vec![]),
            (HEALTHY, displace(0), "down standby, up standby, up standby", vec![]),
            (HEALTHY, detach(1), "up primary, down standby, up standby", vec![]),
            ("down standby, up standby, up standby", promote, "down standby, up primary, down standby", vec![2]),
        ] {
            let mut memory = Memory::default();
            memory.record(sent.0, sent.1, &view(seen), Duration::ZERO);
            for (question, answer) in [recovery(2, Recovery::InRecovery), recovery(0, Recovery::NotInRecovery)] {
                memory.learn(question, answer, Duration::ZERO);
            }
            assert_eq!(ids(memory.half_done(&primary, &view(now))), half_done, "{sent:?}");
            assert_eq!(memory.may_be_half_done(), matches!(sent.1, Reason::Cycle) || sent == promote);
            memory.forget_last_change();
            assert!(memory.half_done(&primary, &view(now)).is_empty() && !memory.may_be_half_done(), "{sent:?}");
        }
        let mut memory = Memory::default();
        memory.record(promote.0, promote.1, &view("up standby, up standby, up standby"), Duration::ZERO);
        let down = view("down standby, up primary, down standby");
        let (question, answer) = recovery(2, Recovery::InRecovery);
        memory.learn(question, answer, Duration::ZERO);
        assert_eq!(ids(memory.half_done(&primary, &down)), [2], "0 is not proven to be a standby");
        assert_eq!((ids(memory.doubt(&primary)), ids(memory.half_done(&primary, &down))), (vec![0, 2], vec![]));
        memory.learn(question, Answer::Recovery(Recovery::InRecovery), Duration::ZERO);
        (primary.failed, primary.held) = (Some(0.try_into().unwrap()), vec![2.try_into().unwrap()]);
        assert!(memory.half_done(&primary, &down).is_empty());

        // What was taken back stays down.
        let mut memory = Memory::default();
        record(&mut memory, cycle(2));
        record(&mut memory, attach(2));
        record(&mut memory, take_back(2));
        assert!(memory.half_done(&goal(2, Want::Attached), &view(DETACHED)).is_empty());
    }

    #[test]
    fn an_attach_counts_as_asked_for_until_it_would_be_sent_again() {
        let mut memory = Memory::default();
        record(&mut memory, attach(2));
        record(&mut memory, detach(1));
        let attaching = |now| memory.attaching(now).map(NodeId::get).collect::<Vec<_>>();
        assert_eq!(attaching(CHANGE_PATIENCE - Duration::from_millis(1)), [2]);
        assert!(attaching(CHANGE_PATIENCE).is_empty());
    }
}
