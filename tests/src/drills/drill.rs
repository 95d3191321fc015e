//! What the scenarios are made of.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use super::{Begins, Scenario};
use crate::{Cluster, Efm, Hook, NodeType, Pgpool, PoolNode, Writes, wait_until, writer};

/// A cluster under a failover manager, between two scenarios or in one.
#[derive(Debug)]
pub struct Drill<'a> {
    pub(super) cluster: &'a Cluster,
    pub(super) efm: Efm<'a>,
    settings: &'static [(&'static str, &'static str)],
}

// Pgpool closes sessions for some 25 ms after a change, and starts children anew.
const SQL_LIMIT: Duration = Duration::from_secs(15);
// After a Pgpool came back: its watchdog elects and copies.
const AGREE_LIMIT: Duration = Duration::from_secs(60);

impl<'a> Drill<'a> {
    /// Take charge of a fresh cluster.
    pub(super) fn start(cluster: &'a Cluster, program: &Path) -> Result<Self> {
        let efm = Efm::start(cluster, program.to_owned())?;
        cluster.node(efm.primary())?.sql(writer::CREATE_TABLE)?;
        Ok(Self { cluster, efm, settings: &[] })
    }

    /// Bring the cluster into the state in which the scenario begins.
    pub(super) fn prepare(&mut self, scenario: &Scenario) -> Result<()> {
        let addresses: Vec<String> =
            self.cluster.pgpools().map(|pgpool| pgpool.host().address().to_string()).collect();
        self.efm.reach_pgpools_at(&addresses);
        self.efm.pass("%h %t");
        if self.settings != scenario.settings {
            let settings = scenario
                .settings
                .iter()
                .fold(scenario.pgpools.settings(), |settings, (name, value)| settings.set(name, value));
            self.cluster.restart_pgpools(&settings)?;
            self.settings = scenario.settings;
        }
        let as_wanted = match (scenario.begins, &self.efm.failed()[..]) {
            (Begins::Healthy, []) => true,
            (Begins::PrimaryFailed, [node]) => self.efm.type_of(*node)? == NodeType::Primary,
            (Begins::StandbyFailed, [node]) => self.efm.type_of(*node)? == NodeType::Standby,
            _ => false,
        };
        if !as_wanted {
            for node in self.efm.failed() {
                self.efm.rebuild(node)?;
                self.efm.attach(node)?;
            }
            match scenario.begins {
                Begins::Healthy => {}
                Begins::PrimaryFailed => self.fail_over()?,
                Begins::StandbyFailed => self.lose_standby()?,
            }
        }
        self.verify()
    }

    /// The primary's database dies, its own agent detaches it, a standby is promoted and attached.
    pub(super) fn fail_over(&mut self) -> Result<()> {
        let old = self.kill_primary()?;
        self.efm.detach(old)?;
        self.promote_and_attach()
    }

    /// Kills the primary's database, of which the agents learn at once.
    pub(super) fn kill_primary(&mut self) -> Result<usize> {
        let old = self.efm.primary();
        self.cluster.kill_postgres(old)?;
        self.efm.declare_failed(old);
        Ok(old)
    }

    /// The second half of a failover.
    pub(super) fn promote_and_attach(&mut self) -> Result<()> {
        let new = self.efm.most_advanced()?;
        self.efm.promote(new)?;
        self.efm.attach(new)?;
        self.efm.repoint_standbys()
    }

    /// A standby's database dies and its own agent detaches it.
    pub(super) fn lose_standby(&mut self) -> Result<()> {
        let standby = self.a_standby()?;
        self.cluster.kill_postgres(standby)?;
        self.efm.declare_failed(standby);
        self.efm.detach(standby)
    }

    /// Returns a standby in service.
    pub(super) fn a_standby(&self) -> Result<usize> {
        self.efm.standbys().pop().context("no standby is in service")
    }

    /// Returns the node that is out of service.
    pub(super) fn the_failed(&self) -> Result<usize> {
        let [node] = self.efm.failed()[..] else { bail!("out of service: {:?}", self.efm.failed()) };
        Ok(node)
    }

    /// Calls two hooks at the same time, on two hosts; both have to exit with 0.
    pub(super) fn at_once(&mut self, one: (Hook, usize), other: (Hook, usize)) -> Result<()> {
        let one = self.efm.begin(one.0, one.1)?;
        let other = self.efm.begin_elsewhere(other.0, other.1)?;
        let ended = self.efm.finish(one, Some(0));
        self.efm.finish(other, Some(0)).and(ended)
    }

    /// Checks that every Pgpool agrees with PostgreSQL, now, and that writes through it reach the primary.
    pub(super) fn verify(&self) -> Result<()> {
        self.verify_on(self.cluster.pgpools())
    }

    /// The same for some of the Pgpools.
    pub(super) fn verify_on<'p>(&self, pgpools: impl Iterator<Item = &'p Pgpool>) -> Result<()> {
        for pgpool in pgpools {
            // The hooks have read back what they say: no time for it to become so later.
            let what = format!("{} to serve SQL", pgpool.host().name());
            let seen = wait_until(&what, SQL_LIMIT, || pgpool.pool_nodes())?;
            self.compare(pgpool, &seen)?;
            self.write(pgpool)?;
        }
        Ok(())
    }

    /// Waits until every Pgpool agrees with PostgreSQL, as one that came back has to by itself.
    pub(super) fn await_agreement(&self) -> Result<()> {
        self.cluster.pgpools().try_for_each(|pgpool| {
            wait_until("it to agree with PostgreSQL", AGREE_LIMIT, || self.compare(pgpool, &pgpool.pool_nodes()?))
        })
    }

    /// Counts the writes that were acknowledged and that the primary does not have.
    pub(super) fn lost(&self, writes: &Writes) -> Result<usize> {
        let rows = self.cluster.node(self.efm.primary())?.sql("SELECT id FROM writes WHERE id > 0")?;
        let kept: BTreeSet<i64> = rows.lines().map(str::parse).collect::<Result<_, _>>()?;
        Ok(writes.ids.difference(&kept).count())
    }

    /// Compares a Pgpool's view with what PostgreSQL says of each node in service; those out of service are to be
    /// down, whatever they say of themselves.
    fn compare(&self, pgpool: &Pgpool, seen: &[PoolNode]) -> Result<()> {
        let mut wanted = Vec::new();
        let mut got = Vec::new();
        for (id, node) in self.cluster.nodes().iter().enumerate() {
            let row = seen.get(id).with_context(|| format!("no node {id} in {seen:?}"))?;
            if self.efm.has_failed(id) {
                wanted.push(format!("{id} down"));
                got.push(if row.role == "primary" { row.summary() } else { format!("{id} {}", row.status) });
            } else {
                let role = if node.is_in_recovery()? { "standby" } else { "primary" };
                wanted.push(format!("{id} attached {role}"));
                got.push(row.summary());
            }
        }
        ensure!(got == wanted, "{} shows {got:?}, but it is {wanted:?}", pgpool.host().name());
        Ok(())
    }

    fn write(&self, pgpool: &Pgpool) -> Result<()> {
        let insert = "INSERT INTO writes SELECT least(min(id), 0) - 1 FROM writes RETURNING id";
        let id = wait_until("a write", SQL_LIMIT, || pgpool.sql(insert))?;
        let primary = self.cluster.node(self.efm.primary())?;
        let found = primary.sql(&format!("SELECT count(*) FROM writes WHERE id = {id}"))?;
        ensure!(found == "1", "a write through {} did not reach the primary", pgpool.host().name());
        Ok(())
    }
}
