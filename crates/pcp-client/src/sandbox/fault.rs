//! What goes wrong between a sandbox and its clients.

use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::answer::Then;

/// What goes wrong with one connection. Each connection takes the first of those that are queued.
///
/// Replies are those behind the login, unless said otherwise, and their bytes are counted over the connection's life.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Fault {
    /// Nothing: the connection passes, so that the next fault meets a later one.
    Nothing,
    /// The salt never comes, nor anything else.
    NeverSalt,
    /// The server closes instead of sending the salt.
    CloseBeforeSalt,
    /// The server resets the connection instead of sending the salt.
    ResetBeforeSalt,
    /// The server closes after so many bytes of replies; after none of the first reply where that is zero.
    CloseAfter(usize),
    /// The server stays silent after so many bytes of replies.
    StallAfter(usize),
    /// Everything comes so much later: the salt, the login's answer and each reply.
    Delay(Duration),
    /// These bytes come instead of each reply.
    Garbage(Bytes),
    /// The server takes the first change and closes instead of answering it.
    LoseReplyToChange,
}

/// What is to be sent instead of a reply.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Sent {
    pub(super) bytes: BytesMut,
    pub(super) then: Next,
}

/// What follows what was sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Next {
    GoOn,
    Close,
    /// Nothing is sent any more.
    Stall,
}

impl Fault {
    /// Changes a reply to a request behind the login. `sent` counts the bytes of replies so far.
    pub(super) fn spoil(&self, mut bytes: BytesMut, then: Then, is_change: bool, sent: usize) -> Sent {
        let left = |limit: &usize| limit.saturating_sub(sent);
        let ends = |limit: &usize, bytes: &BytesMut| left(limit) <= bytes.len();
        let then = match self {
            Self::CloseAfter(limit) if ends(limit, &bytes) => {
                bytes.truncate(left(limit));
                Next::Close
            }
            Self::StallAfter(limit) if ends(limit, &bytes) => {
                bytes.truncate(left(limit));
                Next::Stall
            }
            Self::LoseReplyToChange if is_change => {
                bytes.clear();
                Next::Close
            }
            Self::Garbage(garbage) if !bytes.is_empty() => {
                bytes = BytesMut::from(&garbage[..]);
                Next::of(then)
            }
            _ => Next::of(then),
        };
        Sent { bytes, then }
    }
}

impl Next {
    pub(super) fn of(then: Then) -> Self {
        if then == Then::GoOn { Self::GoOn } else { Self::Close }
    }
}
