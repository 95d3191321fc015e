//! Serving one connection.

use std::io;
use std::pin::pin;
use std::sync::Arc;

use bytes::BytesMut;
use futures_util::future::{Either, select};
use pcp_proto::{Frame, FrameDecoder, FrameError, MAX_REQUEST, RequestKind};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::answer::{Answer, Reply, Then};
use super::fault::{Fault, Next, Sent, is_change};
use super::server::Shared;
use super::{Standing, World};

/// Opens a connection in the world and returns what serves it until either side ends it. `reset` closes it as
/// rudely as the transport can.
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
        let shared = Arc::clone(&worker.shared);
        // What goes wrong with the connection itself is the client's to see.
        let is_reset =
            matches!(select(pin!(worker.run()), pin!(shared.stopped())).await, Either::Left((Ok(End::Reset), _)));
        if is_reset {
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
            // From here on no replacement is missed.
            let replaced = self.shared.replaced.notified();
            let standing = self.shared.with(|state, _| state.world.standing(self.number));
            if standing != Standing::Waiting {
                return standing;
            }
            replaced.await;
        }
    }

    /// Reads the next request; an `Err` inside is the answer to one that cannot be read, `None` the end. What follows the
    /// header of one that cannot be read is read as the next one, as servers do.
    async fn read(&mut self) -> io::Result<Option<Result<Frame<RequestKind>, Reply>>> {
        let mut decoder = FrameDecoder::with_max_length(MAX_REQUEST);
        loop {
            match decoder.decode(&mut self.input) {
                Ok(Some(frame)) => return Ok(Some(Ok(frame))),
                Ok(None) => {}
                Err(FrameError::TooLong { length, .. } | FrameError::TooShort { length, .. }) => {
                    let length = u32::try_from(length).unwrap_or(u32::MAX);
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
        let mut answer = self.shared.with(|state, now| {
            state.log(self.number, frame.kind);
            state.world.request(now, self.number, frame)
        });
        loop {
            let time = match answer {
                Answer::Now(reply) => return reply,
                Answer::Later(time) => time,
            };
            self.shared.sleep_until(time).await;
            answer = self.shared.with(|state, now| state.world.resume(now, self.number));
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use pcp_proto::message::{AttachNode, Batch, ReadNodeInfo};
    use pcp_proto::{Event, NodeId};
    use tokio::net::TcpStream;
    use tokio::time::{Instant, timeout};

    use super::super::test::{MINUTE, ask, connect, count, detach, talk};
    use super::super::{Age, Change, Sandbox};
    use super::*;

    fn world(age: Age) -> World {
        World::new(age).node("10.0.0.1", 5432).node("10.0.0.2", 5432).node("10.0.0.3", 5432)
    }

    fn id(id: usize) -> NodeId {
        id.try_into().unwrap()
    }

    #[tokio::test]
    async fn a_session_over_loopback_is_served_and_logged() {
        let sandbox = Sandbox::start(world(Age::V4_3_1)).await.unwrap();
        let stream = TcpStream::connect(sandbox.address()).await.unwrap();
        let (events, end) = talk(stream, [count(), detach(2)].concat()).await;
        end.unwrap();
        assert!(matches!(events[..], [Event::LoggedIn, Event::Reply { .. }, Event::Reply { last: true, .. }]));
        use RequestKind as Kind;
        let kinds = [Kind::READ_SALT, Kind::LOGIN, Kind::READ_NODE_COUNT, Kind::DETACH_NODE, Kind::DISCONNECT];
        assert_eq!(sandbox.requests(), kinds.map(|kind| (0, kind)));
        assert_eq!((sandbox.connections(), sandbox.most_open_connections()), (1, 1));
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_unix_socket_is_served() {
        let path = std::env::temp_dir().join(format!("pcp-sandbox-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let sandbox = Sandbox::start_unix(world(Age::V4_7), &path).unwrap();
        let (events, end) = talk(tokio::net::UnixStream::connect(&path).await.unwrap(), count()).await;
        assert!(end.is_ok() && events.len() == 2);
        drop(sandbox);
        std::fs::remove_file(&path).unwrap();
    }

    #[tokio::test]
    async fn a_dropped_sandbox_ends_every_connection() {
        let sandbox = Sandbox::start(world(Age::V4_7)).await.unwrap();
        let address = sandbox.address();
        let mut tcp = TcpStream::connect(address).await.unwrap();
        tcp.write_all(b"M\0\0\0\x04").await.unwrap();
        tcp.read_exact(&mut [0; 9]).await.unwrap();
        let mut duplex = connect(&sandbox);
        drop(sandbox);
        assert_eq!(tcp.read(&mut [0; 9]).await.unwrap_or_default(), 0);
        assert_eq!(duplex.read(&mut [0; 9]).await.unwrap(), 0);
        assert!(TcpStream::connect(address).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn the_world_moves_in_the_time_of_the_runtime() {
        let sandbox = Sandbox::unbound(world(Age::V4_7));
        sandbox.with(|world| world.kill_postgres(0));
        ask(&sandbox, detach(0)).await.unwrap().1.unwrap();
        tokio::time::sleep(Duration::from_millis(1500)).await;
        assert_eq!(sandbox.with(|world| world.primary()), Some(0));
        sandbox.with(|world| world.promote_postgres(1));
        tokio::time::sleep(Duration::from_secs(1)).await;
        let shown = sandbox.with(|world| world.show_pool_nodes());
        assert_eq!(shown, "0=down/standby 1=up/primary 2=up/standby");
    }

    #[tokio::test(start_paused = true)]
    async fn connections_are_counted_while_an_operation_runs() {
        let sandbox = Sandbox::unbound(world(Age::V4_7));
        let idle = connect(&sandbox);
        assert_eq!(sandbox.open_connections(), 1);
        ask(&sandbox, detach(2)).await.unwrap().1.unwrap();
        tokio::time::sleep(Duration::from_millis(10)).await;
        assert_eq!((sandbox.open_connections(), sandbox.most_open_connections()), (1, 2));
        drop(idle);
        let attach = Batch::encode(&AttachNode { node: id(2) });
        tokio::time::sleep(Duration::from_secs(2)).await;
        ask(&sandbox, attach).await.unwrap().1.unwrap();
        tokio::time::sleep(Duration::from_millis(10)).await;
        let seen = sandbox.with(|world| {
            world.operations().iter().map(|done| (done.change, done.open_connections)).collect::<Vec<_>>()
        });
        assert_eq!(seen, [(Change::Detach(2), 1), (Change::Attach(2), 0)]);
        assert_eq!(sandbox.connections(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_in_the_freeze_gets_its_salt_after_it() {
        for (age, frozen) in [(Age::V4_4, true), (Age::V4_5, false)] {
            let sandbox = Sandbox::unbound(world(age));
            let silent = connect(&sandbox);
            ask(&sandbox, detach(2)).await.unwrap().1.unwrap();
            tokio::time::sleep(Duration::from_secs(2)).await;
            let mut late = connect(&sandbox);
            late.write_all(b"M\0\0\0\x04").await.unwrap();
            let mut salt = [0; 9];
            let early = timeout(MINUTE, late.read_exact(&mut salt)).await;
            assert_eq!(early.is_err(), frozen, "{age}");
            drop(silent);
            if frozen {
                timeout(MINUTE, late.read_exact(&mut salt)).await.unwrap().unwrap();
            }
            assert!(salt.starts_with(b"m\0\0\0\x08"), "{age}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_in_the_freeze_may_be_reset_by_its_end() {
        let frozen = world(Age::V4_4).configure(|settings| settings.resets_at_replacement = true);
        let sandbox = Sandbox::unbound(frozen);
        let silent = connect(&sandbox);
        ask(&sandbox, detach(2)).await.unwrap().1.unwrap();
        tokio::time::sleep(Duration::from_secs(2)).await;
        let mut late = connect(&sandbox);
        late.write_all(b"M\0\0\0\x04").await.unwrap();
        drop(silent);
        assert_eq!(timeout(MINUTE, late.read(&mut [0; 9])).await.unwrap().unwrap(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn node_info_of_a_silent_host_takes_its_time() {
        let sandbox = Sandbox::unbound(
            world(Age::V4_7).configure(|settings| settings.health_check_period = Duration::from_secs(5)),
        );
        sandbox.with(|world| world.silence_postgres(2, true));
        let start = Instant::now();
        let requests = [count(), Batch::encode(&ReadNodeInfo::Node(id(2))), count()].concat();
        assert_eq!(ask(&sandbox, requests).await, Some((1 + 1 + 3 + 1, Ok(()))));
        assert_eq!(start.elapsed().as_secs(), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn frames_that_cannot_be_read_are_refused_as_real_servers_do() {
        let sandbox = Sandbox::unbound(world(Age::V4_7));
        let mut stream = connect(&sandbox);
        // The worker goes on after the first and ends after the second.
        stream.write_all(b"L\0\0\0\x01L\0\0\x01\x04").await.unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.unwrap();
        let text = String::from_utf8_lossy(&bytes);
        assert!(text.contains("invalid memory alloc request size 18446744073709551613"), "{text}");
        assert!(text.contains("incorrect packet length (260)"), "{text}");
    }
}
