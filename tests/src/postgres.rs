//! A PostgreSQL node and its host.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::host::Host;
use crate::wait_until;

// A standby that is rebuilt copies some 30 MB and connects within seconds, on a busy machine too.
const STREAMING_LIMIT: Duration = Duration::from_secs(60);

/// A PostgreSQL node.
#[derive(Debug)]
pub struct Postgres {
    host: Host,
}

impl Postgres {
    pub(crate) fn new(host: Host) -> Self {
        Self { host }
    }

    /// Return the host.
    #[must_use]
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// Add a shell script to the data directory, where Pgpool's recovery extension looks for those that it runs.
    ///
    /// # Errors
    ///
    /// When the host is paused or off.
    pub fn add_script(&self, name: &str, body: &str) -> Result<()> {
        self.host.act_with(["add-script", name], &format!("#!/bin/sh\n{body}\n"))
    }

    /// Start the cluster's first primary.
    pub(crate) fn first_start(&self) -> Result<()> {
        self.host.act(["first-start-primary"])
    }

    /// Start a standby for the first time; it may come up before its primary.
    pub(crate) fn first_start_after(&self, primary: &str) -> Result<()> {
        self.host.act(["first-start-standby", primary, self.host.name()])
    }

    /// Start it with the data and the role that it had, and return once it serves.
    ///
    /// # Errors
    ///
    /// When it runs already or does not come up.
    pub fn start(&self) -> Result<()> {
        self.host.act(["start-postgres"])
    }

    /// Shut it down cleanly; sessions are ended.
    ///
    /// # Errors
    ///
    /// When it does not run.
    pub fn stop(&self) -> Result<()> {
        self.host.act(["stop-postgres"])
    }

    /// Kill all its processes with SIGKILL; its port refuses connections from now on.
    ///
    /// # Errors
    ///
    /// When the host is paused or off.
    pub fn kill(&self) -> Result<()> {
        self.host.act(["kill-postgres"])
    }

    /// Make a standby the primary of itself, and return once it writes. Neither Pgpool nor the other nodes are
    /// told.
    ///
    /// # Errors
    ///
    /// When it is no running standby.
    pub fn promote(&self) -> Result<()> {
        self.host.act(["promote-postgres"])
    }

    /// Let a running standby follow another primary, and return once it streams. Its data must not be ahead.
    ///
    /// # Errors
    ///
    /// When it does not stream within a minute.
    pub fn follow(&self, primary: &Self) -> Result<()> {
        self.host.act(["refollow", &primary.host.address().to_string(), self.host.name()])?;
        primary.await_standbys(&[self.host.name().to_owned()])
    }

    /// Start a node that was shut down as a standby of another, on the data that it has, and return once it
    /// streams. What it holds must be a beginning of what `primary` holds, as after a switchover.
    ///
    /// # Errors
    ///
    /// When it runs or does not stream within a minute.
    pub fn start_as_standby(&self, primary: &Self) -> Result<()> {
        self.host.act(["follow", &primary.host.address().to_string(), self.host.name()])?;
        self.start()?;
        primary.await_standbys(&[self.host.name().to_owned()])
    }

    /// Throw its data away, copy the primary's, start as its standby, and return once it streams.
    ///
    /// # Errors
    ///
    /// When the copy fails or it does not stream within a minute.
    pub fn rebuild_as_standby(&self, primary: &Self) -> Result<()> {
        self.host.act(["rebuild", &primary.host.address().to_string(), self.host.name()])?;
        primary.await_standbys(&[self.host.name().to_owned()])
    }

    /// Run a statement on this node, not through Pgpool, and return the rows, unaligned, without a header.
    ///
    /// # Errors
    ///
    /// When PostgreSQL does not serve or the statement fails.
    pub fn sql(&self, statement: &str) -> Result<String> {
        let argv =
            ["timeout", "20", "psql", "-X", "-A", "-t", "-q", "-p", "5433", "-U", "postgres", "-c", statement];
        let output = self.host.exec(argv)?;
        ensure!(output.success(), "{statement}: exit {:?}: {}", output.code, output.stderr.trim());
        Ok(output.stdout.trim_end().to_owned())
    }

    /// Tell whether it is a standby, by its own word.
    ///
    /// # Errors
    ///
    /// When PostgreSQL does not serve.
    pub fn is_in_recovery(&self) -> Result<bool> {
        Ok(self.sql("SELECT pg_is_in_recovery()")? == "t")
    }

    /// Return how far a standby has received its primary's changes, for comparison with another's.
    ///
    /// # Errors
    ///
    /// When PostgreSQL does not serve, or is no standby.
    pub fn received(&self) -> Result<u64> {
        let bytes = self.sql("SELECT pg_last_wal_receive_lsn() - '0/0'")?;
        bytes.parse().with_context(|| format!("{} received {bytes:?}", self.host.name()))
    }

    /// Return once the standbys of these names stream from this node.
    pub(crate) fn await_standbys(&self, names: &[String]) -> Result<()> {
        wait_until(&format!("{names:?} to stream from {}", self.host.name()), STREAMING_LIMIT, || {
            let streaming =
                self.sql("SELECT application_name FROM pg_stat_replication WHERE state = 'streaming'")?;
            ensure!(names.iter().all(|name| streaming.lines().any(|line| line == name)), "standbys: {streaming:?}");
            Ok(())
        })
    }
}
