//! What monitoring reads: all of it on every age, without a connection to a backend.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test may fail so")]

mod support;

use std::time::Duration;

use pcp_client::sandbox::{Age, Fault, Watchdog, World};
use pcp_client::{ChildState, Deadline, Error, ErrorKind, Survey, survey};
use pcp_proto::RequestKind;
use pcp_proto::message::{Delay, Quorum};
use tokio::time::Instant;

use support::{Pgpool, credentials, world};

const CHECKED: Duration = Duration::from_secs(10);

fn checked(age: Age) -> World {
    world(age).configure(|settings| settings.health_check_period = CHECKED)
}

async fn surveyed(pgpool: &Pgpool) -> Survey {
    survey_within(30, pgpool).await.unwrap()
}

async fn survey_within(seconds: u64, pgpool: &Pgpool) -> Result<Survey, Error> {
    survey(pgpool, &credentials(), Deadline::after(Duration::from_secs(seconds))).await
}

fn asked(pgpool: &Pgpool, kind: RequestKind) -> usize {
    pgpool.0.requests().iter().filter(|&&(_, asked)| asked == kind).count()
}

#[tokio::test(start_paused = true)]
async fn everything_is_read_on_every_age_without_a_connection_to_a_backend() {
    for age in Age::ALL {
        let mut world =
            checked(age).configure(|settings| settings.watchdog = Some(Watchdog::of(&["10.0.0.8", "10.0.0.9"])));
        world.silence_postgres(2, true);
        world.node_mut(1).unwrap().delay = Delay::Bytes(4096);
        world.open_session(Duration::ZERO);
        let pgpool = Pgpool::new(world);
        let start = Instant::now();
        let survey = surveyed(&pgpool).await;
        // A connection to the silent node would take ten seconds.
        assert!(start.elapsed() < Duration::from_secs(1), "{age}");
        assert_eq!(pgpool.0.connections(), 1, "{age}");
        let dials = age >= Age::V4_3_0;
        assert_eq!(asked(&pgpool, RequestKind::READ_NODE_INFO) == 0, dials, "{age}");

        let node = &survey.nodes[1];
        assert_eq!(node.delay, Some(Delay::Bytes(4096)), "{age}");
        assert!((node.weight.unwrap() - 1.0 / 3.0).abs() < 1e-5, "{age}");
        assert_eq!(node.health.is_some(), age.has_health_check_stats(), "{age}");
        assert_eq!(node.info.is_none(), dials, "{age}");
        let pool = survey.pool.unwrap();
        assert_eq!((pool.children, pool.busy, pool.slots, pool.used_slots()), (32, 1, 32 * 4 * 3, 3), "{age}");
        assert_eq!(pool.states.get(&ChildState::Idle), (age >= Age::V4_3_0).then_some(&1), "{age}");
        let cluster = survey.watchdog.unwrap().unwrap();
        assert_eq!((cluster.quorum(), cluster.members.len()), (Some(Quorum::Exists), 2), "{age}");
    }
}

#[tokio::test(start_paused = true)]
async fn delays_of_a_pgpool_have_one_unit() {
    // With node info from memory and without.
    for period in [CHECKED, Duration::ZERO] {
        let mut world = world(Age::V4_7).configure(|settings| settings.health_check_period = period);
        world.node_mut(1).unwrap().delay = Delay::Microseconds(1_500_000);
        let survey = surveyed(&Pgpool::new(world)).await;
        // The primary has no delay, and its own flag says bytes.
        let delays: Vec<_> = survey.nodes.iter().map(|node| node.delay.unwrap()).collect();
        let expected = [0, 1_500_000, 0].map(Delay::Microseconds);
        assert_eq!(delays, expected, "{period:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_comes_late_or_not_at_all_leaves_the_rest() {
    let watched = || checked(Age::V4_7).configure(|settings| settings.watchdog = Some(Watchdog::of(&["10.0.0.8"])));
    let pgpool = Pgpool::new(watched());
    surveyed(&pgpool).await;
    // The rows of the pool are most of what comes: the connection dies in the middle of them.
    pgpool.0.fault(Fault::CloseAfter(20_000));
    let survey = surveyed(&pgpool).await;
    assert_eq!(survey.view.nodes.len(), 3);
    assert_eq!(survey.pool.unwrap_err().kind(), ErrorKind::Disconnected);
    assert_eq!(survey.watchdog.unwrap().unwrap_err().kind(), ErrorKind::Disconnected);

    pgpool.0.fault(Fault::StallAfter(2_000));
    let start = Instant::now();
    let stalled = survey_within(2, &pgpool).await;
    assert_eq!(stalled.unwrap_err().kind(), ErrorKind::Timeout);
    assert!(start.elapsed() <= Duration::from_secs(2));
}
