//! A whole cluster: three PostgreSQL nodes and a Pgpool, each on a host of its own.

use std::fs::File;
use std::iter;
use std::net::Ipv4Addr;
use std::thread::{self, ScopedJoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};

use crate::network::Network;
use crate::pgpool::Pgpool;
use crate::pool_node::PoolNode;
use crate::postgres::Postgres;
use crate::settings::{Members, Pgpools, Settings, node_name};
use crate::{Host, Version, docker, image, lock, owner, wait_until};

const NODES: usize = 3;
const ROLES: [&str; NODES] = ["0 attached primary", "1 attached standby", "2 attached standby"];

/// A primary (node 0), two streaming standbys (1 and 2) and before them a Pgpool, or three with a watchdog.
///
/// All is removed on drop, and also when the test process dies in any way. Methods that take a node fail for one
/// above 2.
#[derive(Debug)]
pub struct Cluster {
    version: Version,
    // Dropped in this order: the network goes when no host uses it, the slot when all is gone.
    pgpool: Pgpool,
    others: Vec<Pgpool>,
    nodes: Vec<Postgres>,
    network: Network,
    _slot: File,
}

impl Cluster {
    /// Start one, and return once both standbys stream, PCP answers and `SHOW POOL_NODES` shows a primary and two
    /// standbys up.
    ///
    /// Waits while too many other clusters run. The first call for a version on a machine builds the image: a
    /// minute or two.
    ///
    /// # Errors
    ///
    /// When Docker does not answer, or with the reason why the cluster did not come up.
    pub fn start(version: Version, settings: Settings) -> Result<Self> {
        docker::require()?;
        owner::label()?;
        let image = image::ensure(version)?;
        let slot = lock::cluster_slot()?;
        Self::assemble(version, &settings, &image, slot)
            .with_context(|| format!("cannot start a cluster of {version}"))
    }

    fn assemble(version: Version, settings: &Settings, image: &str, slot: File) -> Result<Self> {
        let network = Network::create()?;
        let primary = node_address(&network, 0).to_string();
        let (pgpools, nodes) = thread::scope(|scope| {
            let (network, primary) = (&network, &primary);
            let nodes: Vec<_> =
                (0..NODES).map(|id| scope.spawn(move || start_node(id, image, network, primary))).collect();
            let pgpools: Vec<_> = (0..settings.pgpools().count())
                .map(|id| scope.spawn(move || prepare_pgpool(id, version, settings, image, network)))
                .collect();
            // All are waited for before any error is returned, so that every host has its owner.
            (joined(pgpools), joined(nodes))
        });
        let (mut pgpools, nodes) = (pgpools?.into_iter(), nodes?);
        let pgpool = pgpools.next().context("a cluster has a Pgpool")?;
        let cluster = Self { version, pgpool, others: pgpools.collect(), nodes, network, _slot: slot };

        let standbys: Vec<String> = (1..NODES).map(node_name).collect();
        cluster.node(0)?.await_standbys(&standbys)?;
        cluster.launch(settings)?;
        for pgpool in cluster.pgpools() {
            pgpool.await_summary(&ROLES)?;
        }
        Ok(cluster)
    }

    fn launch(&self, settings: &Settings) -> Result<()> {
        self.pgpools().try_for_each(Pgpool::launch)?;
        self.pgpools().try_for_each(Pgpool::await_pcp)?;
        if settings.pgpools() == Pgpools::ThreeWithWatchdog {
            self.await_watchdog()?;
        }
        Ok(())
    }

    /// Restart the Pgpools with other settings, and return once PCP answers. They remember which nodes were down.
    ///
    /// # Errors
    ///
    /// When `settings` ask for other Pgpools than those that there are, or PCP does not answer within a minute.
    pub fn restart_pgpools(&self, settings: &Settings) -> Result<()> {
        let count = self.pgpools().count();
        ensure!(settings.pgpools().count() == count, "there are {count} Pgpools, no more and no fewer");
        let all: Vec<Ipv4Addr> = self.pgpools().map(|pgpool| pgpool.host().address()).collect();
        let nodes: Vec<Ipv4Addr> = self.nodes.iter().map(|node| node.host().address()).collect();
        for (this, pgpool) in self.pgpools().enumerate() {
            pgpool.stop()?;
            pgpool.configure(settings.file(self.version, &nodes, &Members { all: &all, this }))?;
        }
        self.launch(settings)
    }

    /// Wait until every member of the watchdog sees a quorum and all the others alive.
    ///
    /// # Errors
    ///
    /// When that is not so within a minute.
    pub fn await_watchdog(&self) -> Result<()> {
        self.pgpools().try_for_each(|pgpool| pgpool.await_watchdog(self.others.len()))
    }

    /// Return the watchdog's leader, by the word of all members.
    ///
    /// # Errors
    ///
    /// When they do not name the same within a minute, as after a leader is lost.
    pub fn leader(&self) -> Result<&Pgpool> {
        wait_until("the members to name one leader", Duration::from_secs(60), || {
            let mut named = self.pgpools().map(Pgpool::leader).collect::<Result<Vec<_>>>()?;
            named.dedup();
            let [leader] = &named[..] else { bail!("leaders: {named:?}") };
            self.pgpools()
                .find(|pgpool| *leader == pgpool.host().address().to_string())
                .with_context(|| format!("{leader} is none of the Pgpools"))
        })
    }

    /// Return the version that it was started with.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// Return the Pgpool, of three the first, for everything that has no shorthand here.
    #[must_use]
    pub fn pgpool(&self) -> &Pgpool {
        &self.pgpool
    }

    /// Return all Pgpools: three with [`Settings::watchdog`], two with [`Settings::independent`], else one.
    pub fn pgpools(&self) -> impl Iterator<Item = &Pgpool> {
        iter::once(&self.pgpool).chain(&self.others)
    }

    /// Return all PostgreSQL nodes, by their ids.
    #[must_use]
    pub fn nodes(&self) -> &[Postgres] {
        &self.nodes
    }

    /// Return a PostgreSQL node, for everything that has no shorthand here.
    ///
    /// # Errors
    ///
    /// When there is no such node.
    pub fn node(&self, node: usize) -> Result<&Postgres> {
        self.nodes.get(node).with_context(|| format!("there is no node {node}"))
    }

    /// Return the `backend_hostname` that Pgpool knows a node by: an IPv4 address. Unlike elsewhere, any node has
    /// one, so that a test can name one that does not exist.
    #[must_use]
    pub fn address(&self, node: usize) -> String {
        node_address(&self.network, node).to_string()
    }

    /// Return the port of 127.0.0.1 that leads to PCP; see [`Pgpool::pcp_port`].
    #[must_use]
    pub fn pcp_port(&self) -> u16 {
        self.pgpool.pcp_port()
    }

    /// Return the port of 127.0.0.1 that leads to SQL; see [`Pgpool::sql_port`].
    #[must_use]
    pub fn sql_port(&self) -> u16 {
        self.pgpool.sql_port()
    }

    /// Ask Pgpool for `SHOW POOL_NODES`; see [`Pgpool::pool_nodes`].
    ///
    /// # Errors
    ///
    /// When Pgpool does not serve SQL.
    pub fn pool_nodes(&self) -> Result<Vec<PoolNode>> {
        self.pgpool.pool_nodes()
    }

    /// Wait until `SHOW POOL_NODES` gives these [summaries](PoolNode::summary); see [`Pgpool::await_summary`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn await_summary(&self, wanted: &[&str]) -> Result<()> {
        self.pgpool.await_summary(wanted)
    }

    /// Promote a standby behind Pgpool's back; see [`Postgres::promote`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn promote_postgres(&self, node: usize) -> Result<()> {
        self.node(node)?.promote()
    }

    /// Shut PostgreSQL down on a node; see [`Postgres::stop`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn stop_postgres(&self, node: usize) -> Result<()> {
        self.node(node)?.stop()
    }

    /// Kill PostgreSQL on a node; see [`Postgres::kill`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn kill_postgres(&self, node: usize) -> Result<()> {
        self.node(node)?.kill()
    }

    /// Start PostgreSQL on a node as what it was; see [`Postgres::start`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn start_postgres(&self, node: usize) -> Result<()> {
        self.node(node)?.start()
    }

    /// Start a stopped node as a standby of `primary`, on the data that it has; see
    /// [`Postgres::start_as_standby`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn start_as_standby(&self, node: usize, primary: usize) -> Result<()> {
        self.node(node)?.start_as_standby(self.node(primary)?)
    }

    /// Rebuild a node as a standby of `primary`; see [`Postgres::rebuild_as_standby`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn rebuild_as_standby(&self, node: usize, primary: usize) -> Result<()> {
        self.node(node)?.rebuild_as_standby(self.node(primary)?)
    }

    /// Repoint a running standby to `primary`; see [`Postgres::follow`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn follow(&self, node: usize, primary: usize) -> Result<()> {
        self.node(node)?.follow(self.node(primary)?)
    }

    /// Drop all packets from and to a node; see [`Host::swallow_packets`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn swallow_packets(&self, node: usize) -> Result<()> {
        self.node_host(node)?.swallow_packets(&[])
    }

    /// Let a node's packets through again.
    ///
    /// # Errors
    ///
    /// As [`Host::restore_packets`].
    pub fn restore_packets(&self, node: usize) -> Result<()> {
        self.node_host(node)?.restore_packets()
    }

    /// Start Pgpool; see [`Pgpool::start`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn start_pgpool(&self) -> Result<()> {
        self.pgpool.start()
    }

    /// Stop Pgpool; see [`Pgpool::stop`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn stop_pgpool(&self) -> Result<()> {
        self.pgpool.stop()
    }

    /// Kill Pgpool; see [`Pgpool::kill`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn kill_pgpool(&self) -> Result<()> {
        self.pgpool.kill()
    }

    fn node_host(&self, node: usize) -> Result<&Host> {
        Ok(self.node(node)?.host())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // Docker takes its time to remove one: so all at once.
        thread::scope(|scope| {
            for node in self.nodes.drain(..) {
                scope.spawn(move || drop(node));
            }
            for pgpool in self.others.drain(..) {
                scope.spawn(move || drop(pgpool));
            }
        });
    }
}

fn start_node(id: usize, image: &str, network: &Network, primary: &str) -> Result<Postgres> {
    let node = Postgres::new(Host::start(&node_name(id), image, network, node_address(network, id), &[])?);
    if id == 0 {
        node.first_start()?
    } else {
        node.first_start_after(primary)?
    }
    Ok(node)
}

fn prepare_pgpool(
    id: usize,
    version: Version,
    settings: &Settings,
    image: &str,
    network: &Network,
) -> Result<Pgpool> {
    let all: Vec<Ipv4Addr> = (0..settings.pgpools().count()).map(|id| pgpool_address(network, id)).collect();
    let nodes: Vec<Ipv4Addr> = (0..NODES).map(|id| node_address(network, id)).collect();
    let pgpool = Pgpool::host_it(id, image, network, pgpool_address(network, id))?;
    pgpool.configure(settings.file(version, &nodes, &Members { all: &all, this: id }))?;
    Ok(pgpool)
}

fn joined<T>(threads: Vec<ScopedJoinHandle<'_, Result<T>>>) -> Result<Vec<T>> {
    let results: Vec<Result<T>> = threads
        .into_iter()
        .map(|thread| thread.join().map_err(|_| anyhow!("starting a host panicked")).flatten())
        .collect();
    results.into_iter().collect()
}

fn pgpool_address(network: &Network, id: usize) -> Ipv4Addr {
    network.address(u32::try_from(id).unwrap_or(0).saturating_add(10))
}

fn node_address(network: &Network, id: usize) -> Ipv4Addr {
    network.address(u32::try_from(id).unwrap_or(0).saturating_add(20))
}
