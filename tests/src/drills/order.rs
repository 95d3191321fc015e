//! Hooks in an order that nobody promised, from several agents, or ended half-way.

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Result, ensure};
use pcp_proto::RequestKind;

use super::{Drill, PLAIN, Scenario};
use crate::{Hook, Proxy, wait_until};

pub(super) const ALL: &[Scenario] = &[
    Scenario { name: "attach of the new primary before detach of the old", run: attach_before_detach, ..PLAIN },
    Scenario { name: "two agents detach at once", run: two_detach, ..PLAIN },
    Scenario { name: "detach of the old primary and attach of the new at once", run: all_at_once, ..PLAIN },
    Scenario { name: "old primary alive, cut off from EFM but not from Pgpool", run: old_primary_alive, ..PLAIN },
    Scenario {
        name: "old primary alive, new one attached before it is detached",
        run: old_primary_alive_attach_first,
        ..PLAIN
    },
    Scenario { name: "hook killed between two changes and run again", run: killed, ..PLAIN },
];

fn attach_before_detach(drill: &mut Drill<'_>) -> Result<()> {
    let old = drill.kill_primary()?;
    drill.promote_and_attach()?;
    drill.efm.detach(old)
}

/// The failed node's own agent and another one.
fn two_detach(drill: &mut Drill<'_>) -> Result<()> {
    let old = drill.kill_primary()?;
    drill.at_once((Hook::Detach, old), (Hook::Detach, old))?;
    drill.promote_and_attach()
}

/// The agents on the two nodes act as soon as they know, and know nothing of each other.
fn all_at_once(drill: &mut Drill<'_>) -> Result<()> {
    let old = drill.kill_primary()?;
    let new = drill.efm.most_advanced()?;
    drill.efm.promote(new)?;
    drill.at_once((Hook::Detach, old), (Hook::Attach, new))?;
    drill.efm.repoint_standbys()
}

/// The other agents agree that it failed; Pgpool still reaches it and would go on using it.
fn old_primary_alive(drill: &mut Drill<'_>) -> Result<()> {
    let old = cut_primary_off(drill)?;
    drill.efm.detach(old)?;
    drill.promote_and_attach()
}

fn old_primary_alive_attach_first(drill: &mut Drill<'_>) -> Result<()> {
    let old = cut_primary_off(drill)?;
    drill.promote_and_attach()?;
    drill.efm.detach(old)
}

fn cut_primary_off(drill: &mut Drill<'_>) -> Result<usize> {
    let old = drill.efm.primary();
    let peers: Vec<Ipv4Addr> = drill
        .efm
        .standbys()
        .into_iter()
        .map(|standby| Ok(drill.cluster.node(standby)?.host().address()))
        .collect::<Result<_>>()?;
    drill.cluster.node(old)?.host().swallow_packets(&peers)?;
    drill.efm.declare_failed(old);
    Ok(old)
}

/// Pgpool's search is over, so the promoted node is detached and attached to be found. In between the hook dies.
fn killed(drill: &mut Drill<'_>) -> Result<()> {
    let old = drill.kill_primary()?;
    drill.efm.detach(old)?;
    drill.await_no_primary()?;
    let new = drill.efm.most_advanced()?;
    drill.efm.promote(new)?;

    // The answer to the detach does not come back: the hook waits for it.
    let pgpool = drill.cluster.pgpool().host().address().to_string();
    let proxy = Proxy::silent_after(drill.cluster.pgpool().pcp_address(), RequestKind::DETACH_NODE)?;
    drill.efm.reach_pgpools_at(&[format!("127.0.0.1:{}", proxy.port())]);
    let hook = drill.efm.begin(Hook::Attach, new)?;
    wait_until("the hook's detach to be carried out", Duration::from_secs(20), || {
        let nodes = drill.cluster.pool_nodes()?;
        ensure!(nodes.iter().any(|node| node.id == new && node.status == "down"), "{nodes:?}");
        Ok(())
    })?;
    hook.kill()?;
    drill.efm.finish(hook, None)?;

    drill.efm.reach_pgpools_at(&[pgpool]);
    drill.efm.attach(new)?;
    drill.efm.repoint_standbys()
}
