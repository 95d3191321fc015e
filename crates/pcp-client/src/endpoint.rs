//! Where a Pgpool listens for PCP.

use std::fmt;
use std::path::{Path, PathBuf};

/// The port that Pgpool listens on for PCP unless told otherwise.
pub const DEFAULT_PORT: u16 = 9898;

/// The directories that packages compile in as Pgpool's default for its PCP socket.
const SOCKET_DIRS: [&str; 2] = ["/var/run/postgresql", "/tmp"];

/// Where a Pgpool listens for PCP: a host and port, or a Unix socket.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Endpoint {
    /// A TCP port.
    Tcp {
        /// A host name or an IP literal, without brackets.
        host: String,
        /// The port.
        port: u16,
    },
    /// The socket `.s.PGSQL.PORT` in a directory.
    Unix {
        /// The directory, `pcp_socket_dir`.
        dir: PathBuf,
        /// The port, which is a part of the socket's name.
        port: u16,
    },
}

impl Endpoint {
    /// Reads `HOST`, `HOST:PORT`, `[V6]`, `[V6]:PORT`, a bare IPv6 literal, or `/DIR` for a Unix socket.
    ///
    /// # Errors
    ///
    /// Nothing, or what cannot be a host, where a host belongs, and a port that is none.
    pub fn parse(text: &str, default_port: u16) -> Result<Self, EndpointError> {
        let bad = |reason| EndpointError { text: text.to_owned(), reason };
        if text.starts_with('/') {
            return Ok(Self::Unix { dir: PathBuf::from(text), port: default_port });
        }
        let (host, port) = split_port(text).ok_or_else(|| bad("its brackets do not close"))?;
        if host.is_empty() {
            return Err(bad("it names no host"));
        }
        // A directory in brackets would read back as a socket.
        if !is_host(host) || host.starts_with('/') {
            return Err(bad("it holds no host name and no IP address"));
        }
        let port = match port {
            None => default_port,
            Some(port) => parse_port(port).ok_or_else(|| bad("a port is a number from 1 to 65535"))?,
        };
        Ok(Self::Tcp { host: host.to_owned(), port })
    }

    /// Returns the endpoint of a Pgpool on this host: the socket in a directory that packages use, where there is
    /// one, else `localhost`.
    pub fn local(port: u16) -> Self {
        SOCKET_DIRS
            .map(|dir| Self::Unix { dir: PathBuf::from(dir), port })
            .into_iter()
            .find(|endpoint| endpoint.socket_path().is_some_and(|path| path.exists()))
            .unwrap_or_else(|| Self::Tcp { host: "localhost".to_owned(), port })
    }

    /// Returns the port.
    pub fn port(&self) -> u16 {
        match self {
            Self::Tcp { port, .. } | Self::Unix { port, .. } => *port,
        }
    }

    /// Returns the path of the Unix socket.
    pub fn socket_path(&self) -> Option<PathBuf> {
        match self {
            Self::Tcp { .. } => None,
            Self::Unix { dir, port } => Some(dir.join(format!(".s.PGSQL.{port}"))),
        }
    }

    /// Returns what a password file calls this host: `localhost` for the default socket directories, else the host
    /// or directory as it was given.
    pub(crate) fn passfile_host(&self) -> String {
        match self {
            Self::Tcp { host, .. } => host.clone(),
            Self::Unix { dir, .. } if SOCKET_DIRS.iter().any(|known| dir == Path::new(known)) => {
                "localhost".to_owned()
            }
            Self::Unix { dir, .. } => dir.display().to_string(),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Unix { dir, port } => write!(f, "{}:{port}", dir.display()),
        }
    }
}

/// Text that names no endpoint.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{text:?} is no address: {reason}")]
pub struct EndpointError {
    text: String,
    reason: &'static str,
}

/// Splits `HOST[:PORT]`; more than one colon without brackets is an IPv6 literal. `None` where a bracket is not
/// closed.
pub(crate) fn split_port(text: &str) -> Option<(&str, Option<&str>)> {
    if let Some(rest) = text.strip_prefix('[') {
        let (host, rest) = rest.split_once(']')?;
        return match rest.strip_prefix(':') {
            Some(port) => Some((host, Some(port))),
            None => rest.is_empty().then_some((host, None)),
        };
    }
    match text.split_once(':') {
        Some((host, port)) if !port.contains(':') => Some((host, Some(port))),
        _ => Some((text, None)),
    }
}

/// Tells whether `text` can be a host, so that it also reads back from how it is shown: no blanks, control
/// characters or brackets, and no single colon, for that sets off a port.
pub(crate) fn is_host(text: &str) -> bool {
    let is_foreign = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '[' | ']');
    !text.is_empty() && !text.contains(is_foreign) && text.matches(':').count() != 1
}

/// Reads a port: decimal digits only, 1 to 65535.
pub(crate) fn parse_port(text: &str) -> Option<u16> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok())?.filter(|&port| port != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_read_and_shown() {
        for (text, shown) in [
            ("pgpool1", "pgpool1:9898"),
            ("10.0.0.1:9899", "10.0.0.1:9899"),
            ("::1", "[::1]:9898"),
            ("[fe80::1%eth0]:9899", "[fe80::1%eth0]:9899"),
            ("[::1]", "[::1]:9898"),
            ("/run/pgpool", "/run/pgpool:9898"),
        ] {
            let endpoint = Endpoint::parse(text, DEFAULT_PORT).unwrap();
            assert_eq!(endpoint.to_string(), shown);
        }
        for text in [
            "",
            ":9898",
            "a b",
            "a:",
            "a:0",
            "a:65536",
            "a:+1",
            "[::1",
            "[::1]x",
            "a\n",
            "[a:1]",
            "[[a]",
            "a]::b",
            "[/tmp]:9898",
        ] {
            assert!(Endpoint::parse(text, DEFAULT_PORT).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_socket_is_named_after_the_port() {
        let endpoint = Endpoint::parse("/run/pgpool", 9999).unwrap();
        assert_eq!(endpoint.socket_path(), Some("/run/pgpool/.s.PGSQL.9999".into()));
        assert_eq!(endpoint.passfile_host(), "/run/pgpool");
        assert_eq!(Endpoint::parse("/tmp", 9999).unwrap().passfile_host(), "localhost");
        assert_eq!(endpoint.port(), 9999);
        let tcp = Endpoint::parse("pgpool1:9899", 9999).unwrap();
        assert_eq!((tcp.port(), tcp.socket_path(), tcp.passfile_host()), (9899, None, "pgpool1".to_owned()));
    }

    #[test]
    fn a_local_pgpool_is_found_by_its_socket() {
        // No other test of this host has this port's socket.
        let port = u16::try_from(std::process::id() % 0xffff).unwrap() + 1;
        let path = Path::new("/tmp").join(format!(".s.PGSQL.{port}"));
        assert_eq!(Endpoint::local(port), Endpoint::Tcp { host: "localhost".to_owned(), port });
        std::fs::write(&path, "").unwrap();
        let found = Endpoint::local(port);
        std::fs::remove_file(&path).unwrap();
        assert_eq!(found, Endpoint::Unix { dir: "/tmp".into(), port });
    }
}
