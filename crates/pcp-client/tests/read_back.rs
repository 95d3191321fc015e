//! Reading back what somebody else's change has come to, with a clock that jumps.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test may fail so")]

mod support;

use std::time::Duration;

use pcp_client::sandbox::{Age, Fault, World};
use pcp_client::{Client, Deadline, Failure, Options, View, observe, read_back};
use pcp_proto::message::{AttachNode, DetachNode};
use tokio::time::Instant;

use support::{Pgpool, credentials, id, world};

const LIMIT: Duration = Duration::from_secs(20);

async fn before(pgpool: &Pgpool) -> (Client<tokio::io::DuplexStream>, View) {
    let mut client = Client::connect(pgpool, &credentials(), Deadline::after(LIMIT)).await.unwrap();
    let view = observe(&mut client).await.unwrap();
    (client, view)
}

async fn read(pgpool: &Pgpool, before: &View, settle: Duration) -> Result<View, Failure> {
    let options = Options { deadline: Deadline::after(LIMIT), settle };
    let is_met = |view: &View| view.node(id(2)).is_some_and(pcp_client::Node::is_attached);
    read_back(pgpool, &credentials(), before, "node 2 to be up", is_met, options).await
}

#[tokio::test(start_paused = true)]
async fn a_state_counts_when_it_has_lasted() {
    let pgpool = Pgpool::new(world(Age::V4_7));
    let (client, _) = before(&pgpool).await;
    client.finish(DetachNode { node: id(2) }).await.unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    let (client, view) = before(&pgpool).await;
    client.finish(AttachNode { node: id(2) }).await.unwrap();
    // What passes is waited for.
    pgpool.0.fault(Fault::ResetBeforeSalt);
    let settle = Duration::from_millis(1500);
    let start = Instant::now();
    let seen = read(&pgpool, &view, settle).await.unwrap();
    assert!(seen.node(id(2)).unwrap().is_attached());
    assert!(start.elapsed() >= settle, "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn what_does_not_come_is_not_waited_for_beyond_the_deadline() {
    let pgpool = Pgpool::new(world(Age::V4_7));
    let (client, view) = before(&pgpool).await;
    client.finish(DetachNode { node: id(2) }).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let start = Instant::now();
    let failure = read(&pgpool, &view, Duration::ZERO).await.unwrap_err();
    assert_eq!(failure.to_string(), "not verified in time: waited for node 2 to be up");
    assert!(start.elapsed() <= LIMIT, "{:?}", start.elapsed());
}

/// A look that the deadline cuts off is no reason: what the one before it saw is.
#[tokio::test(start_paused = true)]
async fn only_what_kept_it_from_looking_is_a_cause() {
    for (faults, has_cause) in [(&[Fault::Nothing, Fault::NeverSalt][..], false), (&[Fault::NeverSalt], true)] {
        let pgpool = Pgpool::new(world(Age::V4_7));
        let (client, _) = before(&pgpool).await;
        client.finish(DetachNode { node: id(2) }).await.unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
        let (_client, view) = before(&pgpool).await;
        faults.iter().for_each(|fault| pgpool.0.fault(fault.clone()));
        let options = Options { deadline: Deadline::after(Duration::from_secs(3)), settle: Duration::ZERO };
        let failure = read_back(&pgpool, &credentials(), &view, "a change", |_| false, options).await.unwrap_err();
        let Failure::NotVerified { source, .. } = failure else { panic!("{failure}") };
        assert_eq!(source.is_some(), has_cause, "{faults:?}: {source:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn other_nodes_are_no_answer() {
    let (_, view) = before(&Pgpool::new(world(Age::V4_7))).await;
    let other =
        Pgpool::new(World::new(Age::V4_7).node("10.0.1.1", 5432).node("10.0.1.2", 5432).node("10.0.1.3", 5432));
    let failure = read(&other, &view, Duration::ZERO).await.unwrap_err();
    assert!(
        matches!(&failure, Failure::NotVerified { awaited, .. } if awaited.ends_with("other nodes now")),
        "{failure}"
    );
}
