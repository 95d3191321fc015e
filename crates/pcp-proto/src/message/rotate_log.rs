use super::{Accepted, Body, Request, Scope};
use crate::{DecodeError, Frame, Release, ReplyKind, RequestKind};

/// Begins a new log file. Since 4.6; an older server drops the connection.
///
/// An error where the log is not collected in files (logging_collector). Success means that the collector was
/// signalled. With [`Scope::Cluster`], an error where the watchdog could not pass it on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RotateLog {
    /// Which Pgpools do it.
    pub scope: Scope,
}

impl Request for RotateLog {
    const KIND: RequestKind = RequestKind::ROTATE_LOG;
    const REPLY: ReplyKind = ReplyKind::ROTATE_LOG;
    const NAME: &'static str = "rotating the log";
    const SINCE: Release = Release::new(4, 6);
    type Reply = Accepted;

    fn encode(&self) -> Frame<RequestKind> {
        Body::empty().raw(&[self.scope.letter()]).frame(Self::KIND)
    }

    fn decode(frame: &Frame<RequestKind>) -> Result<Self, DecodeError> {
        Ok(Self { scope: Scope::decode(frame, Self::KIND)? })
    }
}

#[cfg(test)]
mod tests {
    use super::super::Reply;
    use super::super::test::{frames, golden};
    use super::*;

    #[test]
    fn golden_bytes() {
        golden(&RotateLog { scope: Scope::Local }, b"V\0\0\0\x05l");
        golden(&RotateLog { scope: Scope::Cluster }, b"V\0\0\0\x05c");
        let bytes = b"v\0\0\0\x14CommandComplete\0";
        assert_eq!(Accepted::decode(&frames(bytes)), Ok(Accepted));
        assert_eq!(Accepted.encode(RotateLog::REPLY)[0].to_bytes(), &bytes[..]);
    }
}
