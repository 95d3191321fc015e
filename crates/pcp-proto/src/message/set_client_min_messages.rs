use std::fmt;

use super::{Accepted, Body, Query, Request, request};
use crate::{DecodeError, Frame, ReplyKind, RequestKind};

/// The name of the parameter, the only one that servers take.
const PARAMETER: &str = "client_min_messages";

/// Sets how much the server tells on this connection, in notices. Since 3.5.
///
/// It holds for the requests behind it, on this connection only, and `pgpool.conf` says where it starts. From
/// [`Debug1`](MessageLevel::Debug1) on the server tells what it does for each request; a notice about a request may come
/// before its reply, behind it, and behind a goodbye. Success means that it holds from here on; it is never refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SetClientMinMessages {
    /// The least level that is sent.
    pub level: MessageLevel,
}

/// Levels of server messages, the most talkative first.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum MessageLevel {
    /// `debug5`.
    Debug5,
    /// `debug4`.
    Debug4,
    /// `debug3`.
    Debug3,
    /// `debug2`.
    Debug2,
    /// `debug1`.
    Debug1,
    /// `log`.
    Log,
    /// `commerror`.
    CommError,
    /// `info`.
    Info,
    /// `notice`, the default of servers.
    Notice,
    /// `warning`.
    Warning,
    /// `error`: no notices at all.
    Error,
}

impl MessageLevel {
    /// Every level, the most talkative first.
    pub const ALL: [Self; 11] = [
        Self::Debug5,
        Self::Debug4,
        Self::Debug3,
        Self::Debug2,
        Self::Debug1,
        Self::Log,
        Self::CommError,
        Self::Info,
        Self::Notice,
        Self::Warning,
        Self::Error,
    ];

    /// Returns the word that servers read.
    pub fn word(self) -> &'static str {
        match self {
            Self::Debug5 => "debug5",
            Self::Debug4 => "debug4",
            Self::Debug3 => "debug3",
            Self::Debug2 => "debug2",
            Self::Debug1 => "debug1",
            Self::Log => "log",
            Self::CommError => "commerror",
            Self::Info => "info",
            Self::Notice => "notice",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

impl fmt::Display for MessageLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

impl Request for SetClientMinMessages {
    const KIND: RequestKind = RequestKind::SET_PARAMETER;
    const REPLY: ReplyKind = ReplyKind::SET_PARAMETER;
    const NAME: &'static str = "setting client_min_messages";
    type Reply = Accepted;

    fn encode(&self) -> Frame<RequestKind> {
        Body::new(PARAMETER).shown(self.level).frame(Self::KIND)
    }

    /// Reads names and words in any case, as servers do.
    fn decode(frame: &Frame<RequestKind>) -> Result<Self, DecodeError> {
        let mut fields = request(frame, Self::KIND)?;
        let value = fields.text("parameter")?;
        if !value.as_bytes().eq_ignore_ascii_case(PARAMETER.as_bytes()) {
            return Err(DecodeError::InvalidField { field: "parameter", value, expected: PARAMETER });
        }
        let value = fields.text("message level")?;
        fields.finish()?;
        MessageLevel::ALL
            .into_iter()
            .find(|level| value.as_bytes().eq_ignore_ascii_case(level.word().as_bytes()))
            .map(|level| Self { level })
            .ok_or(DecodeError::InvalidField { field: "message level", value, expected: "a message level" })
    }
}

/// Nothing but the connection changes, and the connection has to stay open for it to matter.
impl Query for SetClientMinMessages {}

#[cfg(test)]
mod tests {
    use super::super::Reply;
    use super::super::test::{frames, golden};
    use super::*;

    #[test]
    fn golden_bytes() {
        golden(&SetClientMinMessages { level: MessageLevel::Debug1 }, b"A\0\0\0\x1fclient_min_messages\0debug1\0");
        let bytes = b"a\0\0\0\x14CommandComplete\0";
        assert_eq!(Accepted::decode(&frames(bytes)), Ok(Accepted));
        assert_eq!(Accepted.encode(SetClientMinMessages::REPLY)[0].to_bytes(), &bytes[..]);
    }

    #[test]
    fn every_level_reads_back_in_any_case() {
        for level in MessageLevel::ALL {
            let request = SetClientMinMessages { level };
            assert_eq!(SetClientMinMessages::decode(&request.encode()), Ok(request));
        }
        let decode = |body: &'static [u8]| {
            SetClientMinMessages::decode(&Frame::new(RequestKind::SET_PARAMETER, body)).map(|request| request.level)
        };
        assert_eq!(decode(b"Client_Min_Messages\0DEBUG1\0"), Ok(MessageLevel::Debug1));
        assert!(decode(b"log_min_messages\0debug1\0").is_err());
        assert!(decode(b"client_min_messages\0loud\0").is_err());
        assert!(decode(b"client_min_messages\0").is_err());
    }
}
