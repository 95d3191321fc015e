use super::{Accepted, Request, node_id_body, only_node_id};
use crate::{DecodeError, Frame, NodeId, ReplyKind, RequestKind};

/// Rebuilds a node from the primary with Pgpool's recovery commands, starts it and attaches it. Since 3.5.
///
/// The answer comes when that ended, which takes as long as a base backup does: minutes to hours. Success means
/// that the node's PostgreSQL answered and that the attach was queued: read the state back. An error names the step
/// that failed, cut at 254 bytes; PostgreSQL may then run or not.
///
/// Refused with an error: a node that is up, the primary, a node that does not exist, any mode but streaming and
/// native replication, and for a moment, worth a retry, while a failover or failback is in progress. A second
/// recovery at the same time is refused with a FATAL that closes the connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RecoverNode {
    /// The node.
    pub node: NodeId,
}

impl Request for RecoverNode {
    const KIND: RequestKind = RequestKind::RECOVER_NODE;
    // The server answers with the type of an attach.
    const REPLY: ReplyKind = ReplyKind::ATTACH_NODE;
    const NAME: &'static str = "recovering a node";
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
        golden(&RecoverNode { node: "2".parse().unwrap() }, b"O\0\0\0\x062\0");
        let bytes = b"c\0\0\0\x14CommandComplete\0";
        assert_eq!(Accepted::decode(&frames(bytes)), Ok(Accepted));
        assert_eq!(Accepted.encode(RecoverNode::REPLY)[0].to_bytes(), &bytes[..]);
    }
}
