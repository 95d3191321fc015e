//! recover, switchover, stop-pgpool, reload, rotate-log, invalidate-cache: what is asked, refused and told.

use std::net::TcpListener;
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use pcp_client::sandbox::{Age, FailoverCommand, Settings, World};
use pcp_proto::RequestKind;
use pcp_tests::{Output, wait_until};
use serde_json::{Value, json};

use crate::support::{Dir, Pgpool, Refusing, logged_in};

/// Ports of 127.0.0.1 that answer as PostgreSQL does, or refuse.
struct Nodes {
    ports: Vec<u16>,
    _refusing: Refusing,
}

impl Nodes {
    /// The last one refuses.
    fn start() -> Result<Self> {
        let mut ports = Vec::new();
        for _ in 0..2 {
            let listener = TcpListener::bind(("127.0.0.1", 0))?;
            ports.push(listener.local_addr()?.port());
            thread::spawn(move || {
                use std::io::{Read, Write};
                for stream in listener.incoming() {
                    let Ok(mut stream) = stream else { continue };
                    let _asked = stream.read(&mut [0; 8]);
                    let _gone = stream.write_all(b"N");
                }
            });
        }
        let refusing = Refusing::new()?;
        ports.push(refusing.address.port());
        Ok(Self { ports, _refusing: refusing })
    }

    fn world(&self, age: Age, change: impl FnOnce(&mut Settings)) -> World {
        self.ports.iter().fold(World::new(age), |world, &port| world.node("127.0.0.1", port)).configure(change)
    }
}

/// Has a command that promotes, and does not look at replication, which would be waited for.
fn promotes(settings: &mut Settings) {
    settings.failover_command = FailoverCommand::Promotes;
    settings.sr_check_period = Duration::ZERO;
}

fn first_line(output: &Output) -> &str {
    output.stdout.lines().next().unwrap_or_default()
}

fn document(output: &Output) -> Result<Value> {
    serde_json::from_str(&output.stdout).with_context(|| format!("{output:?}"))
}

/// Returns the changes that were asked for.
fn changes(pgpool: &Pgpool) -> Vec<RequestKind> {
    let changes = [
        RequestKind::DETACH_NODE,
        RequestKind::PROMOTE_NODE,
        RequestKind::RECOVER_NODE,
        RequestKind::RELOAD_CONFIG,
        RequestKind::STOP_PGPOOL,
    ];
    pgpool.sandbox.requests().into_iter().map(|(_, kind)| kind).filter(|kind| changes.contains(kind)).collect()
}

#[test]
fn what_cannot_be_taken_back_needs_a_terminal_or_yes() -> Result<()> {
    let nodes = Nodes::start()?;
    let pgpool = Pgpool::start_world(nodes.world(Age::V4_7, promotes))?;
    for args in [&["recover", "2"][..], &["switchover", "1"], &["stop-pgpool"]] {
        let output = pgpool.run(args)?;
        assert_eq!((output.code, &*output.stdout), (Some(2), ""), "{output:?}");
        assert!(output.stderr.contains("no terminal to ask on") && output.stderr.contains("--yes"), "{output:?}");
    }
    assert_eq!(pgpool.sandbox.connections(), 0);
    Ok(())
}

#[test]
fn a_dry_run_says_what_would_happen_and_changes_nothing() -> Result<()> {
    let nodes = Nodes::start()?;
    let pgpool = Pgpool::start_world(nodes.world(Age::V4_7, promotes))?;
    let output = pgpool.run(&["switchover", "1", "--dry-run"])?;
    assert_eq!(output.code, Some(0), "{output:?}");
    assert_eq!(first_line(&output), "DRY RUN: nothing was changed; switchover would end with exit code 0");
    for words in [
        "the primary, is DETACHED",
        "is promoted by failover_command: /etc/pgpool-II/failover.sh",
        "serve OLD data",
    ] {
        assert!(output.stdout.contains(words), "{output:?}");
    }
    let output = pgpool.run(&["stop-pgpool", "--dry-run", "-m", "fast"])?;
    assert!(output.code == Some(0) && output.stdout.contains("0 clients are connected"), "{output:?}");

    pgpool.sandbox.with(|world| world.detach(pgpool.sandbox.now(), 2));
    let output = pgpool.run(&["recover", "2", "--dry-run", "-o", "json"])?;
    let document = document(&output)?;
    assert_eq!((&document["exit_code"], &document["dry_run"]), (&json!(0), &json!(true)), "{document}");
    assert!(document["plan"][0].as_str().unwrap_or_default().contains("its data is REPLACED"), "{document}");

    let refused = pgpool.run(&["recover", "0", "--dry-run"])?;
    assert_eq!(refused.code, Some(7), "{refused:?}");
    assert!(first_line(&refused).contains("would end with exit code 7: node 0"), "{refused:?}");
    assert_eq!(changes(&pgpool), []);
    Ok(())
}

#[test]
fn a_recovery_is_followed_to_its_end_and_read_back() -> Result<()> {
    let nodes = Nodes::start()?;
    let slow = |settings: &mut Settings| settings.recovery_time = Some(Duration::from_millis(1200));
    let pgpool = Pgpool::start_world(nodes.world(Age::V4_7, slow))?;
    pgpool.run(&["detach", "2"])?;
    // What is right for hooks is too short for this.
    let dir = Dir::new("recover")?;
    let config = dir.file("pcpctl.toml", "deadline = \"1s\"\n", 0o644)?;
    let output = pgpool.run(&["recover", "2", "--yes", "--settle", "10ms", "--config", &config])?;
    assert_eq!(output.code, Some(0), "{output:?}");
    assert_eq!(first_line(&output), "2 is recovered: read back as up after 0:01");
    assert!(output.stdout.contains("down standby -> waiting standby"), "{output:?}");
    let again = pgpool.run(&["recover", "2", "--yes", "-o", "json"])?;
    let document = document(&again)?;
    assert_eq!((again.code, &document["verified"]), (Some(7), &json!(false)), "{document}");
    assert!(again.stderr.contains("has to be detached first"), "{again:?}");
    Ok(())
}

#[test]
fn a_node_whose_postgres_answers_is_not_rebuilt_without_force() -> Result<()> {
    let nodes = Nodes::start()?;
    let pgpool =
        Pgpool::start_world(nodes.world(Age::V4_7, |settings| settings.recovery_time = Some(Duration::ZERO)))?;
    pgpool.run(&["detach", "1"])?;
    let refused = pgpool.run(&["recover", "1", "--yes"])?;
    assert_eq!(refused.code, Some(7), "{refused:?}");
    assert!(first_line(&refused).contains("answers, and recovery would replace its data"), "{refused:?}");
    let forced = pgpool.run(&["recover", "1", "--yes", "--force", "--settle", "0"])?;
    assert_eq!(forced.code, Some(0), "{forced:?}");
    Ok(())
}

#[test]
fn a_signal_leaves_a_recovery_to_pgpool_and_says_so() -> Result<()> {
    let nodes = Nodes::start()?;
    let slow = |settings: &mut Settings| settings.recovery_time = Some(Duration::from_secs(3600));
    let pgpool = Pgpool::start_world(nodes.world(Age::V4_7, slow))?;
    pgpool.run(&["detach", "2"])?;
    let recover = logged_in(&["recover", "2", "--yes", "-h", &pgpool.endpoint()]).spawn()?;
    wait_until("the recovery to begin", Duration::from_secs(20), || {
        ensure!(changes(&pgpool).contains(&RequestKind::RECOVER_NODE), "not yet");
        Ok(())
    })?;
    recover.signal("INT")?;
    let output = recover.wait(Duration::from_secs(20))?;
    assert_eq!(output.code, Some(130), "{output:?}");
    assert!(first_line(&output).contains("Pgpool goes on with a recovery that has begun"), "{output:?}");
    Ok(())
}

#[test]
fn a_switchover_is_read_back_refused_or_found_done() -> Result<()> {
    let nodes = Nodes::start()?;
    let pgpool = Pgpool::start_world(nodes.world(Age::V4_7, promotes))?;
    let output = pgpool.run(&["switchover", "1", "--yes", "--settle", "100ms"])?;
    assert_eq!(output.code, Some(0), "{output:?}");
    assert!(first_line(&output).starts_with("1 is the primary: read back; whether they replicate"), "{output:?}");
    assert!(first_line(&output).contains("pcpctl recover 0 rebuilds it"), "{output:?}");
    let again = pgpool.run(&["switchover", "1", "--yes"])?;
    assert_eq!((again.code, first_line(&again)), (Some(0), "1 is the primary already"), "{again:?}");

    for (age, change, words) in [
        (Age::V4_2, promotes as fn(&mut Settings), "a switchover needs Pgpool 4.3 or later"),
        (Age::V4_3_0, |_| {}, "failover_command is empty"),
    ] {
        let pgpool = Pgpool::start_world(nodes.world(age, change))?;
        let refused = pgpool.run(&["switchover", "1", "--yes"])?;
        assert_eq!(refused.code, Some(7), "{refused:?}");
        assert!(first_line(&refused).contains(words), "{refused:?}");
        assert_eq!(changes(&pgpool), []);
    }
    Ok(())
}

#[test]
fn followers_that_do_not_come_back_are_a_partial_success() -> Result<()> {
    let nodes = Nodes::start()?;
    let pgpool = Pgpool::start_world(nodes.world(Age::V4_7, |settings| {
        promotes(settings);
        settings.follow_primary_command = "follow".to_owned();
    }))?;
    let output = pgpool.run(&["switchover", "1", "--yes", "--settle", "0", "--deadline", "3s"])?;
    assert_eq!(output.code, Some(10), "{output:?}");
    assert!(
        first_line(&output).contains("1 is the primary: read back; NOT back: node 2 (127.0.0.1:"),
        "{output:?}"
    );
    Ok(())
}

#[test]
fn one_pgpool_at_a_time_recovers_switches_over_and_is_stopped() -> Result<()> {
    let (one, other) = (Pgpool::start()?, Pgpool::start()?);
    let hosts = format!("{},{}", one.endpoint(), other.endpoint());
    for (args, words) in [
        (&["recover", "2", "--yes"][..], "2 Pgpools are named, and one has to rebuild the node"),
        (&["switchover", "1", "--yes"], "2 Pgpools are named, and one has to do it"),
        (&["stop-pgpool", "--yes"], "they are stopped one at a time"),
        (&["reload", "--scope", "cluster"], "one member is asked, which passes it on"),
        (&["rotate-log", "--scope", "cluster"], "one member is asked, which passes it on"),
    ] {
        let output = logged_in(&[args, &["-h", &hosts]].concat()).run()?;
        assert_eq!(output.code, Some(2), "{output:?}");
        assert!(output.stderr.contains(words), "{output:?}");
    }
    assert_eq!(one.sandbox.connections() + other.sandbox.connections(), 0);

    let reloaded = logged_in(&["reload", "-h", &hosts, "--settle", "0"]).run()?;
    assert_eq!(reloaded.code, Some(0), "{reloaded:?}");
    assert_eq!(
        (changes(&one), changes(&other)),
        (vec![RequestKind::RELOAD_CONFIG], vec![RequestKind::RELOAD_CONFIG])
    );
    Ok(())
}

#[test]
fn a_stop_is_verified_by_a_closed_port() -> Result<()> {
    for mode in ["smart", "fast", "immediate", "f"] {
        let pgpool = Pgpool::start()?;
        let output = pgpool.run(&["stop-pgpool", "--yes", "--mode", mode])?;
        assert_eq!(output.code, Some(0), "{output:?}");
        assert_eq!(first_line(&output), "stopped: nobody listens any more on the PCP port of 1 Pgpool");
        assert!(pgpool.sandbox.with(|world| world.is_stopped()));
        let gone = pgpool.run(&["stop-pgpool", "--yes", "--deadline", "1s"])?;
        assert_eq!(gone.code, Some(4), "{gone:?}");
    }
    Ok(())
}

#[test]
fn a_smart_stop_that_clients_hold_up_is_not_verified() -> Result<()> {
    let pgpool = Pgpool::start()?;
    pgpool.sandbox.with(|world| world.open_session(pgpool.sandbox.now()));
    let output = pgpool.run(&["stop-pgpool", "--yes", "--deadline", "1s"])?;
    assert_eq!(output.code, Some(8), "{output:?}");
    assert!(first_line(&output).starts_with("NOT known to be stopped: "), "{output:?}");
    assert!(first_line(&output).contains("clients that are still connected hold up a smart stop"), "{output:?}");
    Ok(())
}

#[test]
fn a_reload_says_what_it_proves() -> Result<()> {
    let pgpool = Pgpool::start()?;
    let output = pgpool.run(&["reload", "--settle", "0"])?;
    assert_eq!(output.code, Some(0), "{output:?}");
    assert!(
        first_line(&output).starts_with("Pgpool accepted the reload: no parameter that it shows has changed"),
        "{output:?}"
    );
    let output = pgpool.run(&["reload", "--expect", "num_init_children=32", "-o", "json"])?;
    assert_eq!(document(&output)?["verified"], true, "{output:?}");
    let unmet = pgpool.run(&["reload", "--expect", "num_init_children=33", "--deadline", "1s"])?;
    assert_eq!(unmet.code, Some(8), "{unmet:?}");
    assert!(first_line(&unmet).contains("num_init_children to be \"33\", but Pgpool shows \"32\""), "{unmet:?}");
    let usage = pgpool.run(&["reload", "--expect", "num_init_children"])?;
    assert_eq!(usage.code, Some(2), "{usage:?}");
    Ok(())
}

#[test]
fn what_has_only_pgpools_word_is_said_to_be_accepted() -> Result<()> {
    for (age, on, code) in [(Age::V4_7, true, 0), (Age::V4_7, false, 7), (Age::V4_5, true, 7)] {
        let nodes = Nodes::start()?;
        let pgpool = Pgpool::start_world(nodes.world(age, |settings| {
            settings.logging_collector = on;
            settings.memory_cache_enabled = on;
        }))?;
        for verb in ["rotate-log", "invalidate-cache"] {
            let output = pgpool.run(&[verb])?;
            assert_eq!(output.code, Some(code), "{age} {output:?}");
            assert_eq!(first_line(&output).starts_with("Pgpool accepted the "), code == 0, "{output:?}");
            assert!(!output.stdout.contains("verified"), "{output:?}");
            let json = pgpool.run(&[verb, "-o", "json"])?;
            assert_eq!(document(&json)?["verified"], false, "{json:?}");
        }
    }
    Ok(())
}

/// Runs `pcpctl` on a terminal of its own, with an answer typed.
fn on_a_terminal(pgpool: &Pgpool, args: &str, answer: &str) -> Result<std::process::Output> {
    let program = env!("CARGO_BIN_EXE_pcpctl-under-test");
    let command = format!("{program} {args} -h {}", pgpool.endpoint());
    let script = "printf '%s\\n' \"$ANSWER\" | script --quiet --return --command \"$COMMAND\" /dev/null";
    Ok(Command::new("sh")
        .args(["-c", script])
        .env("ANSWER", answer)
        .env("COMMAND", command)
        .env("PCP_USER", World::USER)
        .env("PCP_PASSWORD", World::PASSWORD)
        .output()?)
}

#[test]
fn on_a_terminal_it_asks_and_takes_only_yes_for_yes() -> Result<()> {
    let pgpool = Pgpool::start()?;
    for answer in ["no", "y", ""] {
        let output = on_a_terminal(&pgpool, "stop-pgpool", answer)?;
        let text = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(7), "{text}");
        assert!(text.contains("is STOPPED") && text.contains("Go on? Type yes:"), "{text}");
        assert!(text.contains("nothing was done"), "{text}");
    }
    assert!(!pgpool.sandbox.with(|world| world.is_stopped()));
    pgpool.sandbox.with(|world| world.settings_mut().failover_command = FailoverCommand::Promotes);
    let output = on_a_terminal(&pgpool, "switchover 0", "no")?;
    assert_eq!(output.status.code(), Some(0), "there is nothing to ask: {output:?}");
    let output = on_a_terminal(&pgpool, "stop-pgpool", "yes")?;
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stdout));
    assert!(pgpool.sandbox.with(|world| world.is_stopped()));
    Ok(())
}
