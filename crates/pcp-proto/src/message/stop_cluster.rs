use super::{Accepted, Body, Request, StopMode};
use crate::{DecodeError, Frame, Release, ReplyKind, RequestKind};

/// Stops every Pgpool of the watchdog's cluster. Since 4.2; an older server drops the connection.
///
/// Without a watchdog it stops the one that is asked. Success means that the watchdog passed it on and that the
/// stop of the asked one began; whether the others stop, each has to be asked. An error where the watchdog could
/// not pass it on: nothing stops then. Other than [`StopPgpool`](super::StopPgpool) it is not refused during a
/// failover.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct StopCluster {
    /// How sessions end.
    pub mode: StopMode,
}

impl Request for StopCluster {
    const KIND: RequestKind = RequestKind::STOP_CLUSTER;
    const REPLY: ReplyKind = ReplyKind::STOP;
    const NAME: &'static str = "stopping the cluster";
    const SINCE: Release = Release::new(4, 2);
    type Reply = Accepted;

    fn encode(&self) -> Frame<RequestKind> {
        Body::empty().raw(&[self.mode.letter()]).frame(Self::KIND)
    }

    fn decode(frame: &Frame<RequestKind>) -> Result<Self, DecodeError> {
        Ok(Self { mode: StopMode::decode(frame, Self::KIND)? })
    }
}

#[cfg(test)]
mod tests {
    use super::super::test::golden;
    use super::*;

    #[test]
    fn golden_bytes() {
        golden(&StopCluster { mode: StopMode::Smart }, b"t\0\0\0\x05s");
        golden(&StopCluster { mode: StopMode::Fast }, b"t\0\0\0\x05f");
    }
}
