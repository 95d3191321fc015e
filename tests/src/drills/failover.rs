//! The primary fails, or changes places with a standby.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::{Begins, Drill, Group, IN_PART, PLAIN, Scenario};
use crate::{Hook, wait_until};

/// The primary's database dies; its own agent detaches it; a standby is promoted and attached as the primary.
pub const PRIMARY_DATABASE_DOWN: Scenario =
    Scenario { name: "primary database down", run: |drill| drill.fail_over(), ..PLAIN };

/// The failed primary is rebuilt as a standby and attached.
pub const OLD_PRIMARY_BACK: Scenario = Scenario {
    name: "old primary rebuilt and back",
    begins: Begins::PrimaryFailed,
    run: failed_node_back,
    ..PLAIN
};

pub(super) const ALL: &[Scenario] = &[
    PRIMARY_DATABASE_DOWN,
    OLD_PRIMARY_BACK,
    Scenario { name: "primary node gone (network cut)", run: primary_node_gone, ..PLAIN },
    Scenario { name: "switchover", run: switchover, ..PLAIN },
    Scenario { name: "switchback", run: switchover, ..PLAIN },
    Scenario { name: "late promotion, after the search ended", run: late_promotion, ..PLAIN },
    Scenario { name: "hook lines with %h alone", run: without_types, ..PLAIN },
    Scenario {
        name: "primary database down, search_primary_node_timeout 60",
        settings: &[("search_primary_node_timeout", "60")],
        run: long_search,
        ..PLAIN
    },
    Scenario {
        name: "primary database down, search_primary_node_timeout 300",
        settings: &[("search_primary_node_timeout", "300")],
        run: long_search,
        ..PLAIN
    },
    Scenario {
        name: "old primary rebuilt and back, search_primary_node_timeout 300",
        settings: &[("search_primary_node_timeout", "300")],
        ..OLD_PRIMARY_BACK
    },
    Scenario { pgpools: Group::TwoIndependent, ..PRIMARY_DATABASE_DOWN },
];

fn failed_node_back(drill: &mut Drill<'_>) -> Result<()> {
    let node = drill.the_failed()?;
    drill.efm.rebuild(node)?;
    drill.efm.attach(node)
}

/// Of a watchdog cluster only the leader shows the detach while it searches, and the failover manager promotes nobody
/// before the hook has ended.
fn long_search(drill: &mut Drill<'_>) -> Result<()> {
    let old = drill.kill_primary()?;
    let is_one = drill.cluster.pgpools().count() == 1;
    drill.efm.call(Hook::Detach, old, if is_one { 0 } else { IN_PART })?;
    drill.promote_and_attach()
}

/// Another agent detaches it, as its own is cut off as well.
fn primary_node_gone(drill: &mut Drill<'_>) -> Result<()> {
    let old = drill.efm.primary();
    drill.cluster.swallow_packets(old)?;
    drill.efm.declare_failed(old);
    drill.efm.detach(old)?;
    drill.promote_and_attach()
}

/// The primary is detached and stopped, a standby promoted and attached, the old primary follows it and is attached.
fn switchover(drill: &mut Drill<'_>) -> Result<()> {
    let old = drill.efm.primary();
    drill.efm.declare_failed(old);
    drill.efm.detach(old)?;
    drill.cluster.stop_postgres(old)?;
    drill.promote_and_attach()?;
    drill.cluster.start_as_standby(old, drill.efm.primary())?;
    drill.efm.resume(old);
    drill.efm.attach(old)
}

/// Pgpool has given up and looks for a primary no more when there is one.
pub(super) fn late_promotion(drill: &mut Drill<'_>) -> Result<()> {
    let old = drill.kill_primary()?;
    drill.efm.detach(old)?;
    drill.await_no_primary()?;
    drill.promote_and_attach()
}

/// As configured for EFM 3.2, which knows no types: with `p` and `s` missing, all is told by what Pgpool finds.
fn without_types(drill: &mut Drill<'_>) -> Result<()> {
    drill.efm.pass("%h");
    drill.fail_over()?;
    failed_node_back(drill)
}

impl Drill<'_> {
    /// Waits until Pgpool shows no primary, the end of its search.
    pub(super) fn await_no_primary(&self) -> Result<()> {
        wait_until("Pgpool's search for a primary to end", Duration::from_secs(30), || {
            let nodes = self.cluster.pool_nodes()?;
            ensure!(nodes.iter().all(|node| node.role != "primary"), "{nodes:?}");
            Ok(())
        })
    }
}
