use super::{Accepted, Request, node_id_body, only_node_id};
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
    const NAME: &'static str = "attaching a node";
    type Reply = Accepted;

    fn encode(&self) -> Frame<RequestKind> {
        Frame::new(Self::KIND, node_id_body(self.node))
    }

    fn decode(frame: &Frame<RequestKind>) -> Result<Self, DecodeError> {
        Ok(Self { node: only_node_id(frame, Self::KIND)? })
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
