//! A Pgpool is gone while the nodes change.

use anyhow::{Context, Result};

use super::{Drill, Group, IN_PART, PLAIN, Scenario};
use crate::{Hook, Pgpool};

pub(super) const ALL: &[Scenario] = &[
    Scenario { name: "Pgpool restarted with a stale pgpool_status", run: stale_status, ..PLAIN },
    Scenario {
        name: "two independent Pgpools, one dead",
        pgpools: Group::TwoIndependent,
        run: one_of_two_dead,
        ..PLAIN
    },
    Scenario { name: "leader Pgpool gone", pgpools: Group::ThreeWithWatchdog, run: leader_gone, ..PLAIN },
    Scenario {
        name: "leader Pgpool gone, and at once the primary",
        pgpools: Group::ThreeWithWatchdog,
        run: leader_and_primary_gone,
        ..PLAIN
    },
    Scenario {
        name: "leader Pgpool's host cut off, and at once the primary gone",
        pgpools: Group::ThreeWithWatchdog,
        run: leader_cut_off,
        ..PLAIN
    },
];

// What the hooks say where no Pgpool can be reached: "nothing was changed".
const UNREACHABLE: i32 = 4;

/// The failover passes Pgpool by. When it is back it takes the old primary for one in service, and that runs again
/// as a primary. The hooks that failed are run again, by an operator, as EFM does not.
fn stale_status(drill: &mut Drill<'_>) -> Result<()> {
    drill.cluster.pgpools().try_for_each(Pgpool::stop)?;
    let old = drill.kill_primary()?;
    let new = drill.efm.most_advanced()?;
    let detach = drill.efm.begin(Hook::Detach, old)?;
    drill.efm.promote(new)?;
    let attach = drill.efm.begin(Hook::Attach, new)?;
    drill.efm.finish(detach, Some(UNREACHABLE))?;
    drill.efm.finish(attach, Some(UNREACHABLE))?;
    drill.efm.repoint_standbys()?;

    drill.cluster.start_postgres(old)?;
    drill.launch_pgpools()?;
    drill.cluster.pgpools().try_for_each(Pgpool::await_pcp)?;
    drill.efm.detach(old)?;
    drill.efm.attach(new)
}

impl Drill<'_> {
    /// Starts every Pgpool, and does not wait for PCP to answer.
    pub(super) fn launch_pgpools(&self) -> Result<()> {
        self.cluster.pgpools().try_for_each(Pgpool::launch)
    }
}

fn one_of_two_dead(drill: &mut Drill<'_>) -> Result<()> {
    let dead = drill.cluster.pgpools().nth(1).context("there are two Pgpools")?;
    dead.kill()?;
    let old = fail_over_in_part(drill, dead)?;
    // It knows nothing of what happened, and nobody tells it but the hooks, run again.
    dead.start()?;
    drill.efm.detach(old)?;
    let new = drill.efm.primary();
    drill.efm.attach(new)
}

/// The others elect one of them. No hook is called for a Pgpool.
fn leader_gone(drill: &mut Drill<'_>) -> Result<()> {
    let leader = drill.cluster.leader()?;
    leader.host().power_off()?;
    drill.verify_on(others(drill, leader))?;
    leader.power_on()?;
    drill.cluster.await_watchdog()?;
    drill.await_agreement()
}

/// The hooks come while the others still elect one of them.
fn leader_and_primary_gone(drill: &mut Drill<'_>) -> Result<()> {
    let leader = drill.cluster.leader()?;
    leader.host().power_off()?;
    fail_over_in_part(drill, leader)?;
    leader.power_on()?;
    drill.cluster.await_watchdog()?;
    drill.await_agreement()
}

fn leader_cut_off(drill: &mut Drill<'_>) -> Result<()> {
    let leader = drill.cluster.leader()?;
    leader.host().swallow_packets(&[])?;
    fail_over_in_part(drill, leader)?;
    leader.host().restore_packets()?;
    drill.cluster.await_watchdog()?;
    drill.await_agreement()
}

/// A failover that the hooks can tell all Pgpools of but one; returns the old primary.
fn fail_over_in_part(drill: &mut Drill<'_>, gone: &Pgpool) -> Result<usize> {
    let old = drill.kill_primary()?;
    drill.efm.call(Hook::Detach, old, IN_PART)?;
    let new = drill.efm.most_advanced()?;
    drill.efm.promote(new)?;
    drill.efm.call(Hook::Attach, new, IN_PART)?;
    drill.efm.repoint_standbys()?;
    drill.verify_on(others(drill, gone))?;
    Ok(old)
}

fn others<'a>(drill: &Drill<'a>, gone: &Pgpool) -> impl Iterator<Item = &'a Pgpool> {
    drill.cluster.pgpools().filter(|pgpool| pgpool.host().address() != gone.host().address())
}
