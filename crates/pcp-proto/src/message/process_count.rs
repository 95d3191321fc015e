use super::{Body, COMPLETE, PADDING, Query, Reply, Request, complete, request};
use crate::{DecodeError, Frame, ReplyKind, RequestKind};

/// Asks for the process ids of Pgpool's children. Since 3.5.
///
/// Answered from memory, and never refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ReadProcessCount;

impl Request for ReadProcessCount {
    const KIND: RequestKind = RequestKind::READ_PROCESS_COUNT;
    const REPLY: ReplyKind = ReplyKind::PROCESS_COUNT;
    const NAME: &'static str = "reading the process count";
    type Reply = ProcessCount;

    fn encode(&self) -> Frame<RequestKind> {
        Frame::new(Self::KIND, PADDING)
    }

    fn decode(frame: &Frame<RequestKind>) -> Result<Self, DecodeError> {
        request(frame, Self::KIND).map(|_| Self)
    }
}

impl Query for ReadProcessCount {}

/// The answer to [`ReadProcessCount`]: the children that serve SQL sessions, busy or not.
///
/// The number of children is right on every server, the ids are not: servers before 3.7.24, 4.0.19, 4.1.12, 4.2.9 and
/// 4.3.2 cut them to five or six digits. [`ReadProcessInfo`](super::ReadProcessInfo) has them whole.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ProcessCount {
    /// The process ids in the order of Pgpool's table.
    pub pids: Vec<u32>,
}

impl Reply for ProcessCount {
    fn decode(frames: &[Frame<ReplyKind>]) -> Result<Self, DecodeError> {
        let mut fields = complete(frames)?;
        let count: u32 = fields.number("process count")?;
        let pids = (0..count).map(|_| fields.number("process id")).collect::<Result<_, _>>()?;
        fields.finish()?;
        Ok(Self { pids })
    }

    fn encode(&self, kind: ReplyKind) -> Vec<Frame<ReplyKind>> {
        let body = Body::new(COMPLETE).shown(self.pids.len());
        vec![self.pids.iter().fold(body, Body::shown).frame(kind)]
    }
}

#[cfg(test)]
mod tests {
    use super::super::test::{golden, reply};
    use super::*;

    const KIND: ReplyKind = ReplyKind::PROCESS_COUNT;

    #[test]
    fn golden_bytes() {
        golden(&ReadProcessCount, b"N\0\0\0\x05\0");
        // What 4.3.0 sent with four children.
        let frames = reply(KIND, &[b"CommandComplete\x004\x0021648\x0021649\x0021661\x0021651\0"]);
        let count = ProcessCount::decode(&frames).unwrap();
        assert_eq!(count.pids, [21648, 21649, 21661, 21651]);
        assert_eq!(count.encode(KIND), frames);
    }

    #[test]
    fn a_count_that_does_not_hold_is_an_error_and_reserves_nothing() {
        let decode = |body: &'static [u8]| ProcessCount::decode(&reply(KIND, &[body]));
        assert_eq!(decode(b"CommandComplete\x000\0"), Ok(ProcessCount::default()));
        assert_eq!(
            decode(b"CommandComplete\x004294967295\x001\0"),
            Err(DecodeError::MissingField { field: "process id" })
        );
        assert_eq!(decode(b"CommandComplete\x001\x001\x002\0"), Err(DecodeError::TrailingBytes { bytes: 2 }));
        assert!(decode(b"CommandComplete\x001\0x\0").is_err());
    }
}
