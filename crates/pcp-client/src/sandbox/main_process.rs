//! The main process: the queue of operations, the time each takes, and the replacement of the PCP process after
//! them.

use std::collections::VecDeque;
use std::time::Duration;

use super::connection::Connection;
use super::{Change, FollowRun, Operation, Standing, World};

/// How many operations wait at most; further ones are dropped without a word.
const QUEUE: usize = 10;
/// How long the main process sleeps between the last operation of a run and the replacement of the PCP process.
const SETTLE: Duration = Duration::from_secs(1);
/// How long a search sleeps between two looks.
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);

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
    /// How often nothing was left to do; graceful requests are answered then.
    pub(super) runs: usize,
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

    /// Returns what waits behind the operation that is carried out.
    pub(super) fn waiting_behind(&self) -> Option<Change> {
        let is_busy = match self.phase {
            Phase::Look { .. } | Phase::Looked { .. } => true,
            Phase::TakeNext(_) => self.changed,
            Phase::Idle | Phase::Settle(_) | Phase::Frozen => false,
        };
        self.queue.front().copied().filter(|_| is_busy)
    }

    /// Goes on after an operation that came to nothing.
    pub(super) fn refuse(&mut self, now: Duration) {
        self.phase = Phase::TakeNext(now);
    }

    /// Searches a primary on behalf of a change.
    pub(super) fn look(&mut self, at: Duration, until: Option<Duration>, change: Change) {
        self.phase = Phase::Look { at, until, change };
    }

    /// Goes on after an operation; the next one takes `delay`.
    pub(super) fn complete(&mut self, now: Duration, delay: Duration) {
        self.changed = true;
        let pause = if self.queue.is_empty() { Duration::ZERO } else { delay };
        self.phase = Phase::TakeNext(now + pause);
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
    /// Returns when something happens next without a request; health checks, which only count, are left out.
    pub fn next_due(&self) -> Option<Duration> {
        let end = self.ends_at().filter(|_| !self.is_stopped());
        self.main.next_due().into_iter().chain(end).min()
    }

    /// Does everything that is due until `now`.
    pub fn advance(&mut self, now: Duration) {
        let end = self.ends_at().unwrap_or(now).min(now);
        while let Some(due) = self.main.next_due().filter(|&due| due <= end) {
            self.check_health(due);
            self.step(due);
        }
        self.check_health(now);
        self.end_if_due(now);
    }

    /// Queues an attach as a request does, whether there is such a node or not.
    pub fn attach(&mut self, now: Duration, id: usize) {
        self.queue(now, Change::Attach(id));
    }

    /// Queues a detach as a request that was not refused does.
    pub fn detach(&mut self, now: Duration, id: usize) {
        self.queue(now, Change::Detach(id));
    }

    /// Queues a promotion as a request that was not refused does.
    pub fn promote(&mut self, now: Duration, id: usize) {
        self.queue(now, Change::Promote(id));
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
        let is_served = |open: &Connection| open.standing == Standing::Served;
        if self.main.is_frozen() && !self.connections.values().any(is_served) {
            self.replace_pcp_process(now);
        }
    }

    fn step(&mut self, now: Duration) {
        match self.main.phase {
            Phase::Idle | Phase::Frozen => {}
            Phase::TakeNext(_) => match self.main.queue.pop_front() {
                Some(change) => self.carry_out(now, change),
                None => {
                    self.main.runs += 1;
                    let is_changed = std::mem::take(&mut self.main.changed);
                    self.main.phase = if is_changed { Phase::Settle(now + SETTLE) } else { Phase::Idle };
                }
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

#[cfg(test)]
mod tests {
    use super::super::test::Drill;
    use super::super::{Age, World};
    use super::*;

    fn three(age: Age) -> World {
        World::new(age).node("10.0.0.1", 5432).node("10.0.0.2", 5432).node("10.0.0.3", 5432)
    }

    #[test]
    fn an_attach_of_an_up_node_does_nothing_and_replaces_nothing() {
        let mut drill = Drill::new(three(Age::V4_7));
        drill.attach(2).unwrap();
        drill.wait(5.0);
        assert_eq!((drill.world.operations(), drill.world.replacements()), (&[][..], 0));
    }

    #[test]
    fn changes_asked_for_at_once_are_all_carried_out_in_order() {
        let mut drill = Drill::new(three(Age::V4_3_1));
        drill.detach(1).unwrap();
        drill.detach(2).unwrap();
        drill.attach(2).unwrap();
        drill.detach(1).unwrap();
        drill.wait(0.1);
        assert_eq!(drill.shown(), "0=up/primary 1=down/standby 2=up/standby");
        assert_eq!(drill.world.operations().len(), 3, "the second detach of node 1 comes to nothing");
        drill.wait(5.0);
        assert_eq!(drill.world.replacements(), 1);
    }

    #[test]
    fn changes_beyond_the_queue_are_dropped_without_a_word() {
        let mut drill = Drill::new(three(Age::V4_7));
        drill.world.kill_postgres(0);
        drill.detach(0).unwrap();
        drill.wait(0.5);
        for _ in 0..QUEUE {
            drill.detach(99).unwrap();
        }
        drill.detach(2).unwrap();
        drill.wait(60.0);
        assert_eq!(drill.shown(), "0=down/standby 1=up/standby 2=up/standby");
        assert_eq!(drill.world.operations().len(), 1 + QUEUE);
    }

    #[test]
    fn the_main_process_takes_nothing_up_before_the_replacement() {
        let mut drill = Drill::new(three(Age::V4_7));
        drill.detach(1).unwrap();
        drill.wait(0.5);
        drill.detach(2).unwrap();
        drill.wait(0.4);
        assert_eq!(drill.shown(), "0=up/primary 1=down/standby 2=up/standby");
        drill.wait(0.2);
        assert_eq!(drill.shown(), "0=up/primary 1=down/standby 2=down/standby");
    }

    #[test]
    fn servers_up_to_4_4_freeze_until_every_connection_is_closed() {
        for age in Age::ALL {
            let mut drill = Drill::new(three(age));
            let silent = drill.world.connect(drill.now);
            drill.detach(2).unwrap();
            drill.wait(0.9);
            assert!(!drill.world.is_frozen());
            drill.wait(10.0);
            let freezes = age <= Age::V4_4;
            assert_eq!(drill.world.is_frozen(), freezes, "{age}");
            let newcomer = drill.world.connect(drill.now);
            let standing = if freezes { Standing::Waiting } else { Standing::Served };
            assert_eq!(drill.world.standing(newcomer), standing);
            assert_eq!(drill.world.standing(silent), Standing::Served);

            // Accepted, and not carried out before the thaw.
            drill.world.attach(drill.now, 2);
            drill.wait(10.0);
            assert_eq!(drill.world.nodes()[2].is_attached(), !freezes, "{age}");
            drill.world.disconnect(drill.now, silent);
            drill.world.disconnect(drill.now, newcomer);
            drill.wait(0.1);
            assert!(!drill.world.is_frozen() && drill.world.nodes()[2].is_attached(), "{age}");
        }
    }

    #[test]
    fn who_waits_in_the_freeze_is_served_after_it_or_reset_where_that_is_wanted() {
        for (resets, standing) in [(false, Standing::Served), (true, Standing::Reset)] {
            let world = three(Age::V4_4).configure(|settings| settings.resets_at_replacement = resets);
            let mut drill = Drill::new(world);
            let silent = drill.world.connect(drill.now);
            drill.detach(2).unwrap();
            drill.wait(2.0);
            let waiting = drill.world.connect(drill.now);
            drill.world.disconnect(drill.now, silent);
            assert_eq!(drill.world.standing(waiting), standing);
        }
        let world = three(Age::V4_7).configure(|settings| settings.resets_at_replacement = true);
        let mut drill = Drill::new(world);
        drill.detach(2).unwrap();
        drill.wait(2.0);
        let next = [drill.world.connect(drill.now), drill.world.connect(drill.now)];
        assert_eq!(next.map(|next| drill.world.standing(next)), [Standing::Reset, Standing::Served]);
    }
}
