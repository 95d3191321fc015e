//! `reconcile`, from a file and from an `efm` that is a shell script.

use std::fs;
use std::net::TcpListener;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use pcp_client::sandbox::{Age, FailoverFlag, Fault, World};
use pcp_tests::{Output, Pcpctl, wait_until};
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
        let [address, member_type, db] = member.split(' ').collect::<Vec<_>>()[..] else { panic!("{member}") };
        (address.to_owned(), json!({"type": member_type, "db": db, "agent": "UP"}))
    };
    let nodes: serde_json::Map<_, _> = members.split(", ").filter(|member| !member.is_empty()).map(row).collect();
    json!({"nodes": nodes, "allowednodes": ["10.0.0.1", "10.0.0.2", "10.0.0.3"], "missingnodes": []}).to_string()
}

/// Writes `10.0.0.1 primary, 10.0.0.2 detached, ...` as a desired-state file.
fn desired(nodes: &str) -> String {
    let node = |text: &str| match text.split_once(' ') {
        Some((address, "detached")) => json!({"address": address, "state": "detached"}),
        Some((address, role)) => json!({"address": address, "state": "attached", "role": role}),
        None => panic!("{text}"),
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
    // Marks that cannot be read may be any.
    fs::remove_dir_all(format!("{state}/holds"))?;
    fs::write(format!("{state}/holds"), "")?;
    let output = host.to_be(wanted, &["-h", &endpoint])?;
    assert!(output.code == Some(3) && first_line(&output).contains("is not a directory"), "{output:?}");
    // Nor is a mark looked for elsewhere.
    let output = host.to_be(wanted, &["-h", &endpoint, "--state-dir", "/nonexistent"])?;
    assert_eq!(output.code, Some(0), "{output:?}");
    assert_eq!(shown(&pgpool), "0=up/primary 1=up/standby 2=up/standby");
    Ok(())
}

#[test]
fn a_monitor_always_exits_with_zero_and_says_what_is_wrong() -> Result<()> {
    let pgpool = Pgpool::start()?;
    let host = Host::new("monitor")?;
    let endpoint = pgpool.endpoint();
    let dead = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.to_string();
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

    let unknown =
        host.to_be("10.0.0.9 standby, 10.0.0.3 standby", &["--dry-run", "-o", "json", "-h", &endpoint])?;
    assert_eq!(unknown.code, Some(10), "{unknown:?}");
    let document: Value = serde_json::from_str(&unknown.stdout)?;
    assert_eq!(document["nodes"][0]["node"], json!("10.0.0.9"));
    assert_eq!(document["nodes"][0]["pgpools"][0]["exit_code"], json!(6));
    assert_eq!(document["nodes"].as_array().map(Vec::len), Some(1));
    Ok(())
}

#[test]
fn a_dead_pgpool_neither_hides_the_other_nor_is_hidden() -> Result<()> {
    let alive = Pgpool::start()?;
    let dead = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?;
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
    }
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
