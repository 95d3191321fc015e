//! The end of a Pgpool.

use std::time::Duration;

use bytes::Bytes;
use pcp_proto::ReplyKind;

use super::World;
use super::answer::{Failure, Reply};

/// Whether and when the server ends.
#[derive(Clone, Copy, Debug, Default)]
pub(super) enum End {
    #[default]
    Never,
    /// When the last SQL session is closed; until then nobody gets a salt.
    WhenIdle,
    At(Duration),
    Gone,
}

impl World {
    /// Tells whether the server was stopped: nothing listens any more and every connection is closed.
    pub fn is_stopped(&self) -> bool {
        matches!(self.end, End::Gone)
    }

    /// Serves a stop, of this Pgpool or of all in the watchdog's cluster; the others are not in this world.
    pub(super) fn stop_pgpool(&mut self, now: Duration, body: &Bytes) -> Result<Reply, Failure> {
        let &mode = body.first().ok_or_else(Failure::crash)?;
        match mode {
            b's' => {
                self.end = End::WhenIdle;
                self.stop_when_idle(now);
            }
            b'f' | b'i' => self.end = End::At(now + self.settings.operation_delay),
            _ => {
                let detail = format!("invalid shutdown mode \"{}\"", char::from(mode));
                return Err(Failure::error_with("PCP: error while processing shutdown request", &detail));
            }
        }
        Ok(Reply::accepted(ReplyKind::STOP))
    }

    /// Ends a server that only waited for its sessions.
    pub(super) fn stop_when_idle(&mut self, now: Duration) {
        if matches!(self.end, End::WhenIdle) && self.sessions() == 0 {
            self.end = End::At(now + self.settings.operation_delay);
        }
    }

    /// Returns when the server ends.
    pub(super) fn ends_at(&self) -> Option<Duration> {
        match self.end {
            End::Never | End::WhenIdle => None,
            End::At(time) => Some(time),
            End::Gone => Some(Duration::ZERO),
        }
    }

    /// Ends what is due.
    pub(super) fn end_if_due(&mut self, now: Duration) {
        if self.ends_at().is_some_and(|time| time <= now) {
            self.end = End::Gone;
            self.connections.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use pcp_proto::message::{ReadNodeCount, Request, StopCluster, StopMode, StopPgpool};
    use pcp_proto::{Frame, RequestKind};

    use super::super::test::Drill;
    use super::super::{Age, Standing};
    use super::*;

    fn drill(age: Age) -> Drill {
        Drill::new(World::new(age).node("10.0.0.1", 5432))
    }

    #[test]
    fn a_stop_is_answered_and_then_nothing_is() {
        for age in Age::ALL {
            for mode in [StopMode::Smart, StopMode::Fast, StopMode::Immediate] {
                let mut drill = drill(age);
                let idle = drill.log_in();
                drill.ask(&StopPgpool { mode }).unwrap();
                assert!(!drill.world.is_stopped(), "the answer goes out first");
                drill.wait(0.1);
                assert!(drill.world.is_stopped(), "{age}");
                assert_eq!((drill.world.standing(idle), drill.world.open_connections()), (Standing::Reset, 0));
                let late = drill.world.connect(drill.now);
                assert_eq!(drill.world.standing(late), Standing::Reset);
            }
        }
    }

    #[test]
    fn the_cluster_is_stopped_since_4_2() {
        for age in Age::ALL {
            let stopped = drill(age).ask(&StopCluster { mode: StopMode::Fast });
            let unknown = "FATAL: PCP processing request (unknown PCP packet type \"t\")".to_owned();
            assert_eq!(stopped.map(drop), if age < Age::V4_2 { Err(unknown) } else { Ok(()) }, "{age}");
        }
    }

    #[test]
    fn a_smart_stop_waits_for_the_sessions_and_serves_no_newcomer_meanwhile() {
        let mut drill = drill(Age::V4_7);
        drill.world.open_session(drill.now);
        let old = drill.log_in();
        drill.ask(&StopPgpool { mode: StopMode::Smart }).unwrap();
        drill.wait(600.0);
        assert!(!drill.world.is_stopped());
        assert!(!drill.send(old, &ReadNodeCount.encode()).frames.is_empty());
        let newcomer = drill.world.connect(drill.now);
        assert_eq!(drill.world.standing(newcomer), Standing::Waiting);
        drill.world.close_session(drill.now);
        drill.wait(0.1);
        assert!(drill.world.is_stopped());
    }

    #[test]
    fn other_modes_are_refused_and_none_kills_the_worker() {
        let mut drill = drill(Age::V4_3_1);
        let refused = drill.frame(&Frame::new(RequestKind::STOP_PGPOOL, &b"x"[..]));
        let text = String::from_utf8_lossy(&refused.frames[0].body).into_owned();
        assert!(
            text.contains("MPCP: error while processing shutdown request\0Dinvalid shutdown mode \"x\"\0"),
            "{text}"
        );
        let crashed = drill.frame(&Frame::new(RequestKind::STOP_PGPOOL, &b""[..]));
        assert_eq!(crashed, Failure::crash().into());
        drill.wait(1.0);
        assert!(!drill.world.is_stopped());
    }
}
