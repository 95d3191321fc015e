//! A relay before a Pgpool that writes down what is asked, and can fall silent.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use anyhow::{Context, Result};
use pcp_proto::{FrameDecoder, RequestKind};

/// A relay on a free port of 127.0.0.1 that leads to a Pgpool's PCP port.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    log: Arc<Mutex<Vec<Vec<RequestKind>>>>,
}

impl Proxy {
    /// Start a relay that passes everything on.
    ///
    /// # Errors
    ///
    /// When no port can be had.
    pub fn start(pgpool: SocketAddr) -> Result<Self> {
        Self::start_with(pgpool, None)
    }

    /// Start a relay that passes nothing back any more once a request of this kind was passed on, on that
    /// connection and all later ones.
    ///
    /// # Errors
    ///
    /// When no port can be had.
    pub fn silent_after(pgpool: SocketAddr, kind: RequestKind) -> Result<Self> {
        Self::start_with(pgpool, Some(kind))
    }

    fn start_with(pgpool: SocketAddr, silent_after: Option<RequestKind>) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).context("no port for the relay")?;
        let address = listener.local_addr().context("no address of the relay")?;
        let log = Arc::new(Mutex::new(Vec::new()));
        let silent = Arc::new(Mutex::new(false));
        let entries = Arc::clone(&log);
        thread::spawn(move || {
            for client in listener.incoming() {
                let Ok(client) = client else { return };
                let relay = Relay { log: Arc::clone(&entries), silent: Arc::clone(&silent), silent_after };
                thread::spawn(move || relay.run(client, pgpool));
            }
        });
        Ok(Self { address, log })
    }

    /// Return where it listens.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Return what was asked so far, connection by connection, logins included.
    #[must_use]
    pub fn asked(&self) -> Vec<Vec<RequestKind>> {
        lock(&self.log).clone()
    }
}

struct Relay {
    log: Arc<Mutex<Vec<Vec<RequestKind>>>>,
    silent: Arc<Mutex<bool>>,
    silent_after: Option<RequestKind>,
}

impl Relay {
    fn run(&self, client: TcpStream, pgpool: SocketAddr) -> io::Result<()> {
        let server = TcpStream::connect(pgpool)?;
        let back = (server.try_clone()?, client.try_clone()?, Arc::clone(&self.silent));
        thread::spawn(move || pass_back(back.0, back.1, &back.2));
        let passed = self.pass_on(client, &server);
        // Also when the client is gone: Pgpool hears of it as it would without a relay.
        server.shutdown(Shutdown::Write)?;
        passed
    }

    /// Passes the client's bytes on and writes down the requests among them, each before Pgpool can have it.
    fn pass_on(&self, mut client: TcpStream, mut server: &TcpStream) -> io::Result<()> {
        let connection = {
            let mut log = lock(&self.log);
            log.push(Vec::new());
            log.len() - 1
        };
        let mut decoder = FrameDecoder::<RequestKind>::new();
        let mut buffer = bytes::BytesMut::new();
        let mut chunk = [0; 4096];
        loop {
            let count = client.read(&mut chunk)?;
            let Some(bytes) = chunk.get(..count).filter(|bytes| !bytes.is_empty()) else { return Ok(()) };
            buffer.extend_from_slice(bytes);
            while let Ok(Some(frame)) = decoder.decode(&mut buffer) {
                if Some(frame.kind) == self.silent_after {
                    *lock(&self.silent) = true;
                }
                if let Some(entry) = lock(&self.log).get_mut(connection) {
                    entry.push(frame.kind);
                }
            }
            server.write_all(bytes)?;
        }
    }
}

fn pass_back(mut server: TcpStream, mut client: TcpStream, silent: &Mutex<bool>) -> io::Result<()> {
    let mut chunk = [0; 4096];
    loop {
        let count = server.read(&mut chunk)?;
        let Some(bytes) = chunk.get(..count).filter(|bytes| !bytes.is_empty()) else { break };
        if !*lock(silent) {
            client.write_all(bytes)?;
        }
    }
    if !*lock(silent) {
        client.shutdown(Shutdown::Write)?;
    }
    Ok(())
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
