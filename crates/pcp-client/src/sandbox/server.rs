//! A world on a socket.

use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::{Either, select};
use pcp_proto::RequestKind;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::worker;
use super::{Fault, World};

/// A [`World`] that serves connections, in the time of the runtime that it was started in: a paused clock works.
///
/// No task drives it: whoever looks at the world, a request or a test, first does what was due, and cannot tell the
/// difference. Dropping it ends everything.
#[derive(Debug)]
pub struct Sandbox {
    shared: Arc<Shared>,
    address: SocketAddr,
    tasks: Mutex<JoinSet<()>>,
}

/// What every task of a sandbox works with.
#[derive(Debug)]
pub(super) struct Shared {
    start: Instant,
    state: Mutex<State>,
    /// Wakes the connections that are not served yet.
    pub(super) replaced: Notify,
    /// Tells everything that waits that the server is about to end.
    stopping: Notify,
}

/// The world, and what was seen of its connections.
#[derive(Debug)]
pub(super) struct State {
    pub(super) world: World,
    faults: VecDeque<Fault>,
    requests: Vec<(u64, RequestKind)>,
    connections: u64,
    most_open: usize,
}

impl Sandbox {
    /// Listens on a free port of 127.0.0.1.
    ///
    /// # Errors
    ///
    /// The address cannot be listened on.
    pub async fn start(world: World) -> io::Result<Self> {
        Self::start_on(world, (Ipv4Addr::LOCALHOST, 0).into()).await
    }

    /// Listens on an address.
    ///
    /// # Errors
    ///
    /// The address cannot be listened on.
    pub async fn start_on(world: World, address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let sandbox = Self { address: listener.local_addr()?, ..Self::unbound(world) };
        let shared = Arc::clone(&sandbox.shared);
        sandbox.spawn(async move {
            let mut workers = JoinSet::new();
            let accept = async {
                loop {
                    // What fails to be accepted is the client's loss.
                    if let Ok((stream, _)) = listener.accept().await {
                        let _ = stream.set_nodelay(true);
                        workers.spawn(worker::serve(&shared, stream, reset_tcp));
                    }
                    while workers.try_join_next().is_some() {}
                }
            };
            let _: Either<((), _), _> = select(pin!(accept), pin!(shared.stopped())).await;
            drop(listener);
            while workers.join_next().await.is_some() {}
        });
        Ok(sandbox)
    }

    /// Listens on a Unix socket; [`address`](Self::address) tells nothing then.
    ///
    /// # Errors
    ///
    /// The path cannot be listened on.
    #[cfg(unix)]
    pub fn start_unix(world: World, path: impl AsRef<std::path::Path>) -> io::Result<Self> {
        let listener = tokio::net::UnixListener::bind(path)?;
        let sandbox = Self::unbound(world);
        let shared = Arc::clone(&sandbox.shared);
        sandbox.spawn(async move {
            let mut workers = JoinSet::new();
            let accept = async {
                loop {
                    if let Ok((stream, _)) = listener.accept().await {
                        workers.spawn(worker::serve(&shared, stream, drop));
                    }
                    while workers.try_join_next().is_some() {}
                }
            };
            let _: Either<((), _), _> = select(pin!(accept), pin!(shared.stopped())).await;
            drop(listener);
            while workers.join_next().await.is_some() {}
        });
        Ok(sandbox)
    }

    /// Listens nowhere: connections come by [`serve_stream`](Self::serve_stream) alone.
    pub fn unbound(world: World) -> Self {
        let shared = Shared {
            start: Instant::now(),
            state: Mutex::new(State {
                world,
                faults: VecDeque::new(),
                requests: Vec::new(),
                connections: 0,
                most_open: 0,
            }),
            replaced: Notify::new(),
            stopping: Notify::new(),
        };
        let address = (Ipv4Addr::UNSPECIFIED, 0).into();
        Self { shared: Arc::new(shared), address, tasks: Mutex::new(JoinSet::new()) }
    }

    /// Returns where it listens; 0.0.0.0:0 where that is no TCP port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves one connection, such as the end of a `tokio::io::duplex`. A reset of it is an end of file.
    pub fn serve_stream(&self, stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) {
        self.spawn(worker::serve(&self.shared, stream, drop));
    }

    /// Looks at the world, or changes it, after what was due was done.
    pub fn with<T>(&self, look: impl FnOnce(&mut World) -> T) -> T {
        self.shared.with(|state, _| look(&mut state.world))
    }

    /// Returns the time since the world's start, as the world's methods want it.
    pub fn now(&self) -> Duration {
        self.shared.start.elapsed()
    }

    /// Queues what goes wrong with the next connection that has no fault yet.
    pub fn fault(&self, fault: Fault) {
        self.shared.lock().faults.push_back(fault);
    }

    /// Returns the requests so far: the number of the connection, from 0 on, and the kind.
    pub fn requests(&self) -> Vec<(u64, RequestKind)> {
        self.shared.lock().requests.clone()
    }

    /// Returns how many connections there were.
    pub fn connections(&self) -> u64 {
        self.shared.lock().connections
    }

    /// Returns how many connections are open.
    pub fn open_connections(&self) -> usize {
        self.shared.lock().world.open_connections()
    }

    /// Returns how many connections were open at once at most.
    pub fn most_open_connections(&self) -> usize {
        self.shared.lock().most_open
    }

    /// Waits until a client has stopped it: nothing listens then, and every connection ends.
    pub async fn stopped(&self) {
        self.shared.stopped().await;
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(task);
    }
}

impl Shared {
    /// Works with the world after what was due was done, and wakes whom that concerns.
    pub(super) fn with<T>(&self, work: impl FnOnce(&mut State, Duration) -> T) -> T {
        let mut state = self.lock();
        let (replacements, end) = (state.world.replacements(), state.world.ends_at());
        let now = self.start.elapsed();
        state.world.advance(now);
        let result = work(&mut state, now);
        if state.world.replacements() != replacements {
            self.replaced.notify_waiters();
        }
        if state.world.ends_at() != end {
            self.stopping.notify_waiters();
        }
        result
    }

    /// Sleeps until a time of the world.
    pub(super) async fn sleep_until(&self, time: Duration) {
        tokio::time::sleep_until(self.start + time).await;
    }

    /// Waits for the end of the server.
    pub(super) async fn stopped(&self) {
        loop {
            // From here on no end is missed.
            let stopping = self.stopping.notified();
            match self.with(|state, _| state.world.ends_at()) {
                Some(time) => return self.sleep_until(time).await,
                None => stopping.await,
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Opens a connection and takes what is to go wrong with it.
    pub(super) fn connect(&mut self, now: Duration) -> (u64, Fault) {
        let number = self.world.connect(now);
        self.connections += 1;
        self.most_open = self.most_open.max(self.world.open_connections());
        (number, self.faults.pop_front().unwrap_or(Fault::Nothing))
    }

    /// Takes note of a request.
    pub(super) fn log(&mut self, connection: u64, kind: RequestKind) {
        self.requests.push((connection, kind));
    }
}

/// Closes a connection so that the peer sees a reset.
fn reset_tcp(stream: TcpStream) {
    let _ = socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO));
}

#[cfg(test)]
mod tests {
    use pcp_proto::Event;
    use pcp_proto::message::{Batch, DetachNodeGracefully, StopMode, StopPgpool};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::time::timeout;

    use super::super::Age;
    use super::super::test::{MINUTE, connect, talk};
    use super::*;

    fn world(age: Age) -> World {
        World::new(age).node("10.0.0.1", 5432).node("10.0.0.2", 5432).node("10.0.0.3", 5432)
    }

    #[tokio::test]
    async fn a_stopped_server_answers_closes_every_connection_and_listens_no_more() {
        let sandbox = Sandbox::start(world(Age::V4_7)).await.unwrap();
        let mut idle = TcpStream::connect(sandbox.address()).await.unwrap();
        idle.write_all(b"M\0\0\0\x04").await.unwrap();
        idle.read_exact(&mut [0; 9]).await.unwrap();
        let stream = TcpStream::connect(sandbox.address()).await.unwrap();
        let (events, _) = talk(stream, Batch::encode(&StopPgpool { mode: StopMode::Fast })).await;
        assert!(matches!(events[..], [Event::LoggedIn, Event::Reply { .. }]));
        let end = timeout(MINUTE, idle.read(&mut [0])).await.unwrap();
        assert_eq!(end.unwrap_or_default(), 0);
        timeout(MINUTE, sandbox.stopped()).await.unwrap();
        let refused = async {
            while TcpStream::connect(sandbox.address()).await.is_ok() {
                tokio::task::yield_now().await;
            }
        };
        timeout(MINUTE, refused).await.unwrap();
        assert!(sandbox.with(|world| world.is_stopped()));
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_is_put_off_more_than_once_comes() {
        let sandbox = Sandbox::unbound(world(Age::V4_7));
        sandbox.with(|world| world.open_session(Duration::ZERO));
        let start = Instant::now();
        let graceful = Batch::encode(&DetachNodeGracefully { node: "2".parse().unwrap() });
        let talk = tokio::spawn(talk(connect(&sandbox), graceful));
        tokio::time::sleep(Duration::from_secs(4)).await;
        sandbox.with(|world| world.close_session(Duration::from_secs(4)));
        let (events, end) = talk.await.unwrap();
        end.unwrap();
        assert_eq!((events.len(), start.elapsed().as_secs()), (2, 6));
        assert!(!sandbox.with(|world| world.nodes()[2].is_attached()));
    }
}
