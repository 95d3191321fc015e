//! A failover from end to end: what EFM decides is what Pgpool shows.

use anyhow::Result;
use pcp_tests::{Cluster, Settings, Version};

use crate::support::{json, run, verdict};

for_each_version!(a_failover_and_the_return_of_the_old_primary, a_promotion_after_the_search_ended);

fn a_failover_and_the_return_of_the_old_primary(version: Version) -> Result<()> {
    let cluster = Cluster::start(version, Settings::default())?;
    let [old, new] = [0, 1].map(|id| cluster.address(id));

    cluster.kill_postgres(0)?;
    verdict(&run(&cluster, &["detach", &old, "p"])?, 0);
    cluster.promote_postgres(1)?;
    verdict(&run(&cluster, &["attach", &new, "p"])?, 0);
    cluster.await_summary(&["0 down standby", "1 attached primary", "2 attached standby"])?;
    assert_eq!(run(&cluster, &["is-primary", &new])?.code, Some(0));

    cluster.follow(2, 1)?;
    cluster.rebuild_as_standby(0, 1)?;
    verdict(&run(&cluster, &["attach", &old, "s"])?, 0);
    cluster.await_summary(&["0 attached standby", "1 attached primary", "2 attached standby"])?;
    cluster.pgpool().sql("CREATE TABLE written_through_pgpool (id int)")?;
    Ok(())
}

/// Pgpool gave up the search before the standby was promoted, and notices nothing by itself any more.
fn a_promotion_after_the_search_ended(version: Version) -> Result<()> {
    let cluster = Cluster::start(version, Settings::default().set("search_primary_node_timeout", 1))?;
    cluster.kill_postgres(0)?;
    verdict(&run(&cluster, &["detach", "0", "p"])?, 0);
    cluster.await_summary(&["0 down standby", "1 attached standby", "2 attached standby"])?;
    cluster.promote_postgres(1)?;

    let promoted = json(&cluster, &["promote", &cluster.address(1), &cluster.address(0)])?;
    assert_eq!(promoted["exit_code"], 0, "{promoted}");
    assert_eq!(promoted["pgpools"][0]["changes"], serde_json::json!(["detach 1", "attach 1"]), "{promoted}");
    assert!(promoted["verdict"].as_str().is_some_and(|verdict| verdict.contains("down: node 0")), "{promoted}");
    cluster.await_summary(&["0 down standby", "1 attached primary", "2 attached standby"])
}
