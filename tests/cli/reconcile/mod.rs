//! `reconcile`, from a file and from an `efm` that is a shell script.

mod efm;
mod monitor;
mod pgpools;

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};
use pcp_client::sandbox::{Age, FailoverFlag, World};
use pcp_tests::{Output, Pcpctl};
use serde_json::{Value, json};

use crate::support::{Dir, Pgpool, logged_in};

const PATIENCE: Duration = Duration::from_secs(40);

/// The primary, a standby and another one, as the sandbox has them.
const AS_IT_IS: &str = "10.0.0.1 Primary UP, 10.0.0.2 Standby UP, 10.0.0.3 Standby UP";
/// The first has failed, and the second was promoted.
const FAILED_OVER: &str = "10.0.0.1 Idle DOWN, 10.0.0.2 Primary UP, 10.0.0.3 Standby UP";

/// A host with an EFM agent: a script that tells one status and then, for ever, another.
struct Host {
    dir: Dir,
    config: String,
}

impl Host {
    fn new(name: &str) -> Result<Self> {
        let dir = Dir::new(&format!("reconcile-{name}"))?;
        let path = dir.path().display();
        let script = format!(
            "#!/bin/sh\n[ \"$*\" = \"cluster-status-json main\" ] || exit 9\n\
             if [ -e {path}/asked ]; then /bin/cat {path}/second; else : >{path}/asked; /bin/cat {path}/first; fi\n\
             exit 1\n"
        );
        let command = dir.file("efm", &script, 0o755)?;
        let config = format!("state-dir = \"{path}/state\"\n[efm]\ncluster = \"main\"\ncommand = \"{command}\"\n");
        let config = dir.file("pcpctl.toml", &config, 0o644)?;
        Ok(Self { dir, config })
    }

    /// Has EFM tell this at first, and this later.
    fn tells(&self, first: &str, second: &str) -> Result<()> {
        self.dir.file("first", first, 0o644)?;
        self.dir.file("second", second, 0o644)?;
        let _none_yet = fs::remove_file(self.dir.path().join("asked"));
        Ok(())
    }

    fn was_asked(&self) -> bool {
        self.dir.path().join("asked").exists()
    }

    fn reconcile(&self, args: &[&str]) -> Pcpctl {
        logged_in(&[&["reconcile", "--config", &self.config, "--settle", "0"], args].concat())
    }

    /// Runs it with a file of these nodes.
    fn to_be(&self, nodes: &str, args: &[&str]) -> Result<Output> {
        let file = self.dir.file("desired.json", &desired(nodes), 0o644)?;
        self.reconcile(&[&["--desired", &file], args].concat()).run()
    }
}

/// Writes `10.0.0.1 Primary UP, ...` as EFM's status.
fn status(members: &str) -> String {
    let row = |member: &str| {
        let mut words = member.split(' ');
        let address = words.next().unwrap_or_default().to_owned();
        (address, json!({"type": words.next(), "db": words.next(), "agent": "UP"}))
    };
    let nodes: serde_json::Map<_, _> = members.split(", ").map(row).collect();
    json!({"nodes": nodes, "allowednodes": ["10.0.0.1", "10.0.0.2", "10.0.0.3"], "missingnodes": []}).to_string()
}

/// Writes `10.0.0.1 primary, 10.0.0.2 detached, ...` as a desired-state file.
fn desired(nodes: &str) -> String {
    let node = |text: &str| match text.split_once(' ').unwrap_or((text, "detached")) {
        (address, "detached") => json!({"address": address, "state": "detached"}),
        (address, role) => json!({"address": address, "state": "attached", "role": role}),
    };
    let nodes: Vec<_> = nodes.split(", ").map(node).collect();
    json!({"schema_version": 1, "nodes": nodes}).to_string()
}

fn first_line(output: &Output) -> &str {
    output.stdout.lines().next().unwrap_or_default()
}

fn changes(pgpool: &Pgpool) -> Vec<String> {
    let letters = pgpool.sandbox.requests().into_iter().map(|(_, kind)| kind.to_string());
    letters.filter(|letter| ["C", "D", "J"].contains(&&**letter)).collect()
}

fn shown(pgpool: &Pgpool) -> String {
    pgpool.sandbox.with(|world| world.show_pool_nodes())
}

/// PostgreSQL's own failover from node 0 to node 1, of which Pgpool knows nothing.
fn fail_over(pgpool: &Pgpool) {
    pgpool.sandbox.with(|world| {
        world.kill_postgres(0);
        world.promote_postgres(1);
    });
}

#[test]
fn where_all_is_well_each_pgpool_is_asked_once() -> Result<()> {
    let (one, two) = (Pgpool::start()?, Pgpool::start_with(Age::V4_1)?);
    let host = Host::new("well")?;
    let hosts = format!("{},{}", one.endpoint(), two.endpoint());
    host.tells(&status(AS_IT_IS), &status(AS_IT_IS))?;
    let output = host.reconcile(&["--efm", "-h", &hosts]).run()?;
    assert_eq!((output.code, &*output.stderr), (Some(0), ""), "{output:?}");
    assert_eq!(first_line(&output), "reconciled: 3 nodes are as EFM says, verified on 2 Pgpools");
    assert_eq!(output.stdout.lines().count(), 7, "{output:?}");
    let line = format!("  {}  node 2 (10.0.0.3:5432)  up standby -> up standby\n", one.endpoint());
    assert!(output.stdout.contains(&line), "{output:?}");
    for pgpool in [&one, &two] {
        assert_eq!(pgpool.sandbox.connections(), 1);
        assert!(changes(pgpool).is_empty());
    }
    Ok(())
}

#[test]
fn whatever_the_hooks_have_left_is_mended() -> Result<()> {
    for (age, before, wanted, after) in [
        // A rebooted standby, and an old primary that was attached although it is dead.
        (
            Age::V4_7,
            &["detach 2"][..],
            "10.0.0.1 primary, 10.0.0.2 detached, 10.0.0.3 standby",
            "0=up/primary 1=down/standby 2=up/standby",
        ),
        (
            Age::V4_1,
            &["detach 1", "detach 2"],
            "10.0.0.1 primary, 10.0.0.2 standby, 10.0.0.3 standby",
            "0=up/primary 1=up/standby 2=up/standby",
        ),
        // Nodes that are not named stay.
        (
            Age::V4_5,
            &["detach 1", "detach 2"],
            "10.0.0.1 primary, 10.0.0.3 standby",
            "0=up/primary 1=down/standby 2=up/standby",
        ),
        // One that this Pgpool does not have need not be detached.
        (
            Age::V4_7,
            &["detach 2"],
            "192.0.2.9 detached, 10.0.0.3 standby",
            "0=up/primary 1=up/standby 2=up/standby",
        ),
    ] {
        let pgpool = Pgpool::start_with(age)?;
        let host = Host::new(&format!("mended-{}", pgpool.sandbox.address().port()))?;
        for change in before {
            assert_eq!(pgpool.run(&change.split(' ').collect::<Vec<_>>())?.code, Some(0));
        }
        let output = host.to_be(wanted, &["-h", &pgpool.endpoint()])?;
        assert_eq!(output.code, Some(0), "{output:?}");
        assert_eq!(shown(&pgpool), after, "{output:?}");
    }
    Ok(())
}

#[test]
fn a_node_that_is_held_is_left_alone_and_named() -> Result<()> {
    let pgpool = Pgpool::start()?;
    let host = Host::new("held")?;
    let endpoint = pgpool.endpoint();
    let state = host.dir.path().join("state").display().to_string();
    assert_eq!(pgpool.run(&["detach", "1"])?.code, Some(0));
    assert_eq!(pgpool.run(&["detach", "2"])?.code, Some(0));
    let held = logged_in(&["hold", "2", "--reason", "new disk", "--state-dir", &state, "-h", &endpoint])
        .env("USER", "alice");
    assert_eq!(held.run()?.code, Some(0));
    let wanted = "10.0.0.1 primary, 10.0.0.2 standby, 10.0.0.3 standby";
    let output = host.to_be(wanted, &["-h", &endpoint])?;
    assert_eq!(output.code, Some(0), "{output:?}");
    assert!(first_line(&output).starts_with("reconciled: 2 nodes are as "), "{output:?}");
    assert!(first_line(&output).contains("; 10.0.0.3: held by alice since "), "{output:?}");
    assert!(first_line(&output).ends_with(": new disk"), "{output:?}");
    assert_eq!(shown(&pgpool), "0=up/primary 1=up/standby 2=down/standby");
    let output = host.to_be(wanted, &["-h", &endpoint, "-o", "json"])?;
    let document: Value = serde_json::from_str(&output.stdout).with_context(|| format!("{output:?}"))?;
    let held: Vec<_> = (0..3).map(|node| document["pgpools"][0]["nodes"][node]["held"].is_string()).collect();
    assert_eq!(held, [false, false, true], "{document}");
    // Marks that cannot be read may be any.
    fs::remove_dir_all(format!("{state}/holds"))?;
    fs::write(format!("{state}/holds"), "")?;
    let output = host.to_be(wanted, &["-h", &endpoint])?;
    assert!(output.code == Some(3) && first_line(&output).contains("is not a directory"), "{output:?}");
    // Nor is a mark looked for elsewhere.
    let elsewhere = host.dir.path().join("elsewhere").display().to_string();
    let output = host.to_be(wanted, &["-h", &endpoint, "--state-dir", &elsewhere])?;
    assert_eq!(output.code, Some(0), "{output:?}");
    assert_eq!(shown(&pgpool), "0=up/primary 1=up/standby 2=up/standby");
    Ok(())
}

#[test]
fn a_node_that_cannot_be_had_does_not_keep_the_others_from_it() -> Result<()> {
    let pgpool = Pgpool::start_world(
        World::new(Age::V4_7)
            .node("10.0.0.1", 5432)
            .node("10.0.0.2", 5432)
            .node("10.0.0.3", 5432)
            .configure(|settings| settings.search_primary_node_timeout = Duration::from_secs(1)),
    )?;
    let host = Host::new("failure")?;
    assert_eq!(pgpool.run(&["detach", "2"])?.code, Some(0));
    pgpool.sandbox.with(|world| world.node_mut(1).map(|node| node.flag = FailoverFlag::DisallowToFailover));
    let output = host.to_be(
        "10.0.0.1 primary, 10.0.0.2 detached, 10.0.0.3 standby",
        &["-h", &pgpool.endpoint(), "-o", "json"],
    )?;
    assert_eq!(output.code, Some(10), "{output:?}");
    assert_eq!(shown(&pgpool), "0=up/primary 1=up/standby 2=up/standby");
    let document: Value = serde_json::from_str(&output.stdout).with_context(|| format!("{output:?}"))?;
    let nodes = &document["pgpools"][0]["nodes"];
    assert_eq!(nodes[0]["name"], json!("10.0.0.2"));
    assert!(nodes[0]["error"].is_string() && nodes[0]["verified"] == json!(false), "{document}");
    assert_eq!(nodes[2]["changes"], json!(["attach 2"]));
    assert_eq!(nodes[2]["before"], json!({"status": "down", "role": "standby"}));
    assert_eq!(nodes[2]["after"]["role"], json!("standby"));
    Ok(())
}

#[test]
fn names_that_lead_nowhere_or_to_one_node_are_refused_where_they_matter() -> Result<()> {
    let pgpool = Pgpool::start()?;
    let host = Host::new("names")?;
    let endpoint = pgpool.endpoint();
    let unknown = host.to_be("10.0.0.9 standby", &["-h", &endpoint])?;
    assert_eq!(unknown.code, Some(6), "{unknown:?}");
    assert!(first_line(&unknown).contains("10.0.0.9 is NOT attached as a standby: Pgpool has no node 10.0.0.9"));
    let map = format!("{}\n[nodes]\n\"192.0.2.3\" = \"10.0.0.3\"\n", fs::read_to_string(&host.config)?);
    let map = host.dir.file("map.toml", &map, 0o644)?;
    let file = host.dir.file("twice.json", &desired("192.0.2.3 detached, 10.0.0.3 standby"), 0o644)?;
    let shared = logged_in(&["reconcile", "--config", &map, "--desired", &file, "-h", &endpoint]).run()?;
    assert_eq!(shared.code, Some(7), "{shared:?}");
    assert!(first_line(&shared).contains("leads to the same node 2 (10.0.0.3:5432)"), "{shared:?}");
    let file = host.dir.file("once.json", &desired("192.0.2.3 detached"), 0o644)?;
    let mapped = logged_in(&["reconcile", "--config", &map, "--desired", &file, "-h", &endpoint]).run()?;
    assert_eq!((mapped.code, changes(&pgpool)), (Some(0), vec!["D".to_owned()]), "{mapped:?}");
    Ok(())
}

#[test]
fn a_file_that_makes_no_sense_changes_nothing() -> Result<()> {
    let pgpool = Pgpool::start()?;
    let host = Host::new("files")?;
    let long = format!("{}{}", " ".repeat(1 << 20), desired("10.0.0.3 detached"));
    for (contents, reason) in [
        ("", "EOF"),
        ("{\"schema_version\":2,\"nodes\":[]}", "its schema_version is 2"),
        ("{\"schema_version\":1,\"nodes\":[{\"address\":\"2\",\"state\":\"detached\"}]}", "is a node id"),
        (&desired("10.0.0.1 primary, 10.0.0.2 primary"), "both attached primaries"),
        (&long, "longer than 1 MiB"),
    ] {
        let file = host.dir.file("bad.json", contents, 0o644)?;
        let output = host.reconcile(&["--desired", &file, "-h", &pgpool.endpoint()]).run()?;
        assert_eq!(output.code, Some(3), "{output:?}");
        let verdict = first_line(&output);
        assert!(verdict.contains(&file) && verdict.contains(reason), "{output:?}");
    }
    assert_eq!(pgpool.sandbox.connections(), 0);
    for (args, complaint) in [(&[][..], "required"), (&["--efm", "--desired", "/f"], "cannot be used with")] {
        let output = host.reconcile(args).run()?;
        assert!(output.code == Some(2) && output.stdout.contains(complaint), "{output:?}");
    }
    Ok(())
}
