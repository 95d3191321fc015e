//! The harness itself: what the other tests take for granted.

use std::collections::BTreeSet;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use pcp_tests::{Cluster, Pgpool, PoolNode, Settings, Version, wait_until};

for_oldest_and_newest!(
    a_cluster_starts_and_can_be_broken,
    roles_can_change_hands,
    three_pgpools_form_a_watchdog,
    commands_run_on_a_host_as_by_docker_exec,
);

fn a_cluster_starts_and_can_be_broken(version: Version) -> Result<()> {
    let cluster = Cluster::start(version, Settings::default())?;

    let nodes = cluster.pool_nodes()?;
    let hostnames: Vec<&str> = nodes.iter().map(|node| &*node.hostname).collect();
    assert_eq!(hostnames, [cluster.address(0), cluster.address(1), cluster.address(2)]);
    assert_eq!(cluster.pgpool().sql("SHOW pool_version")?.split(' ').next(), Some(version.pgpool()));

    // Swallowed packets: silence, not refusal; and only at that node.
    assert_eq!(connect(&cluster, 2)?, "connected");
    cluster.swallow_packets(2)?;
    assert_eq!(connect(&cluster, 2)?, "no answer");
    assert_eq!(connect(&cluster, 1)?, "connected");
    cluster.restore_packets(2)?;
    assert_eq!(connect(&cluster, 2)?, "connected");

    // A paused host still accepts (its kernel does), but no server answers there.
    let paused = cluster.node(2)?.host();
    paused.pause()?;
    assert_eq!(connect(&cluster, 2)?, "connected");
    paused.unpause()?;
    assert_eq!(cluster.node(2)?.sql("SELECT 1")?, "1");

    // A killed Pgpool comes back on the same ports, a stopped one too.
    let ports = (cluster.pcp_port(), cluster.sql_port());
    cluster.kill_pgpool()?;
    assert!(cluster.pool_nodes().is_err());
    cluster.start_pgpool()?;
    cluster.stop_pgpool()?;
    assert!(cluster.pool_nodes().is_err());
    cluster.start_pgpool()?;
    cluster.await_summary(&["0 attached primary", "1 attached standby", "2 attached standby"])?;
    assert_eq!((cluster.pcp_port(), cluster.sql_port()), ports);
    Ok(())
}

fn roles_can_change_hands(version: Version) -> Result<()> {
    let cluster = Cluster::start(version, Settings::default().set("search_primary_node_timeout", 1))?;

    cluster.kill_postgres(0)?;
    assert_eq!(connect(&cluster, 0)?, "refused");
    cluster.promote_postgres(1)?;
    assert!(!cluster.node(1)?.is_in_recovery()?);
    cluster.follow(2, 1)?;
    cluster.rebuild_as_standby(0, 1)?;
    assert!(cluster.node(0)?.is_in_recovery()?);
    cluster.node(1)?.sql("CREATE TABLE kept AS SELECT 42 AS answer")?;
    for standby in [0, 2] {
        wait_until("the new primary's table to arrive", Duration::from_secs(10), || {
            let answer = cluster.node(standby)?.sql("SELECT answer FROM kept")?;
            ensure!(answer == "42", "{answer:?}");
            Ok(())
        })?;
    }

    // A Pgpool that starts anew finds the roles by itself.
    cluster.kill_pgpool()?;
    cluster.start_pgpool()?;
    cluster.await_summary(&["0 attached standby", "1 attached primary", "2 attached standby"])?;

    // A host without power falls silent and comes back at its old address; PostgreSQL's data was in memory.
    let host = cluster.node(2)?.host();
    host.power_off()?;
    assert_eq!(connect(&cluster, 2)?, "no answer");
    host.power_on()?;
    assert_eq!(connect(&cluster, 2)?, "refused");
    assert!(cluster.start_postgres(2).is_err());
    cluster.rebuild_as_standby(2, 1)?;
    assert_eq!(cluster.node(2)?.sql("SELECT answer FROM kept")?, "42");
    let status: Vec<bool> = cluster.pool_nodes()?.iter().map(PoolNode::is_attached).collect();
    assert_eq!(status, [true; 3]);
    Ok(())
}

fn three_pgpools_form_a_watchdog(version: Version) -> Result<()> {
    let cluster = Cluster::start(version, Settings::default().watchdog())?;
    assert_eq!(cluster.pgpools().count(), 3);
    let ports: BTreeSet<u16> = cluster.pgpools().map(Pgpool::pcp_port).collect();
    assert_eq!(ports.len(), 3);

    // The two that are left keep the quorum and serve.
    cluster.kill_pgpool()?;
    for pgpool in cluster.pgpools().skip(1) {
        pgpool.await_summary(&["0 attached primary", "1 attached standby", "2 attached standby"])?;
    }
    Ok(())
}

fn commands_run_on_a_host_as_by_docker_exec(version: Version) -> Result<()> {
    let cluster = Cluster::start(version, Settings::default())?;
    let host = cluster.node(2)?.host();

    let environment = host.exec(["env"])?.stdout;
    let environment: BTreeSet<&str> = environment.lines().collect();
    let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    assert_eq!(environment, BTreeSet::from(["HOME=/root", "HOSTNAME=node2", path, "TZ=UTC"]));
    assert_eq!(host.exec(["sh", "-c", "pwd; id -u; cat; tty"])?.stdout, "/\n0\nnot a tty\n");
    assert_eq!(host.exec(["sh", "-c", "exit 3"])?.code, Some(3));
    assert_eq!(host.exec(["sh", "-c", "kill -KILL $$"])?.code, Some(128 + 9));
    assert_eq!(host.exec(["no-such-program"])?.code, Some(127));
    let long = host.exec(["sh", "-c", "head -c 1000000 /dev/zero | tr '\\0' a | tee /dev/stderr"])?;
    assert!(long.stdout == "a".repeat(1_000_000) && long.stderr == long.stdout, "{} bytes", long.stdout.len());

    // Each end of the pipe waits for the other.
    assert!(host.exec(["mkfifo", "/tmp/pipe"])?.success());
    thread::scope(|scope| {
        let read = scope.spawn(|| host.exec(["cat", "/tmp/pipe"]));
        host.exec(["sh", "-c", "echo met >/tmp/pipe"])?;
        assert_eq!(read.join().unwrap()?.stdout, "met\n");
        anyhow::Ok(())
    })?;

    // A paused host refuses at once. Nothing that was used before the pause is left behind it.
    host.pause()?;
    let refused = format!("{:#}", host.exec(["true"]).unwrap_err());
    assert!(refused.contains("is paused"), "{refused}");
    host.unpause()?;
    wait_until("the shells of before to end", Duration::from_secs(10), || {
        let shells = host.exec(["pgrep", "--exact", "--count", "sh"])?.stdout;
        ensure!(shells == "1\n", "{shells:?}");
        Ok(())
    })?;
    assert_eq!(cluster.node(2)?.sql("SELECT 1")?, "1");

    // A host without power refuses too, and a command that runs when that goes ends with it.
    let cut_off = thread::scope(|scope| {
        let sleep = scope.spawn(|| host.exec(["sh", "-c", "echo begun; touch /tmp/begun; sleep 50"]));
        wait_until("it to run", Duration::from_secs(10), || {
            ensure!(host.exec(["test", "-e", "/tmp/begun"])?.success());
            Ok(())
        })?;
        host.power_off()?;
        anyhow::Ok(format!("{:#}", sleep.join().unwrap().unwrap_err()))
    })?;
    assert!(cut_off.contains(r#"was cut off; stdout so far: "begun\n""#), "{cut_off}");
    let refused = format!("{:#}", host.exec(["true"]).unwrap_err());
    assert!(refused.contains("is not running"), "{refused}");
    host.power_on()?;
    assert!(host.exec(["true"])?.success());
    Ok(())
}

/// Connects from Pgpool's host to a node's PostgreSQL port, and tells how that ends within a second.
fn connect(cluster: &Cluster, node: usize) -> Result<&'static str> {
    let start = Instant::now();
    let script = format!("exec 3<>/dev/tcp/{}/5433", cluster.address(node));
    let output = cluster.pgpool().host().exec(["timeout", "1", "bash", "-c", &script])?;
    match output.code {
        Some(0) => Ok("connected"),
        Some(124) => Ok("no answer"),
        _ if output.stderr.contains("refused") => Ok("refused"),
        // The neighbour table gives up on a host without power at about this time.
        _ if output.stderr.contains("No route to host") => Ok("no answer"),
        code => anyhow::bail!("exit {code:?} after {:?}: {}", start.elapsed(), output.stderr),
    }
}
