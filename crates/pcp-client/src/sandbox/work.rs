//! What keeps a worker busy: answers that take their time.

use std::time::Duration;

use bytes::Bytes;
use pcp_proto::ReplyKind;

use super::answer::{Answer, Failure, Reply, Then};
use super::request::Asked;
use super::{Age, Change, World};

/// What a worker is busy with; [`World::resume`] goes on with it.
#[derive(Clone, Debug)]
pub(super) enum Work {
    /// It connects to nodes.
    Dial(Asked),
    /// It waits for the SQL sessions to end before a change, and looks so many times more.
    Sessions { looks_left: u64, change: Change },
    /// It waits for the end of the main process's runs after so many, or until that time, and answers with this
    /// kind.
    Run { runs: usize, until: Option<Duration>, kind: ReplyKind },
    /// It waits for a node that is rebuilt.
    Rebuild(usize),
    /// It finds out that it cannot be done.
    Fail(Failure),
}

/// How long a worker sleeps between two looks at the sessions.
const BETWEEN_LOOKS: Duration = Duration::from_secs(3);
/// How long it sleeps while nothing is known to wake it.
const SLEEP: Duration = Duration::from_secs(1);

impl World {
    /// Goes on with what [`request`](Self::request) put off, which may take longer still.
    pub fn resume(&mut self, now: Duration, connection: u64) -> Answer {
        self.advance(now);
        let work = self.connections.get_mut(&connection).and_then(|open| open.work.take());
        let answer = match work {
            Some(Work::Dial(asked)) => Answer::Now(self.node_infos(asked)),
            Some(Work::Sessions { looks_left, change }) => {
                self.look_at_sessions(now, connection, looks_left, change)
            }
            Some(Work::Run { runs, until, kind }) => self.await_run(now, connection, runs, until, kind),
            Some(Work::Rebuild(node)) => self.rebuilt(now, connection, node),
            Some(Work::Fail(failure)) => Answer::Now(failure.into()),
            None => return Answer::Now(Reply::empty(Then::GoOn)),
        };
        self.with_notices(connection, answer)
    }

    /// Puts the answer off until then.
    pub(super) fn put_off(&mut self, until: Duration, connection: u64, work: Work) -> Answer {
        if let Some(open) = self.connections.get_mut(&connection) {
            open.work = Some(work);
        }
        Answer::Later(until)
    }

    /// Serves a graceful detach.
    pub(super) fn detach_node_gracefully(
        &mut self,
        now: Duration,
        connection: u64,
        body: &Bytes,
    ) -> Result<Answer, Failure> {
        let change = self.checked_detach(body)?;
        Ok(self.make_gracefully(now, connection, change))
    }

    /// Serves a graceful promotion or switchover.
    pub(super) fn promote_node_gracefully(
        &mut self,
        now: Duration,
        connection: u64,
        body: &Bytes,
    ) -> Result<Answer, Failure> {
        let change = self.checked_promotion(body)?;
        Ok(self.make_gracefully(now, connection, change))
    }

    fn make_gracefully(&mut self, now: Duration, connection: u64, change: Change) -> Answer {
        let retries = self.settings.recovery_timeout.as_secs() / BETWEEN_LOOKS.as_secs();
        if retries == 0 && self.sessions() > 0 {
            return Answer::Now(Reply::accepted(ReplyKind::DETACH_NODE));
        }
        self.look_at_sessions(now, connection, retries + 1, change)
    }

    /// Makes the change if every session is gone; gives up, with the same answer, after the last look.
    fn look_at_sessions(&mut self, now: Duration, connection: u64, looks_left: u64, change: Change) -> Answer {
        if looks_left == 0 {
            return Answer::Now(Reply::accepted(ReplyKind::DETACH_NODE));
        }
        if self.sessions() > 0 {
            let work = Work::Sessions { looks_left: looks_left - 1, change };
            return self.put_off(now + BETWEEN_LOOKS, connection, work);
        }
        let runs = self.main.runs;
        let is_queued = match change {
            // The first releases only test whether the node may be detached.
            Change::Detach(_) => self.age != Age::V3_7,
            Change::Promote(id) => self.is_attached(id),
            _ => true,
        };
        if is_queued {
            self.queue(now, change);
        }
        self.await_run(now, connection, runs, None, ReplyKind::DETACH_NODE)
    }

    /// Answers when the main process has nothing left to do; whoever asked for nothing waits for another's change.
    pub(super) fn await_run(
        &mut self,
        now: Duration,
        connection: u64,
        runs: usize,
        until: Option<Duration>,
        kind: ReplyKind,
    ) -> Answer {
        if self.main.runs > runs || until.is_some_and(|until| until <= now) {
            return Answer::Now(Reply::accepted(kind));
        }
        let wake = self.next_due().unwrap_or(now + SLEEP);
        let wake = until.map_or(wake, |until| until.min(wake));
        self.put_off(wake, connection, Work::Run { runs, until, kind })
    }
}

#[cfg(test)]
mod tests {
    use pcp_proto::message::{DetachNodeGracefully, PromoteMode, PromoteNodeGracefully};

    use super::super::test::Drill;
    use super::super::{FailoverCommand, Settings};
    use super::*;

    fn drill(age: Age, change: impl FnOnce(&mut Settings)) -> Drill {
        let world = World::new(age).node("10.0.0.1", 5432).node("10.0.0.2", 5432).node("10.0.0.3", 5432);
        Drill::new(world.configure(change))
    }

    fn detach(node: usize) -> DetachNodeGracefully {
        DetachNodeGracefully { node: node.try_into().unwrap() }
    }

    fn promote(node: usize, mode: PromoteMode) -> PromoteNodeGracefully {
        PromoteNodeGracefully { node: node.try_into().unwrap(), mode }
    }

    #[test]
    fn a_graceful_detach_is_done_when_it_is_answered_except_on_3_7_0_which_answers_at_the_next_change() {
        for age in Age::ALL {
            let mut drill = drill(age, |_| {});
            let answer = drill.ask_for(Duration::from_secs(60), &detach(2));
            if age == Age::V3_7 {
                assert_eq!(answer, None);
                assert_eq!(drill.shown(), "0=up/primary 1=up/standby 2=up/standby");
            } else {
                assert!(answer.is_some_and(|answer| answer.is_ok()), "{age}");
                assert_eq!(drill.shown(), "0=up/primary 1=up/standby 2=down/standby", "{age}");
                assert!(drill.now < Duration::from_millis(100), "{age}");
                let refusal = drill.ask(&detach(2)).unwrap_err();
                assert!(refusal.contains("node id : 2 status: [3] is not valid for failover"), "{refusal}");
            }
        }
        let mut drill = drill(Age::V3_7, |_| {});
        let stuck = drill.log_in();
        let frame = pcp_proto::message::Request::encode(&detach(2));
        assert!(matches!(drill.world.request(drill.now, stuck, &frame), Answer::Later(_)));
        drill.detach(1).unwrap();
        drill.wait(0.5);
        assert_eq!(drill.world.resume(drill.now, stuck), Answer::Now(Reply::accepted(ReplyKind::DETACH_NODE)));
        assert_eq!(drill.shown(), "0=up/primary 1=down/standby 2=up/standby");
    }

    #[test]
    fn a_graceful_detach_waits_for_the_sessions_and_gives_up_with_the_same_answer() {
        for (timeout, seconds) in [(0, 0), (5, 6), (90, 93)] {
            let mut drill = drill(Age::V4_7, |settings| settings.recovery_timeout = Duration::from_secs(timeout));
            drill.world.open_session(drill.now);
            let before = drill.now;
            drill.ask(&detach(2)).unwrap();
            assert_eq!((drill.now - before).as_secs(), seconds, "{timeout}");
            assert_eq!(drill.shown(), "0=up/primary 1=up/standby 2=up/standby");
        }
        let mut drill = drill(Age::V4_7, |_| {});
        drill.world.open_session(drill.now);
        let connection = drill.log_in();
        let frame = pcp_proto::message::Request::encode(&detach(2));
        let asked = drill.now;
        let look = Answer::Later(asked + Duration::from_secs(3));
        assert_eq!(drill.world.request(asked, connection, &frame), look);
        drill.wait(1.0);
        drill.world.close_session(drill.now);
        let Answer::Later(next) = drill.world.resume(asked + Duration::from_secs(3), connection) else { panic!() };
        assert!(matches!(drill.world.resume(next, connection), Answer::Now(_)));
        assert_eq!(drill.shown(), "0=up/primary 1=up/standby 2=down/standby");
    }

    #[test]
    fn a_graceful_promotion_is_done_when_it_is_answered_and_that_of_a_down_node_is_not_answered() {
        for age in Age::ALL {
            let mut drill = drill(age, |_| {});
            drill.ask(&promote(1, PromoteMode::ViewOnly)).unwrap();
            assert_eq!(drill.shown(), "0=down/standby 1=up/primary 2=down/standby", "{age}");
            drill.wait(2.0);
            assert_eq!(drill.ask_for(Duration::from_secs(60), &promote(2, PromoteMode::ViewOnly)), None, "{age}");
        }
    }

    #[test]
    fn a_graceful_switchover_is_answered_after_the_search() {
        let promotes = |settings: &mut Settings| settings.failover_command = FailoverCommand::Promotes;
        let mut found = drill(Age::V4_7, promotes);
        found.ask(&promote(1, PromoteMode::Switchover)).unwrap();
        assert_eq!(found.shown(), "0=down/standby 1=up/primary 2=up/standby");
        let mut lost = drill(Age::V4_7, |_| {});
        lost.ask(&promote(1, PromoteMode::Switchover)).unwrap();
        assert_eq!((lost.shown(), lost.now.as_secs()), ("0=down/standby 1=up/standby 2=up/standby".to_owned(), 3));
    }
}
