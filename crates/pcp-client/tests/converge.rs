//! The goal engine against the sandbox, with a clock that jumps: what a hook meets in a failover, in every order.

#![allow(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "a test may fail so")]

mod support;

use std::cell::{Cell, RefCell};
use std::time::Duration;

use pcp_client::sandbox::{Age, FailoverFlag, Fault, World};
use pcp_client::{
    Change, Connect, Deadline, Error, ErrorKind, Failure, NodeName, Options, Order, Report, Want, converge,
};
use pcp_proto::{Credentials, ReplyKind, RequestKind, ServerMessage};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::time::Instant;

use support::{Pgpool, credentials, id, world};

const SETTLE: Duration = Duration::from_millis(1500);
const LIMIT: Duration = Duration::from_secs(60);

fn options(limit: Duration) -> Options {
    Options { deadline: Deadline::after(limit), settle: SETTLE }
}

impl Pgpool {
    async fn converge(&self, node: &str, want: Want) -> Report {
        self.converge_within(node, want, LIMIT).await
    }

    async fn converge_within(&self, node: &str, want: Want, limit: Duration) -> Report {
        let node: NodeName = node.parse().unwrap();
        converge(self, &credentials(), &Order::new(&node, want, options(limit))).await
    }

    /// Returns the view; a node that waits for its first session is up.
    fn shown(&self) -> String {
        self.0.with(|world| world.show_pool_nodes()).replace("waiting", "up")
    }

    fn sent(&self, kind: RequestKind) -> usize {
        self.0.requests().iter().filter(|(_, asked)| *asked == kind).count()
    }

    /// Lets the primary's PostgreSQL die and Pgpool search for another one in vain.
    async fn lose_primary(&self) {
        self.0.with(|world| world.kill_postgres(0));
        self.converge("10.0.0.1", Want::Detached).await.result.unwrap();
        tokio::time::sleep(Duration::from_secs(20)).await;
    }
}

fn attach(node: usize) -> Change {
    Change::Attach(id(node))
}

fn detach(node: usize) -> Change {
    Change::Detach(id(node))
}

#[tokio::test(start_paused = true)]
async fn detach_and_attach_work_on_every_age_and_do_nothing_the_second_time() {
    for age in Age::ALL {
        let pgpool = Pgpool::new(world(age));
        for (want, change, status) in [(Want::Detached, detach(2), "2=down"), (Want::Attached, attach(2), "2=up")] {
            let report = pgpool.converge("10.0.0.3", want).await;
            report.result.unwrap_or_else(|failure| panic!("{age}: {failure}"));
            assert_eq!(report.changes, [change], "{age}");
            assert!(pgpool.shown().contains(status), "{age}: {}", pgpool.shown());
            let again = pgpool.converge("10.0.0.3", want).await;
            again.result.unwrap();
            assert_eq!((again.changes, again.asked.len()), (vec![], 1), "{age}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn no_connection_is_open_while_pgpool_carries_out_a_change() {
    for age in Age::ALL {
        let pgpool = Pgpool::new(world(age));
        pgpool.converge("2", Want::Detached).await.result.unwrap();
        pgpool
            .converge("2", Want::Standby)
            .await
            .result
            .unwrap_or_else(|failure| assert_eq!(age, Age::V3_5, "{failure}"));
        let open: Vec<_> =
            pgpool.0.with(|world| world.operations().iter().map(|operation| operation.open_connections).collect());
        assert_eq!(open, [0, 0], "{age}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_round_trips_do_not_grow_with_the_number_of_nodes() {
    let mut asked = Vec::new();
    for nodes in [1, 16, 128] {
        let world =
            (0..nodes).fold(World::new(Age::V4_7), |world, node| world.node(&format!("10.0.0.{node}"), 5432));
        let pgpool = Pgpool::new(world);
        pgpool.converge("0", Want::Attached).await.result.unwrap();
        asked.push(pgpool.0.connections());
    }
    assert_eq!(asked, [1, 1, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_failover_in_the_order_in_which_a_manager_calls() {
    for age in Age::ALL.into_iter().filter(|&age| age != Age::V3_5) {
        let pgpool = Pgpool::new(world(age));
        pgpool.0.with(|world| world.kill_postgres(0));
        pgpool.converge("10.0.0.1", Want::Detached).await.result.unwrap();
        pgpool.0.with(|world| world.promote_postgres(1));
        let promoted = pgpool.converge("10.0.0.2", Want::Primary).await;
        promoted.result.unwrap_or_else(|failure| panic!("{age}: {failure}"));
        assert_eq!(promoted.others_down.iter().map(|node| node.id).collect::<Vec<_>>(), [id(0)]);
        pgpool.0.with(|world| world.start_postgres(0, true));
        pgpool
            .converge("10.0.0.1", Want::Standby)
            .await
            .result
            .unwrap_or_else(|failure| panic!("{age}: {failure}"));
        assert_eq!(pgpool.shown(), "0=up/standby 1=up/primary 2=up/standby", "{age}");
    }
}

#[tokio::test(start_paused = true)]
async fn attach_before_detach_ends_in_the_same_state() {
    let pgpool = Pgpool::new(world(Age::V4_7));
    pgpool.0.with(|world| {
        world.kill_postgres(0);
        world.promote_postgres(1);
    });
    let promoted = pgpool.converge("10.0.0.2", Want::Primary).await;
    promoted.result.unwrap();
    assert_eq!(promoted.changes, [detach(0)], "the node that wrongly holds the role goes");
    assert_eq!(pgpool.converge("10.0.0.1", Want::Detached).await.changes, []);
    assert_eq!(pgpool.shown(), "0=down/standby 1=up/primary 2=up/standby");
}

#[tokio::test(start_paused = true)]
async fn a_promotion_after_the_search_ended_is_made_known_by_cycling_the_node() {
    for age in [Age::V4_1, Age::V4_3_1, Age::V4_7] {
        for want in [Want::Primary, Want::Attached] {
            let pgpool = Pgpool::new(world(age));
            pgpool.lose_primary().await;
            pgpool.0.with(|world| world.promote_postgres(1));
            let report = pgpool.converge("10.0.0.2", want).await;
            report.result.unwrap_or_else(|failure| panic!("{age}: {failure}"));
            // Detaching a node where there is no primary makes newer servers search at once.
            assert_eq!(report.changes, [detach(1), attach(1)], "{age}");
            assert!(pgpool.shown().contains("1=up/primary 2=up/standby"), "{age}: {}", pgpool.shown());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_only_node_that_is_up_is_made_primary_without_setting_it_down() {
    let pgpool = Pgpool::new(world(Age::V4_7));
    pgpool.converge("2", Want::Detached).await.result.unwrap();
    pgpool.lose_primary().await;
    pgpool.0.with(|world| world.promote_postgres(1));
    let report = pgpool.converge("10.0.0.2", Want::Primary).await;
    report.result.unwrap();
    assert_eq!(report.changes, [Change::Promote(id(1))]);
    assert_eq!(report.others_down.len(), 2);
    assert_eq!(pgpool.shown(), "0=down/standby 1=up/primary 2=down/standby");
}

#[tokio::test(start_paused = true)]
async fn a_standby_that_pgpool_takes_for_the_primary_is_detached_again() {
    let pgpool = Pgpool::new(world(Age::V4_7));
    pgpool.converge("2", Want::Detached).await.result.unwrap();
    // Somebody promoted it behind Pgpool's back: two nodes take writes.
    pgpool.0.with(|world| world.promote_postgres(2));
    let report = pgpool.converge("10.0.0.3", Want::Standby).await;
    let Err(Failure::Refused { reason, .. }) = &report.result else { panic!("{report:?}") };
    assert!(
        reason
            .contains("with node 2 (10.0.0.3:5432) attached, Pgpool took a node for the primary that nobody named"),
        "{reason}"
    );
    assert_eq!(report.changes, [attach(2), detach(2)]);
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(pgpool.shown(), "0=up/primary 1=up/standby 2=down/standby");
}

#[tokio::test(start_paused = true)]
async fn a_lost_reply_does_not_repeat_a_change() {
    let pgpool = Pgpool::new(world(Age::V4_7));
    pgpool.0.fault(Fault::LoseReplyToChange);
    let report = pgpool.converge("2", Want::Detached).await;
    report.result.unwrap();
    assert_eq!((report.changes, pgpool.sent(RequestKind::DETACH_NODE)), (vec![detach(2)], 1));
}

#[tokio::test(start_paused = true)]
async fn two_hooks_at_once_both_succeed() {
    for age in [Age::V4_1, Age::V4_7] {
        let pgpool = Pgpool::new(world(age));
        let both = tokio::join!(pgpool.converge("2", Want::Detached), pgpool.converge("10.0.0.3", Want::Detached));
        both.0.result.unwrap();
        both.1.result.unwrap();
        let both = tokio::join!(pgpool.converge("2", Want::Standby), pgpool.converge("10.0.0.3", Want::Standby));
        both.0.result.unwrap();
        both.1.result.unwrap();
        assert_eq!(pgpool.shown(), "0=up/primary 1=up/standby 2=up/standby", "{age}");
    }
}

#[tokio::test(start_paused = true)]
async fn connections_that_end_before_the_salt_are_tried_again() {
    for fault in [Fault::CloseBeforeSalt, Fault::ResetBeforeSalt, Fault::NeverSalt] {
        let pgpool = Pgpool::new(world(Age::V4_7));
        for _ in 0..3 {
            pgpool.0.fault(fault.clone());
        }
        pgpool.converge("2", Want::Detached).await.result.unwrap_or_else(|failure| panic!("{fault:?}: {failure}"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_pgpool_that_closes_every_connection_is_given_up_after_ten_seconds() {
    let pgpool = Pgpool::new(world(Age::V4_7));
    for _ in 0..1000 {
        pgpool.0.fault(Fault::CloseBeforeSalt);
    }
    let started = Instant::now();
    let report = pgpool.converge("2", Want::Detached).await;
    assert!(matches!(report.result, Err(Failure::Unreachable(_))), "{report:?}");
    let tried = started.elapsed();
    assert!(tried >= Duration::from_secs(10) && tried < Duration::from_secs(11), "{tried:?}");
}

#[tokio::test(start_paused = true)]
async fn after_a_change_only_the_deadline_ends_the_tries() {
    let pgpool = Pgpool::new(world(Age::V4_7));
    pgpool.0.fault(Fault::Nothing);
    (0..60).for_each(|_| pgpool.0.fault(Fault::CloseBeforeSalt));
    let report = pgpool.converge("2", Want::Detached).await;
    report.result.unwrap();
    assert!(report.elapsed > Duration::from_secs(12), "{:?}", report.elapsed);
}

#[tokio::test(start_paused = true)]
async fn a_pgpool_that_refuses_to_tell_its_state_is_not_asked_twice() {
    let pgpool = Pgpool::new(world(Age::V4_7));
    let refusal = ServerMessage::new("ERROR", "not now", None).encode(ReplyKind::ERROR).to_bytes();
    pgpool.0.fault(Fault::Garbage(refusal));
    let report = pgpool.converge("2", Want::Detached).await;
    let Err(Failure::Refused { reason, source: Some(source) }) = &report.result else { panic!("{report:?}") };
    assert_eq!(reason, "Pgpool does not tell its state");
    assert!(source.to_string().contains("not now"), "{source}");
    assert_eq!(pgpool.0.connections(), 1);
}

#[tokio::test(start_paused = true)]
async fn silence_ends_by_the_deadline() {
    let silent = |pgpool: &Pgpool| (0..100).for_each(|_| pgpool.0.fault(Fault::NeverSalt));
    let started = Instant::now();
    let pgpool = Pgpool::new(world(Age::V4_7));
    silent(&pgpool);
    let report = pgpool.converge_within("2", Want::Detached, Duration::from_secs(12)).await;
    assert!(matches!(report.result, Err(Failure::Unreachable(_))), "nothing was sent: {report:?}");
    assert!(started.elapsed() <= Duration::from_secs(12), "{:?}", started.elapsed());

    // Silent from the second connection on: the change was sent.
    let pgpool = Pgpool::new(world(Age::V4_7));
    pgpool.0.fault(Fault::Nothing);
    silent(&pgpool);
    let report = pgpool.converge_within("2", Want::Detached, Duration::from_secs(12)).await;
    let Err(Failure::NotVerified { awaited, source }) = &report.result else { panic!("{report:?}") };
    assert_eq!(awaited, "Pgpool to carry out: detach 2");
    assert!(source.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_look_that_the_deadline_cuts_off_does_not_hide_what_was_awaited() {
    let pgpool = Pgpool::new(world(Age::V4_7));
    pgpool.0.fault(Fault::Nothing);
    pgpool.0.fault(Fault::NeverSalt);
    let report = pgpool.converge_within("0", Want::Standby, Duration::from_secs(3)).await;
    let Err(Failure::NotVerified { awaited, source: None }) = &report.result else { panic!("{report:?}") };
    assert!(awaited.starts_with("another primary"), "{awaited}");
}

/// However it falls silent: in one look that the deadline cuts off, or over several.
#[tokio::test(start_paused = true)]
async fn a_silence_at_the_end_does_not_hide_what_was_awaited() {
    let pgpool = Pgpool::new(world(Age::V4_7));
    pgpool.0.fault(Fault::Nothing);
    (0..2).for_each(|_| pgpool.0.fault(Fault::NeverSalt));
    let report = pgpool.converge_within("0", Want::Standby, Duration::from_secs(7)).await;
    let Err(Failure::NotVerified { awaited, source: Some(silence) }) = &report.result else { panic!("{report:?}") };
    assert!(awaited.starts_with("another primary"), "{awaited}");
    assert_eq!(silence.kind(), ErrorKind::Timeout);
}

#[tokio::test(start_paused = true)]
async fn an_old_server_frozen_by_another_client_is_left_by_the_deadline() {
    let pgpool = Pgpool::new(world(Age::V4_3_1));
    // Somebody connects and stays; then something changes, and Pgpool waits for them to go.
    let (idle, theirs) = duplex(64);
    pgpool.0.serve_stream(theirs);
    pgpool.converge("2", Want::Detached).await.result.unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let report = pgpool.converge_within("2", Want::Standby, Duration::from_secs(20)).await;
    assert!(matches!(report.result, Err(Failure::Unreachable(_))), "{report:?}");
    drop(idle);
    pgpool.converge("2", Want::Standby).await.result.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_pgpool_forbids_is_refused_before_it_is_asked() {
    let world = World::new(Age::V4_7)
        .node("10.0.0.1", 5432)
        .node_with("10.0.0.2", 5432, |node| node.flag = FailoverFlag::DisallowToFailover);
    let pgpool = Pgpool::new(world);
    let report = pgpool.converge("1", Want::Detached).await;
    let Err(Failure::Refused { reason, .. }) = &report.result else { panic!("{report:?}") };
    assert!(reason.contains("backend_flag1"), "{reason}");
    assert_eq!(pgpool.sent(RequestKind::DETACH_NODE), 0);
}

#[tokio::test(start_paused = true)]
async fn what_pgpool_refuses_is_asked_three_times_and_its_words_are_kept() {
    let pgpool = Pgpool::new(world(Age::V4_7));
    pgpool.0.fault(Fault::Delay(Duration::from_millis(100)));
    // Salt, login and settings are there by then: the run believes that it may detach.
    let forbid = async {
        tokio::time::sleep(Duration::from_millis(350)).await;
        pgpool.0.with(|world| world.node_mut(2).unwrap().flag = FailoverFlag::DisallowToFailover);
    };
    let (report, ()) = tokio::join!(pgpool.converge("2", Want::Detached), forbid);
    let Err(Failure::Refused { reason, source: Some(source) }) = &report.result else { panic!("{report:?}") };
    assert_eq!(reason, "Pgpool refused: detach 2");
    assert!(source.to_string().contains("failover is disallowed"), "{source}");
    assert_eq!((report.changes, pgpool.sent(RequestKind::DETACH_NODE)), (vec![], 3));
}

/// Remembers when connections were made.
struct Timed(Pgpool, RefCell<Vec<Instant>>);

impl Connect for Timed {
    type Stream = DuplexStream;

    async fn connect(&self, deadline: Deadline) -> Result<DuplexStream, Error> {
        self.1.borrow_mut().push(Instant::now());
        self.0.connect(deadline).await
    }
}

#[tokio::test(start_paused = true)]
async fn looks_become_rarer_until_something_was_changed() {
    // The change is sent at the fourth look and carried out half a second later.
    let world = world(Age::V4_7).configure(|settings| settings.operation_delay = Duration::from_millis(500));
    let pgpool = Timed(Pgpool::new(world), RefCell::default());
    (0..3).for_each(|_| pgpool.0.0.fault(Fault::CloseBeforeSalt));
    let report =
        converge(&pgpool, &credentials(), &Order::new(&"2".parse().unwrap(), Want::Detached, options(LIMIT))).await;
    report.result.unwrap();
    let times = pgpool.1.into_inner();
    let pauses: Vec<_> = times.windows(2).map(|pair| (pair[1] - pair[0]).as_millis()).collect();
    assert_eq!(pauses, [0, 2, 5, 2, 5, 10, 20, 50, 100, 250, 250]);
}

#[tokio::test(start_paused = true)]
async fn a_wrong_password_is_not_tried_twice() {
    let pgpool = Pgpool::new(world(Age::V4_7));
    let wrong = Credentials::new("pcpadmin", b"wrong").unwrap();
    let report =
        converge(&pgpool, &wrong, &Order::new(&"2".parse().unwrap(), Want::Detached, options(LIMIT))).await;
    assert!(matches!(report.result, Err(Failure::Authentication(_))), "{report:?}");
    assert_eq!(pgpool.0.connections(), 1);
}

/// A Pgpool that refuses every login, and whose refusal is lost where requests came with the login: what it left
/// unread resets the connection.
struct CutsOff(Cell<usize>);

impl Connect for CutsOff {
    type Stream = DuplexStream;

    async fn connect(&self, _: Deadline) -> Result<DuplexStream, Error> {
        const LOGIN: usize = 47;
        self.0.set(self.0.get() + 1);
        let (ours, mut theirs) = duplex(4096);
        tokio::spawn(async move {
            theirs.read_exact(&mut [0; 5]).await?;
            theirs.write_all(b"m\0\0\0\x08salt").await?;
            if theirs.read(&mut [0; 4096]).await? == LOGIN {
                let refusal = ServerMessage::new("FATAL", "authentication failed", None);
                theirs.write_all(&refusal.encode(ReplyKind::ERROR).to_bytes()).await?;
            }
            std::io::Result::Ok(())
        });
        Ok(ours)
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_login_is_told_where_requests_behind_it_cut_off_the_answer() {
    let pgpool = CutsOff(Cell::new(0));
    let report =
        converge(&pgpool, &credentials(), &Order::new(&"2".parse().unwrap(), Want::Detached, options(LIMIT))).await;
    assert!(matches!(report.result, Err(Failure::Authentication(_))), "{report:?}");
    assert_eq!(pgpool.0.get(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_does_not_exist_gets_no_change() {
    let pgpool = Pgpool::new(world(Age::V4_7));
    for node in ["3", "127", "10.0.0.30", "10.0.0"] {
        let report = pgpool.converge(node, Want::Attached).await;
        assert!(matches!(report.result, Err(Failure::Node(_))), "{node}: {report:?}");
    }
    assert_eq!(pgpool.sent(RequestKind::ATTACH_NODE), 0);
}

#[tokio::test(start_paused = true)]
async fn without_a_primary_an_attach_is_not_verified() {
    let pgpool = Pgpool::new(world(Age::V4_7));
    pgpool.lose_primary().await;
    let report = pgpool.converge("10.0.0.3", Want::Standby).await;
    let Err(Failure::NotVerified { awaited, .. }) = &report.result else { panic!("{report:?}") };
    assert!(awaited.contains("a primary: Pgpool has none"), "{awaited}");
    assert_eq!(report.changes, []);
}

/// A virtual address: the first connection leads to one Pgpool, all others to another one.
struct Moving(Pgpool, Pgpool);

impl Connect for Moving {
    type Stream = DuplexStream;

    async fn connect(&self, deadline: Deadline) -> Result<DuplexStream, Error> {
        let first = self.0.0.connections() == 0;
        if first { &self.0 } else { &self.1 }.connect(deadline).await
    }
}

#[tokio::test(start_paused = true)]
async fn behind_an_address_that_moved_the_node_is_looked_up_again() {
    let reordered = World::new(Age::V4_7).node("10.0.0.1", 5432).node("10.0.0.3", 5432).node("10.0.0.2", 5432);
    let moving = Moving(Pgpool::new(world(Age::V4_7)), Pgpool::new(reordered));
    let credentials = Credentials::new("pcpadmin", b"secret").unwrap();
    let report =
        converge(&moving, &credentials, &Order::new(&"10.0.0.3".parse().unwrap(), Want::Detached, options(LIMIT)))
            .await;
    report.result.unwrap();
    assert_eq!(report.changes, [detach(2), detach(1)]);
    assert!(
        report.elapsed < Duration::from_secs(1),
        "nothing of the first Pgpool is waited for: {:?}",
        report.elapsed
    );
    assert_eq!(report.after.unwrap().host, "10.0.0.3");
    assert_eq!(moving.1.shown(), "0=up/primary 1=down/standby 2=up/standby");
}

#[tokio::test(start_paused = true)]
async fn a_node_in_quarantine_is_detached_for_good() {
    let pgpool = Pgpool::new(world(Age::V4_7));
    pgpool.0.with(|world| world.quarantine(Duration::ZERO, 2));
    let report = pgpool.converge("2", Want::Detached).await;
    report.result.unwrap();
    assert_eq!(report.before.unwrap().state(), "quarantine standby");
    assert_eq!(report.changes, [detach(2)], "else it comes back with the next good health check");
    assert_eq!(report.after.unwrap().state(), "down standby");
}
