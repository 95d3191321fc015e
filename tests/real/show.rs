//! `show` and `is-primary` tell what Pgpool tells by SQL.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use pcp_tests::{Cluster, Session, Settings, Version, wait_until};
use serde_json::Value;

use crate::support::{json, run, verdict};

for_each_version!(show_nodes_agrees_with_sql, a_dead_host_hides_only_itself, show_watchdog_says_when_it_is_off);

for_each_version!(a_watchdog_cluster_is_shown_and_changed_as_one, what_people_ask_for_is_told_by_every_version);

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

fn a_watchdog_cluster_is_shown_and_changed_as_one(version: Version) -> Result<()> {
    let cluster = Cluster::start(version, Settings::default().watchdog())?;
    let hosts: Vec<_> = cluster.pgpools().map(|pgpool| format!("127.0.0.1:{}", pgpool.pcp_port())).collect();
    let hosts = hosts.join(",");

    let document = json(&cluster, &["show", "watchdog", "-h", &hosts])?;
    assert_eq!(document["exit_code"], 0, "{document}");
    let pgpools = document["pgpools"].as_array().context("no Pgpools")?;
    assert_eq!(pgpools.len(), 3);
    for (index, pgpool) in pgpools.iter().enumerate() {
        assert_eq!((&pgpool["quorum"], &pgpool["alive_node_count"]), (&"exists".into(), &2.into()), "{document}");
        let members = pgpool["members"].as_array().context("no members")?;
        assert_eq!(members.iter().filter(|member| member["state"] == 4).count(), 1, "one leads: {document}");
        assert_eq!(members.iter().filter(|member| member["state"] == 7).count(), 2, "{document}");
        // The one that is asked comes first; its id is its own since 4.2, and 0 before.
        assert_eq!(members[0]["id"], if version == Version::V4_1 { 0 } else { index });
    }

    // All three are told at once; the watchdog tells each of them as well.
    let output = run(&cluster, &["detach", &cluster.address(2), "-h", &hosts])?;
    assert!(verdict(&output, 0).ends_with("is detached: verified on 3 Pgpools"), "{output:?}");
    for pgpool in cluster.pgpools() {
        pgpool.await_summary(&["0 attached primary", "1 attached standby", "2 down standby"])?;
    }
    let output = run(&cluster, &["attach", &cluster.address(2), "s", "-h", &hosts])?;
    verdict(&output, 0);
    for pgpool in cluster.pgpools() {
        pgpool.await_summary(&["0 attached primary", "1 attached standby", "2 attached standby"])?;
    }
    Ok(())
}

fn what_people_ask_for_is_told_by_every_version(version: Version) -> Result<()> {
    let cluster = Cluster::start(version, Settings::default().set("num_init_children", 4).set("max_pool", 2))?;
    let _session = Session::open(cluster.pgpool().sql_address(), "postgres")?;
    // The harness's own SQL may not have left yet.
    wait_until("the one session", Duration::from_secs(20), || {
        let document = json(&cluster, &["show", "processes"])?;
        let summary = &document["pgpools"][0]["summary"];
        ensure!(summary["sessions"] == 1, "{document}");
        for (name, expected) in [("children", 4), ("num_init_children", 4), ("free", 3), ("pool_slots", 8)] {
            ensure!(summary[name] == expected, "{name}: {document}");
        }
        let child = &document["pgpools"][0]["processes"][0];
        let status = if version == Version::V4_1 { "connected" } else { "idle" };
        ensure!(child["status"] == status, "{document}");
        let pools = child["pools"].as_array().context("no pools")?;
        let pool = pools.iter().find(|pool| pool["connected"] == true).context("none is in use")?;
        ensure!(pool["database"] == "postgres" && pool["user"] == "postgres", "{document}");
        ensure!(pool["backends"].as_array().is_some_and(|backends| backends.len() == 3), "{document}");
        let statements = pool["backends"].as_array().context("no backends")?.iter();
        let statements: Vec<_> = statements.map(|backend| &backend["statement"]).collect();
        ensure!((version == Version::V4_7) == statements.contains(&&Value::from("SELECT 1")), "{document}");
        Ok(())
    })?;

    let health = run(&cluster, &["show", "health"])?;
    if version == Version::V4_1 {
        assert_eq!(health.code, Some(7), "{health:?}");
        assert!(health.stderr.contains("needs Pgpool 4.2 or later"), "{health:?}");
    } else {
        assert!(health.stdout.contains("health_check_period is 0: 0, 1, 2"), "{health:?}");
    }
    let node = json(&cluster, &["show", "node", &cluster.address(1)])?;
    assert_eq!(node["pgpools"][0]["node"]["replication_state"], "streaming", "{node}");
    assert_eq!(node["pgpools"][0]["settings"]["backend_application_name"], "node1", "{node}");
    assert_eq!(node["pgpools"][0]["health"]["total_count"].is_null(), version == Version::V4_1, "{node}");

    let config = json(&cluster, &["show", "config", "num_init*", "*password*"])?;
    let parameters = config["pgpools"][0]["parameters"].as_array().context("no parameters")?;
    let value = |name: &str| parameters.iter().find(|parameter| parameter["name"] == name);
    assert_eq!(value("num_init_children").map(|parameter| &parameter["value"]), Some(&"4".into()), "{config}");
    // 4.1 lists a password that is set.
    let secrets: Vec<_> = parameters.iter().filter(|parameter| parameter["hidden"] == true).collect();
    assert_eq!(secrets.len(), usize::from(version == Version::V4_1), "{config}");
    assert!(secrets.iter().all(|secret| secret["value"].is_null()), "{config}");
    Ok(())
}
