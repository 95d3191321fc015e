use super::{Accepted, Request, node_id_body, only_node_id};
use crate::{DecodeError, Frame, NodeId, ReplyKind, RequestKind};

/// Detaches a node once its sessions have ended: Pgpool takes no new sessions until then. Since 3.5.
///
/// The answer comes after that wait, which recovery_timeout bounds (90 s by default). Where sessions stay longer than
/// that, nothing is detached and the answer is the same, so success means nothing: read the state back.
/// Refused with an error, and at once: a node that is down already, and one whose backend_flag is DISALLOW_TO_FAILOVER.
/// **3.7.0 to 3.7.2 never answer**; only a [`DetachNode`](super::DetachNode) detaches there.
///
/// **Before 4.5 send it no sooner than a few seconds after any other change, failover or failback.** Pgpool replaces its PCP
/// process about a second after each; a graceful request that is under way then waits for the main process, which waits for it:
/// from then on no PCP connection is answered and no change is carried out, also after the client has gone (seen on 4.3.5). The
/// protocol shows no sign by which to tell that the replacement is over.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct DetachNodeGracefully {
    /// The node.
    pub node: NodeId,
}

impl Request for DetachNodeGracefully {
    const KIND: RequestKind = RequestKind::DETACH_NODE_GRACEFULLY;
    const REPLY: ReplyKind = ReplyKind::DETACH_NODE;
    const NAME: &'static str = "detaching a node gracefully";
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
        golden(&DetachNodeGracefully { node: "2".parse().unwrap() }, b"d\0\0\0\x062\0");
        let bytes = b"d\0\0\0\x14CommandComplete\0";
        assert_eq!(Accepted::decode(&frames(bytes)), Ok(Accepted));
        assert_eq!(Accepted.encode(DetachNodeGracefully::REPLY)[0].to_bytes(), &bytes[..]);
    }
}
