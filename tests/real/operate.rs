//! Recovery, switchover, reload and stop of real Pgpools, by the command line.

use std::io::ErrorKind;
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use pcp_tests::{Cluster, Output, Pgpool, Session, Settings, Version, wait_until};
use serde_json::{Value, json};

use crate::support::{HEALTHY, add_recovery_functions, command, json, run, verdict};

for_each_version!(
    a_recovery_is_followed_to_its_end,
    a_switchover_ends_with_a_primary_and_its_followers_or_says_what_is_wrong,
    what_a_reload_changed_is_read_back,
    a_watchdog_cluster_is_reloaded_as_a_whole,
    a_stop_is_verified_by_a_closed_port,
    a_stop_of_a_watchdog_cluster_tells_the_truth_of_each_member,
);

/// Where there is this file, Pgpool's failover_command promotes.
const PROMOTES: &str = "/var/lib/pcp-tests/promotes";

/// Runs `pcpctl` on the Pgpool's own address: Docker's proxy in front of it accepts connections for a dead one too.
fn direct(cluster: &Cluster, args: &[&str]) -> Result<Output> {
    let address = cluster.pgpool().pcp_address().to_string();
    command(&[args, &["-h", &address]].concat()).to(cluster).run()
}

fn a_recovery_is_followed_to_its_end(version: Version) -> Result<()> {
    let settings = Settings::default().set("recovery_user", "postgres").set("recovery_1st_stage_command", "first");
    let cluster = Cluster::start(version, settings)?;
    let up = run(&cluster, &["recover", "2", "--yes"])?;
    assert!(verdict(&up, 7).contains("has to be detached first"), "{up:?}");
    verdict(&run(&cluster, &["detach", "2"])?, 0);
    let alive = run(&cluster, &["recover", "2", "--yes"])?;
    assert!(verdict(&alive, 7).contains("answers, and recovery would replace its data"), "{alive:?}");

    let planned = run(&cluster, &["recover", "2", "--dry-run", "--force"])?;
    verdict(&planned, 0);
    assert!(planned.stdout.contains("by recovery_1st_stage_command first"), "{planned:?}");

    let failed = run(&cluster, &["recover", "2", "--yes", "--force"])?;
    assert!(
        verdict(&failed, 7).starts_with("2 is NOT recovered: recovering a node: refused: ERROR: "),
        "{failed:?}"
    );

    // What the scripts would do by ssh is done here while they wait: the node's data is copied anew from the primary.
    add_recovery_functions(&cluster)?;
    let primary = cluster.node(0)?;
    primary.add_script("first", "touch /tmp/asked; until [ -e /tmp/copied ]; do sleep 0.1; done")?;
    primary.add_script("pgpool_remote_start", "true")?;
    cluster.kill_postgres(2)?;
    let recovery = command(&["recover", "2", "--yes", "-o", "json"]).to(&cluster).spawn()?;
    wait_until("the script to run", Duration::from_secs(30), || {
        ensure!(primary.host().exec(["test", "-e", "/tmp/asked"])?.success());
        Ok(())
    })?;
    cluster.rebuild_as_standby(2, 0)?;
    ensure!(primary.host().exec(["touch", "/tmp/copied"])?.success());
    let recovered = recovery.wait(Duration::from_secs(60))?;
    let recovered: Value = serde_json::from_str(&recovered.stdout).with_context(|| format!("{recovered:?}"))?;
    assert_eq!((&recovered["exit_code"], &recovered["verified"]), (&json!(0), &json!(true)), "{recovered}");
    assert_eq!(recovered["pgpools"][0]["nodes"][0]["before"], json!({"status": "down", "role": "standby"}));
    cluster.await_summary(&HEALTHY)
}

fn a_switchover_ends_with_a_primary_and_its_followers_or_says_what_is_wrong(version: Version) -> Result<()> {
    let promote = "psql -X -h %H -p 5433 -U postgres -c \"SELECT pg_promote()\"";
    let settings = Settings::default()
        .set("failover_command", format!("test ! -e {PROMOTES} || {promote}"))
        .set("sr_check_period", 2);
    let cluster = Cluster::start(version, settings)?;
    if version == Version::V4_1 {
        let refused = run(&cluster, &["switchover", "1", "--yes"])?;
        assert!(verdict(&refused, 7).contains("a switchover needs Pgpool 4.3 or later"), "{refused:?}");
        return cluster.await_summary(&HEALTHY);
    }

    // Nothing is promoted: Pgpool gives up after its search of 3 s.
    let failed = run(&cluster, &["switchover", "1", "--yes"])?;
    assert!(verdict(&failed, 8).contains("THERE IS NO PRIMARY"), "{failed:?}");
    assert!(failed.elapsed < Duration::from_secs(30), "{failed:?}");
    verdict(&run(&cluster, &["attach", "0", "p"])?, 0);
    cluster.await_summary(&HEALTHY)?;

    // Only of a node that Pgpool shows to replicate before can be told whether it does so afterwards.
    wait_until("Pgpool to look at replication", Duration::from_secs(30), || {
        let shown = json(&cluster, &["show", "node", "2"])?;
        ensure!(shown["pgpools"][0]["node"]["replication_state"] == "streaming", "{shown}");
        Ok(())
    })?;
    cluster.pgpool().host().exec(["touch", PROMOTES])?;
    let switchover = command(&["switchover", &cluster.address(1), "--yes"]).to(&cluster).spawn()?;
    wait_until("node 1 to be promoted", Duration::from_secs(30), || {
        ensure!(!cluster.node(1)?.is_in_recovery()?);
        Ok(())
    })?;
    cluster.follow(2, 1)?;
    let output = switchover.wait(Duration::from_secs(130))?;
    let said = verdict(&output, 0);
    assert!(said.starts_with(&format!("{} is the primary: read back; node 0", cluster.address(1))), "{output:?}");
    cluster.await_summary(&["0 down standby", "1 attached primary", "2 attached standby"])?;
    let again = run(&cluster, &["switchover", "1", "--yes"])?;
    assert_eq!(verdict(&again, 0), "1 is the primary already");

    // Nobody makes node 1 follow node 2.
    let output = run(&cluster, &["switchover", "2", "--yes", "--deadline", "15s"])?;
    assert!(verdict(&output, 0).contains("is the primary: read back"), "there is no other follower: {output:?}");
    Ok(())
}

fn what_a_reload_changed_is_read_back(version: Version) -> Result<()> {
    let mut settings = Settings::default();
    if version >= Version::V4_6 {
        settings = settings.set("logging_collector", "on").set("log_directory", "/var/lib/pcp-tests/log");
        settings = settings.set("memory_cache_enabled", "on");
    }
    let cluster = Cluster::start(version, settings)?;
    let script = "echo \"log_connections = on\" >>/var/lib/pcp-tests/pgpool.conf";
    let written = cluster.pgpool().host().exec(["sh", "-c", script])?;
    ensure!(written.success(), "{written:?}");
    if version == Version::V4_1 {
        let refused = run(&cluster, &["reload"])?;
        assert!(verdict(&refused, 7).contains("needs Pgpool 4.2 or later"), "{refused:?}");
        return cluster.await_summary(&HEALTHY);
    }
    let reloaded = json(&cluster, &["reload", "--expect", "log_connections=on"])?;
    assert_eq!(reloaded["verified"], true, "{reloaded}");
    let changed = json!([{"name": "log_connections", "before": "0", "after": "1"}]);
    assert_eq!(reloaded["pgpools"][0]["changed"], changed, "{reloaded}");
    let unmet = run(&cluster, &["reload", "--expect", "log_connections=off", "--deadline", "3s"])?;
    assert!(verdict(&unmet, 8).contains("log_connections to be \"off\", but Pgpool shows \"1\""), "{unmet:?}");
    let alone = run(&cluster, &["reload", "--scope", "cluster"])?;
    assert!(verdict(&alone, 7).contains("use_watchdog is off"), "{alone:?}");
    for verb in ["rotate-log", "invalidate-cache"] {
        let told = run(&cluster, &[verb])?;
        if version >= Version::V4_6 {
            assert!(verdict(&told, 0).starts_with("Pgpool accepted"), "{told:?}");
        } else {
            assert!(verdict(&told, 7).contains("needs Pgpool 4.6 or later"), "{told:?}");
        }
    }
    Ok(())
}

fn a_stop_is_verified_by_a_closed_port(version: Version) -> Result<()> {
    let cluster = Cluster::start(version, Settings::default())?;
    let planned = direct(&cluster, &["stop-pgpool", "--dry-run"])?;
    assert!(planned.stdout.contains("0 clients are connected to it"), "{planned:?}");

    let session = Session::open(cluster.pgpool().sql_address(), "postgres")?;
    let planned = direct(&cluster, &["stop-pgpool", "--dry-run"])?;
    assert!(planned.stdout.contains("1 client is connected to it"), "{planned:?}");
    let smart = direct(&cluster, &["stop-pgpool", "--yes", "--deadline", "3s"])?;
    assert!(verdict(&smart, 8).contains("clients that are still connected hold up a smart stop"), "{smart:?}");
    drop(session);
    wait_until("the last client to be gone", Duration::from_secs(30), || {
        ensure!(direct(&cluster, &["show", "nodes"])?.code == Some(4));
        Ok(())
    })?;

    for mode in ["smart", "fast", "immediate"] {
        cluster.start_pgpool()?;
        let stopped = direct(&cluster, &["stop-pgpool", "--yes", "--mode", mode])?;
        assert_eq!(verdict(&stopped, 0), "stopped: nobody listens any more on the PCP port of 1 Pgpool", "{mode}");
        verdict(&direct(&cluster, &["is-primary", "0"])?, 4);
    }
    Ok(())
}

fn a_watchdog_cluster_is_reloaded_as_a_whole(version: Version) -> Result<()> {
    let cluster = Cluster::start(version, Settings::default().watchdog())?;
    let member = cluster.pgpool().pcp_address().to_string();
    let reloaded = command(&["reload", "--scope", "cluster", "-h", &member]).to(&cluster).run()?;
    if version == Version::V4_1 {
        verdict(&reloaded, 7);
    } else {
        assert!(verdict(&reloaded, 0).starts_with("Pgpool accepted the reload"), "{reloaded:?}");
    }
    Ok(())
}

fn a_stop_of_a_watchdog_cluster_tells_the_truth_of_each_member(version: Version) -> Result<()> {
    if version == Version::V4_1 {
        let cluster = Cluster::start(version, Settings::default())?;
        let refused = direct(&cluster, &["stop-pgpool", "--yes", "--scope", "cluster"])?;
        verdict(&refused, 7);
        return cluster.await_summary(&HEALTHY);
    }
    let cluster = Cluster::start(version, Settings::default().watchdog())?;
    let hosts: Vec<_> = cluster.pgpools().map(Pgpool::pcp_address).collect();
    let named = hosts.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let stop = |args: &[&str]| {
        command(&[&["stop-pgpool", "--scope", "cluster", "-h", &named], args].concat()).to(&cluster).run()
    };
    let planned = stop(&["--dry-run"])?;
    assert!(planned.stdout.contains("EVERY member of the watchdog cluster is STOPPED: "), "{planned:?}");
    let stopped = stop(&["--yes", "--mode", "fast", "--deadline", "20s"])?;
    // A member was seen to hang in its shutdown, with its port open and nobody to accept: that is told of it, and of no
    // other.
    assert!(matches!(stopped.code, Some(0 | 8 | 10)), "{stopped:?}");
    let told = stopped.stdout.lines().next().filter(|_| stopped.code != Some(0)).unwrap_or_default();
    for host in hosts.into_iter().filter(|host| !told.contains(&host.to_string())) {
        let refused = TcpStream::connect_timeout(&host, Duration::from_secs(3)).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused, "{host}: {stopped:?}");
    }
    Ok(())
}
