//! Several Pgpools at once.

#![allow(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "a test may fail so")]

mod support;

use std::time::Duration;

use pcp_client::sandbox::{Age, Fault, World};
use pcp_client::{Change, Deadline, Failure, Options, Report, Want, converge_all};
use pcp_proto::Credentials;
use tokio::time::Instant;

use support::{Pgpool, credentials, id, world};

fn options(limit: u64) -> Options {
    Options { deadline: Deadline::after(Duration::from_secs(limit)), settle: Duration::ZERO }
}

async fn detach_all(pgpools: &[&Pgpool], limit: u64) -> Vec<Report> {
    let credentials = credentials();
    let pgpools = pgpools.iter().map(|&pgpool| (pgpool, &credentials));
    converge_all(pgpools, &"10.0.0.3".parse().unwrap(), Want::Detached, options(limit)).await
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
    let reports = converge_all([(&first, &usual), (&second, &other)], &name, Want::Detached, options(60)).await;
    reports.into_iter().for_each(|report| report.result.unwrap());
    let reports = converge_all([(&first, &other), (&second, &other)], &name, Want::Attached, options(60)).await;
    assert!(matches!(reports[0].result, Err(Failure::Authentication(_))), "{:?}", reports[0]);
    reports[1].result.as_ref().unwrap();
}

#[tokio::test(start_paused = true)]
async fn of_no_pgpool_there_is_no_report() {
    assert!(detach_all(&[], 60).await.is_empty());
}
