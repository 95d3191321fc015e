//! The state of a Pgpool, as it is read without a connection to a backend.

#![allow(clippy::unwrap_used, reason = "a test may fail so")]

mod support;

use std::time::Duration;

use pcp_client::sandbox::{Age, FailoverFlag, Mode, Watchdog, World};
use pcp_client::{Client, Connect, Deadline, Error, ErrorKind, Limits, View, observe, observe_again};
use tokio::io::DuplexStream;

use support::{Pgpool, credentials, id, world};

/// Ages that are asked with node info and with health check statistics.
const AGES: [Age; 2] = [Age::V4_1, Age::V4_7];

async fn client(world: World) -> (Pgpool, Client<DuplexStream>) {
    let pgpool = Pgpool::new(world);
    let deadline = Deadline::after(Duration::from_secs(60));
    let stream = pgpool.connect(deadline).await.unwrap();
    (pgpool, Client::new(stream, credentials(), Limits::new(deadline)))
}

async fn view(world: World) -> View {
    let (_pgpool, mut client) = client(world).await;
    observe(&mut client).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn the_settings_that_matter_are_read() {
    for age in AGES {
        let view =
            view(world(age).node_with("10.0.0.4", 5433, |node| node.flag = FailoverFlag::DisallowToFailover));
        let view = view.await;
        assert_eq!(view.server.search_primary_node_timeout, Some(Duration::from_secs(3)), "{age}");
        assert!(!view.server.watchdog, "{age}");
        let nodes: Vec<_> = view.nodes.iter().map(|node| (node.address(), node.failover_disallowed)).collect();
        let expected = [("10.0.0.1:5432", false), ("10.0.0.2:5432", false), ("10.0.0.3:5432", false)];
        let expected = expected.into_iter().chain([("10.0.0.4:5433", true)]);
        assert_eq!(nodes, expected.map(|(address, flag)| (address.to_owned(), flag)).collect::<Vec<_>>(), "{age}");
    }
    let watched = world(Age::V4_7).configure(|settings| settings.watchdog = Some(Watchdog::of(&["10.0.0.1"])));
    assert!(view(watched).await.server.watchdog);
}

#[tokio::test(start_paused = true)]
async fn a_primary_that_is_down_is_being_replaced() {
    for age in AGES {
        let mut searching = world(age);
        searching.kill_postgres(0);
        searching.detach(Duration::ZERO, 0);
        searching.advance(Duration::from_secs(1));
        for (world, primary, lost) in [(world(age), Some(id(0)), None), (searching, None, Some(id(0)))] {
            let view = view(world).await;
            assert!(view.has_primary_role(), "{age}");
            assert_eq!(view.primary().map(|node| node.id), primary, "{age}");
            assert_eq!(view.searching().map(|node| node.id), lost, "{age}");
        }
    }
    let raw = view(world(Age::V4_7).configure(|settings| settings.mode = Mode::Raw)).await;
    assert!(!raw.has_primary_role() && raw.primary().is_none() && raw.searching().is_none());
    assert!(!view(world(Age::V3_5)).await.has_primary_role());
}

#[tokio::test(start_paused = true)]
async fn other_nodes_than_before_are_told_apart() {
    let again = async |age, now: World| -> Result<Option<View>, Error> {
        let before = view(world(age)).await;
        let (_pgpool, mut client) = client(now).await;
        observe_again(&mut client, &before).await
    };
    for age in AGES {
        let mut changed = world(age);
        changed.detach(Duration::ZERO, 2);
        changed.advance(Duration::from_secs(1));
        assert!(again(age, changed).await.unwrap().unwrap().node(id(2)).unwrap().is_down(), "{age}");

        let two = || World::new(age).node("10.0.0.1", 5432).node("10.0.0.2", 5432);
        for other in [two().node("10.0.0.4", 5432), two().node("10.0.0.3", 5433), two()] {
            assert_eq!(again(age, other).await.unwrap(), None, "{age}");
        }
    }
}

/// A change names a node by its id. Whose state is whose has to be beyond doubt.
#[tokio::test(start_paused = true)]
async fn answers_that_name_a_node_differently_are_no_view() {
    for age in AGES {
        let world = world(age).configure(|settings| {
            settings.shown.insert("backend_hostname1".to_owned(), "10.0.0.3".to_owned());
        });
        let (_pgpool, mut client) = client(world).await;
        let error = observe(&mut client).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Protocol, "{age}");
        let said = error.to_string();
        assert!(said.contains("node 1 is 10.0.0.3:5432 in one, 10.0.0.2:5432 in another"), "{age}: {said}");
    }
}
