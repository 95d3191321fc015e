use super::{Accepted, Body, Request, node_id, request};
use crate::{DecodeError, Frame, NodeId, ReplyKind, RequestKind, Text};

/// What a promotion does beside changing Pgpool's view.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum PromoteMode {
    /// Nothing: PostgreSQL is neither asked nor told.
    ViewOnly,
}

/// Makes a node Pgpool's primary. Since 3.5.
///
/// No PostgreSQL is promoted or even asked, and **every other node is set down**. Promotion of a node that is down is
/// refused in the server's log only; of the present primary with a FATAL that closes the connection. Success means that
/// the request was queued, or refused: read the state back.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PromoteNode {
    /// The node.
    pub node: NodeId,
    /// What happens beside.
    pub mode: PromoteMode,
}

impl PromoteMode {
    fn letter(self) -> u8 {
        match self {
            Self::ViewOnly => b'n',
        }
    }
}

impl Request for PromoteNode {
    const KIND: RequestKind = RequestKind::PROMOTE_NODE;
    // The server answers with the type of a detach.
    const REPLY: ReplyKind = ReplyKind::DETACH_NODE;
    type Reply = Accepted;

    /// Makes the form of 4.3 and later: id, blank, NUL, mode letter. Older servers read the id and stop at the blank;
    /// newer ones given the old form would read the mode from behind the packet.
    fn encode(&self) -> Frame<RequestKind> {
        Body::empty().text(format!("{} ", self.node).as_bytes()).raw(&[self.mode.letter()]).frame(Self::KIND)
    }

    fn decode(frame: &Frame<RequestKind>) -> Result<Self, DecodeError> {
        let mut fields = request(frame, Self::KIND)?;
        let id = fields.text("node id")?;
        let digits = id.as_bytes().strip_suffix(b" ").unwrap_or(id.as_bytes());
        let node = node_id(&mut crate::Fields::new(&[digits, b"\0"].concat().into()))?;
        let [letter] = fields.array("promote mode")?;
        fields.finish()?;
        match letter {
            b'n' => Ok(Self { node, mode: PromoteMode::ViewOnly }),
            _ => Err(DecodeError::InvalidField {
                field: "promote mode",
                value: Text::new(vec![letter]),
                expected: "\"n\"",
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::test::golden;
    use super::*;

    #[test]
    fn golden_bytes() {
        golden(&PromoteNode { node: "1".parse().unwrap(), mode: PromoteMode::ViewOnly }, b"J\0\0\0\x081 \0n");
    }
}
