//! `pcp_promote_node -s`, by the tool and by the link: each promotes another node, since nothing makes a switchover undone.

use std::time::Duration;

use anyhow::{Result, ensure};
use pcp_tests::{Settings, Version, wait_until};

use super::pair::{Pair, Who};
use crate::support::HEALTHY;

pub(super) fn a_switchover_is_made_alike(version: Version) -> Result<()> {
    let promote = "psql -X -h %H -p 5433 -U postgres -c \"SELECT pg_promote()\"";
    let pair =
        Pair::start(version, Settings::default().set("failover_command", promote).set("sr_check_period", 2))?;
    if version == Version::V4_1 {
        // This tool has no such option, and the server would take it for a plain promotion.
        let [tool, link] = pair.both("pcp_promote_node", &["-s", "1"])?;
        ensure!(tool.code == Some(1) && link.code == Some(7), "{tool:?} {link:?}");
        return pair.cluster.await_summary(&HEALTHY);
    }
    pair.cluster.await_summary(&HEALTHY)?;
    let tool = pair.run(Who::Tool, "pcp_promote_node", &["-s", "1"])?;
    // At once: what node 2 still gets from the old primary, the new one does not have.
    wait_until("node 1 to be promoted", Duration::from_secs(30), || {
        ensure!(!pair.cluster.node(1)?.is_in_recovery()?);
        Ok(())
    })?;
    pair.cluster.follow(2, 1)?;
    pair.cluster.await_summary(&["0 down standby", "1 attached primary", "2 attached standby"])?;
    let link = pair.run(Who::Link, "pcp_promote_node", &["-s", "2"])?;
    pair.cluster.await_summary(&["0 down standby", "1 down standby", "2 attached primary"])?;
    ensure!(!pair.cluster.node(2)?.is_in_recovery()?, "{link:?}");
    let success = (Some(0), "pcp_promote_node -- Command Successful\n", "");
    for output in [tool, link] {
        assert_eq!((output.code, &*output.stdout, &*output.stderr), success, "{output:?}");
    }
    Ok(())
}
