use super::{Accepted, PromoteMode, Request, promote_node};
use crate::{DecodeError, Frame, NodeId, ReplyKind, RequestKind, Requirement};

/// Makes a node Pgpool's primary once the sessions have ended: Pgpool takes no new ones until then. Since 3.5.
///
/// Like [`PromoteNode`](super::PromoteNode) in everything else. Where sessions stay longer than recovery_timeout
/// (90 s by default) nothing is done and the answer is the same: read the state back.
///
/// Before 4.5 it may lock Pgpool up behind another change, as [`DetachNodeGracefully`](super::DetachNodeGracefully)
/// does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PromoteNodeGracefully {
    /// The node.
    pub node: NodeId,
    /// What happens beside.
    pub mode: PromoteMode,
}

impl Request for PromoteNodeGracefully {
    const KIND: RequestKind = RequestKind::PROMOTE_NODE_GRACEFULLY;
    // The server answers with the type of a detach.
    const REPLY: ReplyKind = ReplyKind::DETACH_NODE;
    const NAME: &'static str = "promoting a node gracefully";
    type Reply = Accepted;

    fn encode(&self) -> Frame<RequestKind> {
        promote_node::encode(self.node, self.mode, Self::KIND)
    }

    fn decode(frame: &Frame<RequestKind>) -> Result<Self, DecodeError> {
        let (node, mode) = promote_node::decode(frame, Self::KIND)?;
        Ok(Self { node, mode })
    }

    fn requirement(&self) -> Requirement {
        self.mode.requirement(Self::NAME)
    }
}

#[cfg(test)]
mod tests {
    use super::super::test::golden;
    use super::*;

    #[test]
    fn golden_bytes() {
        let node = "1".parse().unwrap();
        golden(&PromoteNodeGracefully { node, mode: PromoteMode::ViewOnly }, b"j\0\0\0\x081 \0n");
        golden(&PromoteNodeGracefully { node, mode: PromoteMode::Switchover }, b"j\0\0\0\x081 \0s");
    }
}
