//! Whether a PostgreSQL answers, without a login.

use std::io;

use futures_util::FutureExt;
use futures_util::future::select_ok;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream, lookup_host};
use tokio::time::timeout;
use tracing::debug;

use super::{Evidence, LIMIT, Recovery};
use crate::{Endpoint, Node};

/// `SSLRequest`: the one message that every PostgreSQL answers with a byte before it asks who is there.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

/// Knows only whether the node's port answers, and nothing of recovery: for callers without any login.
#[derive(Clone, Copy, Debug, Default)]
pub struct PortOnly;

impl Evidence for PortOnly {
    async fn answers(&self, node: &Node) -> bool {
        answers(node).await
    }

    async fn recovery(&self, _: &Node) -> Recovery {
        no_login()
    }

    fn recovery_at_once(&self, _: &Node) -> Option<Recovery> {
        Some(no_login())
    }
}

fn no_login() -> Recovery {
    Recovery::unknown("no login for PostgreSQL is configured")
}

/// Tells whether any address of the node answers an `SSLRequest` with anything, within 3 s. The addresses are
/// asked at the same time, so that one that swallows packets does not use up the time of the others.
///
/// A stopped postmaster does not answer, though its kernel accepts the connection. One that starts up or shuts down
/// does, before it would refuse a login.
pub(super) async fn answers(node: &Node) -> bool {
    let endpoint = endpoint(node);
    let answer = timeout(LIMIT, async {
        match (&endpoint, endpoint.socket_path()) {
            (Endpoint::Tcp { host, port }, _) => ask_any(host, *port).await,
            (Endpoint::Unix { .. }, path) => ask(UnixStream::connect(path.unwrap_or_default()).await?).await,
        }
    });
    let answer = answer.await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
    if let Err(error) = &answer {
        debug!(%node, %error, "PostgreSQL does not answer");
    }
    answer.is_ok()
}

/// Returns where the node's PostgreSQL listens: a host that begins with `/` is a directory with its socket.
pub(super) fn endpoint(node: &Node) -> Endpoint {
    match (node.host.to_string_lossy().into_owned(), node.port) {
        (dir, port) if dir.starts_with('/') => Endpoint::Unix { dir: dir.into(), port },
        (host, port) => Endpoint::Tcp { host, port },
    }
}

async fn ask_any(host: &str, port: u16) -> io::Result<()> {
    let addresses = lookup_host((host, port)).await?;
    let asked: Vec<_> =
        addresses.map(|address| async move { ask(TcpStream::connect(address).await?).await }.boxed()).collect();
    if asked.is_empty() {
        return Err(io::ErrorKind::NotFound.into());
    }
    select_ok(asked).await.map(|((), _)| ())
}

/// Waits for the first byte behind an `SSLRequest`.
async fn ask(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
    stream.write_all(&SSL_REQUEST).await?;
    stream.read_u8().await.map(|_| ())
}

#[cfg(test)]
mod tests {
    use tokio::net::{TcpListener, UnixListener};

    use super::super::tests::node;
    use super::*;

    /// Answers one connection as a PostgreSQL without TLS does.
    async fn answer(mut stream: impl AsyncRead + AsyncWrite + Unpin) {
        let mut request = [0; 8];
        stream.read_exact(&mut request).await.unwrap();
        assert_eq!(request, SSL_REQUEST);
        stream.write_all(b"N").await.unwrap();
    }

    #[tokio::test]
    async fn one_byte_is_an_answer() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        // The name may lead to ::1 as well, where nothing listens.
        for host in ["127.0.0.1", "localhost"] {
            let serve = async { answer(listener.accept().await.unwrap().0).await };
            let node = node(host, port);
            let (answers, ()) = tokio::join!(PortOnly.answers(&node), serve);
            assert!(answers, "{host}");
        }
    }

    #[tokio::test]
    async fn a_closed_port_and_a_closed_connection_are_no_answer() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let node = node("127.0.0.1", listener.local_addr().unwrap().port());
        let close = async { drop(listener.accept().await.unwrap()) };
        let (answers, ()) = tokio::join!(PortOnly.answers(&node), close);
        assert!(!answers);
        drop(listener);
        assert!(!PortOnly.answers(&node).await);
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_no_answer_and_ends() {
        let dir = std::env::temp_dir().join(format!("pcp-client-silent-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let listener = UnixListener::bind(dir.join(".s.PGSQL.5432")).unwrap();
        let node = node(dir.to_str().unwrap(), 5432);
        let begin = tokio::time::Instant::now();
        // The kernel accepts for a postmaster that is stopped.
        assert!(!PortOnly.answers(&node).await);
        assert_eq!(begin.elapsed(), LIMIT);
        drop(listener);
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[tokio::test]
    async fn a_directory_is_a_socket() {
        let dir = std::env::temp_dir().join(format!("pcp-client-socket-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let listener = UnixListener::bind(dir.join(".s.PGSQL.5433")).unwrap();
        let serve = async { answer(listener.accept().await.unwrap().0).await };
        let node = node(dir.to_str().unwrap(), 5433);
        let (answers, ()) = tokio::join!(PortOnly.answers(&node), serve);
        assert!(answers);
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[tokio::test]
    async fn without_a_login_nothing_is_known_of_recovery() {
        let recovery = PortOnly.recovery(&node("127.0.0.1", 5432)).await;
        assert_eq!(recovery, Recovery::unknown("no login for PostgreSQL is configured"));
    }
}
