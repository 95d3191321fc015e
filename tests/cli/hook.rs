//! Verdicts, exit codes, JSON.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use pcp_client::sandbox::{Fault, World};
use pcp_proto::message::NodeStatus;
use pcp_tests::{Output, Pcpctl};
use serde_json::{Value, json};

use crate::support::{Dir, Pgpool, Refusing, logged_in};
use crate::terminal::Terminal;

fn first_line(output: &Output) -> &str {
    output.stdout.lines().next().unwrap_or_default()
}

#[test]
fn the_first_line_is_the_verdict_and_failures_are_on_stderr_too() -> Result<()> {
    let pgpool = Pgpool::start()?;
    let detached = pgpool.run(&["detach", "10.0.0.3", "s"])?;
    assert_eq!((detached.code, &*detached.stderr), (Some(0), ""), "{detached:?}");
    assert_eq!(first_line(&detached), "10.0.0.3 is detached: verified on 1 Pgpool");
    assert!(
        detached.stdout.contains("node 2 (10.0.0.3:5432)  up standby -> down standby  [detach 2]"),
        "{detached:?}"
    );

    let unknown = pgpool.run(&["detach", "10.0.0.4"])?;
    assert_eq!(unknown.code, Some(6));
    assert!(first_line(&unknown).contains("10.0.0.4 is NOT detached"), "{unknown:?}");
    assert_eq!(unknown.stderr, format!("pcpctl detach: {}\n", first_line(&unknown)));
    Ok(())
}

#[test]
fn a_terminal_shows_a_failure_once() -> Result<()> {
    let (mut terminal, theirs) = Terminal::open()?;
    let status = Command::new(env!("CARGO_BIN_EXE_pcpctl-under-test"))
        .env_clear()
        .args(["detach", "10.0.0.4", "-h", "127.0.0.1:1"])
        .stdin(Stdio::null())
        .stdout(theirs.try_clone()?)
        .stderr(theirs)
        .status()?;
    assert_eq!(status.code(), Some(3));
    let shown = terminal.read_to_end();
    assert_eq!(shown.matches("10.0.0.4 is NOT known to be detached").count(), 1, "{shown:?}");
    Ok(())
}

#[test]
fn quiet_hides_success_only() -> Result<()> {
    let pgpool = Pgpool::start()?;
    let output = pgpool.run(&["detach", "2", "-q"])?;
    assert_eq!((output.code, &*output.stdout, &*output.stderr), (Some(0), "", ""));
    let output = pgpool.run(&["detach", "7", "-q"])?;
    assert!(output.code == Some(6) && output.stdout.contains("NOT detached"), "{output:?}");
    Ok(())
}

#[test]
fn json_carries_everything() -> Result<()> {
    let pgpool = Pgpool::start()?;
    let output = pgpool.run(&["detach", "10.0.0.3", "-o", "json"])?;
    let mut document: Value = serde_json::from_str(&output.stdout).with_context(|| format!("{output:?}"))?;
    let pgpools = document["pgpools"].as_array_mut().context("no Pgpools")?;
    assert!(pgpools[0]["elapsed_ms"].take().as_f64().is_some());
    let asked = pgpools[0]["asked"].take();
    assert_eq!(asked[0], "BHHHD");
    assert_eq!(asked[1], "HHH");
    assert_eq!(
        document,
        json!({
            "schema_version": 1,
            "command": "detach",
            "node": "10.0.0.3",
            "exit_code": 0,
            "verified": true,
            "verdict": "10.0.0.3 is detached: verified on 1 Pgpool",
            "pgpools": [{
                "endpoint": pgpool.endpoint(),
                "exit_code": 0,
                "verified": true,
                "error": null,
                "node": {"id": 2, "host": "10.0.0.3", "port": 5432},
                "before": {"status": "up", "role": "standby"},
                "after": {"status": "down", "role": "standby"},
                "changes": ["detach 2"],
                "others_down": [],
                "left_down": [],
                "held": [],
                "remarks": [],
                "asked": null,
                "elapsed_ms": null,
            }],
        })
    );
    Ok(())
}

#[test]
fn one_dead_pgpool_of_two_is_a_partial_success() -> Result<()> {
    let alive = Pgpool::start()?;
    // A port that nobody listens on: bound, so that nobody else gets it, and never accepting.
    let refusing = Refusing::new()?;
    let dead = refusing.address;
    let hosts = format!("{dead},{}", alive.endpoint());
    let output = logged_in(&["detach", "2", "-h", &hosts]).run()?;
    assert_eq!(output.code, Some(10), "{output:?}");
    assert!(first_line(&output).contains(&format!("2 is NOT detached on 1 of 2 Pgpools: {dead}: ")), "{output:?}");
    assert_eq!(alive.sandbox.with(|world| world.show_pool_nodes()), "0=up/primary 1=up/standby 2=down/standby");
    let routes = "a Pgpool that is not verified may still send sessions to the node";
    assert!(first_line(&output).ends_with(routes), "{output:?}");
    let primary = logged_in(&["detach", "0", "-h", &hosts, "--deadline", "3s"]).run()?;
    let writes = "a Pgpool that is not verified may still write to the node";
    assert!(primary.code == Some(10) && first_line(&primary).ends_with(writes), "{primary:?}");

    let show = logged_in(&["show", "nodes", "-h", &hosts]).run()?;
    assert_eq!(show.code, Some(10), "{show:?}");
    assert!(show.stdout.contains("10.0.0.3:5432") && show.stderr.contains("Connection refused"), "{show:?}");
    Ok(())
}

#[test]
fn as_many_pgpools_as_are_required_are_enough() -> Result<()> {
    let alive = Pgpool::start()?;
    let refusing = Refusing::new()?;
    let dead = refusing.address;
    let hosts = format!("{dead},{}", alive.endpoint());
    let dir = Dir::new("require")?;
    let config = dir.file("pcpctl.toml", "require = \"any\"\n", 0o644)?;
    for (require, code) in
        [(&["--require", "any"][..], 0), (&["--config", &config], 0), (&["--require", "quorum"], 10)]
    {
        let output = logged_in(&[&["detach", "2", "-h", &hosts][..], require].concat()).run()?;
        assert_eq!(output.code, Some(code), "{output:?}");
        assert!(output.stdout.contains(&dead.to_string()), "{output:?}");
        let expected =
            logged_in(&[&["detach", "1", "--dry-run", "--deadline", "2s", "-h", &hosts][..], require].concat())
                .run()?;
        assert_eq!(expected.code, Some(code), "{expected:?}");
    }
    Ok(())
}

#[test]
fn a_dry_run_changes_nothing() -> Result<()> {
    let pgpool = Pgpool::start()?;
    pgpool.run(&["detach", "2", "--dry-run"])?;
    assert_eq!(pgpool.sandbox.with(|world| world.show_pool_nodes()), "0=up/primary 1=up/standby 2=up/standby");
    // With the old primary there will be two nodes that somebody has to look after.
    assert_eq!(pgpool.run(&["detach", "2"])?.code, Some(0));
    pgpool.sandbox.with(|world| world.promote_postgres(1));
    let expected = pgpool.run(&["attach", "1", "p", "--dry-run"])?;
    assert!(expected.code == Some(10) && expected.stdout.contains("would leave down node 0, 2"), "{expected:?}");
    assert_eq!(pgpool.run(&["attach", "1", "p"])?.code, Some(10));
    Ok(())
}

#[test]
fn a_signal_ends_a_run_with_its_own_code() -> Result<()> {
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let pgpool = Pgpool::start()?;
        for _ in 0..20 {
            pgpool.sandbox.fault(Fault::NeverSalt);
        }
        let hook = logged_in(&["detach", "2", "-h", &pgpool.endpoint()]).spawn()?;
        pcp_tests::wait_until("the hook to connect", Duration::from_secs(10), || {
            anyhow::ensure!(pgpool.sandbox.connections() > 0, "no connection yet");
            Ok(())
        })?;
        hook.signal(signal)?;
        let output = hook.wait(Duration::from_secs(5))?;
        assert_eq!(output.code, Some(code), "{output:?}");
        assert!(first_line(&output).contains("ended before it was verified"), "{output:?}");
    }
    Ok(())
}

#[test]
fn a_signal_takes_nothing_from_as_many_pgpools_as_are_required() -> Result<()> {
    for (require, code) in [("any", 0), ("all", 143)] {
        let (verified, silent) = (Pgpool::start()?, Pgpool::start()?);
        verified.sandbox.with(|world| world.node_mut(2).unwrap().status = NodeStatus::Down);
        (0..20).for_each(|_| silent.sandbox.fault(Fault::NeverSalt));
        let hosts = format!("{},{}", verified.endpoint(), silent.endpoint());
        let hook = logged_in(&["detach", "10.0.0.3", "--require", require, "-h", &hosts]).spawn()?;
        pcp_tests::wait_until("one Pgpool to be read", Duration::from_secs(10), || {
            let is_read = verified.sandbox.requests().len() > 3 && verified.sandbox.open_connections() == 0;
            anyhow::ensure!(is_read && silent.sandbox.connections() > 0, "not yet");
            Ok(())
        })?;
        hook.signal("TERM")?;
        let output = hook.wait(Duration::from_secs(5))?;
        assert_eq!(output.code, Some(code), "{require}: {output:?}");
        assert!(first_line(&output).contains("ended before it was verified"), "{output:?}");
    }
    Ok(())
}

#[test]
fn what_did_not_come_about_is_said_with_what_may_come_of_it() -> Result<()> {
    let (pgpool, refusing) = (Pgpool::start()?, Refusing::new()?);
    let dead = refusing.address.to_string();
    let both = format!("{},{dead}", pgpool.endpoint());
    for (verb, danger) in [
        ("detach 10.0.0.3", "may still send sessions to the node"),
        ("attach 10.0.0.3", "may not use the node"),
        ("attach 10.0.0.1 p", "may still write to the old primary"),
    ] {
        let args: Vec<_> = verb.split(' ').chain(["--settle", "0s", "--deadline", "2s", "-h"]).collect();
        let (both, alone) = (logged_in(&args).args([&both]).run()?, logged_in(&args).args([&dead]).run()?);
        let (both, alone) = (first_line(&both).to_owned(), first_line(&alone).to_owned());
        assert!(both.contains(&format!(" on 1 of 2 Pgpools: {dead}: nothing was changed: ")), "{both}");
        assert!(both.ends_with(&format!("; a Pgpool that is not verified {danger}")), "{both}");
        assert!(alone.contains(&format!(": {dead}: nothing was changed: ")) && !alone.contains(danger), "{alone}");
    }
    let args = ["detach", "10.0.0.3", "--deadline", "2s", "-o", "json", "-h", &dead];
    let document: Value = serde_json::from_str(&logged_in(&args).run()?.stdout)?;
    let elapsed = document["pgpools"][0]["elapsed_ms"].as_f64().context("no time")?;
    assert!((1500.0..60_000.0).contains(&elapsed), "it waits for a Pgpool that may be starting: {document}");
    Ok(())
}

#[test]
fn a_pipe_that_nobody_reads_does_not_outlast_the_deadline() -> Result<()> {
    let pgpool = Pgpool::start()?;
    let dir = Dir::new("full-pipe")?;
    let fifo = full_pipe(&dir)?;
    let path = dir.path().join("fifo").display().to_string();
    let config = dir.file("pcpctl.toml", "deadline = \"1s\"\n", 0o644)?;
    for limit in [&["--deadline", "1s"][..], &["--config", &config]] {
        for stream in ["2", "1"] {
            let program = env!("CARGO_BIN_EXE_pcpctl-under-test");
            let script = format!("exec \"$0\" \"$@\" {stream}>\"$FIFO\"");
            let endpoint = pgpool.endpoint();
            let log = dir.path().join("log").display().to_string();
            let hook = Pcpctl::new("/bin/sh")
                .args(["-c", &script, program, "detach", "2", "-v", "-h", &endpoint, "--log-file", &log])
                .args(limit)
                .env("PCP_USER", World::USER)
                .env("PCP_PASSWORD", World::PASSWORD)
                .env("FIFO", &path);
            assert_eq!(hook.run()?.code, Some(8), "{limit:?} {stream}");
        }
    }
    drop(fifo);
    Ok(())
}

/// Makes a pipe `fifo` that takes nothing more while what is returned is there.
fn full_pipe(dir: &Dir) -> Result<File> {
    let path = dir.path().join("fifo");
    let made = Command::new("mkfifo").arg(&path).status()?;
    anyhow::ensure!(made.success(), "mkfifo: {made}");
    let mut fifo = OpenOptions::new().read(true).write(true).open(&path)?;
    // What a pipe holds where nobody changed it.
    fifo.write_all(&[b'.'; 65536])?;
    Ok(fifo)
}

#[test]
fn text_of_a_server_cannot_steer_the_terminal() -> Result<()> {
    let pgpool = Pgpool::start()?;
    pgpool.sandbox.with(|world| {
        if let Some(node) = world.node_mut(1) {
            node.host = "evil\u{1b}[2J\u{202e}".to_owned();
        }
    });
    for args in [&["show", "nodes"][..], &["detach", "9"]] {
        let output = pgpool.run(args)?;
        assert!(output.stdout.contains("evil\\u{1b}[2J\\u{202e}"), "{output:?}");
        assert!(!output.stderr.contains('\u{1b}'), "{output:?}");
    }
    Ok(())
}

#[test]
fn the_drill_reads_back_every_step() -> Result<()> {
    for age in ["3.5", "4.1", "4.7"] {
        let output = crate::support::bare(&["sandbox", "drill", "--age", age]).run()?;
        assert_eq!(output.code, Some(0), "{output:?}");
        for step in ["detach 10.0.0.1", "attach 10.0.0.2 p", "attach 10.0.0.1 s"] {
            assert!(output.stdout.contains(&format!("$ pcpctl {step}\n")), "{output:?}");
        }
        assert!(output.stdout.contains("Every state was read back."), "{output:?}");
    }
    Ok(())
}

/// Success is for a state that was read back: a hook that could not even begin has none.
#[test]
fn without_descriptors_nothing_is_said_to_be_verified() -> Result<()> {
    let pgpool = Pgpool::start()?;
    let program = env!("CARGO_BIN_EXE_pcpctl-under-test");
    for args in [&["detach", "2"][..], &["reconcile", "--desired", "/dev/null"], &["show", "nodes"]] {
        let script = "ulimit -n 4; exec \"$0\" \"$@\" -h \"$ENDPOINT\"";
        let shell = Pcpctl::new("/bin/sh").args(["-c", script, program]).args(args);
        let shell = shell.env("PCP_USER", World::USER).env("PCP_PASSWORD", World::PASSWORD);
        let output = shell.env("ENDPOINT", pgpool.endpoint()).run()?;
        assert_eq!(output.code, Some(4), "{output:?}");
        assert!(output.stderr.contains("cannot start: Too many open files"), "{output:?}");
        assert!(!output.stdout.contains("verified"), "{output:?}");
    }
    assert_eq!(pgpool.sandbox.with(|world| world.show_pool_nodes()), "0=up/primary 1=up/standby 2=up/standby");
    Ok(())
}
