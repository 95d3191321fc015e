//! Serving one connection.

use std::io;
use std::pin::pin;
use std::sync::Arc;

use bytes::{Buf, BytesMut};
use pcp_proto::{Frame, FrameDecoder, FrameError, MAX_REQUEST, RequestKind};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::answer::{Answer, Reply, Then};
use super::fault::{Fault, Next, Sent};
use super::server::Shared;
use super::{Standing, World};

/// The bytes of a type and a length field.
const HEADER: usize = 5;

/// Opens a connection in the world and returns what serves it until either side ends it. `reset` closes it as rudely as
/// the transport can.
pub(super) fn serve<S>(shared: &Arc<Shared>, stream: S, reset: fn(S)) -> impl Future<Output = ()> + Send + use<S>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let (number, fault) = shared.with(|state, now| state.connect(now));
    let mut worker = Worker {
        shared: Arc::clone(shared),
        number,
        fault,
        input: BytesMut::new(),
        sent: 0,
        stream,
        _open: Open { shared: Arc::clone(shared), number },
    };
    async move {
        // What goes wrong with the connection itself is the client's to see.
        if let Ok(End::Reset) = worker.run().await {
            reset(worker.stream);
        }
    }
}

/// An open connection; it is closed in the world when this is dropped, however the task ends.
struct Open {
    shared: Arc<Shared>,
    number: u64,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.shared.with(|state, now| state.world.disconnect(now, self.number));
    }
}

struct Worker<S> {
    shared: Arc<Shared>,
    number: u64,
    fault: Fault,
    input: BytesMut,
    /// Bytes of replies behind the login that were sent.
    sent: usize,
    // The stream is dropped before the world hears of it: who is told of a replacement finds this end closed.
    stream: S,
    _open: Open,
}

/// How a connection ends.
enum End {
    Closed,
    Reset,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Worker<S> {
    async fn run(&mut self) -> io::Result<End> {
        if self.wait_until_served().await == Standing::Reset {
            return Ok(End::Reset);
        }
        loop {
            let Some(frame) = self.read().await? else { return Ok(End::Closed) };
            let frame = match frame {
                Ok(frame) => frame,
                Err(refusal) => match self.write_and_go_on(refusal).await? {
                    true => continue,
                    false => return self.close().await,
                },
            };
            match (&self.fault, frame.kind) {
                (Fault::NeverSalt, _) => return self.stall().await,
                (Fault::CloseBeforeSalt, _) => return self.close().await,
                (Fault::ResetBeforeSalt, _) => return Ok(End::Reset),
                _ => {}
            }
            let reply = self.answer(&frame).await;
            match self.send(&frame, reply).await? {
                Next::GoOn => {}
                Next::Close => return self.close().await,
                Next::Stall => return self.stall().await,
            }
        }
    }

    /// Waits until a PCP process takes the connection.
    async fn wait_until_served(&mut self) -> Standing {
        loop {
            let mut replaced = pin!(self.shared.replaced.notified());
            // From here on no replacement is missed.
            replaced.as_mut().enable();
            let standing = self.shared.with(|state, _| state.world.standing(self.number));
            if standing != Standing::Waiting {
                return standing;
            }
            replaced.await;
        }
    }

    /// Reads the next request; an `Err` inside is the answer to one that cannot be read, `None` the end.
    async fn read(&mut self) -> io::Result<Option<Result<Frame<RequestKind>, Reply>>> {
        let mut decoder = FrameDecoder::with_max_length(MAX_REQUEST);
        loop {
            match decoder.decode(&mut self.input) {
                Ok(Some(frame)) => return Ok(Some(Ok(frame))),
                Ok(None) => {}
                Err(FrameError::TooLong { length, .. } | FrameError::TooShort { length, .. }) => {
                    let length = u32::try_from(length).unwrap_or(u32::MAX);
                    self.input.advance(HEADER.min(self.input.len()));
                    let refusal = World::refuse_length(length).unwrap_or_else(|| Reply::empty(Then::Close));
                    return Ok(Some(Err(refusal)));
                }
                Err(_) => return Ok(None),
            }
            if self.stream.read_buf(&mut self.input).await? == 0 {
                return Ok(None);
            }
        }
    }

    async fn answer(&mut self, frame: &Frame<RequestKind>) -> Reply {
        let answer = self.shared.with(|state, now| {
            state.log(self.number, frame.kind);
            state.world.request(now, self.number, frame)
        });
        match answer {
            Answer::Now(reply) => reply,
            Answer::Later(time) => {
                self.shared.sleep_until(time).await;
                self.shared.with(|state, now| state.world.resume(now, self.number))
            }
        }
    }

    async fn send(&mut self, frame: &Frame<RequestKind>, reply: Reply) -> io::Result<Next> {
        let bytes = encode(&reply);
        if let Fault::Delay(delay) = self.fault {
            tokio::time::sleep(delay).await;
        }
        let sent = match frame.kind {
            RequestKind::READ_SALT | RequestKind::LOGIN => Sent { bytes, then: Next::of(reply.then) },
            kind => self.fault.spoil(bytes, reply.then, is_change(kind), self.sent),
        };
        if !matches!(frame.kind, RequestKind::READ_SALT | RequestKind::LOGIN) {
            self.sent += sent.bytes.len();
        }
        self.stream.write_all(&sent.bytes).await?;
        self.stream.flush().await?;
        Ok(sent.then)
    }

    async fn write_and_go_on(&mut self, reply: Reply) -> io::Result<bool> {
        self.stream.write_all(&encode(&reply)).await?;
        self.stream.flush().await?;
        Ok(reply.then == Then::GoOn)
    }

    /// Reads on without a word until the client gives up.
    async fn stall(&mut self) -> io::Result<End> {
        loop {
            self.input.clear();
            if self.stream.read_buf(&mut self.input).await? == 0 {
                return Ok(End::Closed);
            }
        }
    }

    async fn close(&mut self) -> io::Result<End> {
        self.stream.shutdown().await?;
        Ok(End::Closed)
    }
}

fn encode(reply: &Reply) -> BytesMut {
    let mut bytes = BytesMut::new();
    for frame in &reply.frames {
        frame.encode(&mut bytes);
    }
    bytes
}

fn is_change(kind: RequestKind) -> bool {
    matches!(kind, RequestKind::ATTACH_NODE | RequestKind::DETACH_NODE | RequestKind::PROMOTE_NODE)
}
