//! Attach and detach change a real Pgpool, and prove it.

#![expect(clippy::print_stdout, reason = "figures for whoever reads the log")]

use std::time::Duration;

use anyhow::{Context, Result};
use pcp_client::{Client, Connect, Connector, Deadline, Endpoint, ErrorKind, Limits};
use pcp_proto::message::{NodeCount, ReadNodeCount};
use pcp_proto::{Credentials, RequestKind};
use pcp_tests::{Cluster, PCP_PASSWORD, PCP_USER, Proxy, Settings, Version};
use serde_json::json;

use crate::support::{HEALTHY, command, json, run, verdict};

for_each_version!(
    detach_and_attach_are_verified_and_idempotent,
    nodes_that_do_not_exist_are_refused_before_anything_is_sent,
    no_request_on_the_hooks_path_makes_pgpool_connect_to_a_backend,
    other_clients_connect_while_a_change_is_verified,
    a_change_waits_for_a_pgpool_that_starts,
);

fn detach_and_attach_are_verified_and_idempotent(version: Version) -> Result<()> {
    let cluster = Cluster::start(version, Settings::default())?;
    let address = cluster.address(2);

    let detached = json(&cluster, &["detach", &address])?;
    assert_eq!(detached["exit_code"], 0, "{detached}");
    let pgpool = &detached["pgpools"][0];
    assert_eq!(pgpool["node"]["id"], 2);
    assert_eq!(pgpool["after"], json!({"status": "down", "role": "standby"}));
    assert_eq!(pgpool["changes"], json!(["detach 2"]));
    cluster.await_summary(&["0 attached primary", "1 attached standby", "2 down standby"])?;

    let again = json(&cluster, &["detach", &address])?;
    assert_eq!((&again["exit_code"], &again["pgpools"][0]["changes"]), (&json!(0), &json!([])), "{again}");
    let text = run(&cluster, &["detach", &address, "s"])?;
    assert_eq!(verdict(&text, 0), format!("{address} is detached already: verified on 1 Pgpool"));

    let attached = json(&cluster, &["attach", &address, "s"])?;
    assert_eq!(attached["exit_code"], 0, "{attached}");
    assert_eq!(attached["pgpools"][0]["after"]["role"], "standby");
    assert_eq!(attached["pgpools"][0]["changes"], json!(["attach 2"]));
    cluster.await_summary(&HEALTHY)?;

    let again = json(&cluster, &["attach", &address])?;
    assert_eq!((&again["exit_code"], &again["pgpools"][0]["changes"]), (&json!(0), &json!([])), "{again}");

    // By the node id, and by address and port, it is the same.
    assert_eq!(json(&cluster, &["detach", "1"])?["pgpools"][0]["changes"], json!(["detach 1"]));
    let port = cluster.pool_nodes()?.first().context("no nodes")?.port;
    let named = format!("{}:{port}", cluster.address(1));
    assert_eq!(json(&cluster, &["attach", &named])?["pgpools"][0]["changes"], json!(["attach 1"]));
    cluster.await_summary(&HEALTHY)
}

fn nodes_that_do_not_exist_are_refused_before_anything_is_sent(version: Version) -> Result<()> {
    let cluster = Cluster::start(version, Settings::default())?;
    let proxy = Proxy::start(cluster.pgpool().pcp_address())?;
    let port = proxy.port().to_string();
    // Its beginning is a node's address, and it is none.
    let beginning = cluster.address(2).rsplit_once('.').context("an address has dots")?.0.to_owned();
    let another_port = format!("{}:1", cluster.address(2));
    let stranger = cluster.address(7);
    for node in ["7", "99", "127", &stranger, &another_port, &beginning] {
        for verb in ["attach", "detach", "promote"] {
            let output = command(&[verb, node, "-p", &port]).to(&cluster).run()?;
            let verdict = verdict(&output, 6);
            for id in 0..3 {
                let listed = format!("{id} = {}:", cluster.address(id));
                assert!(verdict.contains(&listed), "{verb} {node}: {verdict}");
            }
        }
    }
    let changes = [RequestKind::ATTACH_NODE, RequestKind::DETACH_NODE, RequestKind::PROMOTE_NODE];
    assert!(!proxy.asked().iter().flatten().any(|kind| changes.contains(kind)), "{:?}", proxy.asked());
    assert_eq!(run(&cluster, &["detach", "128"])?.code, Some(2));
    cluster.await_summary(&HEALTHY)
}

fn no_request_on_the_hooks_path_makes_pgpool_connect_to_a_backend(version: Version) -> Result<()> {
    let settings = Settings::default().set("health_check_period", 1000).set("health_check_max_retries", 100);
    let cluster = Cluster::start(version, settings)?;
    let proxy = Proxy::start(cluster.pgpool().pcp_address())?;
    cluster.swallow_packets(2)?;

    let output = command(&["detach", &cluster.address(2), "-p", &proxy.port().to_string()]).to(&cluster).run()?;
    verdict(&output, 0);
    // Node info connects to nothing before 4.3, and there is nothing else to ask there.
    let roles =
        if version == Version::V4_1 { RequestKind::READ_NODE_INFO } else { RequestKind::READ_HEALTH_CHECK_STATS };
    let expected = [
        RequestKind::READ_SALT,
        RequestKind::LOGIN,
        RequestKind::READ_POOL_STATUS,
        roles,
        RequestKind::DETACH_NODE,
        RequestKind::DISCONNECT,
    ];
    let asked = proxy.asked();
    assert!(asked.iter().flatten().all(|kind| expected.contains(kind)), "{asked:?}");
    // Less than Pgpool's connect_timeout: it has not tried to reach the node.
    assert!(output.elapsed < Duration::from_secs(10), "{output:?}");
    println!("{version}: detach of a node that swallows packets: {:?}", output.elapsed);
    Ok(())
}

fn other_clients_connect_while_a_change_is_verified(version: Version) -> Result<()> {
    let cluster = Cluster::start(version, Settings::default())?;
    verdict(&run(&cluster, &["detach", "2"])?, 0);
    let runtime = tokio::runtime::Runtime::new()?;
    // The state has to last this long: Pgpool replaces its PCP process meanwhile.
    let hook = command(&["attach", "2", "s", "--settle", "4s"]).to(&cluster);
    let hook = std::thread::spawn(move || hook.run());
    let mut logins = 0;
    while !hook.is_finished() {
        runtime.block_on(log_in(&cluster))?;
        logins += 1;
    }
    let output = hook.join().map_err(|_| anyhow::anyhow!("the hook's thread panicked"))??;
    verdict(&output, 0);
    assert!(output.elapsed >= Duration::from_secs(4), "{output:?}");
    println!("{version}: {logins} logins while an attach was verified");
    Ok(())
}

/// Logs in as another client would, and asks something, within a second.
async fn log_in(cluster: &Cluster) -> Result<()> {
    let endpoint = Endpoint::Tcp { host: "127.0.0.1".to_owned(), port: cluster.pcp_port() };
    let connector = Connector { endpoint, connect_timeout: Duration::from_secs(1) };
    loop {
        let deadline = Deadline::after(Duration::from_secs(1));
        let stream = connector.connect(deadline).await?;
        let credentials = Credentials::new(PCP_USER, PCP_PASSWORD.as_bytes())?;
        match Client::new(stream, credentials, Limits::new(deadline)).finish(ReadNodeCount).await {
            Ok(count) => {
                assert_eq!(count, NodeCount(3));
                return Ok(());
            }
            // In the instant in which Pgpool replaces its PCP process it may reset a connection. Silence would be a
            // freeze.
            Err(error) if error.kind() == ErrorKind::Disconnected => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn a_change_waits_for_a_pgpool_that_starts(version: Version) -> Result<()> {
    let cluster = Cluster::start(version, Settings::default())?;
    cluster.stop_pgpool()?;
    let hook = command(&["detach", "2"]).to(&cluster).spawn()?;
    cluster.start_pgpool()?;
    verdict(&hook.wait(Duration::from_secs(60))?, 0);
    cluster.await_summary(&["0 attached primary", "1 attached standby", "2 down standby"])
}
