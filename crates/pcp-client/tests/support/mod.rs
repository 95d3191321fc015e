//! A sandbox behind pipes.

#![allow(dead_code, clippy::indexing_slicing, clippy::unwrap_used, reason = "a test may fail so")]

pub(crate) mod counted;
pub(crate) mod slow;

use pcp_client::sandbox::{Age, Sandbox, World};
use pcp_client::{Connect, Deadline, Error, Evidence, Node, Recovery};
use pcp_proto::{Credentials, NodeId};
use tokio::io::{DuplexStream, duplex};

pub(crate) fn world(age: Age) -> World {
    World::new(age).node("10.0.0.1", 5432).node("10.0.0.2", 5432).node("10.0.0.3", 5432)
}

pub(crate) fn id(node: usize) -> NodeId {
    node.try_into().unwrap()
}

pub(crate) fn credentials() -> Credentials {
    Credentials::new("pcpadmin", b"secret").unwrap()
}

/// A sandbox behind pipes, so that no clock but the paused one matters.
pub(crate) struct Pgpool(pub(crate) Sandbox);

impl Pgpool {
    pub(crate) fn new(world: World) -> Self {
        Self(Sandbox::unbound(world))
    }
}

impl Connect for Pgpool {
    type Stream = DuplexStream;

    async fn connect(&self, _: Deadline) -> Result<DuplexStream, Error> {
        let (ours, theirs) = duplex(4096);
        self.0.serve_stream(theirs);
        Ok(ours)
    }
}

/// What the PostgreSQL servers of a sandbox would say.
pub(crate) struct Truth<'a>(pub(crate) &'a Sandbox);

impl Truth<'_> {
    fn postgres<T>(&self, node: &Node, look: impl FnOnce(&pcp_client::sandbox::Postgres) -> T) -> T {
        self.0.with(|world| look(&world.nodes()[usize::from(node.id.get())].postgres))
    }
}

impl Evidence for Truth<'_> {
    async fn answers(&self, node: &Node) -> bool {
        self.postgres(node, |postgres| postgres.alive && !postgres.silent)
    }

    async fn recovery(&self, node: &Node) -> Recovery {
        match self.postgres(node, |postgres| (postgres.alive && !postgres.silent, postgres.in_recovery)) {
            (true, true) => Recovery::InRecovery,
            (true, false) => Recovery::NotInRecovery,
            (false, _) => Recovery::Unknown { reason: "it does not answer".to_owned() },
        }
    }
}
