//! `doctor` on Pgpools that are set up by docs/efm.md, and on some that are not.

use anyhow::{Context, Result};
use pcp_tests::{Cluster, Settings, Version};
use serde_json::Value;

use crate::support::{json, run};

for_each_version!(a_pgpool_set_up_by_the_guide_has_nothing_to_mend, what_works_against_hooks_is_found);

for_each_version!(a_watchdog_cluster_has_nothing_to_mend_when_all_its_members_are_named);

/// What docs/efm.md says, where the defaults of the harness are not that.
fn guide(version: Version) -> Settings {
    match version {
        Version::V4_1 => Settings::default(),
        _ => Settings::default().set("failover_on_backend_shutdown", "off"),
    }
}

/// The findings of that severity, as they are seen.
fn seen(document: &Value, severity: &str) -> Result<Vec<String>> {
    let findings = document["findings"].as_array().context("no findings")?;
    let findings = findings.iter().filter(|finding| finding["severity"] == severity);
    Ok(findings.filter_map(|finding| Some(finding["seen"].as_str()?.to_owned())).collect())
}

fn a_pgpool_set_up_by_the_guide_has_nothing_to_mend(version: Version) -> Result<()> {
    let cluster = Cluster::start(version, guide(version))?;
    let addresses = [0, 1, 2].map(|node| cluster.address(node));
    let addresses: Vec<_> = addresses.iter().map(String::as_str).collect();
    let before = cluster.pool_nodes()?;
    let output = run(&cluster, &[&["doctor"], &addresses[..]].concat())?;
    assert_eq!(output.code, Some(0), "{output:?}");
    assert!(output.stdout.starts_with("nothing to mend: 0 CRITICAL, 0 WARNING, "), "{output:?}");
    for (id, address) in addresses.iter().enumerate() {
        assert!(output.stdout.contains(&format!("OK        {address} is node {id} ")), "{output:?}");
    }
    let summaries = |nodes: &[pcp_tests::PoolNode]| nodes.iter().map(|node| node.summary()).collect::<Vec<_>>();
    assert_eq!(summaries(&cluster.pool_nodes()?), summaries(&before), "it changes nothing");
    Ok(())
}

fn what_works_against_hooks_is_found(version: Version) -> Result<()> {
    let mut settings = guide(version)
        .set("backend_flag2", "DISALLOW_TO_FAILOVER")
        .set("failover_on_backend_error", "on")
        .set("failover_command", "/bin/true")
        .set("failback_command", "/bin/true")
        .set("follow_primary_command", "/bin/false %d")
        .set("health_check_period", 1000)
        .set("auto_failback", "on")
        .set("detach_false_primary", "on")
        .set("search_primary_node_timeout", 300);
    if version != Version::V4_1 {
        settings = settings.set("failover_on_backend_shutdown", "on");
    }
    let cluster = Cluster::start(version, settings)?;
    let document = json(&cluster, &["doctor", &cluster.address(1), "192.0.2.1"])?;
    assert_eq!(document["exit_code"], 1, "{document}");
    let node = cluster.address(2);
    let critical = seen(&document, "CRITICAL")?;
    for expected in [
        &format!("backend_flag2 is DISALLOW_TO_FAILOVER (node 2, {node}:5433)"),
        "failover_command is '/bin/true'",
        "Pgpool has no node 192.0.2.1",
    ] {
        assert!(critical.iter().any(|seen| seen.starts_with(expected)), "{expected}: {critical:?}");
    }
    let warnings = seen(&document, "WARNING")?;
    let follow = if version == Version::V4_1 { "follow_master_command" } else { "follow_primary_command" };
    let follow = format!("{follow} is '/bin/false %d'");
    let mut expected = vec![
        "failover_on_backend_error is on",
        "failback_command is '/bin/true'",
        &follow,
        "health_check_period is 1000",
        "auto_failback is on",
        "detach_false_primary is on",
        "search_primary_node_timeout is 300",
    ];
    if version != Version::V4_1 {
        expected.push("failover_on_backend_shutdown is on");
    }
    for expected in &expected {
        assert!(warnings.iter().any(|seen| seen.starts_with(expected)), "{expected}: {warnings:?}");
    }
    assert_eq!((critical.len(), warnings.len()), (3, expected.len()), "{document}");

    // The line to write for the flag is the cure for what a hook ends with.
    let refused = run(&cluster, &["detach", "2"])?;
    assert_eq!(refused.code, Some(7), "{refused:?}");
    Ok(())
}

fn a_watchdog_cluster_has_nothing_to_mend_when_all_its_members_are_named(version: Version) -> Result<()> {
    let cluster = Cluster::start(version, guide(version).watchdog())?;
    let hosts: Vec<_> = cluster.pgpools().map(|pgpool| format!("127.0.0.1:{}", pgpool.pcp_port())).collect();
    let all = json(&cluster, &["doctor", &cluster.address(0), "-h", &hosts.join(",")])?;
    assert_eq!(all["exit_code"], 0, "{all}");
    let two = json(&cluster, &["doctor", &cluster.address(0), "-h", &hosts[..2].join(",")])?;
    assert_eq!(two["exit_code"], 1, "{two}");
    let warnings = seen(&two, "WARNING")?;
    assert!(matches!(&warnings[..], [one] if one.ends_with("was not asked")), "{two}");
    Ok(())
}
