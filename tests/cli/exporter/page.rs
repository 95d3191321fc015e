//! The page itself, compared as a whole with the files in `pages/`; with `BLESS=1` in the environment they are
//! written anew.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use pcp_client::sandbox::{Age, Fault, Watchdog, WatchdogState, World};
use pcp_proto::RequestKind;
use pcp_proto::message::{Delay, NodeStatus};

use crate::support::{Pgpool, logged_in};

/// A Pgpool with something of everything.
fn world(age: Age) -> World {
    let world = World::new(age)
        .node("10.0.0.1", 5432)
        .node_with("10.0.0.2", 5432, |node| node.delay = Delay::Bytes(4096))
        .node_with("10.0.0.3", 5433, |node| node.status = NodeStatus::Down);
    let mut world = world.configure(|settings| {
        // Once, at the start.
        settings.health_check_period = Duration::from_secs(3600);
        settings.num_init_children = 4;
        settings.max_pool = 2;
        let mut watchdog = Watchdog::of(&["10.0.0.7", "10.0.0.8", "10.0.0.9"]);
        if let Some(last) = watchdog.members.last_mut() {
            last.state = WatchdogState::Lost;
        }
        settings.watchdog = Some(watchdog);
    });
    world.open_session(Duration::ZERO);
    world
}

/// Returns what `exporter --once` prints, with words for what differs from run to run.
fn page(pgpool: &Pgpool, args: &[&str]) -> Result<String> {
    let output = pgpool.run(&[&["exporter", "--once", "--server-timezone", "UTC"], args].concat())?;
    ensure!(output.code == Some(0), "{output:?}");
    let lines = output.stdout.lines().map(|line| {
        let is_duration = line.starts_with("pgpool2_last_scrape_duration_seconds{");
        let line = line.replace(&pgpool.endpoint(), "PGPOOL");
        match line.rsplit_once(' ') {
            Some((sample, _)) if is_duration => format!("{sample} SECONDS\n"),
            _ => format!("{line}\n"),
        }
    });
    Ok(lines.collect())
}

#[track_caller]
fn assert_is(name: &str, page: &str) -> Result<()> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("cli/exporter/pages").join(name);
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, page)?;
    }
    let expected = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    assert_eq!(page, expected, "{name}");
    Ok(())
}

#[test]
fn every_age_tells_what_it_knows() -> Result<()> {
    for age in [Age::V3_5, Age::V4_1, Age::V4_3_0, Age::V4_7] {
        let pgpool = Pgpool::start_world(world(age))?;
        assert_is(&format!("{age}.prom"), &page(&pgpool, &[])?)?;
        let dials = age >= Age::V4_3_0;
        let asked = pgpool.sandbox.requests();
        let asked_live = asked.iter().any(|&(_, kind)| kind == RequestKind::READ_NODE_INFO);
        assert_ne!(asked_live, dials, "{age}: {asked:?}");
    }
    Ok(())
}

#[test]
fn live_adds_what_postgres_itself_says() -> Result<()> {
    let mut world = world(Age::V4_7);
    world.promote_postgres(1);
    world.kill_postgres(2);
    let pgpool = Pgpool::start_world(world)?;
    let page = page(&pgpool, &["--live"])?;
    let of = |metric: &str| {
        let samples = page.lines().filter(|line| line.starts_with(&format!("{metric}{{")));
        samples.filter_map(|line| line.rsplit_once(' ')).map(|(_, value)| value.to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(of("pgpool2_pcp_node_postgres_up"), ["1", "1", "0"], "{page}");
    assert_eq!(of("pgpool2_pcp_node_postgres_primary"), ["1", "1"], "{page}");
    assert_eq!(of("pgpool2_pcp_collector_success"), ["1", "1", "1"], "{page}");
    Ok(())
}

#[test]
fn a_delay_has_its_unit_in_the_name_of_the_metric() -> Result<()> {
    let mut world = world(Age::V4_7);
    world.node_mut(1).unwrap().delay = Delay::Microseconds(2_500_000);
    let page = page(&Pgpool::start_world(world)?, &[])?;
    let seconds = "pgpool2_pcp_node_replication_delay_seconds{pgpool=\"PGPOOL\",node=\"1\",hostname=\"10.0.0.2\",port=\"5432\"}";
    assert!(page.contains(&format!("{seconds} 2.5\n")), "{page}");
    assert!(!page.contains("pgpool2_pool_nodes_replication_delay"), "{page}");
    Ok(())
}

#[test]
fn names_that_servers_choose_stay_in_their_labels() -> Result<()> {
    let pgpool = Pgpool::start_world(World::new(Age::V4_7).node("a\"b\\c\nd} 1", 5432))?;
    let page = page(&pgpool, &[])?;
    let label = r#"hostname="a\"b\\c\nd} 1",port="5432""#;
    let sample = format!("pgpool2_pcp_node_primary{{pgpool=\"PGPOOL\",node=\"0\",{label}}} 1\n");
    assert!(page.contains(&sample), "{page}");
    assert!(page.lines().all(|line| line.starts_with("pgpool2_") || line.starts_with("# ")), "{page}");
    Ok(())
}

#[test]
fn a_pgpool_that_is_dead_leaves_the_others() -> Result<()> {
    let alive = Pgpool::start_world(world(Age::V4_7))?;
    let silent = Pgpool::start()?;
    silent.sandbox.fault(Fault::NeverSalt);
    let garbled = Pgpool::start()?;
    garbled.sandbox.fault(Fault::Garbage("HTTP/1.1 400 Bad Request\r\n\r\n".into()));
    let hosts = [&alive, &silent, &garbled].map(Pgpool::endpoint).join(",");
    let output =
        logged_in(&["exporter", "--once", "--deadline", "2s", "-h", &format!("{hosts},127.0.0.1:1")]).run()?;
    assert_eq!(output.code, Some(0), "{output:?}");
    let up = |endpoint: &str, value: u8| {
        assert!(output.stdout.contains(&format!("pgpool2_up{{pgpool=\"{endpoint}\"}} {value}\n")), "{output:?}");
        let error = format!("pgpool2_last_scrape_error{{pgpool=\"{endpoint}\"}} {}\n", 1 - value);
        assert!(output.stdout.contains(&error), "{output:?}");
    };
    up(&alive.endpoint(), 1);
    for (endpoint, reason) in [
        (silent.endpoint(), None),
        (garbled.endpoint(), Some("protocol")),
        ("127.0.0.1:1".to_owned(), Some("unreachable")),
    ] {
        up(&endpoint, 0);
        if let Some(reason) = reason {
            let errors =
                format!("pgpool2_pcp_scrape_errors_total{{pgpool=\"{endpoint}\",reason=\"{reason}\"}} 1\n");
            assert!(output.stdout.contains(&errors), "{output:?}");
            assert!(output.stderr.contains(&format!("pcpctl: {endpoint}: ")), "{output:?}");
        }
        assert!(
            !output.stdout.contains(&format!("pgpool2_pool_nodes_status{{pgpool=\"{endpoint}\"")),
            "{output:?}"
        );
    }
    Ok(())
}

#[test]
fn the_dashboard_and_the_rules_ask_for_what_is_told() -> Result<()> {
    let mut world = world(Age::V4_7);
    world.node_mut(1).context("no node 1")?.delay = Delay::Microseconds(2_500_000);
    let [bytes, time] = [Pgpool::start_world(self::world(Age::V4_7))?, Pgpool::start_world(world)?];
    let hosts = format!("{},{},127.0.0.1:1", bytes.endpoint(), time.endpoint());
    let told = logged_in(&["exporter", "--once", "--live", "-h", &hosts]).run()?;
    let told: BTreeSet<_> = names(&told.stdout).collect();
    for file in ["grafana/pcpctl.json", "prometheus/pcpctl.rules.yml"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging").join(file);
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let unknown: Vec<_> = names(&text).filter(|name| !told.contains(name)).collect();
        assert!(names(&text).count() > 20 && unknown.is_empty(), "{file}: {unknown:?}");
    }
    Ok(())
}

/// Returns the names of metrics in a text.
fn names(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("pgpool2_"))
}

#[test]
fn a_refused_login_is_told_and_no_password_is() -> Result<()> {
    let pgpool = Pgpool::start()?;
    let output = logged_in(&["exporter", "--once", "-h", &pgpool.endpoint()]).env("PCP_PASSWORD", "wr0ng").run()?;
    assert!(output.stdout.contains("reason=\"authentication\"} 1\n"), "{output:?}");
    assert!(!format!("{output:?}").contains("wr0ng"), "{output:?}");
    Ok(())
}
