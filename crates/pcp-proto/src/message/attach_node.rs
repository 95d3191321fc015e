use super::{Accepted, Body, Request, node_id, request};
use crate::{DecodeError, Frame, NodeId, ReplyKind, RequestKind};

/// Attaches a node: Pgpool puts it up and searches the primary anew. Since 3.5.
///
/// An up node stays as it is and nothing happens. The server checks neither that there is such a node nor that its
/// PostgreSQL answers. Success means that the request was queued: read the state back.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct AttachNode {
    /// The node.
    pub node: NodeId,
}

impl Request for AttachNode {
    const KIND: RequestKind = RequestKind::ATTACH_NODE;
    const REPLY: ReplyKind = ReplyKind::ATTACH_NODE;
    type Reply = Accepted;

    fn encode(&self) -> Frame<RequestKind> {
        Body::empty().shown(self.node).frame(Self::KIND)
    }

    fn decode(frame: &Frame<RequestKind>) -> Result<Self, DecodeError> {
        let mut fields = request(frame, Self::KIND)?;
        let node = node_id(&mut fields)?;
        fields.finish()?;
        Ok(Self { node })
    }
}

#[cfg(test)]
mod tests {
    use super::super::Reply;
    use super::super::test::{frames, golden};
    use super::*;

    #[test]
    fn golden_bytes() {
        golden(&AttachNode { node: "2".parse().unwrap() }, b"C\0\0\0\x062\0");
        let bytes = b"c\0\0\0\x14CommandComplete\0";
        assert_eq!(Accepted::decode(&frames(bytes)), Ok(Accepted));
        assert_eq!(Accepted.encode(AttachNode::REPLY)[0].to_bytes(), &bytes[..]);
    }
}
