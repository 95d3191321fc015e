//! Several Pgpools at once.

#![allow(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "a test may fail so")]

mod support;

use std::time::Duration;

use pcp_client::sandbox::{Age, Fault, Watchdog, WatchdogState, World};
use pcp_client::{Change, Deadline, Failure, Options, Order, Report, Step, Want, converge_all, forecast_all};
use pcp_proto::message::NodeStatus;
use pcp_proto::{Credentials, RequestKind};
use tokio::time::Instant;

use support::{Pgpool, credentials, id, world};

fn options(limit: u64) -> Options {
    Options { deadline: Deadline::after(Duration::from_secs(limit)), settle: Duration::ZERO }
}

async fn detach_all(pgpools: &[&Pgpool], limit: u64) -> Vec<Report> {
    let credentials = credentials();
    let pgpools = pgpools.iter().map(|&pgpool| (pgpool, &credentials));
    converge_all(pgpools, &Order::new(&"10.0.0.3".parse().unwrap(), Want::Detached, options(limit))).await
}

#[tokio::test(start_paused = true)]
async fn the_name_is_resolved_on_each_and_reports_come_in_their_order() {
    let first = Pgpool::new(world(Age::V4_7));
    let without = Pgpool::new(World::new(Age::V4_7).node("10.0.0.1", 5432));
    let turned = World::new(Age::V4_1).node("10.0.0.1", 5432).node("10.0.0.3", 5432).node("10.0.0.2", 5432);
    let turned = Pgpool::new(turned);
    let reports = detach_all(&[&first, &without, &turned], 60).await;
    let changes: Vec<_> = reports.iter().map(|report| report.changes.clone()).collect();
    assert_eq!(changes, [vec![Change::Detach(id(2))], vec![], vec![Change::Detach(id(1))]]);
    reports[0].result.as_ref().unwrap();
    assert!(matches!(reports[1].result, Err(Failure::Node(_))), "{:?}", reports[1]);
    reports[2].result.as_ref().unwrap();
    assert_eq!(first.0.with(|world| world.show_pool_nodes()), "0=up/primary 1=up/standby 2=down/standby");
    assert_eq!(turned.0.with(|world| world.show_pool_nodes()), "0=up/primary 1=down/standby 2=up/standby");
}

#[tokio::test(start_paused = true)]
async fn a_dead_pgpool_does_not_delay_the_others() {
    let (dead, alive) = (Pgpool::new(world(Age::V4_7)), Pgpool::new(world(Age::V4_7)));
    (0..100).for_each(|_| dead.0.fault(Fault::NeverSalt));
    let started = Instant::now();
    for pgpools in [[&dead, &alive], [&alive, &dead]] {
        let reports = detach_all(&pgpools, 12).await;
        for (pgpool, report) in pgpools.into_iter().zip(reports) {
            if std::ptr::eq(pgpool, &alive) {
                report.result.unwrap();
                assert!(report.elapsed < Duration::from_secs(1), "{:?}", report.elapsed);
                let at = alive.0.with(|world| world.operations()[0].at);
                assert!(at < Duration::from_secs(1), "{at:?}");
            } else {
                assert!(matches!(report.result, Err(Failure::Unreachable(_))), "{report:?}");
                assert!(report.elapsed > Duration::from_secs(11), "{:?}", report.elapsed);
            }
        }
    }
    assert!(started.elapsed() <= Duration::from_secs(24), "{:?}", started.elapsed());
}

#[tokio::test(start_paused = true)]
async fn each_pgpool_has_its_own_password() {
    let other = Credentials::new("pcpadmin", b"other").unwrap();
    let theirs = other.clone();
    let (first, second) = (
        Pgpool::new(world(Age::V4_7)),
        Pgpool::new(world(Age::V4_7).configure(|settings| settings.credentials = Some(theirs))),
    );
    let name = "2".parse().unwrap();
    let usual = credentials();
    let reports =
        converge_all([(&first, &usual), (&second, &other)], &Order::new(&name, Want::Detached, options(60))).await;
    reports.into_iter().for_each(|report| report.result.unwrap());
    let reports =
        converge_all([(&first, &other), (&second, &other)], &Order::new(&name, Want::Attached, options(60))).await;
    assert!(matches!(reports[0].result, Err(Failure::Authentication(_))), "{:?}", reports[0]);
    reports[1].result.as_ref().unwrap();
}

#[tokio::test(start_paused = true)]
async fn of_no_pgpool_there_is_no_report() {
    assert!(detach_all(&[], 60).await.is_empty());
}

/// A member of a watchdog cluster of three; the leader is the first one.
fn member(age: Age, at: usize) -> Pgpool {
    let mut watchdog = Watchdog::of(&["pgpool1", "pgpool2", "pgpool3"]);
    watchdog.members.rotate_left(at);
    Pgpool::new(world(age).configure(|settings| settings.watchdog = Some(watchdog)))
}

/// Passes the leader's view on to the other members, as the watchdog does.
async fn pass_on(leader: &Pgpool, others: &[&Pgpool]) {
    loop {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let (nodes, primary) = leader.0.with(|world| (world.nodes().to_vec(), world.primary()));
        for other in others {
            other.0.with(|world| {
                for (id, node) in nodes.iter().enumerate() {
                    world.node_mut(id).unwrap().status = node.status;
                }
                world.set_primary(primary);
            });
        }
    }
}

fn changes(reports: &[Report]) -> Vec<usize> {
    reports.iter().map(|report| report.changes.len()).collect()
}

#[tokio::test(start_paused = true)]
async fn of_a_watchdog_cluster_the_leader_acts_and_the_others_have_to_show_it() {
    for age in [Age::V4_1, Age::V4_7] {
        let members = [member(age, 1), member(age, 0), member(age, 2)];
        let [first, leader, last] = &members;
        let (all, others) = ([first, leader, last], [first, last]);
        let reports = tokio::select! {
            reports = detach_all(&all, 60) => reports,
            () = pass_on(leader, &others) => unreachable!(),
        };
        assert_eq!(changes(&reports), [0, 1, 0], "{age}");
        for report in &reports {
            assert!(report.result.is_ok(), "{age}: {report:?}");
            assert_eq!(report.before.as_ref().map(|node| node.is_attached()), Some(true), "{age}");
            assert_eq!(report.after.as_ref().map(|node| node.is_down()), Some(true), "{age}");
        }
    }
}

/// The leader passes nothing on before its search has ended, and a member would tell it the same again and again.
#[tokio::test(start_paused = true)]
async fn while_the_leader_searches_the_others_are_told_nothing_and_the_verdict_says_so() {
    let (leader, other) = (member(Age::V4_7, 0), member(Age::V4_7, 1));
    for pgpool in [&leader, &other] {
        pgpool.0.with(|world| {
            world.settings_mut().search_primary_node_timeout = Duration::from_secs(10);
            world.kill_postgres(0);
        });
    }
    let detach = async |limit| {
        let credentials = credentials();
        let pgpools = [&leader, &other].map(|pgpool| (pgpool, &credentials));
        let name = "10.0.0.1".parse().unwrap();
        converge_all(pgpools, &Order::new(&name, Want::Detached, options(limit))).await
    };
    let reports = detach(12).await;
    assert_eq!((changes(&reports), reports[0].result.is_ok()), (vec![1, 0], true), "{reports:?}");
    let said = reports[1].result.as_ref().unwrap_err().to_string();
    assert!(said.contains("it searches for up to 10 s (search_primary_node_timeout)"), "{said}");
    // It hears of nothing for longer than any search.
    let reports = detach(30).await;
    assert_eq!((changes(&reports), reports[1].result.is_ok()), (vec![0, 1], true), "{reports:?}");
}

#[tokio::test(start_paused = true)]
async fn a_member_to_which_nothing_is_passed_on_is_told_itself() {
    let members = [member(Age::V4_7, 0), member(Age::V4_7, 1)];
    let reports = detach_all(&[&members[0], &members[1]], 60).await;
    assert_eq!(changes(&reports), [1, 1]);
    assert!(reports.iter().all(|report| report.result.is_ok()), "{reports:?}");
    assert!(reports[1].elapsed >= Duration::from_secs(5), "{:?}", reports[1].elapsed);
}

#[tokio::test(start_paused = true)]
async fn without_the_leader_the_first_member_acts_at_once() {
    let (first, second) = (member(Age::V4_7, 1), member(Age::V4_7, 2));
    let (all, others) = ([&first, &second], [&second]);
    let reports = tokio::select! {
        reports = detach_all(&all, 60) => reports,
        () = pass_on(&first, &others) => unreachable!(),
    };
    assert_eq!(changes(&reports), [1, 0]);
    assert!(reports[0].elapsed < Duration::from_secs(1), "{:?}", reports[0].elapsed);

    // A leader that is dead, and a cluster without one.
    let (dead, alive) = (member(Age::V4_7, 0), member(Age::V4_7, 1));
    (0..100).for_each(|_| dead.0.fault(Fault::CloseBeforeSalt));
    let reports = detach_all(&[&dead, &alive], 12).await;
    assert!(reports[1].elapsed < Duration::from_secs(1), "{reports:?}");
    let mut watchdog = Watchdog::of(&["pgpool2", "pgpool1"]);
    watchdog.members[0].state = WatchdogState::Standby;
    watchdog.members[1].state = WatchdogState::Lost;
    let lone = Pgpool::new(world(Age::V4_7).configure(|settings| settings.watchdog = Some(watchdog)));
    let silent = Pgpool::new(world(Age::V4_7));
    silent.0.fault(Fault::Delay(Duration::from_secs(2)));
    // It does not wait for the other Pgpool: it asks, and is refused for as long as nobody leads.
    let election = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(lone.0.requests().iter().filter(|(_, kind)| *kind == RequestKind::DETACH_NODE).count() > 3);
        tokio::time::sleep(Duration::from_secs(11)).await;
        let lead = |watchdog: &mut Watchdog| watchdog.members[0].state = WatchdogState::Leader;
        lone.0.with(|world| world.settings_mut().watchdog.as_mut().map(lead));
    };
    let both = [&silent, &lone];
    let (reports, ()) = tokio::join!(detach_all(&both, 60), election);
    assert!(reports.iter().all(|report| report.result.is_ok()), "{reports:?}");
    assert!(reports[1].elapsed >= Duration::from_secs(12), "{reports:?}");
}

#[tokio::test(start_paused = true)]
async fn an_election_that_does_not_end_is_told_in_the_servers_words() {
    let mut watchdog = Watchdog::of(&["pgpool1", "pgpool2"]);
    watchdog.members.iter_mut().for_each(|member| member.state = WatchdogState::Joining);
    for (node, words) in [("10.0.0.3", "degenerate backend request"), ("10.0.0.2", "failback request")] {
        let watchdog = Some(watchdog.clone());
        let world = world(Age::V4_7).configure(|settings| settings.watchdog = watchdog);
        let pgpool = Pgpool::new(world);
        pgpool.0.with(|world| world.node_mut(1).unwrap().status = NodeStatus::Down);
        let want = if node == "10.0.0.2" { Want::Attached } else { Want::Detached };
        let credentials = credentials();
        let name = node.parse().unwrap();
        let reports = converge_all([(&pgpool, &credentials)], &Order::new(&name, want, options(20))).await;
        let Err(Failure::NotVerified { source: Some(source), .. }) = &reports[0].result else {
            panic!("{reports:?}")
        };
        assert!(source.to_string().contains(words), "{source}");
        assert_eq!(reports[0].changes, []);
    }
}

#[tokio::test(start_paused = true)]
async fn a_watchdog_that_tells_nothing_costs_two_seconds() {
    let (member, other) = (member(Age::V3_5, 1), Pgpool::new(world(Age::V3_5)));
    let reports = detach_all(&[&member, &other], 60).await;
    assert!(reports.iter().all(|report| report.result.is_ok()), "{reports:?}");
    assert!(reports[0].elapsed < Duration::from_secs(3), "{:?}", reports[0].elapsed);
}

#[tokio::test(start_paused = true)]
async fn an_id_has_to_mean_the_same_backend_everywhere() {
    let turned = World::new(Age::V4_7).node("10.0.0.1", 5432).node("10.0.0.3", 5432).node("10.0.0.2", 5432);
    let (first, second) = (Pgpool::new(world(Age::V4_7)), Pgpool::new(turned));
    // Whichever is read first.
    for slow in [&first, &second] {
        slow.0.fault(Fault::Delay(Duration::from_millis(500)));
        let credentials = credentials();
        let pgpools = [(&first, &credentials), (&second, &credentials)];
        let reports = converge_all(pgpools, &Order::new(&"1".parse().unwrap(), Want::Detached, options(60))).await;
        for report in reports {
            let Err(Failure::Node(error)) = &report.result else { panic!("{report:?}") };
            assert!(error.to_string().contains("on another Pgpool: name it by its address"), "{error}");
            assert_eq!(report.changes, []);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_forecast_tells_who_acts_and_what_an_id_means() {
    let forecasts = async |pgpools: [&Pgpool; 2], node: &str| {
        let (credentials, name) = (credentials(), node.parse().unwrap());
        let pgpools = pgpools.map(|pgpool| (pgpool, &credentials));
        let told = forecast_all(pgpools, &Order::new(&name, Want::Detached, options(60))).await;
        told.into_iter().map(|told| told.map(|told| told.step)).collect::<Vec<_>>()
    };
    let told = forecasts([&member(Age::V4_7, 1), &member(Age::V4_7, 0)], "10.0.0.3").await;
    assert!(matches!(&told[0], Ok(Step::Wait { reason }) if reason.contains("leader")), "{told:?}");
    assert!(matches!(told[1], Ok(Step::Act(Change::Detach(_), _))), "{told:?}");

    let turned = World::new(Age::V4_7).node("10.0.0.1", 5432).node("10.0.0.3", 5432).node("10.0.0.2", 5432);
    let pgpools = [&Pgpool::new(world(Age::V4_7)), &Pgpool::new(turned)];
    let by_id = forecasts(pgpools, "1").await;
    assert!(by_id.iter().all(|told| matches!(told, Err(Failure::Node(_)))), "{by_id:?}");
    let by_name = forecasts(pgpools, "10.0.0.2").await;
    assert!(by_name.iter().all(|told| matches!(told, Ok(Step::Act(..)))), "{by_name:?}");
    assert!(pgpools.iter().all(|pgpool| pgpool.0.with(|world| world.operations().is_empty())));
}

#[tokio::test(start_paused = true)]
async fn a_pgpool_that_was_given_up_is_tried_again_when_the_others_are_verified() {
    // The other one is busy for longer than an unreachable one is tried.
    let (dead, busy) = (Pgpool::new(world(Age::V4_7)), Pgpool::new(world(Age::V4_7)));
    let slow = Duration::from_secs(15);
    busy.0.with(|world| world.settings_mut().operation_delay = slow);
    // Ten seconds' tries are some 45, 250 ms apart.
    (0..60).for_each(|_| dead.0.fault(Fault::CloseBeforeSalt));
    let reports = detach_all(&[&dead, &busy], 60).await;
    assert!(reports.iter().all(|report| report.result.is_ok()), "{reports:?}");
    assert!(reports[0].elapsed > slow, "{:?}", reports[0].elapsed);
}
