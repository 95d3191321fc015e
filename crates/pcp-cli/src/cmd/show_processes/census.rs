//! Counts all children, and keeps those that are asked for.

use std::collections::BTreeMap;

use pcp_proto::message::ProcessInfo;
use serde::Serialize;

use super::child::{Child, Status};
use crate::args::{GlobArg, ProcessStatusArg, ShowProcessesArgs};

/// What is counted. Only one child's slots, and the children that fit, are held.
pub(super) struct Census<'a> {
    args: &'a ShowProcessesArgs,
    /// The slots of the child that is being read.
    slots: Vec<ProcessInfo>,
    summary: Summary,
    databases: BTreeMap<String, Tally>,
    users: BTreeMap<String, Tally>,
    nodes: BTreeMap<u8, usize>,
    listed: Vec<Child>,
    not_listed: usize,
}

/// How much there can be, by the server's settings.
pub(super) struct Room {
    pub(super) num_init_children: Option<usize>,
    pub(super) max_pool: Option<usize>,
}

/// What all children do.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Summary {
    /// Children that run.
    pub(super) children: usize,
    pub(super) num_init_children: Option<usize>,
    /// Children with a client.
    pub(super) sessions: usize,
    /// Clients that find a child: `num_init_children` less `sessions`.
    pub(super) free: usize,
    /// `null` before 4.3, as the next three.
    pub(super) busy: Option<usize>,
    pub(super) idle: Option<usize>,
    pub(super) idle_in_transaction: Option<usize>,
    pub(super) connecting: Option<usize>,
    pub(super) pool_slots: usize,
    pub(super) pool_slots_used: usize,
    pub(super) backend_connections: Vec<OfNode>,
    pub(super) databases: Vec<OfName>,
    pub(super) users: Vec<OfName>,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct OfNode {
    pub(super) node_id: u8,
    pub(super) connections: usize,
}

/// What there is of a database or of a user.
#[derive(Clone, Debug, Serialize)]
pub(super) struct OfName {
    pub(super) name: String,
    pub(super) sessions: usize,
    pub(super) pool_slots: usize,
}

#[derive(Default)]
struct Tally {
    sessions: usize,
    pool_slots: usize,
}

impl<'a> Census<'a> {
    pub(super) fn new(args: &'a ShowProcessesArgs) -> Self {
        Self {
            args,
            slots: Vec::new(),
            summary: Summary::default(),
            databases: BTreeMap::new(),
            users: BTreeMap::new(),
            nodes: BTreeMap::new(),
            listed: Vec::new(),
            not_listed: 0,
        }
    }

    /// Takes the next slot; a child's slots come in a row.
    pub(super) fn add(&mut self, slot: ProcessInfo) {
        if self.slots.first().is_some_and(|first| first.pid != slot.pid) {
            self.end_child();
        }
        // Room for a child, and none there.
        if slot.pid != 0 {
            self.slots.push(slot);
        }
    }

    /// Returns the summary, the children that fit, and how many of those had no room in the list.
    pub(super) fn end(mut self, room: Room) -> (Summary, Vec<Child>, usize) {
        self.end_child();
        let mut summary = self.summary;
        let children = room.num_init_children.unwrap_or(summary.children);
        summary.num_init_children = room.num_init_children;
        summary.free = children.saturating_sub(summary.sessions);
        summary.pool_slots = children.saturating_mul(room.max_pool.unwrap_or_default());
        summary.backend_connections =
            self.nodes.into_iter().map(|(node_id, connections)| OfNode { node_id, connections }).collect();
        summary.databases = by_sessions(self.databases);
        summary.users = by_sessions(self.users);
        (summary, self.listed, self.not_listed)
    }

    fn end_child(&mut self) {
        let child = Child::of(&self.slots);
        self.slots.clear();
        let Some(mut child) = child else { return };
        self.count(&child);
        if !fits(self.args, &child) {
        } else if self.listed.len() >= self.args.limit {
            self.not_listed += 1;
        } else {
            if self.args.pid.is_none() {
                child.drop_free();
            }
            self.listed.push(child);
        }
    }

    fn count(&mut self, child: &Child) {
        let summary = &mut self.summary;
        summary.children += 1;
        summary.sessions += usize::from(child.has_client());
        let states = [
            (Status::Busy, &mut summary.busy),
            (Status::Idle, &mut summary.idle),
            (Status::IdleInTransaction, &mut summary.idle_in_transaction),
            (Status::Connecting, &mut summary.connecting),
        ];
        for (status, count) in states {
            if child.tells_status() {
                *count.get_or_insert(0) += usize::from(child.status == status);
            }
        }
        for pool in child.pools.iter().filter(|pool| pool.is_used()) {
            summary.pool_slots_used += 1;
            for (names, name) in [(&mut self.databases, &pool.database), (&mut self.users, &pool.user)] {
                let tally = names.entry(name.clone().unwrap_or_default()).or_default();
                tally.pool_slots += 1;
                tally.sessions += usize::from(pool.connected);
            }
            for backend in &pool.backends {
                *self.nodes.entry(backend.node_id).or_default() += 1;
            }
        }
    }
}

/// The largest first.
fn by_sessions(names: BTreeMap<String, Tally>) -> Vec<OfName> {
    let of = |(name, Tally { sessions, pool_slots })| OfName { name, sessions, pool_slots };
    let mut names: Vec<_> = names.into_iter().map(of).collect();
    names.sort_by_key(|name| std::cmp::Reverse((name.sessions, name.pool_slots)));
    names
}

/// Tells whether a child is asked for.
fn fits(args: &ShowProcessesArgs, child: &Child) -> bool {
    if args.pid.is_some() {
        return true;
    }
    let has_status = match args.status.is_empty() {
        true => args.all || child.has_client(),
        false => args.status.iter().any(|&status| is(child, status)),
    };
    // Without a session, what the child keeps in its pools counts.
    let session = child.session();
    let pools = || child.pools.iter().filter(|pool| session.is_none_or(|_| pool.connected));
    has_status
        && has_one(args.db_user.as_ref(), pools().filter_map(|pool| pool.user.as_deref()))
        && has_one(args.database.as_ref(), pools().filter_map(|pool| pool.database.as_deref()))
        && has_one(args.client.as_ref(), child.client_host().into_iter())
}

/// Tells whether one of the names fits; where nothing is asked for, none has to.
fn has_one<'a>(glob: Option<&GlobArg>, mut names: impl Iterator<Item = &'a str>) -> bool {
    glob.is_none_or(|glob| names.any(|name| glob.fits(name)))
}

fn is(child: &Child, status: ProcessStatusArg) -> bool {
    match status {
        ProcessStatusArg::Waiting => child.status == Status::Waiting,
        ProcessStatusArg::Connecting => child.status == Status::Connecting,
        ProcessStatusArg::Busy => child.status == Status::Busy,
        ProcessStatusArg::Idle => child.status == Status::Idle,
        ProcessStatusArg::IdleInTransaction => child.status == Status::IdleInTransaction,
        ProcessStatusArg::Connected => child.has_client(),
    }
}
