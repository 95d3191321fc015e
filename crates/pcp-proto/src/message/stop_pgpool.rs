use super::{Accepted, Body, Request, letter, request};
use crate::{DecodeError, Frame, ReplyKind, RequestKind};

/// How sessions end at a stop; PostgreSQL has the same three.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum StopMode {
    /// When their clients leave; meanwhile no new ones are taken.
    Smart,
    /// At once.
    Fast,
    /// At once, and Pgpool does not clean up behind itself.
    Immediate,
}

impl StopMode {
    pub(super) fn letter(self) -> u8 {
        match self {
            Self::Smart => b's',
            Self::Fast => b'f',
            Self::Immediate => b'i',
        }
    }

    /// Reads a request that holds a mode and nothing else.
    pub(super) fn decode(frame: &Frame<RequestKind>, kind: RequestKind) -> Result<Self, DecodeError> {
        let modes = [Self::Smart, Self::Fast, Self::Immediate].map(|mode| (mode.letter(), mode));
        letter(request(frame, kind)?, "stop mode", "\"s\", \"f\" or \"i\"", &modes)
    }
}

/// Stops the Pgpool that is asked, its PCP port too. Since 3.5.
///
/// Success means that the stop began: a smart one lasts as long as the last session does. The answer may get lost,
/// as the process that sends it is stopped too. Refused with an error, worth a retry, while a failover or failback
/// is in progress.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct StopPgpool {
    /// How sessions end.
    pub mode: StopMode,
}

impl Request for StopPgpool {
    const KIND: RequestKind = RequestKind::STOP_PGPOOL;
    const REPLY: ReplyKind = ReplyKind::STOP;
    const NAME: &'static str = "stopping Pgpool";
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
    use super::super::Reply;
    use super::super::test::{frames, golden};
    use super::*;

    #[test]
    fn golden_bytes() {
        golden(&StopPgpool { mode: StopMode::Smart }, b"T\0\0\0\x05s");
        golden(&StopPgpool { mode: StopMode::Fast }, b"T\0\0\0\x05f");
        golden(&StopPgpool { mode: StopMode::Immediate }, b"T\0\0\0\x05i");
        let bytes = b"t\0\0\0\x14CommandComplete\0";
        assert_eq!(Accepted::decode(&frames(bytes)), Ok(Accepted));
        assert_eq!(Accepted.encode(StopPgpool::REPLY)[0].to_bytes(), &bytes[..]);
    }

    #[test]
    fn only_the_three_letters_are_read() {
        for bad in [&b""[..], b"x", b"f\0"] {
            let frame = Frame::new(RequestKind::STOP_PGPOOL, bad);
            assert!(StopPgpool::decode(&frame).is_err(), "{}", bad.escape_ascii());
        }
    }
}
