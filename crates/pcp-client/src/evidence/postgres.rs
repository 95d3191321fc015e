//! PostgreSQL itself as a witness.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretSlice};
use tokio::time::timeout;
use tokio_postgres::config::SslMode;
use tokio_postgres::{Client, Config, NoTls, SimpleQueryMessage};
use tracing::debug;

use super::{Evidence, LIMIT, Recovery, port};
use crate::{Endpoint, Node};

const QUERY: &str = "SELECT pg_catalog.pg_is_in_recovery()";

/// Who asks PostgreSQL; any role that may log in will do.
#[derive(Clone, Debug)]
pub struct Login {
    /// The role.
    pub user: String,
    /// The database.
    pub database: String,
    /// The password; none where `pg_hba.conf` asks for none. Shown nowhere.
    pub password: Option<SecretSlice<u8>>,
    /// How long to try each address of a node. The whole question takes at most 3 s all the same.
    pub connect_timeout: Duration,
}

/// Asks the node's PostgreSQL: whether it answers without a login, whether it is in recovery with one.
///
/// Connections are not encrypted: with `scram-sha-256` or `md5` in `pg_hba.conf` the password itself is not sent, with
/// `password` it is.
#[derive(Clone, Debug)]
pub struct Postgres {
    /// Who asks.
    pub login: Login,
}

impl Evidence for Postgres {
    async fn answers(&self, node: &Node) -> bool {
        port::answers(node).await
    }

    async fn recovery(&self, node: &Node) -> Recovery {
        let answer = match timeout(LIMIT, self.ask(node)).await {
            Ok(answer) => answer,
            Err(_) => Err(format!("no answer in {} s", LIMIT.as_secs())),
        };
        match answer {
            Ok(true) => Recovery::InRecovery,
            Ok(false) => Recovery::NotInRecovery,
            Err(reason) => {
                debug!(%node, reason, "PostgreSQL does not tell whether it is in recovery");
                Recovery::unknown(format_args!(
                    "PostgreSQL at {} does not tell whether it is in recovery: {reason}",
                    node.address()
                ))
            }
        }
    }
}

impl Postgres {
    async fn ask(&self, node: &Node) -> Result<bool, String> {
        let (client, connection) = self.config(node).connect(NoTls).await.map_err(|error| words(&error))?;
        // The connection says goodbye when its client is gone.
        let (answer, end) = tokio::join!(is_in_recovery(client), connection);
        if let Err(error) = end {
            debug!(%node, %error, "the connection to PostgreSQL broke");
        }
        answer
    }

    fn config(&self, node: &Node) -> Config {
        let mut config = Config::new();
        match port::endpoint(node) {
            Endpoint::Unix { dir, port } => config.host_path(dir).port(port),
            Endpoint::Tcp { host, port } => config.host(host).port(port),
        };
        config
            .user(&self.login.user)
            .dbname(&self.login.database)
            .application_name("pcpctl")
            .connect_timeout(self.login.connect_timeout.min(LIMIT))
            .ssl_mode(SslMode::Disable);
        if let Some(password) = &self.login.password {
            config.password(password.expose_secret());
        }
        config
    }
}

async fn is_in_recovery(client: Client) -> Result<bool, String> {
    let rows = client.simple_query(QUERY).await.map_err(|error| words(&error))?;
    let value = rows.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.try_get(0).ok().flatten(),
        _ => None,
    });
    match value {
        Some("t") => Ok(true),
        Some("f") => Ok(false),
        Some(other) => Err(format!("it answered {other:?}")),
        None => Err("it answered nothing".to_owned()),
    }
}

/// Says what went wrong in the server's words where it had any.
fn words(error: &tokio_postgres::Error) -> String {
    match (error.as_db_error(), std::error::Error::source(error)) {
        (Some(error), _) => error.message().to_owned(),
        (None, Some(source)) => format!("{error}: {source}"),
        (None, None) => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    use super::super::tests::node;
    use super::*;

    const AUTHENTICATION_OK: &[u8] = b"R\0\0\0\x08\0\0\0\0";
    const AUTHENTICATION_CLEARTEXT_PASSWORD: &[u8] = b"R\0\0\0\x08\0\0\0\x03";
    const READY: &[u8] = b"Z\0\0\0\x05I";

    fn postgres() -> Postgres {
        Postgres {
            login: Login {
                user: "monitor".to_owned(),
                database: "postgres".to_owned(),
                password: Some(b"hunter2".to_vec().into()),
                connect_timeout: LIMIT,
            },
        }
    }

    /// A message with its kind and length.
    fn message(kind: u8, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len() + 4).unwrap().to_be_bytes();
        [&[kind], &length[..], body].concat()
    }

    /// The answer to the query: one row with this value, or with NULL, or no row.
    fn answer(value: Option<Option<&str>>) -> Vec<u8> {
        let description = b"\0\x01pg_is_in_recovery\0\0\0\0\0\0\0\0\0\0\x10\0\x01\xff\xff\xff\xff\0\0";
        let row = value.map_or_else(Vec::new, |value| {
            let length = value.map_or(-1, |value| i32::try_from(value.len()).unwrap()).to_be_bytes();
            message(b'D', &[b"\0\x01", &length[..], value.unwrap_or_default().as_bytes()].concat())
        });
        [message(b'T', description), row, message(b'C', b"SELECT 1\0"), READY.to_vec()].concat()
    }

    /// Reads a message of the client: its kind, which a startup has not, and its body.
    async fn read(stream: &mut TcpStream, has_kind: bool) -> (u8, Vec<u8>) {
        let kind = if has_kind { stream.read_u8().await.unwrap() } else { 0 };
        let length = usize::try_from(stream.read_u32().await.unwrap()).unwrap();
        let mut body = vec![0; length - 4];
        stream.read_exact(&mut body).await.unwrap();
        (kind, body)
    }

    /// Asks a server that says this after the startup and, where it gets so far, to the query.
    async fn ask(after_startup: &[u8], after_query: &[u8]) -> (Recovery, Option<u8>) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let node = node("127.0.0.1", listener.local_addr().unwrap().port());
        let serve = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let (_, startup) = read(&mut stream, false).await;
            assert!(startup.windows(13).any(|bytes| bytes == b"user\0monitor\0"), "{startup:?}");
            stream.write_all(after_startup).await.unwrap();
            if after_query.is_empty() {
                return None;
            }
            let (kind, query) = read(&mut stream, true).await;
            assert_eq!((kind, &query[..]), (b'Q', [QUERY.as_bytes(), b"\0"].concat().as_slice()));
            stream.write_all(after_query).await.unwrap();
            let (goodbye, _) = read(&mut stream, true).await;
            assert_eq!(stream.read(&mut [0]).await.unwrap(), 0, "the connection is still open");
            Some(goodbye)
        };
        let postgres = postgres();
        tokio::join!(postgres.recovery(&node), serve)
    }

    #[tokio::test]
    async fn postgresql_says_what_it_is_and_is_left_politely() {
        let ready = [AUTHENTICATION_OK, READY].concat();
        for (value, recovery) in [("t", Recovery::InRecovery), ("f", Recovery::NotInRecovery)] {
            assert_eq!(ask(&ready, &answer(Some(Some(value)))).await, (recovery, Some(b'X')));
        }
        for (value, reason) in [
            (Some(Some("maybe")), "it answered \"maybe\""),
            (Some(None), "it answered nothing"),
            (None, "it answered nothing"),
        ] {
            let (recovery, goodbye) = ask(&ready, &answer(value)).await;
            assert!(matches!(recovery, Recovery::Unknown { reason: text } if text.ends_with(reason)));
            assert_eq!(goodbye, Some(b'X'));
        }
    }

    #[tokio::test]
    async fn a_refusal_is_told_in_the_servers_words() {
        let fatal =
            message(b'E', b"SFATAL\0VFATAL\0C28P01\0Mpassword authentication failed for user \"monitor\"\0\0");
        let (recovery, _) = ask(&fatal, b"").await;
        let Recovery::Unknown { reason } = recovery else { panic!("{recovery:?}") };
        assert!(
            reason.starts_with("PostgreSQL at 127.0.0.1:")
                && reason.ends_with(
                    " does not tell whether it is in recovery: password authentication failed for user \"monitor\""
                ),
            "{reason}"
        );
        // It goes away in the middle of the login.
        let (recovery, _) = ask(AUTHENTICATION_CLEARTEXT_PASSWORD, b"").await;
        assert!(matches!(recovery, Recovery::Unknown { reason } if !reason.contains("hunter2")));
    }

    #[tokio::test]
    async fn nobody_there_is_a_reason_too() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let node = node("127.0.0.1", listener.local_addr().unwrap().port());
        drop(listener);
        let recovery = postgres().recovery(&node).await;
        assert!(
            matches!(&recovery, Recovery::Unknown { reason } if reason.contains("Connection refused")),
            "{recovery:?}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn silence_ends() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let node = node("127.0.0.1", listener.local_addr().unwrap().port());
        let begin = tokio::time::Instant::now();
        let recovery = postgres().recovery(&node).await;
        assert!(matches!(&recovery, Recovery::Unknown { reason } if reason.ends_with("3 s")), "{recovery:?}");
        assert_eq!(begin.elapsed(), LIMIT);
    }

    #[test]
    fn a_login_does_not_show_its_password() {
        assert!(!format!("{:?}", postgres()).contains("hunter2"));
        assert!(format!("{:?}", postgres()).contains("monitor"));
    }
}
