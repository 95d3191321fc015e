//! A Pgpool and its host.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use pcp_client::{Client, Connector, Deadline, Endpoint};
use pcp_proto::Credentials;
use pcp_proto::message::ReadPoolStatus;
use tokio::runtime::Runtime;

use crate::docker::tail;
use crate::host::Host;
use crate::network::Network;
use crate::pool_node::{self, PoolNode};
use crate::wait_until;

/// The user that `pcp.conf` knows.
pub const PCP_USER: &str = "pcpadmin";
/// That user's password.
pub const PCP_PASSWORD: &str = "secret";

const PCP_PORT: u16 = 9898;
const SQL_PORT: u16 = 9999;
// A primary that is gone costs a start search_primary_node_timeout, here 3 s; a busy machine some more.
const START_LIMIT: Duration = Duration::from_secs(60);
const READY_LIMIT: Duration = Duration::from_secs(30);

/// A host that serves Pgpool, or not, just as the test wants it.
#[derive(Debug)]
pub struct Pgpool {
    id: usize,
    host: Host,
    pcp_port: AtomicU16,
    sql_port: AtomicU16,
}

impl Pgpool {
    pub(crate) fn host_it(id: usize, image: &str, network: &Network, address: Ipv4Addr) -> Result<Self> {
        let host = Host::start(&format!("pgpool{id}"), image, network, address, &[PCP_PORT, SQL_PORT])?;
        let pgpool = Self { id, host, pcp_port: AtomicU16::new(0), sql_port: AtomicU16::new(0) };
        pgpool.learn_ports()?;
        Ok(pgpool)
    }

    /// Return the host.
    #[must_use]
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// Return the port of 127.0.0.1 that leads to PCP.
    ///
    /// Docker's proxy listens there whether or not Pgpool runs: while it does not, a connection is accepted and
    /// closed at once. [`pcp_address`](Self::pcp_address) behaves like a real host's.
    #[must_use]
    pub fn pcp_port(&self) -> u16 {
        self.pcp_port.load(Ordering::Relaxed)
    }

    /// Return the port of 127.0.0.1 that leads to SQL, with the same proxy between.
    #[must_use]
    pub fn sql_port(&self) -> u16 {
        self.sql_port.load(Ordering::Relaxed)
    }

    /// Return PCP's address in the cluster's network, reached without a proxy: refused when nobody listens, silent
    /// when packets are swallowed, reset when Pgpool is killed.
    #[must_use]
    pub fn pcp_address(&self) -> SocketAddr {
        (self.host.address(), PCP_PORT).into()
    }

    /// Return SQL's address in the cluster's network.
    #[must_use]
    pub fn sql_address(&self) -> SocketAddr {
        (self.host.address(), SQL_PORT).into()
    }

    /// Write `pgpool.conf`; it counts from the next start or reload.
    ///
    /// # Errors
    ///
    /// When the host is paused or off.
    pub(crate) fn configure(&self, file: String) -> Result<()> {
        self.host.act_with(["configure-pgpool", &self.id.to_string()], &file)
    }

    /// Change a parameter that a running Pgpool takes over, and return once PCP shows it.
    ///
    /// # Errors
    ///
    /// When that is not so within a minute.
    pub fn set(&self, name: &str, value: impl ToString) -> Result<()> {
        let value = value.to_string();
        let written =
            self.host.exec(["sh", "-c", &format!("echo \"{name} = {value}\" >>/var/lib/pcp-tests/pgpool.conf")])?;
        ensure!(written.success(), "{written:?}");
        let runtime = Runtime::new()?;
        let mut told: Option<Instant> = None;
        wait_until("Pgpool to take the parameter over", START_LIMIT, || {
            // A 4.1 that is about to replace its PCP process was seen to miss the signal.
            if told.is_none_or(|told| told.elapsed() > Duration::from_secs(5)) {
                told = Some(Instant::now());
                let done = self.host.exec(["sh", "-c", "kill -HUP $(pgrep --oldest --exact pgpool)"])?;
                ensure!(done.success(), "{done:?}");
            }
            let shown = runtime.block_on(self.parameter(name))?;
            ensure!(shown == value, "{name} is {shown}");
            Ok(())
        })
    }

    async fn parameter(&self, name: &str) -> Result<String> {
        let endpoint = Endpoint::Tcp { host: "127.0.0.1".to_owned(), port: self.pcp_port() };
        let connector = Connector { endpoint, connect_timeout: Duration::from_secs(3) };
        let credentials = Credentials::new(PCP_USER, PCP_PASSWORD.as_bytes())?;
        let deadline = Deadline::after(Duration::from_secs(8));
        let mut client = Client::connect(&connector, &credentials, deadline).await?;
        let status = client.send(ReadPoolStatus).await?;
        client.close().await;
        Ok(status.value(name).with_context(|| format!("there is no {name}"))?.to_string())
    }

    /// Start Pgpool, and return once PCP answers. It remembers which nodes were down, as after a reboot.
    ///
    /// # Errors
    ///
    /// When PCP does not answer within a minute; the error holds the end of Pgpool's log.
    pub fn start(&self) -> Result<()> {
        self.launch()?;
        self.await_pcp()
    }

    /// Start Pgpool without waiting for it.
    pub(crate) fn launch(&self) -> Result<()> {
        self.host.act(["start-pgpool"])
    }

    pub(crate) fn await_pcp(&self) -> Result<()> {
        wait_until("PCP to answer", START_LIMIT, || self.salt())
            .with_context(|| format!("Pgpool's log ends:\n{}", tail(&self.host.logs().unwrap_or_default())))
    }

    /// Wait until its watchdog has a quorum with that many others alive, by the word of Pgpool's own tool.
    pub(crate) fn await_watchdog(&self, others: usize) -> Result<()> {
        wait_until("the watchdog to have a quorum", START_LIMIT, || {
            let text = self.watchdog_info()?;
            let seen = |name: &str, value: &str| {
                text.lines()
                    .any(|line| line.split_once(':').is_some_and(|(n, v)| n.trim() == name && v.trim() == value))
            };
            ensure!(seen("Quorum state", "QUORUM EXIST"), "{text}");
            ensure!(seen("Alive Remote Nodes", &others.to_string()), "{text}");
            Ok(())
        })
    }

    /// Returns the host name of the watchdog's leader, as this member knows it.
    pub(crate) fn leader(&self) -> Result<String> {
        let text = self.watchdog_info()?;
        let named = text.lines().filter_map(|line| line.split_once(':')).find(|(name, _)| {
            // The word changed in 4.2.
            matches!(name.trim(), "Leader Host Name" | "Master Host Name")
        });
        Ok(named.with_context(|| format!("no leader in {text:?}"))?.1.trim().to_owned())
    }

    fn watchdog_info(&self) -> Result<String> {
        let output = self.host.exec(["host", "watchdog-info"])?;
        Ok(output.stdout + &output.stderr)
    }

    /// Wait until `SHOW POOL_NODES` gives these [summaries](PoolNode::summary), in order of the ids.
    ///
    /// # Errors
    ///
    /// When that is not so within half a minute.
    pub fn await_summary(&self, wanted: &[&str]) -> Result<()> {
        wait_until(&format!("SHOW POOL_NODES to give {wanted:?}"), READY_LIMIT, || {
            let seen: Vec<String> = self.pool_nodes()?.iter().map(PoolNode::summary).collect();
            ensure!(seen == wanted, "{seen:?}");
            Ok(())
        })
    }

    /// Stop Pgpool (`-m fast`), and return once it has ended.
    ///
    /// # Errors
    ///
    /// When it does not run or does not end.
    pub fn stop(&self) -> Result<()> {
        self.host.act(["stop-pgpool"])
    }

    /// Kill all of Pgpool's processes with SIGKILL; the host stays, and so do the published ports.
    ///
    /// # Errors
    ///
    /// When the host is paused or off.
    pub fn kill(&self) -> Result<()> {
        self.host.act(["kill-pgpool"])
    }

    /// Bring a host that was powered off up again, learn its new published ports, and start Pgpool.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub fn power_on(&self) -> Result<()> {
        self.host.power_on()?;
        self.learn_ports()?;
        self.start()
    }

    /// Ask this Pgpool for `SHOW POOL_NODES`, by its SQL port.
    ///
    /// # Errors
    ///
    /// When it does not serve SQL. For some 25 ms after a change of a node that is normal; see
    /// [`wait_until`](crate::wait_until).
    pub fn pool_nodes(&self) -> Result<Vec<PoolNode>> {
        let separator = pool_node::SEPARATOR.to_string();
        let text = self.psql(&["-P", "footer=off", "-F", &separator], "SHOW POOL_NODES")?;
        pool_node::parse(&text)
    }

    /// Run a statement through this Pgpool and return the rows, unaligned, without a header.
    ///
    /// # Errors
    ///
    /// When Pgpool does not serve SQL or the statement fails.
    pub fn sql(&self, statement: &str) -> Result<String> {
        self.psql(&["-t"], statement)
    }

    fn psql(&self, options: &[&str], statement: &str) -> Result<String> {
        let argv = ["timeout", "20", "psql", "-X", "-A", "-q", "-h", "127.0.0.1", "-p", "9999", "-U", "postgres"];
        let output = self.host.exec(argv.into_iter().chain(options.iter().copied()).chain(["-c", statement]))?;
        ensure!(output.success(), "{statement}: exit {:?}: {}", output.code, output.stderr.trim());
        Ok(output.stdout.trim_end().to_owned())
    }

    /// Asks PCP for the salt of a login: proof that it serves, without a login.
    fn salt(&self) -> Result<()> {
        let limit = Duration::from_secs(1);
        let mut stream = TcpStream::connect_timeout(&self.pcp_address(), limit).context("cannot connect to PCP")?;
        stream.set_read_timeout(Some(limit))?;
        stream.write_all(b"M\0\0\0\x04")?;
        let mut reply = [0; 9];
        stream.read_exact(&mut reply).context("PCP sends no salt")?;
        ensure!(reply.first() == Some(&b'm'), "PCP sends no salt but {reply:?}");
        Ok(stream.write_all(b"X\0\0\0\x04")?)
    }

    fn learn_ports(&self) -> Result<()> {
        self.pcp_port.store(self.host.published(PCP_PORT)?, Ordering::Relaxed);
        self.sql_port.store(self.host.published(SQL_PORT)?, Ordering::Relaxed);
        Ok(())
    }
}
