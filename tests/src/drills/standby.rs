//! A standby fails and returns.

use anyhow::Result;

use super::{Begins, Drill, PLAIN, Scenario};

pub(super) const ALL: &[Scenario] = &[
    Scenario { name: "standby database down", run: |drill| drill.lose_standby(), ..PLAIN },
    Scenario { name: "standby back", begins: Begins::StandbyFailed, run: back, ..PLAIN },
    Scenario { name: "standby node gone (network cut)", run: node_gone, ..PLAIN },
];

/// It starts again with the data that it has and is attached by its own agent.
fn back(drill: &mut Drill<'_>) -> Result<()> {
    let node = drill.the_failed()?;
    drill.cluster.start_postgres(node)?;
    drill.efm.resume(node);
    drill.efm.attach(node)
}

/// Another agent detaches it; sessions that use it hang until then.
fn node_gone(drill: &mut Drill<'_>) -> Result<()> {
    let node = drill.a_standby()?;
    drill.cluster.swallow_packets(node)?;
    drill.efm.declare_failed(node);
    drill.efm.detach(node)
}
