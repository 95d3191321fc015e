use super::{Accepted, Request, node_id_body, only_node_id};
use crate::{DecodeError, Frame, NodeId, ReplyKind, RequestKind};

/// Detaches a node at once: Pgpool sets it down. Since 3.5.
///
/// Refused with an error: a node that is down already, and one whose backend_flag is DISALLOW_TO_FAILOVER. One that
/// does not exist is not refused. Detaching the primary makes Pgpool search another for up to
/// search_primary_node_timeout. Success means that the request was queued: read the state back.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct DetachNode {
    /// The node.
    pub node: NodeId,
}

impl Request for DetachNode {
    const KIND: RequestKind = RequestKind::DETACH_NODE;
    const REPLY: ReplyKind = ReplyKind::DETACH_NODE;
    const NAME: &'static str = "detaching a node";
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
        golden(&DetachNode { node: "2".parse().unwrap() }, b"D\0\0\0\x062\0");
        let bytes = b"d\0\0\0\x14CommandComplete\0";
        assert_eq!(Accepted::decode(&frames(bytes)), Ok(Accepted));
        assert_eq!(Accepted.encode(DetachNode::REPLY)[0].to_bytes(), &bytes[..]);
    }
}
