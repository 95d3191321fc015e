//! Pgpool without the sockets.

use std::collections::BTreeMap;
use std::time::Duration;

use pcp_proto::Credentials;
use pcp_proto::message::{NodeRole, NodeStatus};

use super::connection::Connection;
use super::main_process::MainProcess;
use super::pool::Children;
use super::stop::End;
use super::{Age, FollowRun, Mode, Node, Operation, Settings, Standing};

/// A Pgpool and its PostgreSQL servers, as far as PCP shows them.
///
/// Time is a `Duration` since the world's start and never runs backwards; a method that is given a time first does
/// what was due until then. Nodes are named by their ids, which count from zero in the order in which they were
/// added; a node that does not exist is left alone.
#[derive(Clone, Debug)]
pub struct World {
    pub(super) age: Age,
    pub(super) settings: Settings,
    pub(super) nodes: Vec<Node>,
    pub(super) primary: Option<usize>,
    /// A primary that was put into quarantine and comes back as the primary.
    pub(super) quarantined_primary: Option<usize>,
    pub(super) main: MainProcess,
    pub(super) children: Children,
    /// When health is checked next; `None` while it is not.
    pub(super) next_check: Option<Duration>,
    pub(super) end: End,
    pub(super) connections: BTreeMap<u64, Connection>,
    pub(super) next_connection: u64,
    pub(super) salts: u32,
}

impl World {
    /// The user who may log in unless the settings say otherwise.
    pub const USER: &'static str = "pcpadmin";
    /// The password of [`USER`](Self::USER).
    pub const PASSWORD: &'static str = "secret";

    /// Unix time at the start of every world: 2026-01-01 00:00:00 UTC.
    pub(super) const START: i64 = 1_767_225_600;

    /// Makes a Pgpool without nodes.
    pub fn new(age: Age) -> Self {
        let credentials = Credentials::new(Self::USER, Self::PASSWORD.as_bytes()).ok();
        Self {
            age,
            settings: Settings::new(credentials),
            nodes: Vec::new(),
            primary: None,
            quarantined_primary: None,
            main: MainProcess::default(),
            children: Children::new(),
            next_check: Some(Duration::ZERO),
            end: End::default(),
            connections: BTreeMap::new(),
            next_connection: 0,
            salts: 0,
        }
    }

    /// Adds a node that is up and alive: the first is the primary, the others are its standbys.
    #[must_use]
    pub fn node(self, host: &str, port: u16) -> Self {
        let in_recovery = !self.nodes.is_empty();
        self.with_node(Node::new(host, port, in_recovery), |_| {})
    }

    /// Adds a node as [`node`](Self::node) does, and changes it before it counts: the first attached and alive node
    /// that is not in recovery is the primary.
    #[must_use]
    pub fn node_with(self, host: &str, port: u16, change: impl FnOnce(&mut Node)) -> Self {
        let in_recovery = !self.nodes.is_empty();
        self.with_node(Node::new(host, port, in_recovery), change)
    }

    /// Changes the settings.
    #[must_use]
    pub fn configure(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(&mut self.settings);
        if self.settings.mode == Mode::Raw {
            self.primary = None;
        }
        self
    }

    /// Returns the age.
    pub fn age(&self) -> Age {
        self.age
    }

    /// Returns the settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Returns the settings to be changed, as if Pgpool had read new ones.
    pub fn settings_mut(&mut self) -> &mut Settings {
        &mut self.settings
    }

    /// Returns the nodes in the order of their ids.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Returns a node to be changed: the view behind Pgpool's back, or the truth.
    pub fn node_mut(&mut self, id: usize) -> Option<&mut Node> {
        self.nodes.get_mut(id)
    }

    /// Returns the node that Pgpool takes for the primary; while it searches another, that is one that is down.
    pub fn primary(&self) -> Option<usize> {
        self.primary
    }

    /// Makes Pgpool take a node for the primary, or none, without an operation.
    pub fn set_primary(&mut self, id: Option<usize>) {
        self.primary = id.filter(|&id| id < self.nodes.len());
    }

    /// Returns what Pgpool takes a node for.
    pub fn role(&self, id: usize) -> NodeRole {
        let main = || self.nodes.iter().position(Node::is_attached);
        match self.settings.mode {
            Mode::Streaming if self.primary == Some(id) => NodeRole::Primary,
            Mode::Streaming => NodeRole::Standby,
            Mode::Raw if main() == Some(id) => NodeRole::Main,
            Mode::Raw => NodeRole::Replica,
        }
    }

    /// Returns the view in one line, such as `0=down/standby 1=up/primary`; up is said of nodes that wait for their
    /// first session too.
    pub fn show_pool_nodes(&self) -> String {
        let shown = self.nodes.iter().enumerate().map(|(id, node)| {
            let status = match node.status {
                _ if node.quarantine => "quarantine".to_owned(),
                status if status.is_attached() => NodeStatus::Up.to_string(),
                status => status.to_string(),
            };
            format!("{id}={status}/{}", self.role(id))
        });
        shown.collect::<Vec<_>>().join(" ")
    }

    /// Ends a PostgreSQL; Pgpool does not notice.
    pub fn kill_postgres(&mut self, id: usize) {
        self.change_postgres(id, |postgres| postgres.alive = false);
    }

    /// Starts a PostgreSQL, as a standby or not; Pgpool does not notice.
    pub fn start_postgres(&mut self, id: usize, in_recovery: bool) {
        self.change_postgres(id, |postgres| {
            postgres.alive = true;
            postgres.in_recovery = in_recovery;
        });
    }

    /// Ends the recovery of a PostgreSQL; Pgpool does not notice.
    pub fn promote_postgres(&mut self, id: usize) {
        self.change_postgres(id, |postgres| postgres.in_recovery = false);
    }

    /// Makes the host of a node swallow packets, or stop doing so.
    pub fn silence_postgres(&mut self, id: usize, silent: bool) {
        self.change_postgres(id, |postgres| postgres.silent = silent);
    }

    /// Puts a node into quarantine, as a failed health check without a quorum does.
    pub fn quarantine(&mut self, now: Duration, id: usize) {
        self.advance(now);
        if self.set_status(now, id, NodeStatus::Down) {
            if let Some(node) = self.nodes.get_mut(id) {
                node.quarantine = true;
            }
            if self.primary == Some(id) {
                self.primary = None;
                self.quarantined_primary = Some(id);
            }
        }
    }

    /// Returns the operations that the main process carried out, the first one first. What it refused is not among
    /// them.
    pub fn operations(&self) -> &[Operation] {
        &self.main.operations
    }

    /// Returns the runs of `follow_primary_command` that would have been started, the first one first.
    pub fn follow_runs(&self) -> &[FollowRun] {
        &self.main.follow_runs
    }

    /// Tells how often the PCP process was replaced.
    pub fn replacements(&self) -> usize {
        self.main.replacements
    }

    /// Tells whether the server does nothing until every connection is closed; only servers before 4.5 ever do
    /// that.
    pub fn is_frozen(&self) -> bool {
        self.main.is_frozen()
    }

    /// Returns how many connections are open, those among them that are not served yet.
    pub fn open_connections(&self) -> usize {
        self.connections.len()
    }

    /// Opens a connection and returns its number; the first one is 0.
    pub fn connect(&mut self, now: Duration) -> u64 {
        self.advance(now);
        let number = self.next_connection;
        self.next_connection += 1;
        let standing = match self.end {
            End::Gone => return number,
            End::WhenIdle => Standing::Waiting,
            End::Never | End::At(_) => self.main.standing_of_newcomer(),
        };
        self.connections.insert(number, Connection::new(standing));
        number
    }

    /// Tells whether a connection is served.
    pub fn standing(&self, connection: u64) -> Standing {
        self.connections.get(&connection).map_or(Standing::Reset, |connection| connection.standing)
    }

    /// Closes a connection.
    pub fn disconnect(&mut self, now: Duration, connection: u64) {
        self.advance(now);
        self.connections.remove(&connection);
        self.thaw(now);
    }

    /// Sets the status of a node, where it exists.
    pub(super) fn set_status(&mut self, now: Duration, id: usize, status: NodeStatus) -> bool {
        let Some(node) = self.nodes.get_mut(id) else { return false };
        node.status = status;
        node.quarantine = false;
        node.changed = Self::unix_time(now);
        true
    }

    /// Takes note that a node's role changed.
    pub(super) fn stamp(&mut self, now: Duration, id: usize) {
        if let Some(node) = self.nodes.get_mut(id) {
            node.changed = Self::unix_time(now);
        }
    }

    pub(super) fn is_attached(&self, id: usize) -> bool {
        self.nodes.get(id).is_some_and(Node::is_attached)
    }

    pub(super) fn unix_time(now: Duration) -> i64 {
        Self::START.saturating_add_unsigned(now.as_secs())
    }

    fn with_node(mut self, mut node: Node, change: impl FnOnce(&mut Node)) -> Self {
        node.changed = Self::START;
        change(&mut node);
        let is_primary = node.is_attached() && node.postgres.answers() && !node.postgres.in_recovery;
        if is_primary && self.settings.mode == Mode::Streaming {
            self.primary.get_or_insert(self.nodes.len());
        }
        self.nodes.push(node);
        self
    }

    fn change_postgres(&mut self, id: usize, change: impl FnOnce(&mut super::Postgres)) {
        if let Some(node) = self.nodes.get_mut(id) {
            change(&mut node.postgres);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_node_that_lives_and_is_no_standby_is_the_primary() {
        let world = World::new(Age::V4_7)
            .node_with("10.0.0.1", 5432, |node| node.postgres.alive = false)
            .node("10.0.0.2", 5432)
            .node_with("10.0.0.3", 5432, |node| {
                node.status = NodeStatus::Down;
                node.postgres.in_recovery = false;
            })
            .node_with("10.0.0.4", 5432, |node| node.postgres.in_recovery = false);
        assert_eq!(world.show_pool_nodes(), "0=up/standby 1=up/standby 2=down/standby 3=up/primary");
    }

    #[test]
    fn nodes_that_do_not_exist_are_left_alone() {
        let mut world = World::new(Age::V4_7).node("10.0.0.1", 5432);
        let before = world.nodes().to_vec();
        world.kill_postgres(1);
        world.start_postgres(1, true);
        world.promote_postgres(1);
        world.silence_postgres(1, true);
        world.quarantine(Duration::ZERO, 1);
        world.set_primary(Some(1));
        assert_eq!((world.nodes(), world.primary()), (&before[..], None));
    }
}
