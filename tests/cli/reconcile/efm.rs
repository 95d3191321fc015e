//! What EFM says, and when it is believed.

use std::fs;
use std::time::Duration;

use anyhow::{Result, ensure};
use pcp_client::sandbox::{Age, Fault, World};
use pcp_tests::wait_until;

use super::{AS_IT_IS, FAILED_OVER, Host, PATIENCE, changes, fail_over, first_line, shown, status};
use crate::support::{Pgpool, logged_in};

#[test]
fn what_efm_has_decided_is_brought_about_and_the_second_run_does_nothing() -> Result<()> {
    let pgpool = Pgpool::start()?;
    let host = Host::new("failover")?;
    fail_over(&pgpool);
    let endpoint = pgpool.endpoint();
    host.tells(&status(FAILED_OVER), &status(FAILED_OVER))?;
    let output = host.reconcile(&["--efm", "main", "-h", &endpoint]).run()?;
    assert_eq!(output.code, Some(0), "{output:?}");
    assert!(
        first_line(&output).starts_with("reconciled: 3 nodes are as EFM says, verified on 1 Pgpool (1 changed: "),
        "{output:?}"
    );
    assert!(first_line(&output).contains("10.0.0.1 detached"), "{output:?}");
    assert_eq!(shown(&pgpool), "0=down/standby 1=up/primary 2=up/standby");
    let connections = pgpool.sandbox.connections();
    let again = host.reconcile(&["--efm", "-h", &endpoint]).run()?;
    assert_eq!((again.code, pgpool.sandbox.connections()), (Some(0), connections + 1), "{again:?}");
    Ok(())
}

#[test]
fn a_primary_that_pgpool_does_not_find_is_believed_to_be_one_on_efm_s_word() -> Result<()> {
    let pgpool = Pgpool::start_world(
        World::new(Age::V4_7)
            .node("127.0.0.1", 1)
            .node("127.0.0.2", 1)
            .node("127.0.0.3", 1)
            .configure(|settings| settings.search_primary_node_timeout = Duration::from_secs(1)),
    )?;
    let host = Host::new("evidence")?;
    pgpool.sandbox.with(|world| world.kill_postgres(0));
    assert_eq!(pgpool.run(&["detach", "0"])?.code, Some(0));
    let told = status(FAILED_OVER).replace("10.0.0.", "127.0.0.");
    host.tells(&told, &told)?;
    let output = host.reconcile(&["--efm", "-h", &pgpool.endpoint()]).run()?;
    assert_eq!(output.code, Some(0), "{output:?}");
    assert_eq!(changes(&pgpool), ["D", "D", "C", "J", "C"], "{output:?}");
    assert_eq!(shown(&pgpool), "0=down/standby 1=up/primary 2=up/standby");
    Ok(())
}

#[test]
fn a_view_that_an_isolated_host_may_have_changes_nothing() -> Result<()> {
    let pgpool = Pgpool::start()?;
    let host = Host::new("isolated")?;
    fail_over(&pgpool);
    let good = status(FAILED_OVER);
    let missing = good.replace("\"missingnodes\":[]", "\"missingnodes\":[\"10.0.0.2\"]");
    for (first, second, reason) in [
        (status("10.0.0.1 Idle DOWN, 10.0.0.2 Standby UP, 10.0.0.3 Standby UP"), &good, "EFM shows no primary"),
        (status("10.0.0.1 Primary UP, 10.0.0.2 Primary UP, 10.0.0.3 Standby UP"), &good, "several primaries"),
        (status("10.0.0.1 Idle DOWN, 10.0.0.2 Primary UNKNOWN, 10.0.0.3 Standby UP"), &good, "10.0.0.2 as UP"),
        (status("10.0.0.1 Idle DOWN, 10.0.0.2 Primary UP, 10.0.0.3 Promoting UP"), &good, "promoting 10.0.0.3"),
        (status("10.0.0.2 Primary UP"), &good, "1 of 3 members: no majority"),
        (r#"{"nodes":{"10.0.0.2":{"type":"Primary","db":"UP"}}}"#.to_owned(), &good, "knows of 10.0.0.2 only"),
        (missing, &good, "both as a member and as missing"),
        ("The agent is not running.\n".to_owned(), &good, "told no status"),
        // The first of two views proves nothing.
        (good.clone(), &status(AS_IT_IS), "two different clusters"),
        (good.clone(), &status("10.0.0.2 Primary UP"), "no majority"),
    ] {
        host.tells(&first, second)?;
        let output = host.reconcile(&["--efm", "-h", &pgpool.endpoint()]).run()?;
        assert_eq!(output.code, Some(7), "{reason}: {output:?}");
        assert!(first_line(&output).starts_with("NOT reconciled, nothing was done: "), "{output:?}");
        assert!(first_line(&output).contains(reason), "{reason}: {output:?}");
    }
    assert!(changes(&pgpool).is_empty());
    assert_eq!(shown(&pgpool), "0=up/primary 1=up/standby 2=up/standby");
    Ok(())
}

#[test]
fn an_efm_that_cannot_be_asked_is_a_mistake_of_the_configuration() -> Result<()> {
    let host = Host::new("no-efm")?;
    let nowhere = ["/nonexistent/efm", "/nonexistent/other"];
    let none = format!("[efm]\ncluster = \"main\"\ncommand = [\"{}\", \"{}\"]\n", nowhere[0], nowhere[1]);
    let none = host.dir.file("none.toml", &none, 0o644)?;
    let unnamed = host.dir.file("unnamed.toml", "", 0o644)?;
    let useless = host.dir.file("useless", "#!/bin/sh\n", 0o644)?;
    let useless = host.dir.file("useless.toml", &format!("[efm]\ncommand = \"{useless}\"\n"), 0o644)?;
    for (args, reason) in [
        (&["--efm", "--config", &*none][..], "tried /nonexistent/efm, /nonexistent/other"),
        (&["--efm", "--config", &unnamed], "no EFM cluster is named"),
        (&["--efm", "main", "--config", &useless], "cannot be started"),
        (&["--efm", "-main", "--config", &useless], "unexpected argument"),
    ] {
        let output = logged_in(&[&["reconcile"], args].concat()).run()?;
        let code = if reason.starts_with("unexpected") { 2 } else { 3 };
        assert_eq!(output.code, Some(code), "{output:?}");
        assert!(output.stdout.contains(reason), "{output:?}");
    }
    Ok(())
}

#[test]
fn what_efm_says_after_a_hook_has_let_go_counts() -> Result<()> {
    for (later, code, changed) in [(FAILED_OVER, 0, true), (AS_IT_IS, 7, false)] {
        let pgpool = Pgpool::start()?;
        let host = Host::new(&format!("lock-{code}"))?;
        fail_over(&pgpool);
        host.tells(&status(FAILED_OVER), &status(FAILED_OVER))?;
        let log = host.dir.path().join("log").display().to_string();
        let endpoint = pgpool.endpoint();
        pgpool.sandbox.fault(Fault::NeverSalt);
        let hook = logged_in(&["detach", "9", "-h", &endpoint]).spawn()?;
        wait_until("the hook to connect", PATIENCE, || {
            ensure!(pgpool.sandbox.connections() == 1, "no connection yet");
            Ok(())
        })?;
        let run = host.reconcile(&["--efm", "-h", &endpoint, "--log-file", &log]).spawn()?;
        wait_until("the wait for the hook", PATIENCE, || {
            ensure!(fs::read_to_string(&log)?.contains("waiting for another pcpctl"), "not yet");
            Ok(())
        })?;
        host.dir.file("second", &status(later), 0o644)?;
        hook.signal("KILL")?;
        let output = run.wait(PATIENCE)?;
        assert_eq!(output.code, Some(code), "{output:?}");
        assert_eq!(!changes(&pgpool).is_empty(), changed, "{output:?}");
    }
    Ok(())
}
