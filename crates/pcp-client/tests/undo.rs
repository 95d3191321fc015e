//! A run that ends early leaves nothing half done, and what PostgreSQL itself says counts.

#![allow(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "a test may fail so")]

mod support;

use std::time::Duration;

use pcp_client::sandbox::{Age, Fault, World};
use pcp_client::{
    Change, Deadline, Evidence, Failure, LastNode, Node, NodeName, Options, Order, Proof, Recovery, Remark, Report,
    Sessions, Step, Stop, Want, converge, forecast,
};
use pcp_proto::RequestKind;
use tokio::io::duplex;
use tokio::time::{Instant, sleep};

use support::{Pgpool, Truth, credentials, id, world};

fn order(name: &NodeName, want: Want, limit: u64) -> Order<'_> {
    let options =
        Options { deadline: Deadline::after(Duration::from_secs(limit)), settle: Duration::from_millis(1500) };
    Order::new(name, want, options)
}

fn name(text: &str) -> NodeName {
    text.parse().unwrap()
}

impl Pgpool {
    fn shown(&self) -> String {
        self.0.with(|world| world.show_pool_nodes())
    }

    /// A cluster that lost its primary and found no other; node 1 may be promoted afterwards.
    async fn without_primary(age: Age) -> Self {
        let pgpool = Self::new(world(age));
        pgpool.0.with(|world| world.kill_postgres(0));
        pgpool.run(&order(&name("0"), Want::Detached, 60)).await.result.unwrap();
        sleep(Duration::from_secs(20)).await;
        pgpool
    }

    async fn run(&self, order: &Order<'_>) -> Report {
        converge(self, &credentials(), order).await
    }

    /// The same for a caller who can ask PostgreSQL.
    async fn run_knowing(&self, order: Order<'_>) -> Report {
        converge(self, &credentials(), &order.with_evidence(&Truth(&self.0))).await
    }

    fn sent(&self, kind: RequestKind) -> usize {
        self.0.requests().iter().filter(|(_, asked)| *asked == kind).count()
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_stopped_attaches_what_it_set_down() {
    for age in [Age::V3_7, Age::V4_1, Age::V4_3_1, Age::V4_7] {
        // Whenever it is told: before the change, while it is carried out, and after it.
        for (after, changes) in [(100, 0), (1700, 2), (1900, 2), (8000, 2)] {
            // Nothing was promoted, so the node is cycled in vain.
            let pgpool = Pgpool::without_primary(age).await;
            let stop = Stop::new();
            let node = name("10.0.0.2");
            let order = Order { stop: stop.clone(), ..order(&node, Want::Primary, 60) };
            let tell = async {
                sleep(Duration::from_millis(after)).await;
                stop.request();
                Instant::now()
            };
            let (report, told) = tokio::join!(pgpool.run(&order), tell);
            assert!(matches!(report.result, Err(Failure::Stopped { .. })), "{age} {after}: {report:?}");
            assert!(told.elapsed() <= Duration::from_secs(5), "{age} {after}: {:?}", told.elapsed());
            assert_eq!(report.changes.len(), changes, "{age} {after}: {report:?}");
            assert_eq!(pgpool.shown(), "0=down/standby 1=up/standby 2=up/standby", "{age} {after}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_deadline_keeps_time_to_attach_what_was_set_down() {
    let pgpool = Pgpool::without_primary(Age::V4_7).await;
    // Detaching a node makes this server search for a primary, and it carries out nothing else meanwhile.
    pgpool.0.with(|world| world.settings_mut().search_primary_node_timeout = Duration::from_secs(6));
    let started = Instant::now();
    let report = pgpool.run(&order(&name("10.0.0.2"), Want::Primary, 16)).await;
    assert!(matches!(report.result, Err(Failure::NotVerified { .. })), "{report:?}");
    // The search does not show, so the attach is sent again after 5 s.
    assert_eq!(report.changes, [Change::Detach(id(1)), Change::Attach(id(1)), Change::Attach(id(1))], "{report:?}");
    assert!(started.elapsed() <= Duration::from_secs(16), "{:?}", started.elapsed());
    assert_eq!(pgpool.shown(), "0=down/standby 1=up/standby 2=up/standby");
    assert!(matches!(&report.remarks[..], [Remark::Restored(node)] if node.id == id(1)), "{report:?}");

    // What is asked for shows only later, but still before the deadline.
    let pgpool = Pgpool::without_primary(Age::V4_7).await;
    pgpool.0.with(|world| world.settings_mut().search_primary_node_timeout = Duration::from_secs(10));
    let report = pgpool.run(&order(&name("10.0.0.2"), Want::Primary, 14)).await;
    assert!(matches!(&report.remarks[..], [Remark::Restored(node)] if node.id == id(1)), "{report:?}");
    assert!(report.elapsed <= Duration::from_secs(14), "{report:?}");

    // Too short for the search.
    let pgpool = Pgpool::without_primary(Age::V4_7).await;
    pgpool.0.with(|world| world.settings_mut().search_primary_node_timeout = Duration::from_secs(10));
    let report = pgpool.run(&order(&name("10.0.0.2"), Want::Primary, 11)).await;
    assert!(matches!(&report.remarks[..], [Remark::AttachPending(node)] if node.id == id(1)), "{report:?}");
    sleep(Duration::from_secs(20)).await;
    assert_eq!(pgpool.shown(), "0=down/standby 1=up/standby 2=up/standby", "Pgpool had taken the request");
}

#[tokio::test(start_paused = true)]
async fn an_answer_to_a_change_is_not_awaited_in_the_time_to_undo_it() {
    for age in [Age::V3_7, Age::V4_3_1, Age::V4_7] {
        let pgpool = Pgpool::without_primary(age).await;
        (0..100).for_each(|_| pgpool.0.fault(Fault::StallReplyToChange));
        let report = pgpool.run(&order(&name("10.0.0.2"), Want::Primary, 16)).await;
        assert!(matches!(report.result, Err(Failure::NotVerified { .. })), "{age}: {report:?}");
        assert!(report.elapsed <= Duration::from_secs(16), "{age}: {report:?}");
        assert_eq!(report.changes, [Change::Detach(id(1)), Change::Attach(id(1))], "{age}");
        assert_eq!(pgpool.shown(), "0=down/standby 1=up/standby 2=up/standby", "{age}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_question_that_is_not_answered_does_not_outlast_the_deadline() {
    struct Silent;
    impl Evidence for Silent {
        async fn answers(&self, _: &Node) -> bool {
            sleep(Duration::from_secs(3)).await;
            false
        }

        async fn recovery(&self, _: &Node) -> Recovery {
            sleep(Duration::from_secs(3)).await;
            Recovery::Unknown { reason: String::new() }
        }
    }
    for (node, want) in [("10.0.0.1", Want::Detached), ("10.0.0.2", Want::Primary)] {
        let pgpool = Pgpool::new(World::new(Age::V4_7).node("10.0.0.1", 5432));
        let pgpool = if want == Want::Primary { Pgpool::new(world(Age::V4_7)) } else { pgpool };
        let node = name(node);
        let report = converge(&pgpool, &credentials(), &order(&node, want, 2).with_evidence(&Silent)).await;
        assert!(matches!(report.result, Err(Failure::NotVerified { .. })), "{report:?}");
        assert!(report.elapsed <= Duration::from_secs(2), "{report:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn where_a_search_takes_long_another_node_is_cycled() {
    for age in [Age::V3_7, Age::V4_1, Age::V4_3_1, Age::V4_7] {
        for timeout in [0, 300] {
            let pgpool = Pgpool::without_primary(age).await;
            pgpool.0.with(|world| {
                world.settings_mut().search_primary_node_timeout = Duration::from_secs(timeout);
                world.promote_postgres(1);
            });
            let node = name("10.0.0.2");
            let order = order(&node, Want::Primary, 60);
            let report = converge(&pgpool, &credentials(), &order.with_evidence(&Answering)).await;
            assert!(report.result.is_ok(), "{age} {timeout}: {report:?}");
            assert_eq!(report.changes, [Change::Detach(id(2)), Change::Attach(id(2))], "{age} {timeout}");
            sleep(Duration::from_secs(5)).await;
            assert_eq!(pgpool.shown(), "0=down/standby 1=up/primary 2=up/standby", "{age} {timeout}");
        }
    }
}

/// Whoever was set down by a promotion may have become the old primary meanwhile.
#[tokio::test(start_paused = true)]
async fn of_what_a_promotion_set_down_only_proven_standbys_come_back() {
    /// Node 1 takes writes, though Pgpool does not find out.
    struct Says(Recovery);
    impl Evidence for Says {
        async fn answers(&self, _: &Node) -> bool {
            true
        }

        async fn recovery(&self, node: &Node) -> Recovery {
            if node.id == id(1) { Recovery::NotInRecovery } else { self.0.clone() }
        }
    }
    let unknown = || Recovery::Unknown { reason: String::new() };
    for (recovery, shown) in [
        (Recovery::InRecovery, "2=up/standby"),
        (Recovery::NotInRecovery, "2=down/standby"),
        (unknown(), "2=down/standby"),
    ] {
        let pgpool = Pgpool::without_primary(Age::V4_7).await;
        let (stop, node, says) = (Stop::new(), name("10.0.0.2"), Says(recovery));
        let order = Order { stop: stop.clone(), ..order(&node, Want::Primary, 60) }.with_evidence(&says);
        let credentials = credentials();
        let break_off = async {
            while pgpool.sent(RequestKind::PROMOTE_NODE) == 0 || !pgpool.shown().contains("2=down") {
                sleep(Duration::from_millis(1)).await;
            }
            stop.request();
        };
        let (report, ()) = tokio::join!(converge(&pgpool, &credentials, &order), break_off);
        assert!(matches!(report.result, Err(Failure::Stopped { .. })), "{report:?}");
        assert_eq!(pgpool.shown(), format!("0=down/standby 1=up/primary {shown}"), "{:?}", says.0);
        let is_named = |remark: &Remark| match (&says.0, remark) {
            (Recovery::InRecovery, Remark::Restored(node)) => node.id == id(2),
            (Recovery::InRecovery, _) => false,
            (_, Remark::NotProven(node)) => node.id == id(2),
            _ => false,
        };
        assert!(report.remarks.iter().any(is_named), "{:?}: {report:?}", says.0);
    }
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_attached_again_is_named() {
    let pgpool = Pgpool::without_primary(Age::V4_7).await;
    let stop = Stop::new();
    let node = name("10.0.0.2");
    let order = Order { stop: stop.clone(), ..order(&node, Want::Primary, 60) };
    let break_off = async {
        while pgpool.sent(RequestKind::DETACH_NODE) < 2 {
            sleep(Duration::from_millis(1)).await;
        }
        (0..100).for_each(|_| pgpool.0.fault(Fault::NeverSalt));
        stop.request();
        Instant::now()
    };
    let (report, told) = tokio::join!(pgpool.run(&order), break_off);
    assert!(told.elapsed() <= Duration::from_millis(5001), "{:?}", told.elapsed());
    assert!(report.remarks.iter().any(|remark| matches!(remark, Remark::LeftDown(node) if node.id == id(1))));
}

#[tokio::test(start_paused = true)]
async fn the_last_node_is_kept_while_it_answers() {
    let pgpool = Pgpool::new(world(Age::V4_7));
    pgpool.run(&order(&name("1"), Want::Detached, 30)).await.result.unwrap();
    pgpool.run(&order(&name("2"), Want::Detached, 30)).await.result.unwrap();
    let last = name("10.0.0.1");
    let report = pgpool.run_knowing(order(&last, Want::Detached, 30)).await;
    let Err(Failure::Refused { reason, .. }) = &report.result else { panic!("{report:?}") };
    assert!(reason.contains("node 0 (10.0.0.1:5432) is the last one that is up"), "{reason}");
    assert_eq!(report.changes, []);
    pgpool.0.with(|world| world.kill_postgres(0));
    pgpool.run_knowing(order(&last, Want::Detached, 30)).await.result.unwrap();

    let pgpool = Pgpool::new(World::new(Age::V4_7).node("10.0.0.1", 5432));
    let given_up = Order { last_node: LastNode::GivenUp, ..order(&last, Want::Detached, 30) };
    pgpool.run(&given_up).await.result.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_primary_that_is_not_promoted_yet_is_waited_for_and_nothing_is_changed() {
    let pgpool = Pgpool::new(world(Age::V4_7));
    let node = name("10.0.0.2");
    let report = pgpool.run_knowing(order(&node, Want::Primary, 20)).await;
    let Err(Failure::NotVerified { awaited, .. }) = &report.result else { panic!("{report:?}") };
    assert!(awaited.contains("to end its recovery"), "{awaited}");
    assert_eq!((report.changes, pgpool.shown().as_str()), (vec![], "0=up/primary 1=up/standby 2=up/standby"));

    let late = async {
        sleep(Duration::from_secs(8)).await;
        pgpool.0.with(|world| {
            world.kill_postgres(0);
            world.promote_postgres(1);
        });
    };
    let (report, ()) = tokio::join!(pgpool.run_knowing(order(&node, Want::Primary, 60)), late);
    report.result.unwrap();
    assert_eq!(pgpool.shown(), "0=down/standby 1=up/primary 2=up/standby");
}

#[tokio::test(start_paused = true)]
async fn a_node_that_takes_writes_is_no_standby() {
    let pgpool = Pgpool::new(world(Age::V4_7));
    pgpool.run(&order(&name("2"), Want::Detached, 30)).await.result.unwrap();
    pgpool.0.with(|world| world.promote_postgres(2));
    let node = name("10.0.0.3");
    let report = pgpool.run_knowing(order(&node, Want::Standby, 30)).await;
    assert!(matches!(report.result, Err(Failure::Refused { .. })), "{report:?}");
    assert_eq!(pgpool.sent(RequestKind::ATTACH_NODE), 0);
}

#[tokio::test(start_paused = true)]
async fn a_follower_waits_for_facts() {
    for proof in [Proof::Answers, Proof::InRecovery] {
        let pgpool = Pgpool::new(world(Age::V4_7));
        pgpool.run(&order(&name("2"), Want::Detached, 30)).await.result.unwrap();
        pgpool.0.with(|world| world.kill_postgres(2));
        let node = name("2");
        let later = async {
            sleep(Duration::from_secs(5)).await;
            assert_eq!(pgpool.sent(RequestKind::ATTACH_NODE), 0);
            pgpool.0.with(|world| world.start_postgres(2, true));
        };
        let (report, ()) = tokio::join!(pgpool.run_knowing(order(&node, Want::Follower(proof), 30)), later);
        report.result.unwrap();
        assert_eq!(pgpool.shown(), "0=up/primary 1=up/standby 2=up/standby");
    }
}

/// Every PostgreSQL answers, and nobody may log in.
struct Answering;

impl Evidence for Answering {
    async fn answers(&self, _: &Node) -> bool {
        true
    }

    async fn recovery(&self, _: &Node) -> Recovery {
        Recovery::Unknown { reason: "nobody may log in".to_owned() }
    }
}

#[tokio::test(start_paused = true)]
async fn pgpool_is_asked_what_nobody_else_knows_where_it_can_tell() {
    for (period, proven) in [(0, false), (10, true)] {
        let pgpool = Pgpool::new(
            world(Age::V4_7).configure(|settings| settings.health_check_period = Duration::from_secs(period)),
        );
        pgpool.run(&order(&name("2"), Want::Detached, 30)).await.result.unwrap();
        let node = name("2");
        let order = order(&node, Want::Follower(Proof::InRecovery), 30);
        let report = converge(&pgpool, &credentials(), &order.with_evidence(&Answering)).await;
        assert_eq!(report.result.is_ok(), proven, "{report:?}");
        assert_eq!(pgpool.sent(RequestKind::READ_NODE_INFO), usize::from(proven));
    }
}

#[tokio::test(start_paused = true)]
async fn a_pgpool_that_does_not_tell_in_time_is_not_waited_for_twice() {
    let checked = world(Age::V4_7).configure(|settings| settings.health_check_period = Duration::from_secs(10));
    let pgpool = Pgpool::new(checked);
    pgpool.run(&order(&name("2"), Want::Detached, 30)).await.result.unwrap();
    pgpool.0.with(|world| world.silence_postgres(2, true));
    let started = Instant::now();
    pgpool.run(&order(&name("2"), Want::Standby, 30)).await.result.unwrap();
    assert_eq!(pgpool.sent(RequestKind::READ_NODE_INFO), 1);
    let elapsed = started.elapsed();
    assert!(elapsed > Duration::from_secs(3) && elapsed < Duration::from_secs(5), "{elapsed:?}");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_looks_frozen_is_said_to_be() {
    for (age, frozen) in [(Age::V4_3_1, true), (Age::V4_7, false)] {
        let pgpool = Pgpool::new(world(age));
        let (_idle, theirs) = duplex(64);
        pgpool.0.serve_stream(theirs);
        // The first look tells the age; then Pgpool replaces its PCP process.
        pgpool.run(&order(&name("1"), Want::Detached, 30)).await.result.unwrap();
        let report = pgpool.run(&order(&name("1"), Want::Standby, 20)).await;
        assert_eq!(report.result.is_err(), frozen, "{age}: {report:?}");
        assert_eq!(report.remarks, if frozen { vec![Remark::LooksFrozen] } else { vec![] }, "{age}");
    }
}

#[tokio::test(start_paused = true)]
async fn where_there_are_no_roles_it_is_said_so() {
    for (age, remarks) in [(Age::V3_5, vec![Remark::RolesUnknown]), (Age::V3_7, vec![])] {
        let pgpool = Pgpool::new(world(age));
        let report = pgpool.run(&order(&name("2"), Want::Attached, 30)).await;
        assert_eq!(report.remarks, remarks, "{age}");
        assert_eq!(pgpool.run(&order(&name("2"), Want::Detached, 30)).await.remarks, [], "{age}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_forecast_changes_nothing_and_names_the_first_step() {
    let pgpool = Pgpool::new(world(Age::V4_7));
    for (node, want, change, sessions) in [
        ("10.0.0.1", Want::Detached, Some(Change::Detach(id(0))), Sessions::All),
        ("10.0.0.3", Want::Detached, Some(Change::Detach(id(2))), Sessions::OnTheNode),
        ("10.0.0.2", Want::Primary, Some(Change::Detach(id(0))), Sessions::All),
        ("10.0.0.2", Want::Standby, None, Sessions::None),
    ] {
        let told = forecast(&pgpool, &credentials(), &order(&name(node), want, 30)).await.unwrap();
        let first = match told.step {
            Step::Act(change, _) => Some(change),
            _ => None,
        };
        assert_eq!((first, told.sessions, told.set_down.len()), (change, sessions, 0), "{node} {want}");
    }
    let unknown = forecast(&pgpool, &credentials(), &order(&name("10.0.0.9"), Want::Detached, 30)).await;
    assert!(matches!(unknown, Err(Failure::Node(_))), "{unknown:?}");
    assert_eq!(pgpool.sent(RequestKind::DETACH_NODE), 0);

    let pgpool = Pgpool::without_primary(Age::V4_7).await;
    pgpool.run(&order(&name("2"), Want::Detached, 30)).await.result.unwrap();
    let alone = forecast(&pgpool, &credentials(), &order(&name("10.0.0.2"), Want::Primary, 30)).await.unwrap();
    assert!(matches!(alone.step, Step::Wait { .. }), "it may be searching: {alone:?}");
}

/// A look that takes longer than an answer counts.
#[tokio::test(start_paused = true)]
async fn what_a_slow_pgpool_needs_to_know_is_asked_once() {
    for want in [Want::Standby, Want::Follower(Proof::InRecovery)] {
        let pgpool = Pgpool::new(world(Age::V4_7));
        pgpool.run(&order(&name("2"), Want::Detached, 30)).await.result.unwrap();
        (0..100).for_each(|_| pgpool.0.fault(Fault::Delay(Duration::from_millis(1100))));
        let node = name("2");
        let report = pgpool.run_knowing(order(&node, want, 60)).await;
        report.result.unwrap_or_else(|failure| panic!("{want}: {failure}"));
        assert_eq!(report.changes, [Change::Attach(id(2))], "{want}");
    }
}
