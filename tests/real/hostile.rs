//! What a hook says when it cannot do its work.

use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use anyhow::{Result, ensure};
use pcp_proto::RequestKind;
use pcp_tests::{Cluster, PCP_PASSWORD, PCP_USER, Proxy, Settings, Version, wait_until};

use crate::support::{HEALTHY, command, pcp_process, run, verdict};

for_each_version!(
    a_wrong_password_is_named,
    a_stopped_pgpool_is_unreachable,
    silence_after_a_change_is_an_unknown_outcome,
    a_protected_node_is_refused,
    a_pgpool_that_somebody_elses_connection_freezes_is_said_to_be,
);

fn a_wrong_password_is_named(version: Version) -> Result<()> {
    let cluster = Cluster::start(version, Settings::default())?;
    for args in [
        &["detach", "2"][..],
        &["attach", "2", "s"],
        &["promote", "1", ""],
        &["show", "nodes"],
        &["is-primary", "0"],
    ] {
        let output = command(args).to(&cluster).env("PCP_PASSWORD", "not-the-password").run()?;
        assert_eq!(output.code, Some(5), "{args:?}: {output:?}");
        assert!(output.stderr.contains("authentication failed for user \"pcpadmin\""), "{args:?}: {output:?}");
        assert!(!output.stderr.contains("not-the-password"), "{args:?}: {output:?}");
    }
    let output = command(&["detach", "2"]).to(&cluster).env("PCP_USER", "nobody").run()?;
    assert!(verdict(&output, 5).contains("authentication failed for user \"nobody\""), "{output:?}");
    cluster.await_summary(&HEALTHY)
}

fn a_stopped_pgpool_is_unreachable(version: Version) -> Result<()> {
    let cluster = Cluster::start(version, Settings::default())?;
    cluster.stop_pgpool()?;
    // The published port accepts and closes, for Docker listens there; Pgpool's own refuses.
    let refusing = cluster.pgpool().pcp_address().to_string();
    for args in [&["show", "nodes"][..], &["show", "nodes", "-h", &refusing]] {
        let show = run(&cluster, args)?;
        assert_eq!(show.code, Some(4), "{show:?}");
        assert!(show.elapsed < Duration::from_secs(8), "show waited: {show:?}");
    }
    let refused = command(&["detach", "2", "-h", &refusing]).to(&cluster).run()?;
    assert!(verdict(&refused, 4).contains("Connection refused"), "{refused:?}");
    assert!(refused.elapsed >= Duration::from_secs(10), "a change is tried for 10 s: {refused:?}");
    let detach = run(&cluster, &["detach", "2"])?;
    let verdict = verdict(&detach, 4);
    assert!(verdict.contains("nothing was changed"), "{verdict}");
    assert!(detach.elapsed >= Duration::from_secs(10), "a change is tried for 10 s: {detach:?}");
    Ok(())
}

fn silence_after_a_change_is_an_unknown_outcome(version: Version) -> Result<()> {
    let cluster = Cluster::start(version, Settings::default())?;
    let proxy = Proxy::silent_after(cluster.pgpool().pcp_address(), RequestKind::DETACH_NODE)?;
    let output =
        command(&["detach", "2", "--deadline", "3s", "-p", &proxy.port().to_string()]).to(&cluster).run()?;
    let verdict = verdict(&output, 8);
    assert!(verdict.contains("NOT detached"), "{verdict}");
    assert!(output.elapsed < Duration::from_secs(4), "deadline plus one second: {output:?}");
    // It was carried out all the same, and the next run finds that.
    let again = run(&cluster, &["detach", "2"])?;
    assert_eq!(again.code, Some(0), "{again:?}");
    Ok(())
}

/// Before 4.5 Pgpool waits for every PCP connection to close about a second after a change.
fn a_pgpool_that_somebody_elses_connection_freezes_is_said_to_be(version: Version) -> Result<()> {
    let cluster = Cluster::start(version, Settings::default())?;
    let idle = TcpStream::connect(cluster.pgpool().pcp_address())?;
    verdict(&run(&cluster, &["detach", "2"])?, 0);
    let process = pcp_process(&cluster)?;
    if version < Version::V4_6 {
        // Frozen for good: the salt does not come any more.
        wait_until("Pgpool to freeze", Duration::from_secs(20), || {
            let show = run(&cluster, &["show", "nodes", "--deadline", "2s"])?;
            ensure!(show.code == Some(4), "{show:?}");
            Ok(())
        })?;
        let frozen = run(&cluster, &["attach", "2", "s", "--deadline", "8s"])?;
        assert!(verdict(&frozen, 4).contains("somebody else's PCP connection stayed open"), "{frozen:?}");
    } else {
        wait_until("Pgpool to replace its PCP process", Duration::from_secs(20), || {
            ensure!(pcp_process(&cluster)? != process, "not yet");
            Ok(())
        })?;
    }
    drop(idle);
    verdict(&run(&cluster, &["attach", "2", "s"])?, 0);
    cluster.await_summary(&HEALTHY)
}

fn a_protected_node_is_refused(version: Version) -> Result<()> {
    let cluster = Cluster::start(version, Settings::default().set("backend_flag2", "DISALLOW_TO_FAILOVER"))?;
    let output = run(&cluster, &["detach", "2"])?;
    let verdict = verdict(&output, 7);
    assert!(verdict.contains("backend_flag2 in pgpool.conf is DISALLOW_TO_FAILOVER"), "{verdict}");
    cluster.await_summary(&HEALTHY)
}

/// No Pgpool is needed for this: the server accepts and says nothing.
#[test]
fn a_silent_server_is_left_by_the_deadline() -> Result<()> {
    let server = TcpListener::bind(("127.0.0.1", 0))?;
    let port = server.local_addr()?.port().to_string();
    for verb in [&["detach", "2"][..], &["attach", "2", "s"], &["promote", "1"], &["show", "nodes"]] {
        let output = command(verb)
            .args(["-h", "127.0.0.1", "-p", &port, "--deadline", "2s"])
            .env("PCP_USER", PCP_USER)
            .env("PCP_PASSWORD", PCP_PASSWORD)
            .run()?;
        assert_eq!(output.code, Some(4), "{verb:?}: {output:?}");
        assert!(output.elapsed >= Duration::from_secs(2), "{verb:?}: {output:?}");
        assert!(output.elapsed < Duration::from_secs(3), "deadline plus one second: {verb:?}: {output:?}");
    }
    Ok(())
}
