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
