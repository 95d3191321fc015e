//! What goes wrong between a sandbox and its clients.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use pcp_proto::RequestKind;

use super::answer::Then;

/// What goes wrong with one connection. Each connection takes the first of those that are queued.
///
/// Replies are those behind the login, unless said otherwise, and their bytes are counted over the connection's
/// life.
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
    /// The server takes changes and stays silent instead of answering.
    StallReplyToChange,
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
            Self::StallReplyToChange if is_change => {
                bytes.clear();
                Next::Stall
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

/// Tells whether a request changes something.
pub(super) fn is_change(kind: RequestKind) -> bool {
    use RequestKind as Kind;
    matches!(
        kind,
        Kind::ATTACH_NODE
            | Kind::DETACH_NODE
            | Kind::DETACH_NODE_GRACEFULLY
            | Kind::PROMOTE_NODE
            | Kind::PROMOTE_NODE_GRACEFULLY
            | Kind::RECOVER_NODE
            | Kind::STOP_PGPOOL
            | Kind::STOP_CLUSTER
    )
}

#[cfg(test)]
mod tests {
    use std::io;

    use tokio::net::TcpStream;

    use super::super::test::{ask, count, detach, talk};
    use super::super::{Age, Sandbox, World};
    use super::*;

    fn world(age: Age) -> World {
        World::new(age).node("10.0.0.1", 5432).node("10.0.0.2", 5432).node("10.0.0.3", 5432)
    }

    /// How much each fault lets through of a login and three counts, and how it ends; `None` for never.
    #[tokio::test(start_paused = true)]
    async fn faults_meet_the_next_connections_in_their_order() {
        let reply = 22;
        type Seen = Option<(usize, Result<(), io::ErrorKind>)>;
        let table: Vec<(Fault, Seen)> = vec![
            (Fault::Nothing, Some((4, Ok(())))),
            (Fault::NeverSalt, None),
            (Fault::CloseBeforeSalt, Some((0, Ok(())))),
            (Fault::ResetBeforeSalt, Some((0, Ok(())))),
            (Fault::CloseAfter(0), Some((1, Ok(())))),
            (Fault::CloseAfter(reply + 3), Some((2, Ok(())))),
            (Fault::StallAfter(2 * reply), None),
            (Fault::Delay(Duration::from_secs(1)), Some((4, Ok(())))),
            (Fault::Delay(Duration::from_secs(20)), None),
            (Fault::Garbage(Bytes::from_static(b"HTTP/1.1 400")), Some((1, Err(io::ErrorKind::Other)))),
            (Fault::LoseReplyToChange, Some((4, Ok(())))),
        ];
        let sandbox = Sandbox::unbound(world(Age::V4_7));
        for (fault, _) in &table {
            sandbox.fault(fault.clone());
        }
        for (fault, expected) in table {
            let seen = ask(&sandbox, [count(), count(), count()].concat()).await;
            assert_eq!(seen, expected, "{fault:?}");
        }
        assert_eq!(ask(&sandbox, count()).await, Some((2, Ok(()))), "no fault is left");
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_whose_reply_is_lost_is_made() {
        let sandbox = Sandbox::unbound(world(Age::V4_7));
        sandbox.fault(Fault::LoseReplyToChange);
        assert_eq!(ask(&sandbox, [count(), detach(2), count()].concat()).await, Some((2, Ok(()))));
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(!sandbox.with(|world| world.nodes()[2].is_attached()));
    }

    #[tokio::test]
    async fn a_reset_over_loopback_is_one() {
        let sandbox = Sandbox::start(world(Age::V4_7)).await.unwrap();
        sandbox.fault(Fault::ResetBeforeSalt);
        let stream = TcpStream::connect(sandbox.address()).await.unwrap();
        let (_, end) = talk(stream, count()).await;
        assert_eq!(end.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    }
}
