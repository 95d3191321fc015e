//! As EFM's custom monitor, how often, and as a rehearsal.

use std::fs;

use anyhow::{Result, ensure};
use pcp_tests::wait_until;
use serde_json::{Value, json};

use super::{AS_IT_IS, FAILED_OVER, Host, PATIENCE, changes, fail_over, first_line, status};
use crate::support::{Pgpool, Refusing, logged_in};

#[test]
fn a_monitor_always_exits_with_zero_and_says_what_is_wrong() -> Result<()> {
    let pgpool = Pgpool::start()?;
    let host = Host::new("monitor")?;
    let endpoint = pgpool.endpoint();
    let refusing = Refusing::new()?;
    let dead = refusing.address.to_string();
    let none = host.dir.file("none.toml", "[efm]\ncluster = \"c\"\ncommand = \"/nonexistent/efm\"\n", 0o644)?;
    let broken = host.dir.file("broken.toml", "port = none\n", 0o644)?;
    let isolated = status("10.0.0.2 Primary UP");
    host.tells(&isolated, &isolated)?;
    for (args, reason) in [
        (&["--efm", "-h", &*endpoint][..], "no majority"),
        (&["--efm", "-h", &endpoint, "--dry-run"], "no majority"),
        (&["--efm", "--config", &none], "there is no efm command"),
        (&["--efm", "--config", &broken], "broken.toml:1"),
        (&["--efm", "--no-such-option"], "unexpected argument"),
        (&["--desired", "/nonexistent"], "/nonexistent"),
        (&[], "required"),
    ] {
        let config: &[&str] = if args.contains(&"--config") { &[] } else { &["--config", &host.config] };
        let args = [&["reconcile", "--monitor", "--jitter", "0"], config, args].concat();
        let output = logged_in(&args).run()?;
        assert_eq!(output.code, Some(0), "{output:?}");
        assert!(output.stdout.contains(reason), "{reason}: {output:?}");
        let without: Vec<_> = args.into_iter().filter(|arg| *arg != "--monitor").collect();
        assert_ne!(logged_in(&without).run()?.code, Some(0), "{without:?}");
    }
    let wanted = "10.0.0.1 primary";
    let output = host.to_be(wanted, &["--monitor", "--jitter", "0", "-h", &dead, "--deadline", "2"])?;
    assert!(output.code == Some(0) && first_line(&output).starts_with("NOT reconciled"), "{output:?}");
    Ok(())
}

#[test]
fn a_monitor_that_hangs_or_is_ended_exits_with_zero_as_well() -> Result<()> {
    let pgpool = Pgpool::start()?;
    let host = Host::new("hangs")?;
    let endpoint = pgpool.endpoint();
    let started = host.dir.path().join("started");
    let hang = format!("#!/bin/sh\n: >{}\nexec /bin/sleep 60\n", started.display());
    let hang = host.dir.file("hang", &hang, 0o755)?;
    let config = format!("[efm]\ncluster = \"main\"\ncommand = \"{hang}\"\n");
    let config = host.dir.file("hang.toml", &config, 0o644)?;
    for (monitor, code) in [(&[][..], 143), (&["--monitor", "--jitter", "0"], 0)] {
        let _none_yet = fs::remove_file(&started);
        let args = [&["reconcile", "--efm", "--config", &config, "-h", &endpoint], monitor].concat();
        let run = logged_in(&args).spawn()?;
        wait_until("EFM to be asked", PATIENCE, || {
            ensure!(started.exists(), "not yet");
            Ok(())
        })?;
        run.signal("TERM")?;
        let output = run.wait(PATIENCE)?;
        assert_eq!(output.code, Some(code), "{output:?}");
        assert!(output.stdout.contains("ended before it was verified"), "{output:?}");
    }
    // The file never ends: the guard does.
    let fifo = host.dir.path().join("fifo");
    ensure!(std::process::Command::new("mkfifo").arg(&fifo).status()?.success());
    let fifo = fifo.display().to_string();
    for (monitor, code) in [(&[][..], 8), (&["--monitor"], 0)] {
        let args = [&["reconcile", "--deadline", "1", "--desired", &fifo], monitor].concat();
        assert_eq!(logged_in(&args).run()?.code, Some(code));
    }
    Ok(())
}

#[test]
fn a_change_soon_after_another_is_put_off() -> Result<()> {
    let pgpool = Pgpool::start()?;
    let host = Host::new("interval")?;
    let endpoint = pgpool.endpoint();
    let run = |nodes: &str, more: &[&str]| host.to_be(nodes, &[&["-h", &endpoint, "--jitter", "0"], more].concat());
    let limited = &["--min-interval", "1h"];
    // There is nothing yet to wait for, and what changes nothing does not count.
    assert_eq!(run("10.0.0.3 standby", limited)?.code, Some(0));
    assert_eq!(run("10.0.0.3 detached", limited)?.code, Some(0));
    for (more, code) in
        [(&["--min-interval", "1h"][..], 8), (&["--monitor"], 0), (&["--dry-run", "--min-interval", "1h"], 8)]
    {
        let output = run("10.0.0.3 standby", more)?;
        assert_eq!(output.code, Some(code), "{output:?}");
        assert!(first_line(&output).contains("put off: a reconcile on this host changed something "), "{output:?}");
        if !more.contains(&"--dry-run") {
            assert!(first_line(&output).ends_with("; 10.0.0.3 is NOT attached as a standby"), "{output:?}");
        }
    }
    assert_eq!(changes(&pgpool), ["D"]);
    assert_eq!(run("10.0.0.3 detached", limited)?.code, Some(0));
    assert_eq!(run("10.0.0.3 standby", &[])?.code, Some(0));
    // Where it cannot be kept, that is logged.
    let output = run("10.0.0.3 detached", &["--state-dir", "/proc/none", "-v"])?;
    assert_eq!(output.code, Some(0), "{output:?}");
    assert!(output.stderr.contains("cannot keep when this changed something"), "{output:?}");
    Ok(())
}

#[test]
fn a_dry_run_tells_what_is_wrong_and_changes_nothing() -> Result<()> {
    let pgpool = Pgpool::start()?;
    let host = Host::new("dry")?;
    fail_over(&pgpool);
    host.tells(&status(FAILED_OVER), &status(FAILED_OVER))?;
    let endpoint = pgpool.endpoint();
    let output = host.reconcile(&["--efm", "--dry-run", "-h", &endpoint]).run()?;
    assert_eq!(output.code, Some(0), "{output:?}");
    assert_eq!(
        first_line(&output),
        "DRY RUN: nothing was changed; 2 of 3 nodes are not as EFM says; a run would end with exit code 0"
    );
    assert!(output.stdout.contains("\n10.0.0.1 is to be detached\n"), "{output:?}");
    assert!(output.stdout.contains("first: detach 0; sessions dropped: all"), "{output:?}");
    assert!(host.was_asked() && changes(&pgpool).is_empty(), "{output:?}");
    host.tells(&status(FAILED_OVER), &status(AS_IT_IS))?;
    assert_eq!(host.reconcile(&["--efm", "--dry-run", "-h", &endpoint]).run()?.code, Some(7));

    // As a run ends.
    assert_eq!(host.to_be("10.0.0.9 standby, 10.0.0.3 standby", &["-h", &endpoint])?.code, Some(6));
    let unknown =
        host.to_be("10.0.0.9 standby, 10.0.0.3 standby", &["--dry-run", "-o", "json", "-h", &endpoint])?;
    assert_eq!(unknown.code, Some(6), "{unknown:?}");
    let document: Value = serde_json::from_str(&unknown.stdout)?;
    assert_eq!(document["nodes"][0]["node"], json!("10.0.0.9"));
    assert_eq!(document["nodes"][0]["pgpools"][0]["exit_code"], json!(6));
    assert_eq!(document["nodes"].as_array().map(Vec::len), Some(1));
    Ok(())
}
