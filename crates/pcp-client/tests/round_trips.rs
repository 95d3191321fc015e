//! What goes over the network, and how often it is waited for.

#![allow(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "a test may fail so")]

mod support;

use std::time::Duration;

use pcp_client::sandbox::{Age, Settings, World};
use pcp_client::{Client, Deadline, LastNode, Options, Order, Want, converge, converge_all};
use pcp_proto::message::{NodeStatus, ReadNodeCount, ReadNodeInfo};
use tokio::time::Instant;

use support::counted::Counted;
use support::slow::Slow;
use support::{Pgpool, credentials, id, world};

const MINUTE: Duration = Duration::from_secs(60);

fn options() -> Options {
    Options { deadline: Deadline::after(MINUTE), settle: Duration::ZERO }
}

#[tokio::test(start_paused = true)]
async fn a_question_costs_three_round_trips_and_two_writes() {
    let pgpool = Counted::new(Pgpool::new(world(Age::V4_7)));
    let client = Client::connect(&pgpool, &credentials(), Deadline::after(MINUTE)).await.unwrap();
    client.finish((ReadNodeCount, ReadNodeInfo::Node(id(1)))).await.0.unwrap();
    assert_eq!(
        pgpool.writes(),
        [["M", "RLIX"]],
        "nothing before the salt is asked for, and the goodbye with the last"
    );
    assert_eq!(pgpool.round_trips(), 3);
}

/// The least that the protocol needs: the salt, the settings behind the login, the nodes, the change and the goodbye in one
/// write, and one look at what came of it.
#[tokio::test(start_paused = true)]
async fn a_change_costs_as_many_round_trips_whatever_the_number_of_nodes() {
    for (want, state) in [(Want::Detached, "down"), (Want::Attached, "up")] {
        let change = if want == Want::Attached { 'C' } else { 'D' };
        let mut costs = Vec::new();
        for nodes in [1, 16, 128] {
            let pgpool = Counted::new(Pgpool::new(cluster(nodes, want)));
            let name = "10.0.0.0".parse().unwrap();
            let order = Order { last_node: LastNode::GivenUp, ..Order::new(&name, want, options()) };
            let report = converge(&pgpool, &credentials(), &order).await;
            report.result.unwrap();
            assert_eq!(report.changes.len(), 1, "{want:?} with {nodes} nodes");
            let shown = pgpool.connect().0.with(|world| world.show_pool_nodes());
            assert!(shown.starts_with(&format!("0={state}")), "{shown}");

            let nodes = "H".repeat(nodes);
            let [first, looks @ ..] = &pgpool.writes()[..] else { panic!("no connection") };
            assert_eq!(first[..], ["M", "RB", &nodes, &format!("{change}X")]);
            looks.iter().for_each(|look| assert_eq!(look[..], ["M", &format!("R{nodes}"), "X"]));
            costs.push(pgpool.round_trips());
        }
        assert_eq!(costs, [8; 3], "{want:?}");
    }
}

/// One more for the question, whose answer may take its time, and one for the state behind it.
#[tokio::test(start_paused = true)]
async fn what_only_pgpool_can_tell_costs_no_connection_of_its_own() {
    let checked = |settings: &mut Settings| settings.health_check_period = MINUTE;
    let pgpool = Counted::new(Pgpool::new(world(Age::V4_7).configure(checked)));
    let name = "10.0.0.3".parse().unwrap();
    let detach = Order::new(&name, Want::Detached, options());
    converge(&pgpool, &credentials(), &detach).await.result.unwrap();
    let before = pgpool.writes().len();
    let attach = Order::new(&name, Want::Standby, options());
    let report = converge(&pgpool, &credentials(), &attach).await;
    report.result.unwrap();
    let writes = &pgpool.writes()[before..];
    assert_eq!(writes[0][..], ["M", "RB", "HHH", "I", "HHH", "CX"]);
    writes[1..].iter().for_each(|look| assert_eq!(look[..], ["M", "RHHH", "X"]));
    let asked: Vec<_> = report.asked[0].iter().map(ToString::to_string).collect();
    assert_eq!(asked.concat(), "BHHHIHHHC");
}

#[tokio::test(start_paused = true)]
async fn many_pgpools_take_as_long_as_the_slowest() {
    let round_trip = Duration::from_millis(100);
    let far = || Slow { connect: Pgpool::new(world(Age::V4_7)), round_trip };
    let (credentials, name) = (credentials(), "10.0.0.3".parse().unwrap());
    let mut times = Vec::new();
    for pgpools in [1, 50] {
        let pgpools: Vec<_> = (0..pgpools).map(|_| far()).collect();
        let order = Order::new(&name, Want::Detached, options());
        let started = Instant::now();
        let reports = converge_all(pgpools.iter().map(|pgpool| (pgpool, &credentials)), &order).await;
        times.push(started.elapsed());
        reports.into_iter().for_each(|report| report.result.unwrap());
    }
    assert_eq!(times[0], times[1]);
    assert!(times[0] <= round_trip * 9, "{times:?}");
}

/// A cluster of so many nodes, the first of which is not yet what is wanted of it.
fn cluster(nodes: usize, want: Want) -> World {
    let mut world =
        (0..nodes).fold(World::new(Age::V4_7), |world, node| world.node(&format!("10.0.0.{node}"), 5432));
    // The primary is another one, where there is one.
    world.set_primary((nodes > 1).then_some(nodes - 1));
    if nodes > 1 {
        world.promote_postgres(nodes - 1);
        world.start_postgres(0, true);
    }
    if want == Want::Attached {
        world.node_mut(0).unwrap().status = NodeStatus::Down;
    }
    // Real ones have carried out a change before they have forked for the next connection, for which no time passes here.
    world.configure(|settings| settings.operation_delay = Duration::ZERO)
}
