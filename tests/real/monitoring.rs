//! `check` and `exporter` tell what is so, and do it while SQL cannot.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use pcp_tests::{Cluster, Output, Session, Settings, Version, wait_until};

use crate::support::{command, run, verdict};

for_each_version!(
    checks_tell_what_is_so,
    the_exporter_agrees_with_sql,
    both_answer_while_every_postgres_is_dead,
    no_dead_host_holds_them_up,
    clients_are_counted,
    a_watchdog_is_checked_and_told,
);

/// What it takes at most where nothing waits: a connection to a dead host takes ten seconds.
const QUICK: Duration = Duration::from_secs(5);

/// Health checks that find everything and change nothing.
fn health_checks() -> Settings {
    Settings::default().set("health_check_period", 1).set("health_check_max_retries", 1000)
}

/// Runs a check, and returns its line.
#[track_caller]
fn check(cluster: &Cluster, args: &[&str], code: i32) -> Result<String> {
    Ok(verdict(&run(cluster, &[&["check"], args].concat())?, code))
}

/// The metrics of one scrape.
struct Page(Output);

impl Page {
    fn of(cluster: &Cluster, args: &[&str]) -> Result<Self> {
        let output = run(cluster, &[&["exporter", "--once", "--server-timezone", "UTC"], args].concat())?;
        ensure!(output.success(), "{output:?}");
        Ok(Self(output))
    }

    /// Returns the only sample of a metric that has these labels.
    fn value(&self, metric: &str, labels: &[(&str, &str)]) -> Result<f64> {
        let labels: Vec<_> = labels.iter().map(|(name, value)| format!("{name}=\"{value}\"")).collect();
        let is_it = |line: &&str| {
            line.split_once('{')
                .is_some_and(|(name, rest)| name == metric && labels.iter().all(|label| rest.contains(label)))
        };
        let samples: Vec<_> = self.0.stdout.lines().filter(is_it).collect();
        let [sample] = samples[..] else { anyhow::bail!("{metric} {labels:?}: {samples:?} of {}", self.0.stdout) };
        Ok(sample.rsplit_once(' ').context("no value")?.1.parse()?)
    }

    fn of_node(&self, metric: &str, node: usize) -> Result<f64> {
        self.value(metric, &[("node", &node.to_string())])
    }

    fn has(&self, metric: &str) -> bool {
        self.0.stdout.contains(&format!("\n{metric}{{"))
    }
}

fn checks_tell_what_is_so(version: Version) -> Result<()> {
    let cluster = Cluster::start(version, health_checks())?;
    let line = check(&cluster, &["nodes"], 0)?;
    assert!(line.contains(": 3 nodes up | 'up'=3;;;0;3 "), "{line}");
    let primary = cluster.address(0);
    assert!(check(&cluster, &["primary", "--expect", &primary], 0)?.contains(&primary));
    check(&cluster, &["primary", "--expect", "1"], 2)?;
    check(&cluster, &["ping", "-C", "5"], 0)?;
    assert!(check(&cluster, &["pool"], 0)?.contains("0 of 8 child processes serve clients"));
    check(&cluster, &["watchdog"], 3)?;

    let has_stats = version != Version::V4_1;
    let health = ["health", "--server-timezone", "UTC"];
    if has_stats {
        wait_until("every node to be checked", Duration::from_secs(30), || {
            let output = run(&cluster, &[&["check"], &health[..]].concat())?;
            ensure!(output.code == Some(0) && output.stdout.contains("'age_2'="), "{output:?}");
            Ok(())
        })?;
        assert!(check(&cluster, &["nodes", "--live"], 0)?.contains(": 3 nodes up"));
        assert!(check(&cluster, &["primary", "--live"], 0)?.contains("the primary is 0"));
    } else {
        assert!(check(&cluster, &health, 3)?.contains("since 4.2"));
        check(&cluster, &["nodes", "--live"], 3)?;
    }

    cluster.kill_postgres(2)?;
    if has_stats {
        wait_until("a check to fail", Duration::from_secs(60), || {
            let output = run(&cluster, &["check", "nodes", "--live"])?;
            ensure!(output.code == Some(1) && output.stdout.contains("but its PostgreSQL down"), "{output:?}");
            Ok(())
        })?;
    }
    verdict(&run(&cluster, &["detach", "2"])?, 0);
    let line = check(&cluster, &["nodes"], 1)?;
    assert!(line.starts_with("WARNING - ") && line.contains("1 of 3 nodes not up: 2 ("), "{line}");
    assert!(check(&cluster, &["nodes", "--min-up", "3"], 2)?.contains("fewer than 3 up"));
    if has_stats {
        assert!(check(&cluster, &health, 0)?.contains("is down standby and passed over"));
    }
    Ok(())
}

fn the_exporter_agrees_with_sql(version: Version) -> Result<()> {
    let cluster = Cluster::start(version, health_checks())?;
    verdict(&run(&cluster, &["detach", "2"])?, 0);
    cluster.await_summary(&["0 attached primary", "1 attached standby", "2 down standby"])?;
    let page = Page::of(&cluster, &[])?;
    assert_eq!(page.value("pgpool2_up", &[])?, 1.0);
    assert_eq!(page.value("pgpool2_last_scrape_error", &[])?, 0.0);
    assert_eq!(page.value("pgpool2_pcp_primaries_up", &[])?, 1.0);
    for node in cluster.pool_nodes()? {
        let id = node.id;
        let labels = [
            ("node", &*id.to_string()),
            ("hostname", &*node.hostname),
            ("port", &*node.port.to_string()),
            ("role", &*node.role),
        ];
        assert_eq!(page.value("pgpool2_pool_nodes_status", &labels)?, f64::from(u8::from(node.is_attached())));
        let delay: f64 = node.columns["replication_delay"].parse()?;
        assert_eq!(page.value("pgpool2_pool_nodes_replication_delay", &labels)?, delay, "{node:?}");
        let weight: f64 = node.columns["lb_weight"].parse()?;
        assert!((page.of_node("pgpool2_pcp_node_weight_ratio", id)? - weight).abs() < 1e-5, "{node:?}");
        let changed: jiff::civil::DateTime = node.columns["last_status_change"].parse()?;
        let changed = changed.in_tz("UTC")?.timestamp().as_second();
        let told = page.of_node("pgpool2_pcp_node_last_status_change_timestamp_seconds", id)?;
        assert_eq!(told, f64::from(i32::try_from(changed)?), "{node:?}");
        let is_primary = page.of_node("pgpool2_pcp_node_primary", id)?;
        assert_eq!(is_primary, f64::from(u8::from(node.role == "primary")));
    }
    let state = [("node", "2"), ("state", "down")];
    assert_eq!(page.value("pgpool2_pcp_node_state", &state)?, 1.0);
    if version != Version::V4_1 {
        wait_until("a health check", Duration::from_secs(30), || {
            let page = Page::of(&cluster, &[])?;
            ensure!(page.of_node("pgpool2_pool_health_check_stats_success_count", 0)? >= 1.0, "none yet");
            ensure!(page.of_node("pgpool2_pcp_health_check_last_success_timestamp_seconds", 0)? > 1.6e9, "no time");
            Ok(())
        })?;
        let live = Page::of(&cluster, &["--live"])?;
        for (node, primary) in [(0, 1.0), (1, 0.0)] {
            assert_eq!(live.of_node("pgpool2_pcp_node_postgres_up", node)?, 1.0);
            assert_eq!(live.of_node("pgpool2_pcp_node_postgres_primary", node)?, primary);
        }
        assert!(!page.has("pgpool2_pcp_node_postgres_up"), "not without --live");
    }
    Ok(())
}

fn both_answer_while_every_postgres_is_dead(version: Version) -> Result<()> {
    let cluster = Cluster::start(version, Settings::default())?;
    for node in 0..3 {
        cluster.kill_postgres(node)?;
    }
    ensure!(cluster.pgpool().sql("SHOW POOL_NODES").is_err(), "SQL is not dead");
    let page = Page::of(&cluster, &[])?;
    assert!(page.0.elapsed < QUICK, "{:?}", page.0);
    assert_eq!(page.value("pgpool2_up", &[])?, 1.0);
    assert_eq!(page.value("pgpool2_last_scrape_error", &[])?, 0.0);
    assert_eq!(page.value("pgpool2_frontend_total", &[])?, 8.0);
    for node in 0..3 {
        page.of_node("pgpool2_pool_nodes_status", node)?;
    }
    check(&cluster, &["ping"], 0)?;
    check(&cluster, &["pool"], 0)?;
    assert!(run(&cluster, &["check", "nodes"])?.stdout.contains(" - 127.0.0.1:"));

    cluster.stop_pgpool()?;
    // The published port accepts and closes, for Docker listens there; Pgpool's own refuses.
    let refusing = cluster.pgpool().pcp_address().to_string();
    let page = Page::of(&cluster, &["-h", &refusing])?;
    assert_eq!(page.value("pgpool2_up", &[])?, 0.0);
    assert_eq!(page.value("pgpool2_pcp_scrape_errors_total", &[("reason", "unreachable")])?, 1.0);
    assert!(check(&cluster, &["ping", "-h", &refusing], 2)?.contains("Connection refused"));
    Ok(())
}

fn no_dead_host_holds_them_up(version: Version) -> Result<()> {
    let settings = Settings::default().set("health_check_period", 1000).set("health_check_max_retries", 100);
    let cluster = Cluster::start(version, settings)?;
    cluster.swallow_packets(2)?;
    let page = Page::of(&cluster, &[])?;
    assert!(page.0.elapsed < QUICK, "{:?}", page.0);
    assert_eq!(page.of_node("pgpool2_pool_nodes_status", 2)?, 1.0);
    for args in [&["nodes"][..], &["primary"], &["pool"], &["ping"]] {
        let output = run(&cluster, &[&["check"], args].concat())?;
        assert_eq!(output.code, Some(0), "{output:?}");
        assert!(output.elapsed < QUICK, "{output:?}");
    }
    if version != Version::V4_1 {
        let live = Page::of(&cluster, &["--live", "--deadline", "4s"])?;
        assert_eq!(live.of_node("pgpool2_pcp_node_postgres_up", 0)?, 1.0);
        assert!(live.of_node("pgpool2_pcp_node_postgres_up", 2).is_err(), "{:?}", live.0);
        assert_eq!(live.value("pgpool2_pcp_collector_success", &[("collector", "node_info")])?, 0.0);
        assert_eq!(live.value("pgpool2_up", &[])?, 1.0);
    }
    Ok(())
}

fn clients_are_counted(version: Version) -> Result<()> {
    let cluster = Cluster::start(version, Settings::default())?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, cluster.sql_port()));
    let sessions = (0..7).map(|_| Session::open(address, "postgres")).collect::<Result<Vec<_>>>()?;
    let line = check(&cluster, &["pool"], 1)?;
    assert!(
        line.starts_with("WARNING - ") && line.contains(": 7 of 8 child processes serve clients (88 %)"),
        "{line}"
    );
    let page = Page::of(&cluster, &[])?;
    let client = [("username", "postgres"), ("database", "postgres")];
    assert_eq!(page.value("pgpool2_frontend_used", &client)?, 7.0);
    assert_eq!(page.value("pgpool2_frontend_used_ratio", &[])?, 0.875);
    assert!(page.value("pgpool2_backend_used", &[])? >= 7.0, "{:?}", page.0);
    if version != Version::V4_1 {
        assert_eq!(page.value("pgpool2_pcp_children", &[("state", "idle")])?, 7.0);
        assert_eq!(page.value("pgpool2_pcp_children", &[("state", "wait_for_connection")])?, 1.0);
    }
    drop(sessions);
    wait_until("the children to be free", Duration::from_secs(30), || {
        let page = Page::of(&cluster, &[])?;
        ensure!(page.value("pgpool2_frontend_used_ratio", &[])? == 0.0, "not yet");
        Ok(())
    })
}

fn a_watchdog_is_checked_and_told(version: Version) -> Result<()> {
    let cluster = Cluster::start(version, Settings::default().watchdog())?;
    let hosts: Vec<_> = cluster.pgpools().map(|pgpool| format!("127.0.0.1:{}", pgpool.pcp_port())).collect();
    let hosts = hosts.join(",");
    let line = check(&cluster, &["watchdog", "-h", &hosts], 0)?;
    assert_eq!(line.matches("quorum exists, 3 members, leader ").count(), 3, "{line}");
    check(&cluster, &["primary", "-h", &hosts], 0)?;
    let page = Page::of(&cluster, &["-h", &hosts])?;
    let leads = cluster.pgpools().map(|pgpool| {
        let endpoint = format!("127.0.0.1:{}", pgpool.pcp_port());
        assert_eq!(page.value("pgpool2_pcp_watchdog_quorum_status", &[("pgpool", &endpoint)])?, 1.0);
        assert_eq!(page.value("pgpool2_pcp_watchdog_members", &[("pgpool", &endpoint)])?, 3.0);
        page.value("pgpool2_pcp_watchdog_leader", &[("pgpool", &endpoint)])
    });
    let leads = leads.collect::<Result<Vec<_>>>()?;
    assert_eq!(leads.iter().sum::<f64>(), 1.0, "{leads:?}");

    let last = cluster.pgpools().last().context("no Pgpools")?;
    last.stop()?;
    let first = ["check", "watchdog", "-h", hosts.split(',').next().context("no host")?];
    wait_until("a member to be missed", Duration::from_secs(60), || {
        let output = command(&first).to(&cluster).run()?;
        ensure!(output.code == Some(1) && output.stdout.contains(" is shutdown | 'lost'=1;0;"), "{output:?}");
        Ok(())
    })
}
