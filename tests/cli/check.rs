//! `check`: the line that a monitoring system reads, and its exit code.

use std::net::TcpListener;
use std::time::Duration;

use anyhow::Result;
use pcp_client::sandbox::{Age, Fault, Mode, Watchdog, WatchdogState, World};
use pcp_proto::RequestKind;
use pcp_proto::message::NodeStatus;
use pcp_tests::Output;

use crate::support::{Pgpool, bare, logged_in};

fn world(age: Age) -> World {
    let world = World::new(age).node("10.0.0.1", 5432).node("10.0.0.2", 5432).node("10.0.0.3", 5432);
    world.configure(|settings| {
        // Once, at the start.
        settings.health_check_period = Duration::from_secs(3600);
        settings.num_init_children = 8;
        settings.watchdog = Some(Watchdog::of(&["10.0.0.8", "10.0.0.9"]));
    })
}

/// Checks the exit code, and returns the only line, with PGPOOL for where the sandbox listens.
#[track_caller]
fn line(pgpool: &Pgpool, output: &Output, code: i32) -> String {
    assert_eq!(output.code, Some(code), "{output:?}");
    assert_eq!(output.stdout.lines().count(), 1, "{output:?}");
    output.stdout.trim_end().replace(&pgpool.endpoint(), "PGPOOL")
}

/// Changes a healthy Pgpool, checks it, and returns the line.
#[track_caller]
fn check(args: &[&str], code: i32, change: impl FnOnce(&mut World)) -> Result<String> {
    let mut world = world(Age::V4_7);
    change(&mut world);
    let pgpool = Pgpool::start_world(world)?;
    let output = pgpool.run(&[&["check"], args].concat())?;
    Ok(line(&pgpool, &output, code))
}

#[test]
fn a_healthy_pgpool_is_ok() -> Result<()> {
    for (args, expected) in [
        (&["nodes"][..], "OK - PGPOOL: 3 nodes up | 'up'=3;;;0;3 'not_up'=0;0;;0;3 'quarantine'=0;;;0;3"),
        (&["nodes", "--live"], "OK - PGPOOL: 3 nodes up | 'up'=3;;;0;3 'not_up'=0;0;;0;3 'quarantine'=0;;;0;3"),
        (
            &["primary", "--expect", "10.0.0.1"],
            "OK - PGPOOL: the primary is 0 (10.0.0.1:5432) | 'primaries'=1;;;0;3",
        ),
        (
            &["watchdog"],
            "OK - PGPOOL: quorum exists, 2 members, leader 10.0.0.8:9999 Linux 10.0.0.8, this Pgpool is escalated | \
             'lost'=0;0;;0;2 'members'=2 'quorum'=1 'remote_alive'=1 'escalated'=1",
        ),
        (
            &["pool"],
            "OK - PGPOOL: 0 of 8 child processes serve clients (0 %), 0 of 96 slots hold connections (0 %) | \
             'busy'=0.00%;80;95;0;100 'clients'=0;;;0;8 'running'=8;;;0;8 'slots'=0;;;0;96 \
             'idle_in_transaction'=0;;;0;8",
        ),
    ] {
        assert_eq!(check(args, 0, |_| {})?, expected);
    }
    let ping = check(&["ping", "-W", "60", "-C", "120"], 0, |_| {})?;
    assert!(ping.starts_with("OK - PGPOOL: answered in ") && ping.contains(" ms, 3 nodes | 'time'=0."), "{ping}");
    assert!(ping.ends_with("s;60;120;0"), "{ping}");
    let health = check(&["health", "--server-timezone", "UTC", "-W", "~:"], 0, |_| {})?;
    assert!(health.starts_with("OK - PGPOOL: 3 of 3 nodes are checked | 'age_0'="), "{health}");
    assert!(health.ends_with(" 'failed_2'=0c 'retries_2'=0c 'duration_2'=0.002750s;;;0"), "{health}");
    Ok(())
}

#[test]
fn nodes_that_are_not_up_are_named_and_counted() -> Result<()> {
    let down = |world: &mut World| {
        for (id, node) in [(1, NodeStatus::Down), (2, NodeStatus::Waiting)] {
            world.node_mut(id).unwrap().status = node;
        }
    };
    let text = "PGPOOL: 1 of 3 nodes not up: 1 (10.0.0.2:5432) down standby";
    assert_eq!(
        check(&["nodes"], 1, down)?,
        format!("WARNING - {text} | 'up'=2;;;0;3 'not_up'=1;0;;0;3 'quarantine'=0;;;0;3")
    );
    assert!(check(&["nodes", "-W", "1"], 0, down)?.starts_with(&format!("OK - {text} | ")));
    assert!(check(&["nodes", "-W", "~:"], 0, down)?.starts_with("OK - "));
    assert!(check(&["nodes", "--critical", "0"], 2, down)?.starts_with(&format!("CRITICAL - {text} | ")));
    let few = check(&["nodes", "--min-up", "3"], 2, down)?;
    assert!(few.starts_with(&format!("CRITICAL - {text}, fewer than 3 up | ")), "{few}");

    let quarantined = check(&["nodes"], 1, |world| world.quarantine(Duration::ZERO, 2))?;
    assert!(quarantined.contains("2 (10.0.0.3:5432) quarantine standby | 'up'=2;"), "{quarantined}");
    assert!(quarantined.ends_with("'quarantine'=1;;;0;3"), "{quarantined}");
    Ok(())
}

#[test]
fn postgres_itself_is_asked_only_where_that_is_wanted() -> Result<()> {
    let dead = |world: &mut World| world.kill_postgres(1);
    assert!(check(&["nodes"], 0, dead)?.starts_with("OK - PGPOOL: 3 nodes up"));
    let live = check(&["nodes", "--live"], 1, dead)?;
    assert!(live.contains("1 of 3 nodes not up: 1 (10.0.0.2:5432) up standby but its PostgreSQL down"), "{live}");
    let silent = check(&["nodes", "--live", "--deadline", "2"], 1, |world| world.silence_postgres(1, true))?;
    assert!(silent.contains("1 (10.0.0.2:5432) up standby but its PostgreSQL silent"), "{silent}");

    let two = check(&["primary", "--live"], 2, |world| world.promote_postgres(2))?;
    let text = "the primary is 0 (10.0.0.1:5432), the PostgreSQL of 2 (10.0.0.3:5432) takes writes as well";
    assert!(two.starts_with(&format!("CRITICAL - PGPOOL: {text} | ")), "{two}");
    let off = |world: &mut World| world.settings_mut().health_check_period = Duration::ZERO;
    for verb in ["nodes", "primary"] {
        let unknown = check(&[verb, "--live"], 3, off)?;
        assert!(unknown.contains("PostgreSQL's own state is not known"), "{unknown}");
    }
    Ok(())
}

#[test]
fn no_check_makes_pgpool_connect_to_a_backend() -> Result<()> {
    for age in [Age::V4_2, Age::V4_3_0, Age::V4_7] {
        let pgpool = Pgpool::start_world(world(age))?;
        for verb in ["ping", "nodes", "primary", "watchdog", "pool", "health"] {
            let output = pgpool.run(&["check", verb, "-v"])?;
            assert!(output.stdout.contains(" - "), "{output:?}");
        }
        let asked = pgpool.sandbox.requests();
        assert!(asked.iter().all(|&(_, kind)| kind != RequestKind::READ_NODE_INFO), "{age}: {asked:?}");
    }
    Ok(())
}

#[test]
fn there_has_to_be_one_primary() -> Result<()> {
    let lost = check(&["primary"], 2, |world| {
        world.kill_postgres(0);
        world.detach(Duration::ZERO, 0);
        world.advance(Duration::from_secs(1));
    })?;
    let text = "no primary: 0 (10.0.0.1:5432) is down, and Pgpool searches for another";
    assert_eq!(lost, format!("CRITICAL - PGPOOL: {text} | 'primaries'=0;;;0;3"));
    let none = check(&["primary"], 2, |world| world.set_primary(None))?;
    assert!(none.starts_with("CRITICAL - PGPOOL: no primary | "), "{none}");
    let other = check(&["primary", "--expect", "2"], 2, |_| {})?;
    assert!(other.contains("the primary is 0 (10.0.0.1:5432), expected 2 (10.0.0.3:5432) | "), "{other}");
    let nobody = check(&["primary", "--expect", "10.9.9.9"], 3, |_| {})?;
    assert!(nobody.contains("10.9.9.9"), "{nobody}");

    for untold in [world(Age::V3_5), world(Age::V4_7).configure(|settings| settings.mode = Mode::Raw)] {
        let pgpool = Pgpool::start_world(untold)?;
        let output = pgpool.run(&["check", "primary"])?;
        let line = line(&pgpool, &output, 3);
        assert!(line.starts_with("UNKNOWN - PGPOOL: this Pgpool tells no roles"), "{line}");
    }
    Ok(())
}

#[test]
fn a_watchdog_has_a_quorum_and_all_its_members() -> Result<()> {
    let with = |args: &[&str], code, change: fn(&mut Watchdog)| {
        check(args, code, |world| change(world.settings_mut().watchdog.as_mut().unwrap()))
    };
    let lost = |watchdog: &mut Watchdog| watchdog.members[1].state = WatchdogState::Lost;
    let line = with(&["watchdog"], 1, lost)?;
    assert!(
        line.starts_with("WARNING - ") && line.contains(", 10.0.0.9:9999 Linux 10.0.0.9 is lost | 'lost'=1;0;;0;2")
    );
    assert!(with(&["watchdog", "-C", "0"], 2, lost)?.starts_with("CRITICAL - "));
    assert!(with(&["watchdog", "-W", "1"], 0, lost)?.starts_with("OK - "));
    for (quorum, code, words) in
        [(0, 1, "WARNING - PGPOOL: quorum on the edge"), (-1, 2, "CRITICAL - PGPOOL: quorum absent")]
    {
        let line = check(&["watchdog"], code, |world| {
            world.settings_mut().watchdog.as_mut().unwrap().quorum = quorum;
        })?;
        assert!(line.starts_with(words), "{line}");
    }
    let headless = with(&["watchdog"], 2, |watchdog| watchdog.members[0].state = WatchdogState::Joining)?;
    assert!(headless.starts_with("CRITICAL - PGPOOL: quorum exists, 2 members, no leader"), "{headless}");
    let off = check(&["watchdog"], 3, |world| world.settings_mut().watchdog = None)?;
    assert_eq!(off, "UNKNOWN - PGPOOL: the watchdog is off");
    Ok(())
}

#[test]
fn clients_fill_the_pool() -> Result<()> {
    let sessions =
        |count: usize| move |world: &mut World| (0..count).for_each(|_| world.open_session(Duration::ZERO));
    let line = check(&["pool"], 1, sessions(7))?;
    let text = "7 of 8 child processes serve clients (88 %), 21 of 96 slots hold connections (22 %)";
    assert!(
        line.starts_with(&format!("WARNING - PGPOOL: {text} | 'busy'=87.50%;80;95;0;100 'clients'=7;")),
        "{line}"
    );
    assert!(check(&["pool"], 2, sessions(8))?.starts_with("CRITICAL - PGPOOL: 8 of 8 "));
    assert!(check(&["pool", "-W", "90", "-C", "100"], 0, sessions(7))?.starts_with("OK - "));
    Ok(())
}

#[test]
fn pgpools_own_health_checks_are_judged() -> Result<()> {
    let health = |args: &[&str], code, change: fn(&mut World)| {
        check(&[&["health", "--server-timezone", "UTC"], args].concat(), code, change)
    };
    // The world began long ago.
    let old = health(&[], 1, |_| {})?;
    assert!(
        old.starts_with("WARNING - ") && old.contains("the last successful check of 0 (10.0.0.1:5432) is "),
        "{old}"
    );
    assert!(old.contains("s;10820;;0 "), "three periods and a timeout: {old}");
    assert!(health(&["-C", "60"], 2, |_| {})?.starts_with("CRITICAL - "));
    let failed = health(&["-W", "~:"], 2, |world| {
        world.advance(Duration::from_secs(1));
        world.kill_postgres(2);
        world.advance(Duration::from_secs(3601));
    })?;
    assert!(failed.contains("the last check of 2 (10.0.0.3:5432) failed "), "{failed}");
    let never = health(&["-W", "~:"], 2, |world| world.kill_postgres(2))?;
    assert!(never.contains("no check of 2 (10.0.0.3:5432) has succeeded yet"), "{never}");
    let down = health(&["-W", "~:"], 0, |world| world.node_mut(1).unwrap().status = NodeStatus::Down)?;
    assert!(down.contains("1 (10.0.0.2:5432) is down standby and passed over"), "{down}");
    let off = health(&[], 3, |world| world.settings_mut().health_check_period = Duration::ZERO)?;
    assert_eq!(off, "UNKNOWN - PGPOOL: health checks are off (health_check_period = 0)");
    let pgpool = Pgpool::start_world(world(Age::V4_1))?;
    let older = line(&pgpool, &pgpool.run(&["check", "health"])?, 3);
    assert!(older.ends_with("since 4.2; this one is older"), "{older}");
    Ok(())
}

#[test]
fn of_several_pgpools_the_worst_counts_and_all_are_named() -> Result<()> {
    let pgpool = Pgpool::start_world(world(Age::V4_7))?;
    let dead = {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        listener.local_addr()?.to_string()
    };
    let both = format!("{},{dead}", pgpool.endpoint());
    let output = logged_in(&["check", "nodes", "-h", &both]).run()?;
    let text = line(&pgpool, &output, 2).replace(&dead, "DEAD");
    assert!(text.starts_with("CRITICAL - CRITICAL DEAD: cannot connect to DEAD: "), "{text}");
    let perf = "'PGPOOL up'=3;;;0;3 'PGPOOL not_up'=0;0;;0;3 'PGPOOL quarantine'=0;;;0;3";
    assert!(text.ends_with(&format!("; OK PGPOOL: 3 nodes up | {perf}")), "{text}");
    Ok(())
}

#[test]
fn pgpools_that_disagree_are_critical() -> Result<()> {
    let one = Pgpool::start_world(world(Age::V4_7))?;
    let mut other = world(Age::V4_7);
    other.set_primary(Some(1));
    let watchdog = other.settings_mut().watchdog.as_mut().unwrap();
    watchdog.members.reverse();
    watchdog.members[0].state = WatchdogState::Leader;
    watchdog.members[1].state = WatchdogState::Standby;
    let other = Pgpool::start_world(other)?;
    let both = format!("{},{}", one.endpoint(), other.endpoint());
    for (verb, text) in [
        ("primary", "ONE has 10.0.0.1:5432 as the primary, OTHER has 10.0.0.2:5432 as the primary"),
        ("watchdog", "ONE follows 10.0.0.8:9999 Linux 10.0.0.8, OTHER follows 10.0.0.9:9999 Linux 10.0.0.9"),
    ] {
        let output = logged_in(&["check", verb, "-h", &both]).run()?;
        assert_eq!(output.code, Some(2), "{output:?}");
        let text = format!("CRITICAL - CRITICAL the Pgpools disagree: {text}; ");
        let line = output.stdout.replace(&one.endpoint(), "ONE").replace(&other.endpoint(), "OTHER");
        assert!(line.starts_with(&text), "{output:?}");
    }
    Ok(())
}

#[test]
fn what_cannot_be_asked_has_its_code_and_one_line() -> Result<()> {
    let pgpool = Pgpool::start_world(world(Age::V4_7))?;
    let login = pgpool_with_password(&pgpool, "wrong")?;
    let text = line(&pgpool, &login, 3);
    assert!(text.starts_with("UNKNOWN - PGPOOL: login refused: "), "{text}");
    assert!(!text.contains("wrong"), "{text}");

    pgpool.sandbox.fault(Fault::NeverSalt);
    let silent = pgpool.run(&["check", "ping", "--deadline", "1s"])?;
    assert!(line(&pgpool, &silent, 2).starts_with("CRITICAL - PGPOOL: "), "{silent:?}");

    for (args, reason) in [
        (&["check", "nodes", "-W", "x"][..], "a range is 10, 10:, ~:10, 10:20 or @10:20"),
        (&["check", "nodes", "-c", "1"], "unexpected argument '-c'"),
        (&["check", "all"], "unrecognized subcommand 'all'"),
        (&["check"], "an argument is missing"),
        (&["check", "health", "--server-timezone", "Nowhere/Land"], "--server-timezone"),
        (&["check", "nodes", "--config", "/nonexistent"], "/nonexistent"),
    ] {
        let output = bare(args).run()?;
        let text = line(&pgpool, &output, 3);
        assert!(text.starts_with("UNKNOWN - pcpctl: ") && text.contains(reason), "{args:?}: {output:?}");
    }
    Ok(())
}

fn pgpool_with_password(pgpool: &Pgpool, password: &str) -> Result<Output> {
    bare(&["check", "nodes", "-h", &pgpool.endpoint()])
        .env("PCP_USER", World::USER)
        .env("PCP_PASSWORD", password)
        .run()
}

#[test]
fn names_that_servers_choose_stay_in_the_text() -> Result<()> {
    let hostile =
        World::new(Age::V4_7).node_with("a|b'c=\n\u{1b}[2Jd", 5432, |node| node.status = NodeStatus::Down);
    let pgpool = Pgpool::start_world(hostile)?;
    let output = pgpool.run(&["check", "nodes"])?;
    let text = line(&pgpool, &output, 2);
    assert!(text.contains("0 (a/b'c= \\u{1b}[2Jd:5432) down"), "{text}");
    assert_eq!(text.matches('|').count(), 1, "{text}");
    Ok(())
}

#[test]
fn help_says_where_a_check_never_belongs() -> Result<()> {
    for args in [&["check", "--help"][..], &["check", "nodes", "--help"], &["check", "ping", "-?"]] {
        let output = bare(args).run()?;
        assert_eq!(output.code, Some(0), "{output:?}");
        let text = output.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(text.contains("Never use a check as EFM's script.custom.monitor or in its script.fence"), "{text}");
    }
    Ok(())
}
