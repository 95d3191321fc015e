use super::{Accepted, Body, Request, letter, node_id, request};
use crate::{DecodeError, Fields, Frame, NodeId, Release, ReplyKind, RequestKind, Requirement};

/// What a promotion does beside changing Pgpool's view.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum PromoteMode {
    /// Nothing: PostgreSQL is neither asked nor told.
    ViewOnly,
    /// A switchover: Pgpool detaches the present primary and runs failover_command, which has to promote the node. Since
    /// 4.3; **an older server silently makes it a plain promotion**.
    ///
    /// The other nodes stay up. Where failover_command is empty or promotes nothing, no node is primary afterwards.
    Switchover,
}

/// Makes a node Pgpool's primary. Since 3.5.
///
/// No PostgreSQL is promoted or even asked, and **every other node is set down**, unless the mode is a switchover.
/// Promotion of a node that is down is refused in the server's log only; of a node that does not exist with an
/// error; of the present primary, and outside streaming replication, with a FATAL that closes the connection.
/// Success means that the request was queued, or refused: read the state back.
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
            Self::Switchover => b's',
        }
    }

    /// Tells what this mode needs of a server.
    pub(super) fn requirement(self, name: &'static str) -> Requirement {
        match self {
            Self::ViewOnly => Requirement { what: name, since: Release::OLDEST },
            Self::Switchover => Requirement { what: "a switchover", since: Release::new(4, 3) },
        }
    }
}

impl Request for PromoteNode {
    const KIND: RequestKind = RequestKind::PROMOTE_NODE;
    // The server answers with the type of a detach.
    const REPLY: ReplyKind = ReplyKind::DETACH_NODE;
    const NAME: &'static str = "promoting a node";
    type Reply = Accepted;

    /// Makes the form of 4.3 and later: id, blank, NUL, mode letter. Older servers read the id and stop at the
    /// blank; newer ones given the old form would read the mode from behind the packet.
    fn encode(&self) -> Frame<RequestKind> {
        encode(self.node, self.mode, Self::KIND)
    }

    /// Reads the older form, an id and nothing else, too.
    fn decode(frame: &Frame<RequestKind>) -> Result<Self, DecodeError> {
        let (node, mode) = decode(frame, Self::KIND)?;
        Ok(Self { node, mode })
    }

    fn requirement(&self) -> Requirement {
        self.mode.requirement(Self::NAME)
    }
}

pub(super) fn encode(node: NodeId, mode: PromoteMode, kind: RequestKind) -> Frame<RequestKind> {
    Body::empty().text(format!("{node} ").as_bytes()).raw(&[mode.letter()]).frame(kind)
}

pub(super) fn decode(frame: &Frame<RequestKind>, kind: RequestKind) -> Result<(NodeId, PromoteMode), DecodeError> {
    let mut fields = request(frame, kind)?;
    let id = fields.text("node id")?;
    let Some(digits) = id.as_bytes().strip_suffix(b" ") else {
        fields.finish()?;
        return Ok((node_id(&mut request(frame, kind)?)?, PromoteMode::ViewOnly));
    };
    let node = node_id(&mut Fields::new(&[digits, b"\0"].concat().into()))?;
    let modes = [PromoteMode::ViewOnly, PromoteMode::Switchover].map(|mode| (mode.letter(), mode));
    Ok((node, letter(fields, "promote mode", "\"n\" or \"s\"", &modes)?))
}

#[cfg(test)]
mod tests {
    use super::super::test::golden;
    use super::*;

    #[test]
    fn golden_bytes() {
        let node = "1".parse().unwrap();
        golden(&PromoteNode { node, mode: PromoteMode::ViewOnly }, b"J\0\0\0\x081 \0n");
        golden(&PromoteNode { node, mode: PromoteMode::Switchover }, b"J\0\0\0\x081 \0s");
    }

    #[test]
    fn the_form_before_4_3_is_read_and_others_are_not() {
        let decode = |body: &'static [u8]| {
            PromoteNode::decode(&Frame::new(RequestKind::PROMOTE_NODE, body)).map(|it| it.mode)
        };
        assert_eq!(decode(b"1\0"), Ok(PromoteMode::ViewOnly));
        for bad in [&b"1 \0x"[..], b"1 \0", b"1 \0n\0", b"1\0n", b"1  \0n", b"1 n\0", b"1"] {
            assert!(decode(bad).is_err(), "{}", bad.escape_ascii());
        }
    }
}
