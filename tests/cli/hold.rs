//! Marks for maintenance.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use pcp_tests::Output;
use serde_json::Value;

use crate::support::{Pgpool, bare, logged_in};

/// A state directory that is removed at the end.
struct StateDir(PathBuf);

impl StateDir {
    fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("pcp-tests-hold-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        Self(dir)
    }

    fn run(&self, args: &[&str]) -> Result<Output> {
        logged_in(args).env("PCPCTL_STATE_DIR", &self.0).env("USER", "alice").run()
    }
}

impl Drop for StateDir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_node_is_held_under_its_address_until_it_is_released() -> Result<()> {
    let pgpool = Pgpool::start()?;
    let endpoint = pgpool.endpoint();
    let dir = StateDir::new("address");
    let empty = dir.run(&["hold"])?;
    assert_eq!((empty.code, &*empty.stdout), (Some(0), "no node is held on this host\n"));

    let held = dir.run(&["hold", "2", "--reason", "new disk", "-h", &endpoint])?;
    assert_eq!(held.code, Some(0), "{held:?}");
    assert_eq!(held.stdout, format!("10.0.0.3:5432 is held on this host\n  node 2 on {endpoint}\n"));
    let list = dir.run(&["hold"])?;
    assert!(
        list.stdout.starts_with("1 node is held on this host\n  10.0.0.3:5432  held by alice since 2"),
        "{list:?}"
    );
    assert!(list.stdout.ends_with("Z: new disk\n"), "{list:?}");

    for (verdict, address) in [("is released on this host", "10.0.0.3"), ("is not held on this host", "2")] {
        let released = dir.run(&["release", address, "-h", &endpoint])?;
        assert_eq!(released.code, Some(0), "{released:?}");
        assert_eq!(released.stdout, format!("10.0.0.3:5432 {verdict}\n  node 2 on {endpoint}\n"));
    }
    assert_eq!(dir.run(&["hold"])?.stdout, "no node is held on this host\n");
    Ok(())
}

/// The hooks do what they are told, and nothing with a held node on the way.
#[test]
fn a_held_node_that_is_down_is_nobodys_business_and_named() -> Result<()> {
    let pgpool = Pgpool::start()?;
    let state = StateDir::new("hook");
    let endpoint = pgpool.endpoint();
    let run = |args: &[&str]| state.run(&[args, &["-h", &endpoint]].concat());
    assert_eq!(run(&["hold", "10.0.0.3"])?.code, Some(0));
    assert_eq!(run(&["detach", "10.0.0.3"])?.code, Some(0));
    pgpool.sandbox.with(|world| {
        world.kill_postgres(0);
        world.promote_postgres(1);
    });
    let held = run(&["attach", "10.0.0.2", "p"])?;
    assert_eq!(held.code, Some(0), "{held:?}");
    assert!(held.stdout.contains("; held on this host, and left as they are: node 2 (10.0.0.3:5432)"), "{held:?}");
    assert_eq!(run(&["release", "10.0.0.3"])?.code, Some(0));
    assert_eq!(run(&["attach", "10.0.0.2", "p"])?.code, Some(10));
    Ok(())
}

#[test]
fn a_node_that_no_pgpool_has_is_not_held() -> Result<()> {
    let pgpool = Pgpool::start()?;
    let dir = StateDir::new("unknown");
    for verb in ["hold", "release"] {
        let output = dir.run(&[verb, "10.0.0.4", "-h", &pgpool.endpoint()])?;
        assert_eq!((output.code, &*output.stdout), (Some(6), ""), "{output:?}");
        assert!(output.stderr.starts_with(&format!("pcpctl {verb}: Pgpool has no node 10.0.0.4")), "{output:?}");
    }
    assert!(!dir.0.exists());
    Ok(())
}

#[test]
fn without_a_pgpool_the_name_is_kept_as_typed() -> Result<()> {
    let dir = StateDir::new("typed");
    let nowhere = ["-h", "/nonexistent"];
    let held = dir.run(&[&["hold", "10.0.0.3", "--backend-port", "5444", "--for", "2h"][..], &nowhere].concat())?;
    assert_eq!(held.code, Some(0), "{held:?}");
    assert!(held.stdout.starts_with("10.0.0.3:5444 is held on this host until 2"), "{held:?}");
    assert!(held.stdout.contains("taken as typed, for no Pgpool could be asked: /nonexistent:9898: "), "{held:?}");
    for (name, released) in [("10.0.0.3:5445", false), ("10.0.0.30", false), ("::ffff:10.0.0.3", true)] {
        let output = dir.run(&[&["release", name][..], &nowhere].concat())?;
        assert_eq!((output.code, output.stdout.contains("is released")), (Some(0), released), "{output:?}");
    }
    assert_eq!(dir.run(&["hold"])?.stdout, "no node is held on this host\n");

    // Nor is a user needed.
    let held = bare(&["hold", "pg1", "--state-dir", dir.0.to_str().context("no UTF-8")?]).run()?;
    assert!(held.code == Some(0) && held.stdout.contains("could be asked: no PCP user"), "{held:?}");
    Ok(())
}

#[test]
fn a_damaged_mark_holds_and_no_release_hides_it() -> Result<()> {
    let pgpool = Pgpool::start()?;
    let endpoint = pgpool.endpoint();
    let dir = StateDir::new("damaged");
    fs::create_dir_all(dir.0.join("holds"))?;
    fs::write(dir.0.join("holds/10.0.0.3.json"), "")?;
    let list = dir.run(&["hold"])?;
    let file = dir.0.join("holds/10.0.0.3.json");
    let damaged = format!("10.0.0.3  held: its mark {} is damaged: EOF", file.display());
    assert!(list.stdout.contains(&damaged), "{list:?}");
    assert_eq!(dir.run(&["release", "2", "-h", &endpoint])?.code, Some(0));
    assert!(!file.exists());

    fs::write(dir.0.join("holds/%.json"), "")?;
    for args in [&["release", "2", "-h", &endpoint], &["release", "2", "-h", "/nonexistent"]] {
        let output = dir.run(args)?;
        assert_eq!(output.code, Some(8), "{output:?}");
        assert!(
            output.stderr.contains("is still held: its mark ") && output.stderr.contains("%.json"),
            "{output:?}"
        );
    }
    Ok(())
}

#[test]
fn a_place_where_nothing_can_be_kept_is_told_with_the_way_out() -> Result<()> {
    let dir = StateDir::new("place");
    fs::write(&dir.0, "")?;
    let output = dir.run(&["hold", "pg1", "-h", "/nonexistent"])?;
    assert_eq!(output.code, Some(3), "{output:?}");
    assert!(output.stderr.contains("--state-dir or PCPCTL_STATE_DIR"), "{output:?}");
    let list = dir.run(&["hold"])?;
    assert!(list.code == Some(3) && list.stderr.contains("nobody knows which nodes are held"), "{list:?}");
    fs::remove_file(&dir.0)?;
    Ok(())
}

#[test]
fn marks_are_listed_in_json() -> Result<()> {
    let dir = StateDir::new("json");
    let held = dir.run(&["hold", "pg1", "--reason", "x", "-o", "json", "-h", "/nonexistent"])?;
    let list = dir.run(&["hold", "-o", "json"])?;
    for output in [&held, &list] {
        let document: Value = serde_json::from_str(&output.stdout).with_context(|| format!("{output:?}"))?;
        assert_eq!((&document["command"], &document["exit_code"]), (&"hold".into(), &0.into()));
        let hold = &document["holds"][0];
        assert_eq!((&hold["node"], &hold["by"], &hold["reason"]), (&"pg1".into(), &"alice".into(), &"x".into()));
        assert_eq!((&hold["over"], &hold["until"], &hold["damage"]), (&false.into(), &Value::Null, &Value::Null));
        assert!(
            hold["since"].is_string()
                && hold["file"].as_str().is_some_and(|file| file.ends_with("/holds/pg1.json"))
        );
    }
    Ok(())
}
