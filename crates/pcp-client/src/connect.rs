//! Making a connection.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use pcp_proto::message::MessageLevel;
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

    /// Returns from which level on a server is [asked for notices](crate::Client::ask_for_notices) on these
    /// connections. `None` unless said otherwise: it is not asked.
    fn notices(&self) -> Option<MessageLevel> {
        None
    }

    /// Names the Pgpool in the log. Nothing unless said otherwise.
    fn name(&self) -> String {
        String::new()
    }
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

    fn name(&self) -> String {
        self.endpoint.to_string()
    }
}

impl Connector {
    async fn connect_tcp(&self, host: &str, port: u16, deadline: Deadline) -> Result<TcpStream, Error> {
        let message = || format!("cannot connect to {}", self.endpoint);
        let unreachable = |reason: String| Error::because(ErrorKind::Unreachable, message(), reason);
        let addresses = match timeout_at(deadline.instant(), lookup_host((host, port))).await {
            Ok(Ok(addresses)) => addresses,
            Ok(Err(error)) => {
                let reason = NoAddress { host: host.to_owned(), error };
                return Err(Error::because(ErrorKind::Unreachable, message(), reason));
            }
            Err(_) => return Err(unreachable(format!("looking up the name {host} took too long"))),
        };
        let stream = self.connect_any(addresses, deadline).await;
        let stream = stream.map_err(|attempts| Error::because(ErrorKind::Unreachable, message(), attempts))?;
        prepare(&stream);
        Ok(stream)
    }

    /// Tries one address after the other; where none answers, says what each of them did.
    async fn connect_any(
        &self,
        addresses: impl Iterator<Item = SocketAddr>,
        deadline: Deadline,
    ) -> Result<TcpStream, Attempts> {
        let mut failures = Vec::new();
        for address in addresses {
            let error = match timeout_at(deadline.cut(self.connect_timeout), TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    debug!(endpoint = %self.endpoint, %address, "connected");
                    return Ok(stream);
                }
                Ok(Err(error)) => Some(error),
                Err(_) => None,
            };
            failures.push((address.ip(), error));
        }
        Err(Attempts(failures))
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

/// Why a name leads nowhere.
#[derive(Debug, thiserror::Error)]
#[error("the name {host} has no address: {error}")]
struct NoAddress {
    host: String,
    error: io::Error,
}

/// What each address did, `None` where it did not answer in time. The port is the same for all.
#[derive(Debug)]
struct Attempts(Vec<(IpAddr, Option<io::Error>)>);

impl StdError for Attempts {}

impl fmt::Display for Attempts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, (address, error)) in self.0.iter().enumerate() {
            let separator = if place == 0 { "" } else { "; " };
            match error {
                Some(error) => write!(f, "{separator}{address}: {error}")?,
                None => write!(f, "{separator}{address}: no answer in time")?,
            }
        }
        Ok(())
    }
}

/// Returns what the system or its resolver said; of several addresses the last one's error.
pub(crate) fn io_error<'a>(cause: &'a (dyn StdError + Send + Sync + 'static)) -> Option<&'a io::Error> {
    let of_name = cause.downcast_ref::<NoAddress>().map(|no_address| &no_address.error);
    let of_attempts = || cause.downcast_ref::<Attempts>()?.0.last()?.1.as_ref();
    of_name.or_else(of_attempts).or_else(|| cause.downcast_ref())
}

/// Tells whether a connection failed because nobody listens: every address refused it, or the socket is gone.
pub(crate) fn nobody_listens(error: &Error) -> bool {
    let Some(cause) = error.source().filter(|_| error.kind() == ErrorKind::Unreachable) else { return false };
    let refused = |error: &io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
    match (cause.downcast_ref::<Attempts>(), cause.downcast_ref::<io::Error>()) {
        (Some(Attempts(attempts)), _) => {
            !attempts.is_empty() && attempts.iter().all(|(_, error)| error.as_ref().is_some_and(refused))
        }
        (_, Some(error)) => refused(error) || error.kind() == io::ErrorKind::NotFound,
        _ => false,
    }
}

/// Sends small writes at once, and notices a peer that is gone. A socket that takes none of this works all the
/// same.
fn prepare(stream: &TcpStream) {
    const IDLE: Duration = Duration::from_secs(10);
    let keepalive = TcpKeepalive::new().with_time(IDLE).with_interval(IDLE);
    let prepared = stream.set_nodelay(true).and_then(|()| SockRef::from(stream).set_tcp_keepalive(&keepalive));
    if let Err(error) = prepared {
        debug!(%error, "cannot set a socket option");
    }
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

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    fn connector() -> Connector {
        Connector { endpoint: Endpoint::local(9898), connect_timeout: Duration::from_secs(3) }
    }

    #[tokio::test]
    async fn every_address_is_tried() {
        // Only one of the addresses of this host has a listener on the port.
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let answering = listener.local_addr().unwrap();
        let refusing = SocketAddr::new([127, 0, 0, 2].into(), answering.port());
        let deadline = Deadline::after(Duration::from_secs(10));
        let stream = connector().connect_any([refusing, answering].into_iter(), deadline).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), answering);

        let failure = connector().connect_any([refusing, refusing].into_iter(), deadline).await.unwrap_err();
        assert_eq!(failure.to_string().matches("127.0.0.2: Connection refused").count(), 2, "{failure}");
        assert_eq!(io_error(&failure).map(io::Error::kind), Some(io::ErrorKind::ConnectionRefused));
    }

    #[tokio::test]
    async fn a_socket_that_is_not_there_is_named() {
        let endpoint = Endpoint::parse("/nonexistent", 9898).unwrap();
        let connector = Connector { endpoint, ..connector() };
        let error = connector.connect(Deadline::after(Duration::from_secs(10))).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unreachable);
        assert_eq!(error.io_error().map(io::Error::kind), Some(io::ErrorKind::NotFound));
        assert_eq!(error.to_string(), "cannot connect to the socket /nonexistent/.s.PGSQL.9898");
        assert!(nobody_listens(&error));
    }

    #[tokio::test]
    async fn nobody_listens_only_where_every_address_refuses() {
        let refusing = TcpListener::bind(("127.0.0.1", 0)).await.unwrap().local_addr().unwrap();
        let deadline = Deadline::after(Duration::from_secs(10));
        let endpoint = Endpoint::Tcp { host: "127.0.0.1".to_owned(), port: refusing.port() };
        let error = Connector { endpoint, ..connector() }.connect(deadline).await.unwrap_err();
        assert!(nobody_listens(&error), "{error}");

        let refused = || Some(io::ErrorKind::ConnectionRefused.into());
        let address = refusing.ip();
        for attempts in [
            vec![],
            vec![(address, None)],
            vec![(address, refused()), (address, None)],
            vec![(address, refused()), (address, Some(io::ErrorKind::HostUnreachable.into()))],
        ] {
            let error = Error::because(ErrorKind::Unreachable, "", Attempts(attempts));
            assert!(!nobody_listens(&error), "{error:?}");
        }
        assert!(!nobody_listens(&Error::because(ErrorKind::Unreachable, "", "no such name")));
    }
}
