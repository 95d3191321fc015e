//! A sandbox behind connections of which some fail.

use std::cell::RefCell;
use std::rc::Rc;

use pcp_client::sandbox::{Postgres, Sandbox, World};
use pcp_client::{Connect, Deadline, Error, Evidence, Node, Recovery};
use pcp_proto::RequestKind;
use tokio::io::duplex;

use super::fault::{Fault, Meets};
use super::pipe::{Passed, Pipe};

/// A sandbox, and what goes wrong on the way to it.
pub(crate) struct Net {
    pub(crate) sandbox: Sandbox,
    fault: Option<Fault>,
    passed: RefCell<Vec<Rc<RefCell<Passed>>>>,
}

impl Net {
    pub(crate) fn new(world: World, fault: Option<Fault>) -> Self {
        Self { sandbox: Sandbox::unbound(world), fault, passed: RefCell::default() }
    }

    /// Returns what passed so far, connection by connection.
    pub(crate) fn passed(&self) -> Vec<Passed> {
        self.passed.borrow().iter().map(|passed| passed.borrow().clone()).collect()
    }

    /// Tells whether the server has received anything but questions.
    pub(crate) fn was_asked_to_change(&self) -> bool {
        self.sandbox.requests().iter().any(|(_, kind)| !is_question(*kind))
    }

    /// Returns the view in one line.
    pub(crate) fn shown(&self) -> String {
        self.sandbox.with(|world| world.show_pool_nodes())
    }
}

fn is_question(kind: RequestKind) -> bool {
    use RequestKind as Kind;
    matches!(
        kind,
        Kind::READ_SALT
            | Kind::LOGIN
            | Kind::DISCONNECT
            | Kind::READ_POOL_STATUS
            | Kind::READ_NODE_COUNT
            | Kind::READ_NODE_INFO
            | Kind::READ_HEALTH_CHECK_STATS
            | Kind::READ_PROCESS_COUNT
            | Kind::READ_PROCESS_INFO
            | Kind::READ_WATCHDOG_INFO
    )
}

impl Connect for Net {
    type Stream = Pipe;

    async fn connect(&self, _: Deadline) -> Result<Pipe, Error> {
        let (ours, theirs) = duplex(1 << 16);
        let number = self.passed.borrow().len();
        let fault = self.fault.filter(|fault| match fault.meets {
            Meets::Only(only) => only == number,
            Meets::From(first) => first <= number,
        });
        let passed = Rc::default();
        self.passed.borrow_mut().push(Rc::clone(&passed));
        self.sandbox.serve_stream(theirs);
        Ok(Pipe::new(ours, fault.map(|fault| (fault.kind, fault.at)), passed))
    }
}

/// What the PostgreSQL servers of a sandbox would say.
pub(crate) struct Truth<'a>(pub(crate) &'a Sandbox);

impl Truth<'_> {
    fn postgres<T>(&self, node: &Node, look: impl FnOnce(&Postgres) -> T) -> Option<T> {
        self.0.with(|world| world.nodes().get(usize::from(node.id.get())).map(|node| look(&node.postgres)))
    }
}

impl Evidence for Truth<'_> {
    async fn answers(&self, node: &Node) -> bool {
        self.postgres(node, |postgres| postgres.alive && !postgres.silent).unwrap_or_default()
    }

    async fn recovery(&self, node: &Node) -> Recovery {
        match self.postgres(node, |postgres| (postgres.alive && !postgres.silent, postgres.in_recovery)) {
            Some((true, true)) => Recovery::InRecovery,
            Some((true, false)) => Recovery::NotInRecovery,
            _ => Recovery::Unknown { reason: "it does not answer".to_owned() },
        }
    }
}
