//! Several Pgpools, those that are dead or starting, and the hooks beside it.

use std::fs;

use anyhow::{Result, ensure};
use pcp_client::sandbox::Fault;
use pcp_tests::wait_until;
use serde_json::{Value, json};

use super::{Host, PATIENCE, changes, desired, first_line, shown};
use crate::support::{Pgpool, Refusing, logged_in};

#[test]
fn a_dead_pgpool_neither_hides_the_other_nor_is_hidden() -> Result<()> {
    let alive = Pgpool::start()?;
    let refusing = Refusing::new()?;
    let dead = refusing.address;
    let host = Host::new("dead")?;
    let hosts = format!("{dead},{}", alive.endpoint());
    for (require, code) in [(&[][..], 10), (&["--require", "any"], 0)] {
        assert_eq!(alive.run(&["detach", "2"])?.code, Some(0));
        let output = host.to_be("10.0.0.1 primary, 10.0.0.3 standby", &[&["-h", &hosts], require].concat())?;
        assert_eq!(output.code, Some(code), "{output:?}");
        assert_eq!(shown(&alive), "0=up/primary 1=up/standby 2=up/standby");
        let verdict = first_line(&output);
        assert!(verdict.contains(&format!("{dead}: ")) && verdict.contains("Connection refused"), "{output:?}");
        let begin = if code == 0 { "reconciled: 2 nodes are as " } else { "NOT reconciled on 1 of 2 Pgpools: " };
        assert!(verdict.starts_with(begin), "{output:?}");
        assert!(verdict.contains("10.0.0.3 attached as a standby"), "{output:?}");
        let file = host.dir.file("json.json", &desired("10.0.0.1 primary"), 0o644)?;
        let args = [&["--desired", &file, "-h", &hosts, "-o", "json", "--deadline", "1s"][..], require].concat();
        let output = host.reconcile(&args).run()?;
        let document: Value = serde_json::from_str(&output.stdout)?;
        let verified = document["pgpools"].as_array().map(|pgpools| pgpools.iter().map(|one| &one["verified"]));
        assert_eq!(verified.map(Vec::from_iter), Some(vec![&json!(false), &json!(true)]), "{document}");
        assert_eq!(document["verified"], json!(code == 0), "{document}");
    }
    Ok(())
}

#[test]
fn a_pgpool_that_is_starting_is_waited_for() -> Result<()> {
    let other = Pgpool::start()?;
    for (name, others) in [("alone", None), ("among-others", Some(&other))] {
        let host = Host::new(&format!("starting-{name}"))?;
        let log = host.dir.path().join("log").display().to_string();
        let config = host.dir.file("debug.toml", "[log]\nlevel = \"debug\"\n", 0o644)?;
        let file = host.dir.file("desired.json", &desired("10.0.0.3 detached"), 0o644)?;
        let directory = host.dir.path().display().to_string();
        let hosts = others.map_or_else(|| directory.clone(), |other| format!("{directory},{}", other.endpoint()));
        let args = ["reconcile", "--config", &config, "--desired", &file, "-h", &hosts, "--log-file", &log];
        let run = logged_in(&args).spawn()?;
        wait_until("the first attempt", PATIENCE, || {
            ensure!(fs::read_to_string(&log)?.contains("cannot look"), "not yet");
            Ok(())
        })?;
        let pgpool = Pgpool::start_unix(host.dir.path())?;
        let output = run.wait(PATIENCE)?;
        assert_eq!((output.code, changes(&pgpool)), (Some(0), vec!["D".to_owned()]), "{output:?}");
    }
    Ok(())
}

#[test]
fn a_run_that_changes_nothing_waits_for_no_hook() -> Result<()> {
    let pgpool = Pgpool::start()?;
    let host = Host::new("no-lock")?;
    pgpool.sandbox.fault(Fault::NeverSalt);
    let hook = logged_in(&["detach", "9", "-h", &pgpool.endpoint()]).spawn()?;
    wait_until("the hook to connect", PATIENCE, || {
        ensure!(pgpool.sandbox.connections() == 1, "no connection yet");
        Ok(())
    })?;
    let output = host.to_be("10.0.0.3 standby", &["-v", "-h", &pgpool.endpoint()])?;
    assert_eq!(output.code, Some(0), "{output:?}");
    assert!(!output.stderr.contains("another pcpctl"), "{output:?}");
    hook.signal("KILL")?;
    Ok(())
}
