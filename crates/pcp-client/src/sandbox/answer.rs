//! What a sandbox answers.

use std::time::Duration;

use pcp_proto::message::{self, Accepted};
use pcp_proto::{Frame, ReplyKind, ServerMessage};

/// The answer to a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// It is ready.
    Now(Reply),
    /// The worker is busy until then at least, a time since the world's start: ask
    /// [`World::resume`](super::World::resume).
    Later(Duration),
}

/// What goes out, and what becomes of the connection.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    /// The frames; there may be none.
    pub frames: Vec<Frame<ReplyKind>>,
    /// What follows them.
    pub then: Then,
}

/// What becomes of a connection after a reply.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Then {
    /// The next request is served.
    GoOn,
    /// The worker ends in good order.
    Close,
    /// The worker dies: what is behind the request is lost, and no frame says why.
    Crash,
}

/// The reply to a request that is not served.
#[derive(Clone, Debug)]
pub(super) struct Failure(Reply);

impl Failure {
    pub(super) fn error(message: &str) -> Self {
        Self::refused(&ServerMessage::new("ERROR", message, None))
    }

    pub(super) fn error_with(message: &str, detail: &str) -> Self {
        Self::refused(&ServerMessage::new("ERROR", message, Some(detail)))
    }

    pub(super) fn fatal(message: &str, detail: &str) -> Self {
        Self::refused(&ServerMessage::new("FATAL", message, Some(detail)))
    }

    /// The worker dies.
    pub(super) fn crash() -> Self {
        Self(Reply::empty(Then::Crash))
    }

    fn refused(message: &ServerMessage) -> Self {
        let then = if message.is_fatal() { Then::Close } else { Then::GoOn };
        Self(Reply { frames: vec![message.encode(ReplyKind::ERROR)], then })
    }
}

impl Reply {
    pub(super) fn empty(then: Then) -> Self {
        Self { frames: Vec::new(), then }
    }

    pub(super) fn of(reply: &impl message::Reply, kind: ReplyKind) -> Self {
        Self { frames: reply.encode(kind), then: Then::GoOn }
    }

    pub(super) fn accepted(kind: ReplyKind) -> Self {
        Self::of(&Accepted, kind)
    }
}

impl From<Failure> for Reply {
    fn from(failure: Failure) -> Self {
        failure.0
    }
}

impl From<Result<Self, Failure>> for Reply {
    fn from(result: Result<Self, Failure>) -> Self {
        result.unwrap_or_else(Self::from)
    }
}
