use super::{Body, COMPLETE, PADDING, Query, Reply, Request, complete, request};
use crate::{DecodeError, Frame, ReplyKind, RequestKind};

/// Asks for the number of configured nodes. Since 3.5.
///
/// Answered from memory, and never refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ReadNodeCount;

impl Request for ReadNodeCount {
    const KIND: RequestKind = RequestKind::READ_NODE_COUNT;
    const REPLY: ReplyKind = ReplyKind::NODE_COUNT;
    const NAME: &'static str = "reading the node count";
    type Reply = NodeCount;

    fn encode(&self) -> Frame<RequestKind> {
        Frame::new(Self::KIND, PADDING)
    }

    fn decode(frame: &Frame<RequestKind>) -> Result<Self, DecodeError> {
        request(frame, Self::KIND).map(|_| Self)
    }
}

impl Query for ReadNodeCount {}

/// The number of configured nodes, whatever their state.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct NodeCount(pub u32);

impl Reply for NodeCount {
    fn decode(frames: &[Frame<ReplyKind>]) -> Result<Self, DecodeError> {
        let mut fields = complete(frames)?;
        let count = fields.number("node count")?;
        fields.finish()?;
        Ok(Self(count))
    }

    fn encode(&self, kind: ReplyKind) -> Vec<Frame<ReplyKind>> {
        vec![Body::new(COMPLETE).shown(self.0).frame(kind)]
    }
}

#[cfg(test)]
mod tests {
    use super::super::test::{frames, golden};
    use super::*;

    #[test]
    fn golden_bytes() {
        golden(&ReadNodeCount, b"L\0\0\0\x05\0");
        let bytes = b"l\0\0\0\x16CommandComplete\x003\0";
        assert_eq!(NodeCount::decode(&frames(bytes)), Ok(NodeCount(3)));
        assert_eq!(NodeCount(3).encode(ReadNodeCount::REPLY)[0].to_bytes(), &bytes[..]);
    }
}
