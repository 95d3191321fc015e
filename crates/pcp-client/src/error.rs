//! What can go wrong on a connection.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::sync::Arc;

use pcp_proto::{DecodeError, ServerMessage, SessionError, TooOld};

use crate::Refusal;

/// Why a request has no answer.
///
/// One opaque type, because callers rarely tell more apart than [`kind`](Self::kind) does. Clones are cheap: where
/// a connection ends under several requests, each of them gets the error. `Display` names the object and leaves the
/// cause to [`source`](StdError::source).
#[derive(Clone)]
pub struct Error {
    inner: Arc<Inner>,
    outcome_unknown: bool,
}

struct Inner {
    kind: ErrorKind,
    message: String,
    source: Option<Box<dyn StdError + Send + Sync>>,
    told: Told,
}

/// Who decided it, and with which words.
enum Told {
    Nobody,
    Server(ServerMessage),
    Age(TooOld),
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
    /// The server refused the request; [`Error::refusal`] tells why where it can.
    Refused,
    /// The request was not sent because the server is too old for it; [`Error::too_old`] tells what it needs. The
    /// connection goes on.
    Unsupported,
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
    /// True for what happens while Pgpool starts, stops, replaces its PCP process or is in the middle of a failover. Where
    /// [`outcome_unknown`](Self::outcome_unknown) is true too, read the state before a change is repeated.
    pub fn is_retryable(&self) -> bool {
        use ErrorKind::*;
        match self.kind() {
            Unreachable | Disconnected | Timeout | NotExecuted => true,
            Refused => {
                matches!(self.refusal(), Some(Refusal::OperationInProgress | Refusal::CanceledByWatchdog))
            }
            Authentication | Unsupported | Protocol => false,
        }
    }

    /// Tells whether the server may have acted on the request although no answer came: a byte of it was sent.
    pub fn outcome_unknown(&self) -> bool {
        self.outcome_unknown
    }

    /// Returns what the server said, where it said something.
    pub fn server_message(&self) -> Option<&ServerMessage> {
        match &self.inner.told {
            Told::Server(message) => Some(message),
            _ => None,
        }
    }

    /// Returns why the server refused the request, where it did and its words are known. `None` means that the
    /// server gave a reason that only [`server_message`](Self::server_message) tells, or that it is no refusal at
    /// all.
    pub fn refusal(&self) -> Option<Refusal> {
        match self.kind() {
            ErrorKind::Refused => Refusal::of(self.server_message()?),
            _ => None,
        }
    }

    /// Returns which release the request needs and what is known of the server's, where that is why it was not
    /// sent.
    pub fn too_old(&self) -> Option<&TooOld> {
        match &self.inner.told {
            Told::Age(too_old) => Some(too_old),
            _ => None,
        }
    }

    /// Returns what the operating system or its resolver said, where that is why no connection could be made or went on. Of
    /// several addresses it is the last one's; `None` too where nothing came in time.
    pub fn io_error(&self) -> Option<&io::Error> {
        crate::connect::io_error(self.inner.source.as_deref()?)
    }

    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self::build(kind, message.into(), None, Told::Nobody)
    }

    pub(crate) fn because(
        kind: ErrorKind,
        message: impl Into<String>,
        source: impl Into<Box<dyn StdError + Send + Sync>>,
    ) -> Self {
        Self::build(kind, message.into(), Some(source.into()), Told::Nobody)
    }

    pub(crate) fn login_refused(message: ServerMessage) -> Self {
        Self::build(ErrorKind::Authentication, format!("login refused: {message}"), None, Told::Server(message))
    }

    pub(crate) fn refused(message: ServerMessage) -> Self {
        Self::build(ErrorKind::Refused, format!("refused: {message}"), None, Told::Server(message))
    }

    pub(crate) fn unsupported(too_old: TooOld) -> Self {
        Self::build(ErrorKind::Unsupported, too_old.to_string(), None, Told::Age(too_old))
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
        told: Told,
    ) -> Self {
        Self { inner: Arc::new(Inner { kind, message, source, told }), outcome_unknown: false }
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
