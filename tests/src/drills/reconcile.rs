//! Nobody calls a hook, and what Pgpool shows has to become right nevertheless.

use anyhow::Result;

use super::{Begins, Drill, PLAIN, Scenario};
use crate::Pgpool;

pub(super) const ALL: &[Scenario] = &[
    Scenario {
        name: "standby rebooted, no attach call",
        begins: Begins::StandbyFailed,
        needs: Some("reconcile"),
        run: |drill| {
            let node = drill.the_failed()?;
            drill.cluster.start_postgres(node)?;
            drill.efm.resume(node);
            drill.efm.reconcile()
        },
        ..PLAIN
    },
    Scenario {
        name: "Pgpool restarted with a stale pgpool_status, reconcile as ExecStartPost",
        needs: Some("reconcile"),
        run: stale_status,
        ..PLAIN
    },
];

fn stale_status(drill: &mut Drill<'_>) -> Result<()> {
    drill.cluster.pgpools().try_for_each(Pgpool::stop)?;
    let old = drill.kill_primary()?;
    let new = drill.efm.most_advanced()?;
    drill.efm.promote(new)?;
    drill.efm.repoint_standbys()?;
    drill.cluster.start_postgres(old)?;
    // Whatever runs behind the start does not know whether PCP answers yet.
    drill.launch_pgpools()?;
    drill.efm.reconcile()
}
