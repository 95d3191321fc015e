//! A child of Pgpool: what it does, and its pools.

use pcp_client::ChildState;
use pcp_proto::Text;
use pcp_proto::message::{ProcessInfo, ProcessTime};
use serde::Serialize;

/// What a child does.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Status {
    /// It has no client.
    Waiting,
    Connecting,
    Busy,
    Idle,
    IdleInTransaction,
    /// It has a client; servers before 4.3 tell no more.
    Connected,
    /// A word that this version does not know.
    Unknown,
}

/// A child. `null` is what this server does not tell.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Child {
    pub(super) pid: u32,
    pub(super) status: Status,
    start_unix_seconds: Option<i64>,
    start_local: Option<String>,
    pub(super) client_connection_count: Option<i32>,
    client_host: Option<String>,
    client_port: Option<String>,
    pub(super) pools: Vec<Pool>,
    #[serde(skip)]
    tells_status: bool,
}

/// The connections to the nodes for one pair of database and user, or room for them.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Pool {
    pub(super) pool_id: usize,
    pub(super) database: Option<String>,
    pub(super) user: Option<String>,
    /// Whether the child's client uses it now.
    pub(super) connected: bool,
    pub(super) pool_counter: i32,
    client_connection_local: Option<String>,
    client_disconnection_local: Option<String>,
    pub(super) client_idle_seconds: Option<u64>,
    pub(super) backends: Vec<Backend>,
}

/// A connection to a node.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Backend {
    pub(super) node_id: u8,
    pub(super) backend_pid: i32,
    connection_unix_seconds: Option<i64>,
    connection_local: Option<String>,
    pub(super) load_balance_node: Option<bool>,
    pub(super) statement: Option<String>,
}

impl Child {
    /// Puts a child's slots together: pool by pool, node by node. `None` without any.
    pub(super) fn of(slots: &[ProcessInfo]) -> Option<Self> {
        let first = slots.first()?;
        let mut pools: Vec<Pool> = Vec::new();
        let mut last_node = None;
        for slot in slots {
            // A node that does not come behind the last one begins the next pool.
            if last_node.is_none_or(|last| slot.backend_id <= last) {
                pools.push(Pool::of(slot, pools.len()));
            }
            last_node = Some(slot.backend_id);
            if let Some(pool) = pools.last_mut() {
                pool.add(slot);
            }
        }
        let (start_unix_seconds, start_local) = time(&first.start_time);
        Some(Self {
            pid: first.pid,
            status: Status::of(ChildState::of(first), pools.iter().any(|pool| pool.connected)),
            start_unix_seconds,
            start_local,
            client_connection_count: first.client_connection_count,
            client_host: text(first.client_host.as_ref()),
            client_port: text(first.client_port.as_ref()),
            pools,
            tells_status: first.status.is_some(),
        })
    }

    /// Returns the pool that the client uses.
    pub(super) fn session(&self) -> Option<&Pool> {
        self.pools.iter().find(|pool| pool.connected)
    }

    pub(super) fn has_client(&self) -> bool {
        self.status != Status::Waiting
    }

    /// Tells whether the server says what the child does.
    pub(super) fn tells_status(&self) -> bool {
        self.tells_status
    }

    pub(super) fn client_host(&self) -> Option<&str> {
        self.client_host.as_deref()
    }

    /// Returns where the client comes from, where there is one.
    pub(super) fn client(&self) -> Option<String> {
        let host = self.client_host.as_ref().filter(|_| self.has_client())?;
        Some(match &self.client_port {
            Some(port) => format!("{host}:{port}"),
            None => host.clone(),
        })
    }

    /// Returns when the client came, as far as the server tells.
    pub(super) fn since(&self) -> Option<String> {
        let session = self.session()?;
        session.client_connection_local.clone().or_else(|| session.backends.iter().find_map(Backend::since))
    }

    /// Returns the last statement, if any.
    pub(super) fn statement(&self) -> Option<&str> {
        self.pools.iter().flat_map(|pool| &pool.backends).find_map(|backend| backend.statement.as_deref())
    }

    /// Tells whether its times are without a zone.
    pub(super) fn has_local_times(&self) -> bool {
        self.start_local.is_some()
    }

    pub(super) fn started(&self) -> Option<String> {
        self.start_unix_seconds.map(crate::page::local_time).or_else(|| self.start_local.clone())
    }

    /// Drops what is room only.
    pub(super) fn drop_free(&mut self) {
        self.pools.retain(Pool::is_used);
    }
}

impl Pool {
    fn of(slot: &ProcessInfo, place: usize) -> Self {
        Self {
            pool_id: slot.pool_id.and_then(|id| usize::try_from(id).ok()).unwrap_or(place),
            database: None,
            user: None,
            connected: false,
            pool_counter: 0,
            client_connection_local: text(slot.client_connection_time.as_ref()),
            client_disconnection_local: text(slot.client_disconnection_time.as_ref()),
            client_idle_seconds: slot.client_idle().map(|idle| idle.as_secs()),
            backends: Vec::new(),
        }
    }

    fn add(&mut self, slot: &ProcessInfo) {
        if slot.is_free() {
            return;
        }
        self.database = Some(slot.database.to_string());
        self.user = Some(slot.username.to_string());
        self.connected |= slot.connected;
        self.pool_counter = self.pool_counter.max(slot.pool_counter);
        let (connection_unix_seconds, connection_local) = time(&slot.backend_connection_time);
        self.backends.push(Backend {
            node_id: slot.backend_id,
            backend_pid: slot.backend_pid,
            connection_unix_seconds,
            connection_local,
            load_balance_node: slot.load_balance_node,
            statement: text(slot.statement.as_ref()),
        });
    }

    pub(super) fn is_used(&self) -> bool {
        self.database.is_some()
    }

    pub(super) fn load_balance_node(&self) -> Option<u8> {
        self.backends.iter().find(|backend| backend.load_balance_node == Some(true)).map(|backend| backend.node_id)
    }
}

impl Backend {
    pub(super) fn since(&self) -> Option<String> {
        self.connection_unix_seconds.map(crate::page::local_time).or_else(|| self.connection_local.clone())
    }
}

impl Status {
    fn of(state: Option<ChildState>, connected: bool) -> Self {
        match state {
            None if connected => Self::Connected,
            None | Some(ChildState::WaitForConnection) => Self::Waiting,
            Some(ChildState::Connecting) => Self::Connecting,
            Some(ChildState::ExecuteCommand) => Self::Busy,
            Some(ChildState::Idle) => Self::Idle,
            Some(ChildState::IdleInTransaction) => Self::IdleInTransaction,
            Some(_) => Self::Unknown,
        }
    }

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Connecting => "connecting",
            Self::Busy => "busy",
            Self::Idle => "idle",
            Self::IdleInTransaction => "idle in transaction",
            Self::Connected => "connected",
            Self::Unknown => "unknown",
        }
    }
}

fn text(text: Option<&Text>) -> Option<String> {
    text.filter(|text| !text.is_empty()).map(ToString::to_string)
}

/// Returns a time as Unix seconds or as text, whichever the server sends.
fn time(time: &ProcessTime) -> (Option<i64>, Option<String>) {
    match time {
        _ if time.is_never() => (None, None),
        ProcessTime::Unix(seconds) => (Some(*seconds), None),
        ProcessTime::Local(local) => (None, Some(local.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(pool: Option<u32>, node: u8, database: &str) -> ProcessInfo {
        ProcessInfo {
            pid: 7,
            pool_id: pool,
            backend_id: node,
            database: database.into(),
            username: database.into(),
            connected: database == "app",
            status: pool.map(|_| "Idle in transaction".into()),
            client_idle_duration: Some("12 (4:48 before client disconnected)".into()),
            ..ProcessInfo::default()
        }
    }

    #[test]
    fn slots_become_pools_with_and_without_their_numbers() {
        for numbered in [true, false] {
            let pool = |id: u32| numbered.then_some(id);
            let slots = [(0, 0, ""), (0, 2, ""), (1, 0, "app"), (1, 2, "app"), (2, 0, ""), (2, 2, "old")];
            let slots = slots.map(|(id, node, database)| slot(pool(id), node, database));
            let mut child = Child::of(&slots).unwrap();
            assert_eq!(child.pools.iter().map(|pool| pool.pool_id).collect::<Vec<_>>(), [0, 1, 2]);
            assert_eq!(child.session().unwrap().backends.len(), 2);
            assert_eq!(child.session().unwrap().client_idle_seconds, Some(12));
            let status = if numbered { Status::IdleInTransaction } else { Status::Connected };
            assert_eq!((child.status, child.has_client()), (status, true));
            child.drop_free();
            assert_eq!(child.pools.iter().map(|pool| pool.pool_id).collect::<Vec<_>>(), [1, 2]);
        }
        assert!(Child::of(&[]).is_none());
    }

    #[test]
    fn one_node_is_a_pool_each() {
        let child = Child::of(&[slot(None, 0, "app"), slot(None, 0, "x")]).unwrap();
        assert_eq!(child.pools.len(), 2);
    }

    #[test]
    fn a_child_without_a_client_waits_on_every_server() {
        for slot in [
            ProcessInfo::default(),
            ProcessInfo { status: Some("Wait for connection".into()), ..ProcessInfo::default() },
        ] {
            assert_eq!(Child::of(&[slot]).unwrap().status, Status::Waiting);
        }
        let odd = ProcessInfo { status: Some("Dreaming".into()), ..ProcessInfo::default() };
        assert_eq!(Child::of(&[odd]).unwrap().status, Status::Unknown);
    }
}
