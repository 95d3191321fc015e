//! Recovery, switchover, reload and stop against the sandbox: what is read back, what is refused, what is waited for.

#![allow(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "a test may fail so")]

mod support;

use std::time::Duration;

use pcp_client::sandbox::{Age, FailoverCommand, FailoverFlag, Fault, Sandbox, Settings, Watchdog, World};
use pcp_client::{
    Caution, Connector, Deadline, Endpoint, Expectation, Failure, Followers, NodeName, NodeOperation, Operated,
    Options, Reload, Reloaded, foresee_recovery, foresee_stop, foresee_switchover, invalidate_query_cache, recover,
    reload, rotate_log, stop_cluster, stop_pgpool, switch_over,
};
use pcp_proto::RequestKind;
use pcp_proto::message::{NodeStatus, Scope, StopMode};
use tokio::time::{Instant, sleep};

use support::{Pgpool, Truth, credentials, world};

const SETTLE: Duration = Duration::from_millis(1500);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

fn pgpool(age: Age, change: impl FnOnce(&mut Settings)) -> Pgpool {
    Pgpool::new(world(age).configure(change))
}

fn promotes(settings: &mut Settings) {
    settings.failover_command = FailoverCommand::Promotes;
}

fn options(limit: Duration) -> Options {
    Options { deadline: Deadline::after(limit), settle: SETTLE }
}

impl Pgpool {
    fn shown(&self) -> String {
        self.0.with(|world| world.show_pool_nodes())
    }

    fn was_asked(&self, kind: RequestKind) -> bool {
        self.0.requests().iter().any(|(_, asked)| *asked == kind)
    }

    /// Ends a PostgreSQL and has Pgpool set it down.
    async fn lose(&self, node: usize) {
        self.0.with(|world| {
            world.kill_postgres(node);
            world.detach(self.0.now(), node);
        });
        sleep(Duration::from_secs(10)).await;
    }

    async fn recover(&self, node: &str, caution: Caution, limit: Duration) -> Operated {
        let node: NodeName = node.parse().unwrap();
        let evidence = Truth(&self.0);
        let order = NodeOperation { node: &node, options: options(limit), caution, evidence: &evidence };
        recover(self, &credentials(), &order).await
    }

    async fn switch_over(&self, node: &str, caution: Caution) -> Operated {
        let node: NodeName = node.parse().unwrap();
        let evidence = Truth(&self.0);
        let order = NodeOperation { node: &node, options: options(2 * MINUTE), caution, evidence: &evidence };
        switch_over(self, &credentials(), &order).await
    }
}

fn refusal(result: Result<(), Failure>) -> String {
    match result.unwrap_err() {
        Failure::Refused { reason, source: Some(source) } => format!("{reason}: {source}"),
        Failure::Refused { reason, source: None } => reason,
        other => panic!("no refusal: {other}"),
    }
}

fn awaited(result: Result<(), Failure>) -> String {
    match result.unwrap_err() {
        Failure::NotVerified { awaited, .. } => awaited,
        other => panic!("{other}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_recovery_of_an_hour_is_followed_to_its_end_on_every_age() {
    for age in Age::ALL {
        let pgpool = pgpool(age, |settings| settings.recovery_time = Some(HOUR));
        pgpool.lose(2).await;
        let started = Instant::now();
        let recovered = pgpool.recover("10.0.0.3", Caution::Kept, 2 * HOUR).await;
        recovered.result.unwrap_or_else(|failure| panic!("{age}: {failure}"));
        assert!(recovered.elapsed >= HOUR + SETTLE && started.elapsed() < HOUR + MINUTE, "{age}");
        assert!(recovered.after[2].is_attached() && !recovered.before[2].is_attached());
        assert_eq!(pgpool.shown(), "0=up/primary 1=up/standby 2=up/standby", "{age}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_recovery_that_makes_no_sense_is_not_asked_for() {
    let pgpool = pgpool(Age::V4_7, |_| {});
    let refused = async |node| refusal(pgpool.recover(node, Caution::GivenUp, MINUTE).await.result);
    assert!(refused("1").await.contains("is up standby: a node that is to be rebuilt has to be detached first"));
    assert!(refused("0").await.contains("is up primary"));
    pgpool.lose(2).await;
    pgpool.0.with(|world| world.start_postgres(2, false));
    let answers = refusal(pgpool.recover("2", Caution::Kept, MINUTE).await.result);
    assert!(answers.contains("the PostgreSQL of node 2 (10.0.0.3:5432) answers"), "{answers}");
    assert!(matches!(pgpool.recover("7", Caution::Kept, MINUTE).await.result, Err(Failure::Node(_))));
    pgpool.lose(0).await;
    assert_eq!(refused("2").await, "there is no primary to rebuild it from");
    assert!(!pgpool.was_asked(RequestKind::RECOVER_NODE));
}

#[tokio::test(start_paused = true)]
async fn a_node_whose_postgres_answers_is_recovered_when_caution_is_given_up() {
    let pgpool = pgpool(Age::V4_7, |_| {});
    pgpool.lose(2).await;
    pgpool.0.with(|world| world.start_postgres(2, false));
    pgpool.recover("2", Caution::GivenUp, MINUTE).await.result.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_pgpool_says_of_a_recovery_that_fails_is_told() {
    for age in Age::ALL {
        let pgpool = pgpool(age, |settings| settings.recovery_time = None);
        pgpool.lose(2).await;
        let said = refusal(pgpool.recover("2", Caution::Kept, MINUTE).await.result);
        assert!(said.contains("pgpool_remote_start(unknown, unknown) does not exist"), "{age}: {said}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_second_recovery_is_refused_and_not_waited_for() {
    let pgpool = pgpool(Age::V4_7, |settings| settings.recovery_time = Some(HOUR));
    pgpool.lose(1).await;
    pgpool.lose(2).await;
    let started = Instant::now();
    let second = async {
        sleep(MINUTE).await;
        (pgpool.recover("2", Caution::Kept, 2 * HOUR).await, started.elapsed())
    };
    let (first, (second, at)) = tokio::join!(pgpool.recover("1", Caution::Kept, 2 * HOUR), second);
    first.result.unwrap();
    assert!(refusal(second.result).contains("already processing another recovery request"));
    assert!(at < 2 * MINUTE, "{at:?}");
}

#[tokio::test(start_paused = true)]
async fn a_recovery_waits_for_a_failover_to_end() {
    for age in Age::ALL {
        let pgpool = pgpool(age, |settings| settings.search_primary_node_timeout = Duration::from_secs(20));
        pgpool.lose(2).await;
        busy(&pgpool.0).await;
        let started = Instant::now();
        let comes_back = async {
            sleep(Duration::from_secs(10)).await;
            pgpool.0.with(|world| world.start_postgres(0, false));
        };
        let (recovered, ()) = tokio::join!(pgpool.recover("2", Caution::Kept, 2 * MINUTE), comes_back);
        recovered.result.unwrap_or_else(|failure| panic!("{age}: {failure:?}"));
        assert!(started.elapsed() >= Duration::from_secs(15), "{age}: {:?}", started.elapsed());
    }
}

/// Has Pgpool search for a primary in vain, with the attach of the old one waiting behind that.
async fn busy(sandbox: &Sandbox) {
    sandbox.with(|world| {
        world.kill_postgres(0);
        world.detach(sandbox.now(), 0);
    });
    sleep(Duration::from_millis(500)).await;
    sandbox.with(|world| world.attach(sandbox.now(), 0));
}

#[tokio::test(start_paused = true)]
async fn a_recovery_whose_answer_is_lost_is_read_back_or_not_known() {
    for comes_up in [true, false] {
        let pgpool = pgpool(Age::V4_7, |_| {});
        pgpool.lose(2).await;
        // PostgreSQL is asked behind the first connection.
        pgpool.0.fault(Fault::Nothing);
        pgpool.0.fault(Fault::LoseReplyToChange);
        let goes_down = async {
            while pgpool.0.with(|world| world.nodes()[2].status == NodeStatus::Down) {
                sleep(Duration::from_millis(1)).await;
            }
            if !comes_up {
                pgpool.lose(2).await;
            }
        };
        let (recovered, ()) = tokio::join!(pgpool.recover("2", Caution::Kept, HOUR), goes_down);
        match comes_up {
            true => recovered.result.unwrap(),
            false => assert!(awaited(recovered.result).contains("the recovery may still be going on")),
        }
        assert!(recovered.elapsed < 2 * MINUTE, "{:?}", recovered.elapsed);
    }
}

#[tokio::test(start_paused = true)]
async fn a_switchover_ends_with_the_node_as_the_primary_on_every_age_that_has_one() {
    for age in Age::ALL {
        let pgpool = pgpool(age, promotes);
        let operated = pgpool.switch_over("10.0.0.2", Caution::Kept).await;
        if age < Age::V4_3_0 {
            let said = refusal(operated.result);
            assert!(said.contains("a switchover needs Pgpool 4.3 or later"), "{age}: {said}");
            assert!(!pgpool.was_asked(RequestKind::PROMOTE_NODE), "{age}");
            continue;
        }
        operated.result.unwrap_or_else(|failure| panic!("{age}: {failure}"));
        assert_eq!(pgpool.shown(), "0=down/standby 1=up/primary 2=up/standby", "{age}");
        assert!(operated.asked && operated.left_down.is_empty() && operated.not_following.is_empty(), "{age}");
        assert!(operated.replication_unseen.is_empty() && operated.elapsed >= Duration::from_secs(10), "{age}");
        let again = pgpool.switch_over("1", Caution::Kept).await;
        again.result.unwrap();
        assert!(!again.asked);
    }
}

#[tokio::test(start_paused = true)]
async fn a_switchover_that_would_leave_no_primary_is_refused() {
    type Prepare = fn(&mut World);
    let table: [(&str, Prepare, &str); 7] = [
        ("1", |world| world.settings_mut().failover_command = FailoverCommand::Unset, "failover_command is empty"),
        ("1", |world| world.kill_postgres(1), "gives no answer"),
        ("1", |world| world.promote_postgres(1), "is no standby"),
        ("1", |world| world.node_mut(1).unwrap().flag = FailoverFlag::DisallowToFailover, "DISALLOW_TO_FAILOVER"),
        ("1", |world| world.node_mut(0).unwrap().flag = FailoverFlag::DisallowToFailover, "DISALLOW_TO_FAILOVER"),
        ("1", |world| world.set_primary(None), "no primary that is up"),
        ("1", |world| world.detach(Duration::ZERO, 1), "is down standby: attach it first"),
    ];
    for (node, prepare, words) in table {
        let pgpool = pgpool(Age::V4_7, promotes);
        pgpool.0.with(prepare);
        sleep(Duration::from_secs(5)).await;
        let said = refusal(pgpool.switch_over(node, Caution::Kept).await.result);
        assert!(said.contains(words), "{said}");
        assert!(!pgpool.was_asked(RequestKind::PROMOTE_NODE), "{words}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_failover_command_that_promotes_nothing_is_noticed_before_the_deadline() {
    // A command that is set, and does nothing: the sandbox's promotes, so that the node is made a standby again.
    let pgpool = pgpool(Age::V4_7, promotes);
    let started = Instant::now();
    let demote = async {
        while !pgpool.was_asked(RequestKind::PROMOTE_NODE) {
            sleep(Duration::from_millis(1)).await;
        }
        pgpool.0.with(|world| {
            world.settings_mut().failover_command = FailoverCommand::Unset;
            world.kill_postgres(0);
        });
    };
    let (operated, ()) = tokio::join!(pgpool.switch_over("1", Caution::Kept), demote);
    let said = awaited(operated.result);
    assert!(said.contains("THERE IS NO PRIMARY") && said.contains("pcpctl attach 0 p"), "{said}");
    assert!(started.elapsed() < MINUTE, "{:?}", started.elapsed());
}

#[tokio::test(start_paused = true)]
async fn followers_that_a_command_has_to_bring_back_are_waited_for_and_named() {
    let follow = |settings: &mut Settings| {
        promotes(settings);
        settings.follow_primary_command = "follow".to_owned();
    };
    let alone = pgpool(Age::V4_7, follow);
    let operated = alone.switch_over("1", Caution::Kept).await;
    operated.result.unwrap();
    assert_eq!(operated.left_down.iter().map(|node| node.id.get()).collect::<Vec<_>>(), [2]);
    assert!(operated.elapsed > Duration::from_secs(100), "{:?}", operated.elapsed);

    let followed = pgpool(Age::V4_7, follow);
    let command = async {
        while followed.0.with(|world| world.follow_runs().is_empty()) {
            sleep(Duration::from_secs(1)).await;
        }
        sleep(Duration::from_secs(20)).await;
        followed.0.with(|world| world.attach(followed.0.now(), 2));
    };
    let (operated, ()) = tokio::join!(followed.switch_over("1", Caution::Kept), command);
    operated.result.unwrap();
    assert!(operated.left_down.is_empty() && operated.elapsed < MINUTE, "{:?}", operated.elapsed);
    assert_eq!(followed.shown(), "0=down/standby 1=up/primary 2=up/standby");
}

#[tokio::test(start_paused = true)]
async fn followers_that_do_not_replicate_from_the_new_primary_are_named() {
    let pgpool = pgpool(Age::V4_7, promotes);
    let stops = async {
        while !pgpool.was_asked(RequestKind::PROMOTE_NODE) {
            sleep(Duration::from_millis(1)).await;
        }
        // Pgpool does not notice that, but sees that it does not replicate.
        pgpool.0.with(|world| world.kill_postgres(2));
    };
    let (operated, ()) = tokio::join!(pgpool.switch_over("1", Caution::Kept), stops);
    operated.result.unwrap();
    assert_eq!(operated.not_following.iter().map(|node| node.id.get()).collect::<Vec<_>>(), [2]);

    let blind = self::pgpool(Age::V4_7, |settings| {
        promotes(settings);
        settings.sr_check_period = Duration::ZERO;
    });
    let operated = blind.switch_over("1", Caution::Kept).await;
    operated.result.unwrap();
    assert_eq!(operated.replication_unseen.iter().map(|node| node.id.get()).collect::<Vec<_>>(), [2]);
    assert!(operated.not_following.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_look_ahead_changes_nothing() {
    let pgpool = pgpool(Age::V4_7, promotes);
    let evidence = Truth(&pgpool.0);
    let node: NodeName = "1".parse().unwrap();
    let order =
        NodeOperation { node: &node, options: options(MINUTE), caution: Caution::Kept, evidence: &evidence };
    let plan = foresee_switchover(&pgpool, &credentials(), &order).await.unwrap();
    assert_eq!((plan.node.id.get(), plan.old_primary.id.get(), plan.fate), (1, 0, Followers::StayUp));
    assert_eq!(plan.followers.len(), 1);
    let stop = foresee_stop(&pgpool, &credentials(), options(MINUTE).deadline).await.unwrap();
    assert_eq!((stop.clients, stop.members.len()), (Some(0), 0));
    pgpool.lose(1).await;
    let plan = foresee_recovery(&pgpool, &credentials(), &order).await.unwrap();
    assert_eq!((plan.node.id.get(), plan.source.unwrap().id.get()), (1, 0));
    let changes = [RequestKind::PROMOTE_NODE, RequestKind::RECOVER_NODE, RequestKind::STOP_PGPOOL];
    assert!(!changes.into_iter().any(|kind| pgpool.was_asked(kind)));
}

async fn reload_with(pgpool: &Pgpool, scope: Scope, expect: &[&str]) -> Reloaded {
    let expect: Vec<Expectation> = expect.iter().map(|text| text.parse().unwrap()).collect();
    let order = Reload { scope, expect: &expect, options: options(Duration::from_secs(8)) };
    reload(pgpool, &credentials(), &order).await
}

#[tokio::test(start_paused = true)]
async fn a_reload_tells_what_changed_and_verifies_what_is_expected() {
    for age in Age::ALL {
        let pgpool = pgpool(age, |_| {});
        let accepted = reload_with(&pgpool, Scope::Local, &[]).await;
        if age < Age::V4_2 {
            let said = refusal(accepted.result);
            assert!(said.contains("reloading the configuration needs Pgpool 4.2 or later"), "{age}: {said}");
            continue;
        }
        accepted.result.unwrap();
        assert!(accepted.changed.is_empty() && accepted.elapsed >= SETTLE, "{age}");

        let takes_over = async {
            let asked =
                || pgpool.0.requests().iter().filter(|(_, kind)| *kind == RequestKind::RELOAD_CONFIG).count();
            while asked() < 2 {
                sleep(Duration::from_millis(1)).await;
            }
            pgpool.0.with(|world| world.settings_mut().memory_cache_enabled = true);
        };
        let expected = reload_with(&pgpool, Scope::Local, &["memory_cache_enabled=on"]);
        let (reloaded, ()) = tokio::join!(expected, takes_over);
        reloaded.result.unwrap();
        let [change] = &reloaded.changed[..] else { panic!("{:?}", reloaded.changed) };
        assert_eq!(
            (change.name.as_str(), change.after.as_ref().unwrap().as_str()),
            (Some("memory_cache_enabled"), Some("1"))
        );
    }
}

#[tokio::test(start_paused = true)]
async fn an_expectation_that_is_not_met_or_makes_no_sense_is_no_success() {
    let pgpool = pgpool(Age::V4_7, |_| {});
    let unmet = reload_with(&pgpool, Scope::Local, &["max_pool=4", "num_init_children=99"]).await;
    assert_eq!(awaited(unmet.result), "num_init_children to be \"99\", but Pgpool shows \"32\"");
    let asked = pgpool.0.requests().len();
    let unknown = reload_with(&pgpool, Scope::Local, &["num_init_childen=99"]).await;
    assert_eq!(refusal(unknown.result), "Pgpool shows no parameter num_init_childen: nothing was reloaded");
    let no_cluster = reload_with(&pgpool, Scope::Cluster, &[]).await;
    assert!(refusal(no_cluster.result).contains("use_watchdog is off"));
    assert!(!pgpool.0.requests()[asked..].iter().any(|(_, kind)| *kind == RequestKind::RELOAD_CONFIG));
    for bad in ["", "max_pool", "=4"] {
        assert!(bad.parse::<Expectation>().is_err(), "{bad}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_has_only_pgpools_word_is_accepted_or_refused_by_age_and_settings() {
    for age in Age::ALL {
        for is_on in [false, true] {
            let pgpool = pgpool(age, |settings| {
                settings.logging_collector = is_on;
                settings.memory_cache_enabled = is_on;
            });
            let deadline = options(MINUTE).deadline;
            let rotated = rotate_log(&pgpool, &credentials(), Scope::Local, deadline).await;
            let dropped = invalidate_query_cache(&pgpool, &credentials(), deadline).await;
            if age >= Age::V4_6 && is_on {
                rotated.and(dropped).unwrap();
                continue;
            }
            let words =
                if age < Age::V4_6 { ["needs Pgpool 4.6"; 2] } else { ["logging_collector", "query cache"] };
            for (result, words) in [rotated, dropped].into_iter().zip(words) {
                let said = refusal(result);
                assert!(said.contains(words), "{age}: {said}");
            }
        }
    }
}

/// A sandbox on a port: only a real one can be closed.
async fn listening(age: Age, change: impl FnOnce(&mut Settings)) -> (Sandbox, Connector) {
    let sandbox = Sandbox::start(world(age).configure(change)).await.unwrap();
    let endpoint = Endpoint::parse(&sandbox.address().to_string(), 9898).unwrap();
    (sandbox, Connector { endpoint, connect_timeout: Duration::from_secs(3) })
}

#[tokio::test]
async fn a_stop_is_over_when_the_port_is_closed() {
    for age in Age::ALL {
        for mode in [StopMode::Smart, StopMode::Fast, StopMode::Immediate] {
            let (sandbox, connector) = listening(age, |_| {}).await;
            stop_pgpool(&connector, &credentials(), mode, options(MINUTE).deadline).await.result.unwrap();
            assert!(sandbox.with(|world| world.is_stopped()), "{age}");
        }
    }
}

#[tokio::test]
async fn a_smart_stop_waits_for_the_clients_and_says_so() {
    let (sandbox, connector) = listening(Age::V4_7, |_| {}).await;
    sandbox.with(|world| world.open_session(sandbox.now()));
    let plan = foresee_stop(&connector, &credentials(), options(MINUTE).deadline).await.unwrap();
    assert_eq!(plan.clients, Some(1));
    let deadline = options(Duration::from_secs(1)).deadline;
    let stopped = stop_pgpool(&connector, &credentials(), StopMode::Smart, deadline).await;
    assert!(stopped.asked);
    assert!(awaited(stopped.result).contains("clients that are still connected hold up a smart stop"));
    assert!(!sandbox.with(|world| world.is_stopped()));
}

#[tokio::test]
async fn a_cluster_is_stopped_by_one_member_and_every_one_that_is_named_has_to_be_gone() {
    let watchdog = |settings: &mut Settings| settings.watchdog = Some(Watchdog::of(&["10.0.1.1", "10.0.1.2"]));
    let (one, one_connector) = listening(Age::V4_7, watchdog).await;
    let (other, other_connector) = listening(Age::V4_7, watchdog).await;
    // What the watchdog passes on is not in a sandbox: the other one goes on.
    let login = credentials();
    let pgpools = [(&one_connector, &login), (&other_connector, &login)];
    let deadline = options(Duration::from_secs(2)).deadline;
    let stopped = stop_cluster(pgpools, StopMode::Fast, deadline).await;
    stopped[0].result.clone().unwrap();
    let hangs = "the PCP port to close; where the watchdog process hangs in its shutdown, end Pgpool on its host";
    assert!(awaited(stopped[1].result.clone()).contains(hangs));
    assert!(one.with(|world| world.is_stopped()) && !other.with(|world| world.is_stopped()));
    assert!(other.requests().is_empty(), "one member is asked");

    let (lone, lone_connector) = listening(Age::V4_7, |_| {}).await;
    let stopped = stop_cluster([(&lone_connector, &login)], StopMode::Fast, options(MINUTE).deadline).await;
    assert!(refusal(stopped[0].result.clone()).contains("use_watchdog is off"));
    assert!(!lone.with(|world| world.is_stopped()));
}

#[tokio::test]
async fn a_stop_waits_for_a_failover_to_end() {
    let (sandbox, connector) =
        listening(Age::V4_7, |settings| settings.search_primary_node_timeout = Duration::from_secs(2)).await;
    busy(&sandbox).await;
    let stopped = stop_pgpool(&connector, &credentials(), StopMode::Fast, options(MINUTE).deadline).await;
    stopped.result.unwrap();
    let asked = sandbox.requests().iter().filter(|(_, kind)| *kind == RequestKind::STOP_PGPOOL).count();
    assert!(asked > 1, "it was refused at first");
}
