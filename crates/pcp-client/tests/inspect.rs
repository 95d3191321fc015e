//! The live view: which connections it takes, and what a node that does not answer costs the others.

#![allow(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "a test may fail so")]

mod support;

use std::time::Duration;

use pcp_client::sandbox::{Age, Fault};
use pcp_client::{Deadline, ErrorKind, Inspection, inspect};
use pcp_proto::RequestKind;
use tokio::time::Instant;

use support::{Pgpool, credentials, id, world};

const CHECKED: Duration = Duration::from_secs(10);
const UNCHECKED: Duration = Duration::ZERO;

fn pgpool(age: Age, health_check_period: Duration) -> Pgpool {
    Pgpool::new(world(age).configure(|settings| settings.health_check_period = health_check_period))
}

async fn inspected(pgpool: &Pgpool, limit: u64) -> Inspection {
    inspect(pgpool, &credentials(), Deadline::after(Duration::from_secs(limit))).await.unwrap()
}

/// Returns on which connections node info was asked for.
fn asked_on(pgpool: &Pgpool) -> Vec<u64> {
    let requests = pgpool.0.requests().into_iter();
    requests.filter(|&(_, kind)| kind == RequestKind::READ_NODE_INFO).map(|(connection, _)| connection).collect()
}

#[tokio::test(start_paused = true)]
async fn each_node_has_a_connection_of_its_own_where_pgpool_connects_to_it() {
    for (age, period, connections) in [
        (Age::V4_2_8, CHECKED, [0, 0, 0]),
        // One that may be 4.3.0 connects regardless.
        (Age::V4_3_0, UNCHECKED, [1, 2, 3]),
        (Age::V4_3_1, UNCHECKED, [1, 2, 3]),
        (Age::V4_4, UNCHECKED, [0, 0, 0]),
        (Age::V4_4, CHECKED, [1, 2, 3]),
        (Age::V4_7, UNCHECKED, [0, 0, 0]),
        (Age::V4_7, CHECKED, [1, 2, 3]),
    ] {
        let pgpool = pgpool(age, period);
        inspected(&pgpool, 60).await;
        assert_eq!(asked_on(&pgpool), connections, "{age} {period:?}");
        tokio::task::yield_now().await;
        assert_eq!(pgpool.0.open_connections(), 0, "{age} {period:?}");
        let goodbyes = pgpool.0.requests().iter().filter(|(_, kind)| *kind == RequestKind::DISCONNECT).count();
        assert_eq!(goodbyes as u64, pgpool.0.connections(), "{age} {period:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn infos_come_in_the_order_of_the_view_on_every_age() {
    for age in Age::ALL {
        for period in [UNCHECKED, CHECKED] {
            let inspection = inspected(&pgpool(age, period), 60).await;
            let hosts: Vec<_> = inspection.infos.iter().map(|info| info.as_ref().unwrap().host.clone()).collect();
            assert_eq!(hosts, ["10.0.0.1", "10.0.0.2", "10.0.0.3"], "{age} {period:?}");
            assert_eq!(inspection.view.nodes.iter().map(|node| node.host.clone()).collect::<Vec<_>>(), hosts);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_backend_hides_only_itself() {
    let pgpool = pgpool(Age::V4_7, CHECKED);
    pgpool.0.with(|world| world.silence_postgres(1, true));
    let started = Instant::now();
    let inspection = inspected(&pgpool, 8).await;
    assert_eq!(started.elapsed(), Duration::from_secs(8), "by the deadline");
    assert_eq!(inspection.infos[1].as_ref().unwrap_err().kind(), ErrorKind::Timeout);
    for node in [0, 2] {
        let info = inspection.infos[node].as_ref().unwrap();
        assert_eq!(info.pg_status.as_ref().unwrap(), "up");
    }

    // Pgpool itself gives up after its connect_timeout, for which there is time here.
    pgpool.0.with(|world| world.silence_postgres(2, true));
    let started = Instant::now();
    let inspection = inspected(&pgpool, 60).await;
    assert_eq!(started.elapsed(), Duration::from_secs(10), "all are asked at the same time");
    let found: Vec<_> = inspection.infos.into_iter().map(|info| info.unwrap().pg_status.unwrap()).collect();
    assert_eq!(found, ["up", "down", "down"]);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_breaks_hides_only_its_node() {
    let pgpool = pgpool(Age::V4_7, CHECKED);
    for fault in [Fault::Nothing, Fault::Nothing, Fault::CloseAfter(0)] {
        pgpool.0.fault(fault);
    }
    let inspection = inspected(&pgpool, 60).await;
    let ends: Vec<_> =
        inspection.infos.iter().map(|info| info.as_ref().map(|_| ()).map_err(|e| e.kind())).collect();
    assert_eq!(ends, [Ok(()), Err(ErrorKind::Disconnected), Ok(())]);
}

#[tokio::test(start_paused = true)]
async fn without_a_state_there_is_no_inspection() {
    let pgpool = pgpool(Age::V4_7, CHECKED);
    pgpool.0.fault(Fault::CloseBeforeSalt);
    let error = inspect(&pgpool, &credentials(), Deadline::after(CHECKED)).await.unwrap_err();
    assert_eq!((error.kind(), pgpool.0.connections()), (ErrorKind::Disconnected, 1));
}

#[tokio::test(start_paused = true)]
async fn the_view_is_what_pgpool_knows_and_the_infos_what_it_finds() {
    let pgpool = pgpool(Age::V4_7, CHECKED);
    pgpool.0.with(|world| world.kill_postgres(2));
    let Inspection { view, infos } = inspected(&pgpool, 60).await;
    assert!(view.node(id(2)).unwrap().is_attached(), "Pgpool has not noticed");
    assert_eq!(infos[2].as_ref().unwrap().pg_status.as_ref().unwrap(), "down");
}
