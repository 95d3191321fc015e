//! A failover from end to end: what EFM decides is what Pgpool shows.

use std::time::Duration;

use anyhow::{Result, ensure};
use pcp_proto::RequestKind;
use pcp_tests::{Cluster, Proxy, Settings, Version, wait_until};

use crate::support::{HEALTHY, command, json, run, verdict};

for_each_version!(
    a_failover_and_the_return_of_the_old_primary,
    a_promotion_after_the_search_ended,
    a_hook_that_is_told_to_end_attaches_what_it_set_down,
    the_last_node_is_kept_while_its_postgresql_answers,
    a_standby_is_not_made_the_primary_before_it_is_promoted,
    a_late_promotion_is_made_known_however_long_a_search_takes,
);

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

/// Nobody was promoted, and the hook is told to end while a node is detached to be attached again.
fn a_hook_that_is_told_to_end_attaches_what_it_set_down(version: Version) -> Result<()> {
    let cluster = Cluster::start(version, Settings::default().set("search_primary_node_timeout", 1))?;
    cluster.kill_postgres(0)?;
    verdict(&run(&cluster, &["detach", "0", "p"])?, 0);
    cluster.await_summary(&["0 down standby", "1 attached standby", "2 attached standby"])?;

    let proxy = Proxy::start(cluster.pgpool().pcp_address())?;
    let port = proxy.port().to_string();
    let hook = command(&["attach", "1", "p", "-p", &port]).to(&cluster).spawn()?;
    wait_until("the hook to detach the node", Duration::from_secs(30), || {
        let asked = proxy.asked();
        ensure!(asked.iter().flatten().any(|kind| *kind == RequestKind::DETACH_NODE), "{asked:?}");
        Ok(())
    })?;
    hook.signal("TERM")?;
    let output = hook.wait(Duration::from_secs(20))?;
    assert!(verdict(&output, 143).contains("ended before it was verified"), "{output:?}");
    cluster.await_summary(&["0 down standby", "1 attached standby", "2 attached standby"])
}

fn the_last_node_is_kept_while_its_postgresql_answers(version: Version) -> Result<()> {
    let cluster = Cluster::start(version, Settings::default())?;
    verdict(&run(&cluster, &["detach", "1"])?, 0);
    verdict(&run(&cluster, &["detach", "2"])?, 0);
    let last = cluster.address(0);
    let kept = run(&cluster, &["detach", &last, "p"])?;
    assert!(verdict(&kept, 7).contains("the last one that is up, and its PostgreSQL answers"), "{kept:?}");
    cluster.await_summary(&["0 attached primary", "1 down standby", "2 down standby"])?;
    cluster.kill_postgres(0)?;
    verdict(&run(&cluster, &["detach", &last, "p"])?, 0);
    Ok(())
}

/// From 4.3 on Pgpool itself can tell whether a node is in recovery, with health checks on.
fn a_standby_is_not_made_the_primary_before_it_is_promoted(version: Version) -> Result<()> {
    let cluster = Cluster::start(version, Settings::default().set("health_check_period", 5))?;
    let dry = run(&cluster, &["attach", "1", "p", "--dry-run"])?;
    if version == Version::V4_1 {
        // It cannot tell: who calls is believed.
        assert!(dry.stdout.contains("first: detach 0, which holds the role of the primary"), "{dry:?}");
        return Ok(());
    }
    assert!(dry.stdout.contains("to end its recovery"), "{dry:?}");
    let output = run(&cluster, &["attach", "1", "p", "--deadline", "6s"])?;
    assert!(verdict(&output, 8).contains("to end its recovery"), "{output:?}");
    cluster.await_summary(&HEALTHY)?;

    // The promotion comes while the hook waits.
    let hook = command(&["attach", "1", "p"]).to(&cluster).spawn()?;
    cluster.promote_postgres(1)?;
    verdict(&hook.wait(Duration::from_secs(60))?, 0);
    cluster.await_summary(&["0 down standby", "1 attached primary", "2 attached standby"])
}

/// The search lasts longer than any hook: with the promoted node itself down, Pgpool would take up nothing else.
fn a_late_promotion_is_made_known_however_long_a_search_takes(version: Version) -> Result<()> {
    let cluster = Cluster::start(version, Settings::default().set("search_primary_node_timeout", 1))?;
    cluster.kill_postgres(0)?;
    verdict(&run(&cluster, &["detach", "0", "p"])?, 0);
    cluster.await_summary(&["0 down standby", "1 attached standby", "2 attached standby"])?;
    cluster.pgpool().set("search_primary_node_timeout", 300)?;
    cluster.promote_postgres(1)?;
    let promoted = json(&cluster, &["promote", &cluster.address(1), &cluster.address(0)])?;
    assert_eq!(promoted["exit_code"], 0, "{promoted}");
    assert_eq!(promoted["pgpools"][0]["changes"], serde_json::json!(["detach 2", "attach 2"]), "{promoted}");
    cluster.await_summary(&["0 down standby", "1 attached primary", "2 attached standby"])
}
