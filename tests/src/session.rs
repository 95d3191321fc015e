//! An SQL session that stays open.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

/// Version 3.0 of the protocol.
const PROTOCOL: [u8; 4] = [0, 3, 0, 0];

/// A session that did `SELECT 1` and idles until it is dropped.
#[derive(Debug)]
pub struct Session(TcpStream);

impl Session {
    /// Begin one as `postgres`, where that needs no password.
    ///
    /// # Errors
    ///
    /// When the server refuses it, or does not answer within ten seconds.
    pub fn open(address: SocketAddr, database: &str) -> Result<Self> {
        let limit = Duration::from_secs(10);
        let stream =
            TcpStream::connect_timeout(&address, limit).with_context(|| format!("connect to {address}"))?;
        stream.set_read_timeout(Some(limit))?;
        let mut session = Self(stream);
        let parameters = ["user", "postgres", "database", database, ""].map(|text| format!("{text}\0")).concat();
        session.send(&[&PROTOCOL, parameters.as_bytes()].concat())?;
        session.await_ready()?;
        session.0.write_all(b"Q")?;
        session.send(b"SELECT 1\0")?;
        session.await_ready()?;
        Ok(session)
    }

    /// Sends a length and a body.
    fn send(&mut self, body: &[u8]) -> Result<()> {
        let length = u32::try_from(body.len() + 4)?.to_be_bytes();
        Ok(self.0.write_all(&[&length, body].concat())?)
    }

    /// Reads until the server waits for a query.
    fn await_ready(&mut self) -> Result<()> {
        loop {
            let mut header = [0; 5];
            self.0.read_exact(&mut header).context("the server does not answer")?;
            let [kind, length @ ..] = header;
            let mut body = vec![0; usize::try_from(u32::from_be_bytes(length))?.saturating_sub(4)];
            self.0.read_exact(&mut body)?;
            ensure!(kind != b'E', "the server refuses: {}", body.escape_ascii());
            if kind == b'Z' {
                return Ok(());
            }
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // Without the goodbye, Pgpool writes an error to its log; no more.
        self.0.write_all(b"X\0\0\0\x04").ok();
    }
}
