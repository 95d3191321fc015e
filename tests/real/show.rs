//! `show` and `is-primary` tell what Pgpool tells by SQL.

use anyhow::{Context, Result};
use pcp_tests::{Cluster, Settings, Version};
use serde_json::Value;

use crate::support::{json, run, verdict};

for_each_version!(show_nodes_agrees_with_sql, a_dead_host_hides_only_itself, show_watchdog_says_when_it_is_off);

fn show_nodes_agrees_with_sql(version: Version) -> Result<()> {
    let cluster = Cluster::start(version, Settings::default())?;
    verdict(&run(&cluster, &["detach", "2"])?, 0);
    cluster.await_summary(&["0 attached primary", "1 attached standby", "2 down standby"])?;
    let document = json(&cluster, &["show", "nodes"])?;
    let shown = document["pgpools"][0]["nodes"].as_array().context("no nodes")?;
    let listed = cluster.pool_nodes()?;
    assert_eq!(shown.len(), listed.len());
    for (shown, listed) in shown.iter().zip(&listed) {
        assert_eq!(shown["id"], listed.id);
        assert_eq!(shown["host"], listed.hostname.as_str());
        assert_eq!(shown["port"], listed.port);
        assert_eq!(shown["role"], listed.role.as_str());
        assert_eq!(shown["attached"], listed.is_attached());
        assert_eq!(shown["status"] == "down", listed.status == "down");
        let weight = shown["weight"].as_f64().context("no weight")?;
        let expected: f64 = listed.columns["lb_weight"].parse()?;
        assert!((weight - expected).abs() < 1e-3, "{shown}");
        assert_eq!(shown["replication_delay_bytes"], 0);
        assert!(
            shown["last_status_change_unix_seconds"].as_i64().is_some_and(|time| time > 1_600_000_000),
            "{shown}"
        );
        assert_eq!(shown["error"], Value::Null);
        // PostgreSQL's own state is told since 4.3, and unknown without health checks; quarantine since 4.3.1.
        let new = version != Version::V4_1;
        assert_eq!(shown["pg_status"], if new { Value::from("unknown") } else { Value::Null });
        assert_eq!(shown["quarantine"], if new { Value::from(false) } else { Value::Null });
    }
    assert_eq!(shown[1]["replication_state"], "streaming");

    let table = run(&cluster, &["show", "nodes"])?;
    assert!(verdict(&table, 0).starts_with("ID"), "{table:?}");
    assert_eq!(table.stdout.lines().count(), 4, "{table:?}");

    assert_eq!(run(&cluster, &["is-primary", &cluster.address(0)])?.code, Some(0));
    assert_eq!(run(&cluster, &["is-primary", "1"])?.code, Some(1));
    assert_eq!(run(&cluster, &["is-primary", "9"])?.code, Some(6));
    Ok(())
}

fn a_dead_host_hides_only_itself(version: Version) -> Result<()> {
    let settings = Settings::default().set("health_check_period", 1000).set("health_check_max_retries", 100);
    let cluster = Cluster::start(version, settings)?;
    cluster.swallow_packets(2)?;
    let document = json(&cluster, &["show", "nodes", "--deadline", "4s"])?;
    let nodes = &document["pgpools"][0]["nodes"];
    for id in 0..3 {
        assert_eq!(nodes[id]["attached"], true, "{document}");
    }
    assert_eq!(nodes[2]["role"], "standby");
    if version == Version::V4_1 {
        assert_eq!(nodes[2]["error"], Value::Null);
    } else {
        assert_eq!((&nodes[0]["pg_status"], &nodes[0]["pg_role"]), (&Value::from("up"), &Value::from("primary")));
        assert_eq!(nodes[1]["pg_role"], "standby");
        assert!(nodes[2]["error"].as_str().is_some_and(|error| error.contains("in time")), "{document}");
    }
    Ok(())
}

fn show_watchdog_says_when_it_is_off(version: Version) -> Result<()> {
    let cluster = Cluster::start(version, Settings::default())?;
    let output = run(&cluster, &["show", "watchdog"])?;
    assert_eq!(output.code, Some(7), "{output:?}");
    assert!(output.stderr.contains("is not enabled"), "{output:?}");
    Ok(())
}
