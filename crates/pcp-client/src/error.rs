//! What can go wrong on a connection.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use pcp_proto::{DecodeError, ServerMessage, SessionError};

/// Why a request has no answer.
///
/// One opaque type, because callers rarely tell more apart than [`kind`](Self::kind) does. Clones are cheap: where a
/// connection ends under several requests, each of them gets the error. `Display` names the object and leaves the cause
/// to [`source`](StdError::source).
#[derive(Clone)]
pub struct Error {
    inner: Arc<Inner>,
    outcome_unknown: bool,
}

struct Inner {
    kind: ErrorKind,
    message: String,
    source: Option<Box<dyn StdError + Send + Sync>>,
    server: Option<ServerMessage>,
}

/// What went wrong.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// No connection could be made.
    Unreachable,
    /// The connection ended before the answer.
    Disconnected,
    /// The answer did not come in time.
    Timeout,
    /// The server refused the login.
    Authentication,
    /// The server refused the request.
    Refused,
    /// The request was not carried out because the connection ended before it.
    NotExecuted,
    /// The server sent what makes no sense.
    Protocol,
}

impl Error {
    /// Returns what went wrong.
    pub fn kind(&self) -> ErrorKind {
        self.inner.kind
    }

    /// Tells whether the same request may succeed a moment later.
    ///
    /// True for what happens while Pgpool starts, stops or replaces its PCP process. Where
    /// [`outcome_unknown`](Self::outcome_unknown) is true too, read the state before a change is repeated.
    pub fn is_retryable(&self) -> bool {
        use ErrorKind::*;
        match self.kind() {
            Unreachable | Disconnected | Timeout | NotExecuted => true,
            Authentication | Refused | Protocol => false,
        }
    }

    /// Tells whether the server may have acted on the request although no answer came: a byte of it was sent.
    pub fn outcome_unknown(&self) -> bool {
        self.outcome_unknown
    }

    /// Returns what the server said, where it said something.
    pub fn server_message(&self) -> Option<&ServerMessage> {
        self.inner.server.as_ref()
    }

    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self::build(kind, message.into(), None, None)
    }

    pub(crate) fn because(
        kind: ErrorKind,
        message: impl Into<String>,
        source: impl Into<Box<dyn StdError + Send + Sync>>,
    ) -> Self {
        Self::build(kind, message.into(), Some(source.into()), None)
    }

    pub(crate) fn login_refused(message: ServerMessage) -> Self {
        Self::build(ErrorKind::Authentication, format!("login refused: {message}"), None, Some(message))
    }

    pub(crate) fn refused(message: ServerMessage) -> Self {
        Self::build(ErrorKind::Refused, format!("refused: {message}"), None, Some(message))
    }

    /// Returns the same error for a request that may have been carried out.
    pub(crate) fn with_outcome_unknown(mut self, unknown: bool) -> Self {
        self.outcome_unknown = unknown;
        self
    }

    fn build(
        kind: ErrorKind,
        message: String,
        source: Option<Box<dyn StdError + Send + Sync>>,
        server: Option<ServerMessage>,
    ) -> Self {
        Self { inner: Arc::new(Inner { kind, message, source, server }), outcome_unknown: false }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.inner.kind)
            .field("message", &self.inner.message)
            .field("source", &self.inner.source)
            .field("outcome_unknown", &self.outcome_unknown)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.inner.message)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.inner.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}

impl From<DecodeError> for Error {
    fn from(error: DecodeError) -> Self {
        Self::because(ErrorKind::Protocol, "the server's reply cannot be read", error)
    }
}

impl From<SessionError> for Error {
    fn from(error: SessionError) -> Self {
        Self::because(ErrorKind::Protocol, "the connection cannot be read on", error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_may_be_tried_again() {
        for (kind, retryable) in [
            (ErrorKind::Unreachable, true),
            (ErrorKind::Disconnected, true),
            (ErrorKind::Timeout, true),
            (ErrorKind::NotExecuted, true),
            (ErrorKind::Authentication, false),
            (ErrorKind::Refused, false),
            (ErrorKind::Protocol, false),
        ] {
            assert_eq!(Error::new(kind, "").is_retryable(), retryable, "{kind:?}");
        }
    }

    #[test]
    fn an_error_says_its_own_part_and_keeps_its_cause() {
        let error = Error::because(ErrorKind::Disconnected, "closed", "reset").with_outcome_unknown(true);
        assert_eq!(error.to_string(), "closed");
        assert_eq!(error.source().unwrap().to_string(), "reset");
        assert!(error.outcome_unknown() && error.clone().outcome_unknown());
        assert!(error.server_message().is_none());
        let debug = format!("{error:?}");
        for part in ["Disconnected", "closed", "reset", "outcome_unknown: true"] {
            assert!(debug.contains(part), "{debug}");
        }
    }

    #[test]
    fn a_refusal_carries_the_servers_words() {
        let said = ServerMessage::new("ERROR", "no such node", None);
        for (error, kind, text) in [
            (Error::refused(said.clone()), ErrorKind::Refused, "refused: ERROR: no such node"),
            (Error::login_refused(said.clone()), ErrorKind::Authentication, "login refused: ERROR: no such node"),
        ] {
            assert_eq!((error.kind(), error.to_string().as_str()), (kind, text));
            assert_eq!(error.server_message(), Some(&said));
            assert!(error.source().is_none() && !error.outcome_unknown());
        }
    }

    #[test]
    fn what_cannot_be_read_breaks_the_protocol() {
        let decode = DecodeError::MissingField { field: "host" };
        for error in [Error::from(decode.clone()), Error::from(SessionError::Decode(decode))] {
            assert_eq!(error.kind(), ErrorKind::Protocol);
            assert!(error.source().is_some());
        }
    }
}
