//! Promises of `ARCHITECTURE.md` that need a test of their own.

#![allow(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "a test may fail so")]

mod support;

use std::cell::Cell;
use std::time::Duration;

use pcp_client::sandbox::{Age, World};
use pcp_client::{Connect, Deadline, Error, Failure, NodeName, Options, Order, Report, Want, converge};
use pcp_proto::RequestKind;
use tokio::io::DuplexStream;
use tokio::time::{sleep, timeout};

use support::{Pgpool, credentials, world};

const MINUTE: Duration = Duration::from_secs(60);

async fn reach<C: Connect>(connect: &C, node: &str, want: Want, limit: Duration) -> Report {
    let node: NodeName = node.parse().unwrap();
    let options = Options { deadline: Deadline::after(limit), settle: Duration::from_millis(1500) };
    converge(connect, &credentials(), &Order::new(&node, want, options)).await
}

/// Pgpool takes the request, says that it succeeded, and does nothing for an hour.
#[tokio::test(start_paused = true)]
async fn success_is_told_only_of_a_state_that_was_read_back() {
    for age in Age::ALL {
        let pgpool = Pgpool::new(world(age).configure(|settings| settings.operation_delay = 60 * MINUTE));
        let report = reach(&pgpool, "10.0.0.3", Want::Detached, MINUTE).await;
        assert!(!report.changes.is_empty(), "{age}: it was asked");
        assert!(matches!(report.result, Err(Failure::NotVerified { .. })), "{age}: {report:?}");
    }
}

/// A virtual address: each connection leads to another Pgpool, and they count the nodes differently.
struct Virtual {
    pgpools: [Pgpool; 2],
    next: Cell<usize>,
}

impl Connect for Virtual {
    type Stream = DuplexStream;

    async fn connect(&self, deadline: Deadline) -> Result<DuplexStream, Error> {
        let next = self.next.replace(self.next.get() + 1);
        self.pgpools[next % 2].connect(deadline).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_change_goes_out_only_on_the_connection_on_which_its_node_was_found() {
    let other = World::new(Age::V4_7).node("10.0.0.1", 5432).node("10.0.0.3", 5432).node("10.0.0.2", 5432);
    for first in [0, 1] {
        let pgpools = [Pgpool::new(world(Age::V4_7)), Pgpool::new(other.clone())];
        let address = Virtual { pgpools, next: Cell::new(first) };
        let report = reach(&address, "10.0.0.3", Want::Detached, MINUTE).await;
        report.result.unwrap_or_else(|failure| panic!("{failure}"));
        for pgpool in &address.pgpools {
            let down: Vec<_> = pgpool.0.with(|world| {
                let down = world.nodes().iter().filter(|node| !node.is_attached());
                down.map(|node| node.host.clone()).collect()
            });
            assert!(down.iter().all(|host| host == "10.0.0.3"), "{down:?}");
            let asked = pgpool.0.requests();
            for (connection, _) in asked.iter().filter(|(_, kind)| *kind == RequestKind::DETACH_NODE) {
                let mut before = asked.iter().filter(|(one, _)| one == connection).map(|(_, kind)| *kind);
                assert!(before.any(|kind| kind == RequestKind::READ_HEALTH_CHECK_STATS), "{asked:?}");
            }
        }
    }
}

/// Whenever it is killed: a node that it had set down is up again after the next run, or that one says that it failed.
#[tokio::test(start_paused = true)]
async fn a_run_after_one_that_was_killed_finishes_it_or_fails() {
    let mut finished = 0;
    for after in (0..4000).step_by(50) {
        let mut lost = world(Age::V4_7);
        lost.kill_postgres(0);
        lost.detach(Duration::ZERO, 0);
        lost.advance(Duration::from_secs(20));
        lost.promote_postgres(1);
        let pgpool = Pgpool::new(lost);
        sleep(Duration::from_secs(21)).await;
        let killed = timeout(Duration::from_millis(after), reach(&pgpool, "10.0.0.2", Want::Primary, MINUTE)).await;
        drop(killed);
        let report = reach(&pgpool, "10.0.0.2", Want::Primary, MINUTE).await;
        let shown = pgpool.0.with(|world| world.show_pool_nodes());
        if report.result.is_ok() && report.left_down.is_empty() {
            assert_eq!(shown, "0=down/standby 1=up/primary 2=up/standby", "killed after {after} ms");
            finished += 1;
        }
    }
    assert!(finished > 70, "{finished} of 80 finished");
}
