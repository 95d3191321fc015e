//! What Pgpool's children do, summed up as the rows come.

use std::collections::BTreeMap;
use std::time::Duration;

use pcp_proto::Text;
use pcp_proto::message::{ProcessInfo, ReadProcessInfo};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::{Client, Error};

/// How many pairs of user and database are told apart.
const MOST_CLIENTS: usize = 1000;

/// How much of Pgpool's pool is used.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct PoolUse {
    /// Children that there is room for: `num_init_children`.
    pub children: u64,
    /// Children that run. Fewer than there is room for with `process_management_mode = dynamic` (4.4 and later).
    pub running: u64,
    /// Children that serve a client.
    pub busy: u64,
    /// Running children by what they do. Empty before 4.3, where the server does not tell.
    pub states: BTreeMap<ChildState, u64>,
    /// Clients by user and database; those of more than a thousand pairs are counted under two empty names.
    pub clients: BTreeMap<(Text, Text), u64>,
    /// The longest time for which a client has been idle. Since 4.3.
    pub longest_idle: Option<Duration>,
    /// Connections to nodes that there is room for: children × `max_pool` × nodes.
    pub slots: u64,
    /// Connections to nodes, by the ids of the nodes. They stay when their client goes.
    pub connections: BTreeMap<u8, u64>,
}

/// What a child does, as it says itself.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum ChildState {
    /// It waits for a client.
    WaitForConnection,
    /// A client is connecting.
    Connecting,
    /// Its client does nothing.
    Idle,
    /// Its client does nothing and has a transaction open.
    IdleInTransaction,
    /// It carries out a command.
    ExecuteCommand,
    /// A word that this version does not know.
    Other,
}

impl ChildState {
    /// Every state.
    pub const ALL: [Self; 6] = [
        Self::WaitForConnection,
        Self::Connecting,
        Self::Idle,
        Self::IdleInTransaction,
        Self::ExecuteCommand,
        Self::Other,
    ];

    /// Reads it off a slot of the child; `None` before 4.3, where the server does not tell.
    pub fn of(slot: &ProcessInfo) -> Option<Self> {
        Some(match slot.status.as_ref()?.as_bytes() {
            b"Wait for connection" => Self::WaitForConnection,
            b"Connecting" => Self::Connecting,
            b"Idle" => Self::Idle,
            b"Idle in transaction" => Self::IdleInTransaction,
            b"Execute command" => Self::ExecuteCommand,
            _ => Self::Other,
        })
    }
}

impl PoolUse {
    /// Returns the connections to all nodes.
    pub fn used_slots(&self) -> u64 {
        self.connections.values().sum()
    }

    /// Returns the part of the children that serve a client, 0 to 1.
    pub fn busy_share(&self) -> f64 {
        share(self.busy, self.children)
    }

    /// Returns the part of the slots that hold a connection, 0 to 1.
    pub fn slot_share(&self) -> f64 {
        share(self.used_slots(), self.slots)
    }
}

#[allow(clippy::cast_precision_loss, reason = "nobody has 2^53 children")]
fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// Sums up what the children do. The rows, which may be hundreds of thousands, are never held.
///
/// # Errors
///
/// Those of the connection and of the request.
pub async fn read_pool_use<S>(client: &mut Client<S>) -> Result<PoolUse, Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut sum = Sum::default();
    let mut rows = client.rows(ReadProcessInfo::All);
    while let Some(slot) = rows.next().await {
        sum.add(&slot?);
    }
    Ok(sum.finish())
}

/// The rows so far. They come child by child.
#[derive(Debug, Default)]
struct Sum {
    total: PoolUse,
    child: Option<Child>,
}

/// The child whose rows are coming.
#[derive(Debug)]
struct Child {
    pid: u32,
    state: Option<ChildState>,
    idle: Option<Duration>,
    client: Option<(Text, Text)>,
    /// Pool and node of its last row.
    place: (Option<u32>, u8),
}

impl Sum {
    fn add(&mut self, slot: &ProcessInfo) {
        let place = (slot.pool_id, slot.backend_id);
        // Children that are not there have one pid, 0, and are told apart by where their rows begin again.
        let is_next = |child: &Child| child.pid != slot.pid || (slot.pool_id.is_some() && place <= child.place);
        if self.child.as_ref().is_none_or(is_next) {
            self.end_child();
        }
        let child = self.child.get_or_insert_with(|| Child {
            pid: slot.pid,
            state: ChildState::of(slot),
            idle: slot.client_idle(),
            client: None,
            place,
        });
        child.place = place;
        self.total.slots += 1;
        let used = self.total.connections.entry(slot.backend_id).or_default();
        if !slot.is_free() {
            *used += 1;
            if slot.connected {
                child.client = Some((slot.username.clone(), slot.database.clone()));
            }
        }
    }

    fn end_child(&mut self) {
        let Some(child) = self.child.take() else { return };
        let total = &mut self.total;
        total.children += 1;
        if child.pid == 0 {
            return;
        }
        total.running += 1;
        if let Some(state) = child.state {
            *total.states.entry(state).or_default() += 1;
        }
        let Some(client) = child.client else { return };
        total.busy += 1;
        total.longest_idle = total.longest_idle.max(child.idle);
        let is_told_apart = total.clients.len() < MOST_CLIENTS || total.clients.contains_key(&client);
        *total.clients.entry(if is_told_apart { client } else { Default::default() }).or_default() += 1;
    }

    fn finish(mut self) -> PoolUse {
        self.end_child();
        self.total
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(pid: u32, pool: u32, node: u8) -> ProcessInfo {
        ProcessInfo {
            pid,
            pool_id: Some(pool),
            backend_id: node,
            status: Some("Wait for connection".into()),
            client_idle_duration: Some("0".into()),
            ..ProcessInfo::default()
        }
    }

    fn used(pid: u32, user: &str, status: &str, idle: &str) -> ProcessInfo {
        ProcessInfo {
            database: "app".into(),
            username: user.into(),
            connected: true,
            status: Some(status.into()),
            client_idle_duration: Some(idle.into()),
            ..slot(pid, 0, 0)
        }
    }

    fn sum(slots: impl IntoIterator<Item = ProcessInfo>) -> PoolUse {
        let mut sum = Sum::default();
        slots.into_iter().for_each(|slot| sum.add(&slot));
        sum.finish()
    }

    #[test]
    fn children_are_told_apart_and_counted_by_what_they_do() {
        let pooled = ProcessInfo { connected: false, ..used(12, "b", "Wait for connection", "0") };
        let pool = sum([
            used(10, "a", "Idle in transaction", "7 (4:53 before client disconnected)"),
            slot(10, 0, 1),
            used(11, "a", "Execute command", "90"),
            slot(11, 0, 1),
            pooled,
            slot(12, 0, 1),
            slot(0, 0, 0),
            slot(0, 0, 1),
            slot(0, 0, 0),
            slot(0, 0, 1),
        ]);
        assert_eq!((pool.children, pool.running, pool.busy), (5, 3, 2));
        let states = [
            (ChildState::WaitForConnection, 1),
            (ChildState::IdleInTransaction, 1),
            (ChildState::ExecuteCommand, 1),
        ];
        assert_eq!(pool.states, BTreeMap::from(states));
        assert_eq!(pool.clients, BTreeMap::from([(("a".into(), "app".into()), 2)]));
        assert_eq!((pool.slots, pool.used_slots()), (10, 3));
        assert_eq!(pool.connections, BTreeMap::from([(0, 3), (1, 0)]));
        assert_eq!(pool.longest_idle, Some(Duration::from_secs(90)));
        assert!((pool.busy_share() - 0.4).abs() < 1e-9 && (pool.slot_share() - 0.3).abs() < 1e-9);
    }

    #[test]
    fn children_that_are_not_there_are_counted_where_each_has_one_slot() {
        let pool = sum([slot(10, 0, 0), slot(0, 0, 0), slot(0, 0, 0)]);
        assert_eq!((pool.children, pool.running, pool.slots), (3, 1, 3));
    }

    #[test]
    fn a_child_of_an_old_server_is_one_child_over_all_its_pools() {
        let old = |pid, node| ProcessInfo { pool_id: None, status: None, ..slot(pid, 0, node) };
        let pool = sum([old(10, 0), old(10, 1), old(10, 0), old(10, 1), old(11, 0), old(11, 1)]);
        assert_eq!((pool.children, pool.running, pool.slots), (2, 2, 6));
        assert!(pool.states.is_empty() && pool.longest_idle.is_none());
    }

    #[test]
    fn pairs_without_end_are_counted_in_one_place() {
        let pool = sum((1..=1500).map(|pid| used(pid, &format!("user{pid}"), "Idle", "0")));
        assert_eq!((pool.busy, pool.clients.len()), (1500, MOST_CLIENTS + 1));
        assert_eq!(pool.clients.get(&Default::default()), Some(&500));
    }

    #[test]
    fn nothing_is_no_part_of_nothing() {
        let pool = sum([]);
        assert_eq!((pool.busy_share(), pool.slot_share()), (0.0, 0.0));
    }
}
