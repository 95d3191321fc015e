//! Making a connection.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream, lookup_host};
use tokio::time::timeout_at;
use tracing::debug;

use crate::{Deadline, Endpoint, Error, ErrorKind};

/// Something that connections to one Pgpool can be made with.
///
/// The engine makes many short ones; tests put streams of their own here.
pub trait Connect {
    /// The connection.
    type Stream: AsyncRead + AsyncWrite + Unpin;

    /// Makes a connection, by `deadline` at the latest.
    fn connect(&self, deadline: Deadline) -> impl Future<Output = Result<Self::Stream, Error>>;
}

/// Connects over TCP or a Unix socket.
#[derive(Clone, Debug)]
pub struct Connector {
    /// Where to.
    pub endpoint: Endpoint,
    /// How long one address is tried for.
    pub connect_timeout: Duration,
}

/// A connection over TCP or a Unix socket.
#[derive(Debug)]
pub enum Stream {
    /// Over TCP.
    Tcp(TcpStream),
    /// Over a Unix socket.
    Unix(UnixStream),
}

impl Connect for Connector {
    type Stream = Stream;

    /// Tries every address that the host has, in the resolver's order.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unreachable`] that names every address tried and what it said.
    async fn connect(&self, deadline: Deadline) -> Result<Stream, Error> {
        match &self.endpoint {
            Endpoint::Tcp { host, port } => self.connect_tcp(host, *port, deadline).await.map(Stream::Tcp),
            Endpoint::Unix { .. } => self.connect_unix(deadline).await.map(Stream::Unix),
        }
    }
}

impl Connector {
    async fn connect_tcp(&self, host: &str, port: u16, deadline: Deadline) -> Result<TcpStream, Error> {
        let unreachable = |reason: String| {
            Error::because(ErrorKind::Unreachable, format!("cannot connect to {}", self.endpoint), reason)
        };
        let addresses = match timeout_at(deadline.instant(), lookup_host((host, port))).await {
            Ok(Ok(addresses)) => addresses,
            Ok(Err(error)) => return Err(unreachable(format!("the name {host} has no address: {error}"))),
            Err(_) => return Err(unreachable(format!("looking up the name {host} took too long"))),
        };
        let mut failures = Vec::new();
        for address in addresses {
            let reason = match timeout_at(deadline.cut(self.connect_timeout), TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    prepare(&stream);
                    debug!(endpoint = %self.endpoint, %address, "connected");
                    return Ok(stream);
                }
                Ok(Err(error)) => error.to_string(),
                Err(_) => "no answer in time".to_owned(),
            };
            failures.push(format!("{}: {reason}", without_port(address)));
        }
        Err(unreachable(failures.join("; ")))
    }

    async fn connect_unix(&self, deadline: Deadline) -> Result<UnixStream, Error> {
        let path = self.endpoint.socket_path().unwrap_or_default();
        let failed = |error: io::Error| {
            Error::because(
                ErrorKind::Unreachable,
                format!("cannot connect to the socket {}", path.display()),
                error,
            )
        };
        match timeout_at(deadline.cut(self.connect_timeout), UnixStream::connect(&path)).await {
            Ok(result) => result.map_err(failed),
            Err(_) => Err(failed(io::ErrorKind::TimedOut.into())),
        }
    }
}

/// Sends small writes at once, and notices a peer that is gone. A socket that takes none of this works all the same.
fn prepare(stream: &TcpStream) {
    const IDLE: Duration = Duration::from_secs(10);
    let keepalive = TcpKeepalive::new().with_time(IDLE).with_interval(IDLE);
    let prepared = stream.set_nodelay(true).and_then(|()| SockRef::from(stream).set_tcp_keepalive(&keepalive));
    if let Err(error) = prepared {
        debug!(%error, "cannot set a socket option");
    }
}

/// Shows an address; the port is the same for all that a host has.
fn without_port(address: SocketAddr) -> String {
    address.ip().to_string()
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Self::Unix(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
