//! The functions for programs that are not asynchronous.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test may fail so")]

use std::time::Duration;

use pcp_client::sandbox::{Age, Sandbox, World};
use pcp_client::{Connector, Deadline, Endpoint, ErrorKind, Failure, Options, Order, Want, blocking};
use pcp_proto::Credentials;
use tokio::runtime::Runtime;

/// A sandbox with a runtime of its own.
struct Pgpool(Sandbox, #[expect(dead_code, reason = "it runs the sandbox")] Runtime);

impl Pgpool {
    fn start(age: Age) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let world = World::new(age).node("10.0.0.1", 5432).node("10.0.0.2", 5432).node("10.0.0.3", 5432);
        let sandbox = runtime.block_on(Sandbox::start(world)).unwrap();
        Self(sandbox, runtime)
    }

    fn connector(&self) -> Connector {
        connector(&self.0.address().to_string())
    }

    fn shown(&self) -> String {
        self.0.with(|world| world.show_pool_nodes())
    }
}

fn connector(endpoint: &str) -> Connector {
    Connector { endpoint: Endpoint::parse(endpoint, 9898).unwrap(), connect_timeout: Duration::from_secs(3) }
}

fn credentials() -> Credentials {
    Credentials::new(World::USER, World::PASSWORD.as_bytes()).unwrap()
}

fn deadline() -> Deadline {
    Deadline::after(Duration::from_secs(60))
}

fn options() -> Options {
    Options { deadline: deadline(), settle: Duration::ZERO }
}

#[test]
fn a_node_is_detached_and_seen_to_be() {
    for age in [Age::V4_1, Age::V4_7] {
        let pgpool = Pgpool::start(age);
        let connector = pgpool.connector();
        let node = "10.0.0.3".parse().unwrap();
        let order = Order::new(&node, Want::Detached, options());
        let report = blocking::converge(&connector, &credentials(), &order);
        assert!(report.result.is_ok() && report.changes.len() == 1, "{report:?}");
        assert_eq!(pgpool.shown(), "0=up/primary 1=up/standby 2=down/standby");
        let view = blocking::observe(&connector, &credentials(), deadline()).unwrap();
        assert!(view.nodes[2].is_down() && view.primary().is_some());
        let inspection = blocking::inspect(&connector, &credentials(), deadline()).unwrap();
        assert_eq!(inspection.infos.len(), 3);
    }
}

#[test]
fn several_pgpools_are_told_at_once_and_each_has_its_report() {
    let (one, two) = (Pgpool::start(Age::V4_1), Pgpool::start(Age::V4_7));
    let connectors = [one.connector(), two.connector()];
    let credentials = credentials();
    let node = "10.0.0.2".parse().unwrap();
    let order = Order::new(&node, Want::Detached, options());
    let pgpools = connectors.iter().map(|connector| (connector, &credentials));
    let reports = blocking::converge_all(pgpools, &order);
    assert_eq!(reports.iter().filter(|report| report.result.is_ok()).count(), 2, "{reports:?}");
    assert_eq!((one.shown(), two.shown()), (one.shown(), one.shown()));
}

#[test]
fn what_goes_wrong_is_told_as_elsewhere() {
    let pgpool = Pgpool::start(Age::V4_7);
    let wrong = Credentials::new(World::USER, b"wrong").unwrap();
    let refused = blocking::observe(&pgpool.connector(), &wrong, deadline()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Authentication);
    let unreachable = blocking::observe(&connector("127.0.0.1:1"), &credentials(), deadline()).unwrap_err();
    assert_eq!(unreachable.kind(), ErrorKind::Unreachable);
    let node = "10.0.0.9".parse().unwrap();
    let order = Order::new(&node, Want::Detached, options());
    let unknown = blocking::converge(&pgpool.connector(), &credentials(), &order).result.unwrap_err();
    assert!(matches!(unknown, Failure::Node(_)), "{unknown:?}");
}
