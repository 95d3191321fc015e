//! A reply, row by row.

use std::fmt;
use std::marker::PhantomData;

use pcp_proto::Ticket;
use pcp_proto::message::{self, Outgoing, Query};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;
use tracing::debug;

use super::{Arrived, Client, without_answer};
use crate::Error;

/// The reply to one query, row by row; made by [`Client::rows`].
///
/// What is held of it are the row that is being read and the 8 KiB read behind it: a server that is faster than the
/// reader waits until its rows are taken. A row may claim 1 MiB at most.
///
/// # Example
///
/// ```no_run
/// # async fn example<S>(client: &mut pcp_client::Client<S>) -> Result<(), pcp_client::Error>
/// # where S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin {
/// use pcp_proto::message::ReadProcessInfo;
///
/// let mut connected = 0;
/// let mut rows = client.rows(ReadProcessInfo::All);
/// while let Some(slot) = rows.next().await {
///     connected += u32::from(slot?.connected);
/// }
/// println!("{connected} sessions hold a connection to a node");
/// # Ok(())
/// # }
/// ```
pub struct Rows<'a, S, T> {
    client: &'a mut Client<S>,
    state: State,
    /// Since when the next frame is waited for.
    waiting: Option<Instant>,
    reply: PhantomData<fn() -> T>,
}

#[derive(Debug)]
enum State {
    Refused(Error),
    Asked(Ticket),
    Done,
}

impl<'a, S, T> Rows<'a, S, T>
where
    S: AsyncRead + AsyncWrite + Unpin,
    T: message::Rows,
{
    pub(super) fn new<R: Query<Reply = T>>(client: &'a mut Client<S>, query: R) -> Self {
        client.session.withdraw_unsent();
        let outgoing = Outgoing { frame: query.encode(), reply: R::REPLY, requirement: query.requirement() };
        let state = match client.ask(outgoing) {
            Ok(ticket) => State::Asked(ticket),
            Err(error) => State::Refused(error),
        };
        Self { client, state, waiting: None, reply: PhantomData }
    }

    /// Returns the next row, or `None` behind the last one.
    ///
    /// # Errors
    ///
    /// A refusal is the first and only item. An error behind some rows means that the reply is not whole; nothing
    /// follows any error. Each wait for the server is bounded as a query's is, and all of them by the deadline.
    ///
    /// # Cancel safety
    ///
    /// The future may be dropped at any point: no row is lost, and the wait goes on where it was.
    pub async fn next(&mut self) -> Option<Result<T::Row, Error>> {
        let ticket = match std::mem::replace(&mut self.state, State::Done) {
            State::Asked(ticket) => ticket,
            State::Refused(error) => return Some(Err(error)),
            State::Done => return None,
        };
        self.state = State::Asked(ticket);
        let item = self.row(ticket).await;
        if !matches!(item, Some(Ok(_))) {
            self.state = State::Done;
        }
        item
    }

    async fn row(&mut self, ticket: Ticket) -> Option<Result<T::Row, Error>> {
        loop {
            let since = *self.waiting.get_or_insert_with(Instant::now);
            let arrived = self.client.arrival(since, self.client.limits.query).await;
            self.waiting = None;
            match arrived {
                Ok(Some(Arrived::Frame { ticket: of, frame, last })) if of == ticket => match T::row(&frame) {
                    Ok(Some(row)) => return Some(Ok(row)),
                    Ok(None) if last => return None,
                    Ok(None) => {}
                    Err(error) => return Some(Err(error.into())),
                },
                Ok(Some(Arrived::Refused { ticket: of, error, fatal })) => {
                    if fatal {
                        self.client.ended.get_or_insert_with(|| error.clone());
                    }
                    if of == ticket {
                        return Some(Err(error));
                    }
                }
                // The rest of a reply that nobody waits for any more, or something that is no reply.
                Ok(_) => {}
                Err(error) => {
                    debug!(%error, "the connection ended");
                    let sent = self.client.session.was_sent(ticket);
                    let without_answer = without_answer(&error, sent);
                    self.client.ended.get_or_insert(error);
                    return Some(Err(without_answer));
                }
            }
        }
    }
}

impl<S, T> fmt::Debug for Rows<'_, S, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rows").field("state", &self.state).finish_non_exhaustive()
    }
}
