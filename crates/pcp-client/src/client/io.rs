//! The bytes of a connection.

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use pcp_proto::Event;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, timeout_at};
use tracing::trace;

use super::Client;
use crate::{Error, ErrorKind};

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    /// Writes what is left to say at the end. Whether anybody hears it does not matter. Behind an error nothing is: a request
    /// that is left was told not to have been sent.
    pub(super) async fn flush(&mut self) {
        if self.ended.is_none() && !self.session.output().is_empty() {
            let until = self.limits.deadline.cut(Duration::from_millis(100));
            let _heard = timeout_at(until, poll_fn(|cx| self.poll_write_output(cx))).await;
        }
    }

    /// Returns when the present wait is over.
    pub(super) fn until(&mut self, heard: Instant, limit: Duration) -> Instant {
        let started = *self.started.get_or_insert(heard);
        let end = if self.session.is_logged_in() { heard + limit } else { started + self.limits.login };
        end.min(self.limits.deadline.instant())
    }

    pub(super) async fn event(&mut self, until: Instant) -> Result<Event, Error> {
        loop {
            if let Some(event) = self.session.poll()? {
                trace!(?event, "received");
                return Ok(event);
            }
            match timeout_at(until, poll_fn(|cx| self.poll_io(cx))).await {
                Ok(Ok(0)) => return Err(self.closed(None)),
                Ok(Ok(_)) => {}
                Ok(Err(error)) => return Err(self.closed(Some(error))),
                Err(_) => {
                    let what = if self.session.is_logged_in() { "its request" } else { "the login" };
                    return Err(Error::new(ErrorKind::Timeout, format!("Pgpool did not answer {what} in time")));
                }
            }
        }
    }

    /// Writes what can be written and reads what can be read, in one poll: a server that stops reading until its
    /// answers are taken would else stop both sides. A write error is kept until the server's last words are read,
    /// for they tell why.
    fn poll_io(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let _written = self.poll_write_output(cx);
        let mut chunk = [MaybeUninit::uninit(); 8 << 10];
        let mut buffer = ReadBuf::uninit(&mut chunk);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer))?;
        self.session.input().extend_from_slice(buffer.filled());
        Poll::Ready(Ok(buffer.filled().len()))
    }

    fn poll_write_output(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.write_error.is_none() && !self.session.output().is_empty() {
            match ready!(Pin::new(&mut self.stream).poll_write(cx, self.session.output())) {
                Ok(0) => self.write_error = Some(io::ErrorKind::WriteZero.into()),
                Ok(count) => self.session.advance_output(count),
                Err(error) => self.write_error = Some(error),
            }
        }
        if self.write_error.is_none() {
            if let Err(error) = ready!(Pin::new(&mut self.stream).poll_flush(cx)) {
                self.write_error = Some(error);
            }
        }
        Poll::Ready(())
    }

    fn closed(&mut self, read_error: Option<io::Error>) -> Error {
        let when = match self.session.is_logged_in() {
            true => "before it had answered",
            false => "before the login; is this its PCP port?",
        };
        let message = format!("Pgpool closed the connection {when}");
        match read_error.or_else(|| self.write_error.take()) {
            Some(error) => Error::because(ErrorKind::Disconnected, message, error),
            None => Error::new(ErrorKind::Disconnected, message),
        }
    }
}
