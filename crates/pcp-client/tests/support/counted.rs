//! Connections that tell what was written on them, write by write.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use pcp_client::{Connect, Deadline, Error};
use pcp_proto::{FrameDecoder, RequestKind};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Connects as another does and remembers every write.
pub(crate) struct Counted<C> {
    connect: C,
    connections: RefCell<Vec<Log>>,
}

type Log = std::rc::Rc<RefCell<Vec<Turn>>>;

/// What was written since the server last said something.
#[derive(Default)]
struct Turn {
    writes: Vec<Vec<u8>>,
    heard: bool,
}

impl<C> Counted<C> {
    pub(crate) fn new(connect: C) -> Self {
        Self { connect, connections: RefCell::default() }
    }

    pub(crate) fn connect(&self) -> &C {
        &self.connect
    }

    /// Counts the round trips: of each connection the one that makes it, and each turn that was answered.
    pub(crate) fn round_trips(&self) -> usize {
        self.connections
            .borrow()
            .iter()
            .map(|turns| 1 + turns.borrow().iter().filter(|turn| turn.heard).count())
            .sum()
    }

    /// Returns the writes of each connection: of each the letters of its requests.
    pub(crate) fn writes(&self) -> Vec<Vec<String>> {
        let connections = self.connections.borrow();
        connections
            .iter()
            .map(|turns| {
                turns.borrow().iter().flat_map(|turn| turn.writes.iter().map(|write| letters(write))).collect()
            })
            .collect()
    }
}

/// Returns the letters of the requests that one write holds as a whole.
fn letters(write: &[u8]) -> String {
    let mut bytes = write.into();
    let mut decoder = FrameDecoder::<RequestKind>::new();
    let mut letters = String::new();
    while let Some(frame) = decoder.decode(&mut bytes).unwrap() {
        letters.push_str(&frame.kind.to_string());
    }
    assert_eq!(decoder.held(), 0, "a request is spread over several writes");
    letters
}

impl<C: Connect> Connect for Counted<C> {
    type Stream = CountedStream<C::Stream>;

    async fn connect(&self, deadline: Deadline) -> Result<Self::Stream, Error> {
        let stream = self.connect.connect(deadline).await?;
        let log = Log::default();
        self.connections.borrow_mut().push(log.clone());
        Ok(CountedStream { stream, log })
    }
}

pub(crate) struct CountedStream<S> {
    stream: S,
    log: Log,
}

impl<S: AsyncRead + Unpin> AsyncRead for CountedStream<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.log.borrow_mut().last_mut().unwrap().heard = true;
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for CountedStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        if let Poll::Ready(Ok(count)) = written {
            let mut turns = self.log.borrow_mut();
            if turns.last().is_none_or(|turn| turn.heard) {
                turns.push(Turn::default());
            }
            turns.last_mut().unwrap().writes.push(buf[..count].to_vec());
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
