//! A stand-in for EDB Failover Manager.
//!
//! It decides over the PostgreSQL nodes of a cluster, really promotes, repoints and rebuilds them, and calls the load
//! balancer hooks as EFM documents it: lines of `efm.properties`, `%h` and `%t` put in, run as processes that get no
//! environment, nothing on standard input and no terminal. Which agent calls, in which order and how often is for the
//! drill to choose.

use std::collections::BTreeSet;
use std::env;
use std::fmt;
use std::fs;
use std::path::PathBuf;
use std::process;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::{Agent, Call, Calling, Cluster, Postgres};

/// A cluster's failover manager: what its agents agree on.
#[derive(Debug)]
pub struct Efm<'a> {
    cluster: &'a Cluster,
    agent: Agent,
    placeholders: &'static str,
    primary: usize,
    types: Vec<NodeType>,
    failed: BTreeSet<usize>,
    calls: Vec<Call>,
}

/// What EFM puts in for `%t`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NodeType {
    /// `p`; a failed primary keeps it until it is rebuilt.
    Primary,
    /// `s`.
    Standby,
}

/// A hook.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Hook {
    /// `script.load.balancer.attach`.
    Attach,
    /// `script.load.balancer.detach`.
    Detach,
}

impl<'a> Efm<'a> {
    /// Take charge of a cluster in which all nodes are as they should be; `program` is the `pcpctl` to call.
    ///
    /// # Errors
    ///
    /// When not exactly one node is a primary, or no password file can be written.
    pub fn start(cluster: &'a Cluster, program: PathBuf) -> Result<Self> {
        let mut types = Vec::new();
        for node in cluster.nodes() {
            types.push(if node.is_in_recovery()? { NodeType::Standby } else { NodeType::Primary });
        }
        let primaries: Vec<usize> =
            types.iter().enumerate().filter(|(_, node)| **node == NodeType::Primary).map(|(id, _)| id).collect();
        let [primary] = primaries[..] else { anyhow::bail!("these nodes are primaries: {primaries:?}") };
        Ok(Self {
            cluster,
            agent: Agent::of(cluster, program)?,
            placeholders: "%h %t",
            primary,
            types,
            failed: BTreeSet::new(),
            calls: Vec::new(),
        })
    }

    /// Return the node that was promoted last.
    #[must_use]
    pub fn primary(&self) -> usize {
        self.primary
    }

    /// Return the standbys that are in service.
    #[must_use]
    pub fn standbys(&self) -> Vec<usize> {
        (0..self.types.len()).filter(|node| *node != self.primary && !self.has_failed(*node)).collect()
    }

    /// Return the nodes that are out of service.
    #[must_use]
    pub fn failed(&self) -> Vec<usize> {
        self.failed.iter().copied().collect()
    }

    /// Tell whether a node is out of service.
    #[must_use]
    pub fn has_failed(&self, node: usize) -> bool {
        self.failed.contains(&node)
    }

    /// Take a node out of service, as the agents do that agree on its failure. Nobody is told.
    pub fn declare_failed(&mut self, node: usize) {
        self.failed.insert(node);
    }

    /// Take a node into service that runs as a standby again, as `efm resume` does. Nobody is told.
    pub fn resume(&mut self, node: usize) {
        self.failed.remove(&node);
        if let Some(known) = self.types.get_mut(node) {
            *known = NodeType::Standby;
        }
    }

    /// Return the standby that has received most, which is the one to promote.
    ///
    /// # Errors
    ///
    /// When there is none, or one in service does not answer.
    pub fn most_advanced(&self) -> Result<usize> {
        let mut best = None;
        for standby in self.standbys() {
            let received = self.cluster.node(standby)?.received()?;
            if best.is_none_or(|(most, _)| received > most) {
                best = Some((received, standby));
            }
        }
        Ok(best.context("no standby is in service")?.1)
    }

    /// Promote a standby. The other nodes are not told.
    ///
    /// # Errors
    ///
    /// When it is no running standby.
    pub fn promote(&mut self, node: usize) -> Result<()> {
        self.cluster.promote_postgres(node)?;
        self.primary = node;
        if let Some(known) = self.types.get_mut(node) {
            *known = NodeType::Primary;
        }
        Ok(())
    }

    /// Let the standbys in service follow the primary.
    ///
    /// # Errors
    ///
    /// When one does not stream within a minute.
    pub fn repoint_standbys(&self) -> Result<()> {
        self.standbys().into_iter().try_for_each(|standby| self.cluster.follow(standby, self.primary))
    }

    /// Rebuild a failed node as a standby of the primary and take it into service.
    ///
    /// # Errors
    ///
    /// When it does not stream within a minute.
    pub fn rebuild(&mut self, node: usize) -> Result<()> {
        self.cluster.restore_packets(node)?;
        self.cluster.rebuild_as_standby(node, self.primary)?;
        self.resume(node);
        Ok(())
    }

    /// Return what type EFM takes a node for.
    ///
    /// # Errors
    ///
    /// When there is no such node.
    pub fn type_of(&self, node: usize) -> Result<NodeType> {
        self.types.get(node).copied().with_context(|| format!("there is no node {node}"))
    }

    /// Return one of its agents.
    #[must_use]
    pub fn agent(&self) -> Agent {
        self.agent.clone()
    }

    /// Write hooks that reach the Pgpools at these addresses.
    pub fn reach_pgpools_at(&mut self, addresses: &[String]) {
        self.agent.reach_pgpools_at(addresses);
    }

    /// Write hooks that end in other placeholders than `%h %t`.
    pub fn pass(&mut self, placeholders: &'static str) {
        self.placeholders = placeholders;
    }

    /// Call the attach hook for a node; it has to exit with 0.
    ///
    /// # Errors
    ///
    /// When it does not, with the verdict.
    pub fn attach(&mut self, node: usize) -> Result<()> {
        self.call(Hook::Attach, node, 0)
    }

    /// Call the detach hook for a node; it has to exit with 0.
    ///
    /// # Errors
    ///
    /// When it does not, with the verdict.
    pub fn detach(&mut self, node: usize) -> Result<()> {
        self.call(Hook::Detach, node, 0)
    }

    /// Call a hook, which has to exit with `code`.
    ///
    /// # Errors
    ///
    /// When it does not, with the verdict.
    pub fn call(&mut self, hook: Hook, node: usize, code: i32) -> Result<()> {
        let calling = self.begin(hook, node)?;
        self.finish(calling, Some(code))
    }

    /// Call a hook and let it run.
    ///
    /// # Errors
    ///
    /// When it cannot be started.
    pub fn begin(&self, hook: Hook, node: usize) -> Result<Calling> {
        self.begin_by(&self.agent, hook, node)
    }

    /// Call a hook on another host, where the first host's hooks do not hold it up, and let it run.
    ///
    /// # Errors
    ///
    /// When it cannot be started.
    pub fn begin_elsewhere(&self, hook: Hook, node: usize) -> Result<Calling> {
        self.begin_by(&self.agent.elsewhere(self.cluster), hook, node)
    }

    fn begin_by(&self, agent: &Agent, hook: Hook, node: usize) -> Result<Calling> {
        let node_type = self.type_of(node)?.to_string();
        let arguments = self.placeholders.replace("%h", &self.cluster.address(node)).replace("%t", &node_type);
        agent.begin(&hook.to_string(), &arguments)
    }

    /// Wait for a hook that was let run; it has to exit with `code` (`None`: to be ended by a signal).
    ///
    /// # Errors
    ///
    /// When it does not, with the verdict.
    pub fn finish(&mut self, calling: Calling, code: Option<i32>) -> Result<()> {
        let call = self.agent.finish(calling)?;
        self.calls.push(call.clone());
        ensure!(call.code == code, "{} ended with {:?}, not {code:?}:\n{}", call.line, call.code, call.output);
        Ok(())
    }

    fn desired(&self, id: usize, node: &Postgres) -> Value {
        let address = node.host().address().to_string();
        if self.has_failed(id) {
            json!({"address": address, "state": "detached"})
        } else {
            let role = if id == self.primary { "primary" } else { "standby" };
            json!({"address": address, "role": role, "state": "attached"})
        }
    }

    /// Keep these calls with those of the hooks.
    pub fn add(&mut self, calls: Vec<Call>) {
        self.calls.extend(calls);
    }

    /// Have Pgpool made equal to what the agents agree on, whatever hooks were called or lost.
    ///
    /// # Errors
    ///
    /// When `pcpctl reconcile` does not exit with 0, with the verdict.
    pub fn reconcile(&mut self) -> Result<()> {
        let desired = env::temp_dir().join(format!("pcp-tests-desired-{}", process::id()));
        let nodes: Vec<_> =
            self.cluster.nodes().iter().enumerate().map(|(id, node)| self.desired(id, node)).collect();
        let text = json!({"schema_version": 1, "nodes": nodes}).to_string();
        fs::write(&desired, text).with_context(|| format!("cannot write {}", desired.display()))?;
        let mut call = self.agent.run("reconcile", &format!("--desired {}", desired.display()))?;
        fs::remove_file(&desired).ok();
        call.line = "reconcile --desired FILE".to_owned();
        self.calls.push(call.clone());
        ensure!(call.code == Some(0), "{} ended with {:?}:\n{}", call.line, call.code, call.output);
        Ok(())
    }

    /// Return the hooks that were called since this was asked the last time, in the order of their ends.
    pub fn take_calls(&mut self) -> Vec<Call> {
        std::mem::take(&mut self.calls)
    }
}

impl fmt::Display for NodeType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Primary => "p",
            Self::Standby => "s",
        })
    }
}

impl fmt::Display for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Attach => "attach",
            Self::Detach => "detach",
        })
    }
}
