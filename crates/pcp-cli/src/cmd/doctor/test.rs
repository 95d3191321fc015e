//! From the settings of a Pgpool, of EFM and of a password file to what is found.

use std::path::Path;
use std::time::Duration;

use pcp_client::sandbox::{Age, FailoverCommand, FailoverFlag, Mode, Sandbox, Watchdog, WatchdogState, World};
use pcp_client::truth::EfmStatus;
use pcp_client::{Client, Deadline, Limits, NodeName};
use pcp_proto::Credentials;

use super::addresses::{self, Address, Kind};
use super::finding::Finding;
use super::hook_line::Host;
use super::look::{Told, tell};
use super::propose::{Lines, Sources};
use super::{login, pgpool_conf, pgpools, properties};
use crate::settings::{Layer, Settings, parse_properties};

const HOOK_LIMIT: Duration = Duration::from_secs(60);

fn world(age: Age) -> World {
    let world = World::new(age).node("10.0.0.1", 5432).node("10.0.0.2", 5432).node("10.0.0.3", 5432);
    // 4.3 to 4.5 have it on unless set.
    match age >= Age::V4_3_0 && age < Age::V4_6 {
        true => shown(world, "failover_on_backend_shutdown", "0"),
        false => world,
    }
}

fn shown(world: World, name: &str, value: &str) -> World {
    world.configure(|settings| {
        settings.shown.insert(name.to_owned(), value.to_owned());
    })
}

async fn told(world: World) -> Told {
    let sandbox = Sandbox::unbound(world);
    let (ours, theirs) = tokio::io::duplex(4096);
    sandbox.serve_stream(theirs);
    let limits = Limits::new(Deadline::after(HOOK_LIMIT));
    let credentials = Credentials::new(World::USER, World::PASSWORD.as_bytes()).unwrap();
    tell(Client::new(ours, credentials, limits)).await.unwrap()
}

/// What is not as it should be, with the lines to write.
fn listed(findings: &[Finding]) -> Vec<String> {
    let bad = findings.iter().filter(|finding| finding.severity > super::finding::Severity::Ok);
    // The release is a note of its own.
    let bad = bad.filter(|finding| finding.about != "release" && !finding.seen.contains("tells no roles"));
    bad.map(|finding| format!("{} {} -> {}", finding.severity.word(), finding.seen, finding.lines.join("; ")))
        .collect()
}

async fn judged(world: World) -> Vec<String> {
    listed(&pgpool_conf::judge(&told(world).await, HOOK_LIMIT))
}

#[tokio::test(start_paused = true)]
async fn a_pgpool_set_up_by_the_guide_has_nothing_to_mend_at_any_age() {
    for age in Age::ALL {
        assert_eq!(judged(world(age)).await, [""; 0], "{age}");
    }
}

#[tokio::test(start_paused = true)]
async fn each_setting_that_works_against_hooks_is_found_with_the_line_to_write() {
    const AGES: [Age; 4] = [Age::V4_1, Age::V4_3_1, Age::V4_6, Age::V4_7];
    for (name, value, expected) in [
        (
            "failover_on_backend_error",
            "1",
            "WARNING failover_on_backend_error is on -> failover_on_backend_error = off",
        ),
        ("failback_command", "x", "WARNING failback_command is 'x' -> failback_command = ''"),
        ("detach_false_primary", "1", "WARNING detach_false_primary is on -> detach_false_primary = off"),
        ("load_balance_mode", "0", "NOTE load_balance_mode is off -> load_balance_mode = on"),
        ("auto_failback", "1", "NOTE auto_failback is on -> auto_failback = off"),
        (
            "search_primary_node_timeout",
            "0",
            "CRITICAL search_primary_node_timeout is 0 -> search_primary_node_timeout = 3",
        ),
        (
            "search_primary_node_timeout",
            "2",
            "NOTE search_primary_node_timeout is 2 -> search_primary_node_timeout = 3",
        ),
        (
            "search_primary_node_timeout",
            "11",
            "WARNING search_primary_node_timeout is 11 -> search_primary_node_timeout = 3",
        ),
        (
            "search_primary_node_timeout",
            "300",
            "WARNING search_primary_node_timeout is 300 -> search_primary_node_timeout = 3",
        ),
        ("health_check_period2", "5", "WARNING health_check_period2 is 5 -> health_check_period2 = 0"),
        (
            "pcp_listen_addresses",
            "localhost",
            "WARNING pcp_listen_addresses is 'localhost' -> pcp_listen_addresses = '*'",
        ),
        (
            "pcp_listen_addresses",
            "127.0.0.1, ::1",
            "WARNING pcp_listen_addresses is '127.0.0.1, ::1' -> pcp_listen_addresses = '*'",
        ),
        (
            "backend_flag1",
            "ALLOW_TO_FAILOVER|ALWAYS_PRIMARY",
            "CRITICAL backend_flag1 is ALLOW_TO_FAILOVER|ALWAYS_PRIMARY (node 1, 10.0.0.2:5432) -> backend_flag1 = 'ALLOW_TO_FAILOVER'",
        ),
    ] {
        for age in AGES {
            assert_eq!(judged(shown(world(age), name, value)).await, [expected], "{age} {name}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn settings_are_spelled_as_the_release_spells_them() {
    for (age, name) in [(Age::V4_1, "follow_master_command"), (Age::V4_3_1, "follow_primary_command")] {
        let follow = async |command: &str| judged(shown(world(age), name, command)).await.join("; ");
        let script = follow("/x/follow.sh %d").await;
        assert_eq!(script, format!("WARNING {name} is '/x/follow.sh %d' -> {name} = ''"));
        let ours = follow("/usr/bin/pcpctl follow -U a %d %P %m").await;
        assert!(ours.starts_with(&format!("NOTE {name}")), "{ours}");
        let short = follow("/usr/bin/pcpctl follow %d %P").await;
        assert!(short.starts_with(&format!("WARNING {name}")), "{short}");
    }
    let modern = "backend_clustering_mode = 'streaming_replication'";
    let old = "master_slave_mode = on; master_slave_sub_mode = 'stream'";
    for (age, line) in
        [(Age::V3_5, old), (Age::V4_1, old), (Age::V4_2, modern), (Age::V4_3_0, modern), (Age::V4_7, modern)]
    {
        let raw = judged(world(age).configure(|settings| settings.mode = Mode::Raw)).await.join("; ");
        assert!(raw.starts_with("CRITICAL ") && raw.ends_with(line), "{age}: {raw}");
    }
    let old = judged(shown(world(Age::V3_7), "fail_over_on_backend_error", "1")).await;
    assert!(old[0].ends_with("-> fail_over_on_backend_error = off"), "{old:?}");
}

#[tokio::test(start_paused = true)]
async fn what_makes_a_detach_fail_or_a_second_primary_is_critical() {
    for age in [Age::V4_1, Age::V4_3_1, Age::V4_7] {
        let world = world(age)
            .node_with("10.0.0.4", 5433, |node| node.flag = FailoverFlag::DisallowToFailover)
            .configure(|settings| settings.failover_command = FailoverCommand::Promotes);
        let expected = [
            "CRITICAL backend_flag3 is DISALLOW_TO_FAILOVER (node 3, 10.0.0.4:5433) -> backend_flag3 = 'ALLOW_TO_FAILOVER'",
            "CRITICAL failover_command is '/etc/pgpool-II/failover.sh' -> failover_command = ''",
        ];
        assert_eq!(judged(world).await, expected, "{age}");
    }
    let both = world(Age::V4_7).configure(|settings| settings.health_check_period = Duration::from_secs(5));
    let expected = [
        "WARNING health_check_period is 5 -> health_check_period = 0",
        "WARNING auto_failback is on -> auto_failback = off",
    ];
    assert_eq!(judged(shown(both, "auto_failback", "1")).await, expected);
}

#[tokio::test(start_paused = true)]
async fn what_the_nodes_are_at_the_moment_is_told() {
    let mut lost = world(Age::V4_7);
    lost.set_primary(None);
    assert_eq!(judged(lost).await, ["WARNING no node is the primary -> "]);
    let mut searching = world(Age::V4_7);
    searching.detach(Duration::ZERO, 2);
    searching.advance(Duration::from_secs(5));
    assert_eq!(judged(searching).await, ["NOTE node 2 (10.0.0.3:5432) is down standby -> "]);
}

#[tokio::test(start_paused = true)]
async fn the_old_spelling_is_warned_of_where_it_has_no_effect() {
    for (age, warned) in [(Age::V4_0, true), (Age::V4_3_1, true), (Age::V4_4, false), (Age::V4_7, false)] {
        let told = told(shown(world(age), "failover_on_backend_error", "1")).await;
        let findings = pgpool_conf::judge(&told, HOOK_LIMIT);
        let why = findings.iter().find(|finding| finding.about == "failover_on_backend_error").unwrap();
        assert_eq!(why.why.contains("fail_over_on_backend_error is taken"), warned, "{age}");
    }
}

#[tokio::test(start_paused = true)]
async fn pgpools_that_differ_are_told_apart() {
    let one = told(world(Age::V4_6)).await;
    let same = told(world(Age::V4_7)).await;
    assert_eq!(listed(&pgpools::judge(&[("a", &one), ("b", &same)])), [""; 0]);

    let swapped = World::new(Age::V4_7).node("10.0.0.2", 5432).node("10.0.0.1", 5432).node("10.0.0.9", 5432);
    let swapped = shown(swapped, "sr_check_user", "other");
    let other = told(swapped.clone()).await;
    let found = listed(&pgpools::judge(&[("a", &one), ("b", &other)]));
    assert_eq!(
        found,
        [
            "WARNING sr_check_user differs: other on b; pgpool on a -> ",
            "NOTE 10.0.0.1:5432 is node 0 on a; node 1 on b -> ",
            "NOTE 10.0.0.2:5432 is node 0 on b; node 1 on a -> ",
            "WARNING 10.0.0.3:5432 is node 2 on a; none on b -> ",
            "WARNING 10.0.0.9:5432 is node 2 on b; none on a -> ",
            "CRITICAL the primary is 10.0.0.1:5432 on a; 10.0.0.2:5432 on b -> ",
        ]
    );
    // The watchdog passes the id on.
    let watched = told(swapped.configure(|settings| settings.watchdog = Some(Watchdog::of(&["b"])))).await;
    let found = listed(&pgpools::judge(&[("a", &one), ("b", &watched)]));
    assert!(found.iter().any(|found| found.starts_with("CRITICAL 10.0.0.1:5432 is")), "{found:?}");
}

#[tokio::test(start_paused = true)]
async fn a_watchdog_s_members_are_counted_and_all_are_to_be_named() {
    let member = async |age, hosts: &[&str], change: fn(&mut Watchdog)| {
        let mut watchdog = Watchdog::of(hosts);
        change(&mut watchdog);
        told(world(age).configure(|settings| settings.watchdog = Some(watchdog))).await
    };
    let follows = |watchdog: &mut Watchdog| {
        for (peer, state) in watchdog.members.iter_mut().zip([WatchdogState::Standby, WatchdogState::Leader]) {
            peer.state = state;
        }
    };
    for age in [Age::V4_1, Age::V4_7] {
        let a = member(age, &["a", "b"], |_| {}).await;
        let b = member(age, &["b", "a"], follows).await;
        assert_eq!(listed(&pgpools::judge(&[("a", &a), ("b", &b)])), [""; 0], "{age}");
        assert_eq!(
            listed(&pgpools::judge(&[("a", &a)])),
            ["WARNING the member b:9999 Linux b was not asked -> pgpools = [..., \"b\"]"],
            "{age}"
        );
        let twice = listed(&pgpools::judge(&[("a", &a), ("vip", &a)]));
        assert!(twice[0].starts_with("WARNING a and vip are the same Pgpool"), "{twice:?}");
        let lost = member(age, &["a"], |watchdog| {
            watchdog.quorum = -2;
            watchdog.members[0].state = WatchdogState::Joining;
        });
        let lost = listed(&pgpools::judge(&[("a", &lost.await)]));
        assert!(lost[0].starts_with("CRITICAL no member leads"), "{lost:?}");
        assert!(lost[1].contains("is JOINING"), "{lost:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_address_leads_to_one_node_or_hooks_for_it_fail() {
    let told = told(world(Age::V4_7).node("10.0.0.3", 5433)).await;
    let mut layer = Layer::default();
    (layer.user, layer.pgpools) = (Some("a".to_owned()), Some(Vec::new()));
    let settings = Settings::new(layer, crate::args::Ask::Never, HOOK_LIMIT).unwrap();
    let judged = async |name: &str, kind| {
        let address = Address { name: name.parse().unwrap(), kind };
        let leads = addresses::lead(&address, &[("a", &told)], &settings).await;
        let findings = addresses::judge(&address, &leads);
        format!("{} {} {:?}", findings[0].severity.word(), findings[0].seen, findings[0].lines)
    };
    assert_eq!(judged("10.0.0.2", Kind::Database).await, "OK 10.0.0.2 is node 1 (10.0.0.2:5432) []");
    assert!(judged("10.0.0.3", Kind::Database).await.starts_with("CRITICAL 10.0.0.3 is ambiguous"));
    assert!(judged("10.0.0.9", Kind::Database).await.starts_with("CRITICAL Pgpool has no node 10.0.0.9"));
    assert!(judged("10.0.0.1:5444", Kind::Given).await.ends_with("[\"backend-port = 5432\"]"));
    assert!(judged("10.0.0.9", Kind::Unclear).await.starts_with("NOTE EFM lists 10.0.0.9"));
    let address = Address { name: "10.0.0.2".parse().unwrap(), kind: Kind::Database };
    let leads = [addresses::lead(&address, &[("a", &told)], &settings).await];
    let unnamed = listed(&addresses::unnamed("a", &told.view.nodes, &leads));
    assert_eq!(unnamed.len(), 3, "{unnamed:?}");
}

#[test]
fn addresses_come_from_the_caller_from_efm_and_from_the_map_each_once() {
    let efm = br#"{"nodes":{"10.0.0.1":{"type":"Primary","db":"UP"},"10.0.0.5":{"type":"Witness","db":"N/A"},
        "10.0.0.2":{"type":"Idle","db":"DOWN"}},"missingnodes":["10.0.0.3"]}"#;
    let efm = EfmStatus::parse(efm).unwrap();
    let name = |text: &str| text.parse::<NodeName>().unwrap();
    let found = addresses::collect(vec![name("10.0.0.1")], vec![name("pg9"), name("10.0.0.3")], Some(&efm));
    let found: Vec<_> = found.iter().map(|address| (address.name.to_string(), address.kind)).collect();
    let expected = [
        ("10.0.0.1", Kind::Given),
        ("10.0.0.2", Kind::Unclear),
        ("10.0.0.3", Kind::Unclear),
        ("pg9", Kind::Mapped),
    ];
    assert_eq!(found, expected.map(|(name, kind)| (name.to_owned(), kind)));
}

#[test]
fn who_owns_the_password_file_counts() {
    let owner = |file, caller| login::owner(Path::new("/f"), login::Owner { file, caller }).map(|found| found.seen);
    assert_eq!(owner(500, 500), None);
    assert_eq!(owner(500, 0).unwrap(), "/f belongs to user id 500, and this runs as 0");
    assert_eq!(owner(0, 0).unwrap(), "/f belongs to root, who runs this");
}

fn properties(text: &str) -> Vec<String> {
    let layer = Layer::default();
    let sources = Sources { config: None, profile: None, here: &layer, hook: &layer };
    let lines = Lines::new(Path::new("/usr/bin/pcpctl"), &sources, Duration::from_secs(20));
    let host = Host { program: Path::new("/usr/bin/pcpctl"), is_program: &|_| true, rehearse: &|_| Ok(()) };
    let findings = properties::judge(&parse_properties(text), &lines, &host, &[5432]);
    let bad = findings.iter().filter(|finding| finding.severity > super::finding::Severity::Ok);
    bad.map(|finding| format!("{} {}", finding.severity.word(), finding.seen)).collect()
}

#[test]
fn each_mistake_in_efm_s_properties_is_found() {
    const HOOKS: &str = "script.load.balancer.attach=/usr/bin/pcpctl attach %h %t\n\
        script.load.balancer.detach=/usr/bin/pcpctl detach %h %t\ndetach.on.agent.failure=false\n";
    assert_eq!(properties(HOOKS), [""; 0]);
    assert_eq!(
        properties("db.port=5432"),
        [
            "CRITICAL script.load.balancer.attach is not set",
            "CRITICAL script.load.balancer.detach is not set",
            "NOTE detach.on.agent.failure is not set"
        ]
    );
    for (line, expected) in [
        ("pgpool.enable=true", "CRITICAL pgpool.enable is true beside the hooks"),
        ("detach.on.agent.failure=true", "WARNING detach.on.agent.failure is true"),
        ("db.port=5444", "WARNING db.port is 5444; Pgpool's nodes have 5432"),
        ("script.fence=/usr/bin/pcpctl promote %p", "CRITICAL script.fence runs pcpctl"),
        ("script.resumed=/usr/bin/pcpctl reconcile --efm", "WARNING script.resumed runs pcpctl"),
        ("script.custom.monitor=/usr/bin/pcpctl check nodes", "CRITICAL script.custom.monitor runs pcpctl check"),
        (
            "script.custom.monitor=/usr/bin/pcpctl reconcile --efm",
            "CRITICAL script.custom.monitor runs pcpctl reconcile without --monitor",
        ),
        (
            "script.custom.monitor=/usr/bin/pcpctl reconcile --efm --monitor --deadline 20s",
            "WARNING custom.monitor.safe.mode is not true",
        ),
        (
            "custom.monitor.safe.mode=true\ncustom.monitor.timeout=20\n\
             script.custom.monitor=/usr/bin/pcpctl reconcile --efm --monitor --deadline 20s",
            "WARNING custom.monitor.timeout is not longer than 20s",
        ),
        (
            "script.post.promotion=/usr/bin/pcpctl attach %p",
            "CRITICAL script.post.promotion runs pcpctl attach, not promote",
        ),
    ] {
        assert_eq!(properties(&format!("{HOOKS}{line}")), [expected], "{line}");
    }
    for fine in [
        "script.post.promotion=/usr/bin/pcpctl promote %p %f",
        "script.fence=/usr/local/bin/fence.sh %p %f",
        "custom.monitor.safe.mode=true\ncustom.monitor.timeout=30\n\
         script.custom.monitor=/usr/bin/pcpctl reconcile --efm --monitor --deadline=20s",
        "pgpool.enable=false\ndb.port=5432",
    ] {
        assert_eq!(properties(&format!("{HOOKS}{fine}")), [""; 0], "{fine}");
    }
    let twice = format!("{HOOKS}script.load.balancer.attach=/usr/bin/pcpctl attach %h %t");
    assert_eq!(properties(&twice), ["NOTE script.load.balancer.attach is set in lines 1, 4"]);
}
