//! The main process: the queue of operations, what each does, and the replacement of the PCP process after them.

use std::collections::VecDeque;
use std::time::Duration;

use pcp_proto::message::NodeStatus;

use super::{Mode, Standing, World};

/// How many operations wait at most; further ones are dropped without a word.
const QUEUE: usize = 10;
/// How long the main process sleeps between the last operation of a run and the replacement of the PCP process.
const SETTLE: Duration = Duration::from_secs(1);
/// How long a search sleeps between two looks.
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);

/// What an operation does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Change {
    /// Put a node up and search the primary.
    Attach(usize),
    /// Set a node down, and search a primary where it was the primary.
    Detach(usize),
    /// Make a node the primary and set all others down.
    Promote(usize),
    /// Set the primary down in favour of a node, which the failover command of a real server would promote.
    Switchover(usize),
}

/// An operation that the main process carried out.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Operation {
    /// When it began.
    pub at: Duration,
    /// What it did.
    pub change: Change,
    /// How many connections were open then.
    pub open_connections: usize,
}

/// A run of `follow_primary_command` that a real server would have started.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct FollowRun {
    /// `%d`: the node that is down.
    pub detached: usize,
    /// `%P`: the old primary; −1 where there was none.
    pub old_primary: Option<usize>,
    /// `%m`, as long as the new primary is the main node.
    pub new_primary: usize,
}

/// Pgpool's main process, which does one thing at a time.
#[derive(Clone, Debug, Default)]
pub(super) struct MainProcess {
    queue: VecDeque<Change>,
    phase: Phase,
    /// Whether this run changed anything, so that the PCP process is replaced at its end.
    changed: bool,
    /// Whether the next connection meets the end of the old PCP process.
    reset_next: bool,
    pub(super) operations: Vec<Operation>,
    pub(super) follow_runs: Vec<FollowRun>,
    pub(super) replacements: usize,
}

#[derive(Clone, Copy, Debug, Default)]
enum Phase {
    #[default]
    Idle,
    /// Takes the next operation then.
    TakeNext(Duration),
    /// Begins to look for a primary then, unless the time is over.
    Look { at: Duration, until: Option<Duration>, change: Change },
    /// Has looked for a primary then.
    Looked { at: Duration, until: Option<Duration>, change: Change },
    /// Sleeps before the replacement of the PCP process.
    Settle(Duration),
    /// Waits until every connection is closed.
    Frozen,
}

impl MainProcess {
    pub(super) fn is_frozen(&self) -> bool {
        matches!(self.phase, Phase::Frozen)
    }

    pub(super) fn standing_of_newcomer(&mut self) -> Standing {
        match self.phase {
            Phase::Frozen => Standing::Waiting,
            _ if std::mem::take(&mut self.reset_next) => Standing::Reset,
            _ => Standing::Served,
        }
    }

    fn next_due(&self) -> Option<Duration> {
        match self.phase {
            Phase::Idle | Phase::Frozen => None,
            Phase::TakeNext(at) | Phase::Settle(at) => Some(at),
            Phase::Look { at, .. } | Phase::Looked { at, .. } => Some(at),
        }
    }
}

impl World {
    /// Returns when something happens next without a request.
    pub fn next_due(&self) -> Option<Duration> {
        self.main.next_due()
    }

    /// Does everything that is due until `now`.
    pub fn advance(&mut self, now: Duration) {
        while let Some(due) = self.main.next_due().filter(|&due| due <= now) {
            self.step(due);
        }
    }

    /// Queues an attach as a request does, whether there is such a node or not.
    pub fn attach(&mut self, now: Duration, id: usize) {
        self.queue(now, Change::Attach(id));
    }

    /// Queues a detach as a request that was not refused does.
    pub fn detach(&mut self, now: Duration, id: usize) {
        self.queue(now, Change::Detach(id));
    }

    pub(super) fn queue(&mut self, now: Duration, change: Change) {
        self.advance(now);
        if self.main.queue.len() == QUEUE {
            return;
        }
        self.main.queue.push_back(change);
        if matches!(self.main.phase, Phase::Idle) {
            self.main.phase = Phase::TakeNext(now + self.settings.operation_delay);
        }
    }

    /// Replaces the PCP process if that was only waiting for connections to close.
    pub(super) fn thaw(&mut self, now: Duration) {
        let is_served = |standing| standing == Standing::Served;
        if self.main.is_frozen() && !self.connections.values().any(|open| is_served(open.standing)) {
            self.replace_pcp_process(now);
        }
    }

    fn step(&mut self, now: Duration) {
        match self.main.phase {
            Phase::Idle | Phase::Frozen => {}
            Phase::TakeNext(_) => match self.main.queue.pop_front() {
                Some(change) => self.carry_out(now, change),
                None if std::mem::take(&mut self.main.changed) => self.main.phase = Phase::Settle(now + SETTLE),
                None => self.main.phase = Phase::Idle,
            },
            Phase::Look { until, change, .. } => {
                if until.is_some_and(|until| until <= now) {
                    self.finish(now, change, None);
                } else {
                    self.main.phase = Phase::Looked { at: now + self.time_to_look(), until, change };
                }
            }
            Phase::Looked { until, change, .. } => match self.find_primary() {
                Some(primary) => self.finish(now, change, Some(primary)),
                None => self.main.phase = Phase::Look { at: now + BETWEEN_LOOKS, until, change },
            },
            Phase::Settle(_) => {
                self.main.phase = Phase::Frozen;
                if self.age.freezes_on_open_connections() {
                    self.thaw(now);
                } else {
                    self.replace_pcp_process(now);
                }
            }
        }
    }

    fn carry_out(&mut self, now: Duration, change: Change) {
        let has_to_search = self.has_to_search(change);
        let is_done = match change {
            Change::Attach(id) => self.put_up(now, id),
            Change::Detach(id) => self.set_down(now, id),
            Change::Promote(id) => self.is_attached(id),
            Change::Switchover(_) => self.primary.is_some_and(|primary| self.set_down(now, primary)),
        };
        if !is_done {
            self.main.phase = Phase::TakeNext(now);
            return;
        }
        let open_connections = self.open_connections();
        self.main.operations.push(Operation { at: now, change, open_connections });
        match change {
            Change::Promote(id) => self.finish(now, change, Some(id)),
            _ if !has_to_search => self.finish(now, change, self.primary),
            _ => self.search(now, change),
        }
    }

    /// Puts a node up unless it is.
    fn put_up(&mut self, now: Duration, id: usize) -> bool {
        let Some(node) = self.nodes.get(id) else { return true };
        let (was_attached, was_quarantined) = (node.is_attached(), node.quarantine);
        if was_attached {
            return false;
        }
        self.set_status(now, id, NodeStatus::Waiting);
        if was_quarantined && self.primary.is_none() && self.quarantined_primary == Some(id) {
            self.primary = self.quarantined_primary.take();
        }
        true
    }

    /// Sets a node down unless it is; one in quarantine is only after this.
    fn set_down(&mut self, now: Duration, id: usize) -> bool {
        let Some(node) = self.nodes.get(id) else { return true };
        if !node.is_attached() && !node.quarantine {
            return false;
        }
        if self.quarantined_primary == Some(id) && self.primary.is_none() {
            self.primary = self.quarantined_primary.take();
        }
        self.set_status(now, id, NodeStatus::Down)
    }

    /// Tells whether a primary is searched after a change that is about to be made.
    fn has_to_search(&self, change: Change) -> bool {
        let is_quarantined = |id| self.nodes.get(id).is_some_and(|node: &super::Node| node.quarantine);
        match (change, self.primary) {
            // One that leaves quarantine comes back as what it was.
            (Change::Attach(id), _) => !is_quarantined(id),
            (Change::Detach(id), None) if self.quarantined_primary == Some(id) => true,
            (Change::Detach(_), None) => self.age.searches_when_no_primary_is_lost(),
            (Change::Detach(id), Some(primary)) => id == primary,
            (Change::Switchover(_), _) => true,
            (Change::Promote(_), _) => false,
        }
    }

    fn search(&mut self, now: Duration, change: Change) {
        let all_are_down = !self.nodes.iter().any(super::Node::is_attached);
        if self.settings.mode == Mode::Raw || (all_are_down && self.age.gives_up_when_all_are_down()) {
            self.finish(now, change, None);
            return;
        }
        let timeout = self.settings.search_primary_node_timeout;
        let until = (!timeout.is_zero()).then(|| now + timeout);
        self.main.phase = Phase::Look { at: now, until, change };
    }

    /// Ends an operation with what is the primary now.
    fn finish(&mut self, now: Duration, change: Change, primary: Option<usize>) {
        let old = self.primary;
        if let Some(primary) = primary.filter(|_| self.sets_the_others_down(change, old)) {
            self.follow(now, old, primary);
        }
        if old != primary {
            old.into_iter().chain(primary).for_each(|id| self.stamp(now, id));
        }
        self.primary = primary;
        self.main.changed = true;
        let pause = if self.main.queue.is_empty() { Duration::ZERO } else { self.settings.operation_delay };
        self.main.phase = Phase::TakeNext(now + pause);
    }

    /// Tells whether a change of primary sets every other node down.
    fn sets_the_others_down(&self, change: Change, old: Option<usize>) -> bool {
        let has_command = !self.settings.follow_primary_command.is_empty();
        match (change, old) {
            (Change::Promote(_), _) => true,
            (Change::Attach(_), _) => false,
            (Change::Switchover(_), _) => has_command,
            (Change::Detach(id), Some(old)) => has_command && id == old,
            (Change::Detach(_), None) => has_command && self.age.has_quarantine(),
        }
    }

    fn follow(&mut self, now: Duration, old_primary: Option<usize>, new_primary: usize) {
        let others = || (0..self.nodes.len()).filter(|&id| id != new_primary);
        if !self.settings.follow_primary_command.is_empty() {
            let runs = others().map(|detached| FollowRun { detached, old_primary, new_primary });
            self.main.follow_runs.extend(runs);
        }
        for id in others().collect::<Vec<_>>() {
            self.set_status(now, id, NodeStatus::Down);
        }
    }

    fn replace_pcp_process(&mut self, now: Duration) {
        let mut waiting =
            self.connections.values_mut().filter(|open| open.standing == Standing::Waiting).peekable();
        let standing = if self.settings.resets_at_replacement {
            self.main.reset_next = waiting.peek().is_none();
            Standing::Reset
        } else {
            Standing::Served
        };
        waiting.for_each(|open| open.standing = standing);
        self.main.replacements += 1;
        self.main.phase = match self.main.queue.is_empty() {
            true => Phase::Idle,
            false => Phase::TakeNext(now + self.settings.operation_delay),
        };
    }
}
