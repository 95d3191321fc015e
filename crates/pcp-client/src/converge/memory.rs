//! What one run has seen and done.

use std::time::Duration;

use pcp_proto::NodeId;

use super::{Change, Goal};
use crate::observe::View;

/// What one run has seen and done so far. It begins empty with each run: no goal depends on what earlier runs did.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    changes: Vec<(Change, Duration)>,
    primary_at_first: Option<NodeId>,
    met_at_first: bool,
    took_back: bool,
    met_since: Option<Duration>,
    no_primary_since: Option<Duration>,
    observed: bool,
}

impl Memory {
    /// Takes note of a view, `elapsed` after the run began.
    pub fn observe(&mut self, goal: &Goal, view: &View, elapsed: Duration) {
        if !self.observed {
            self.observed = true;
            self.primary_at_first = view.primary().map(|primary| primary.id);
            self.met_at_first = goal.is_met(view);
        }
        keep_while(&mut self.met_since, goal.is_met(view), elapsed);
        let no_primary = view.has_primary_role() && !view.nodes.iter().any(|node| node.is_primary());
        keep_while(&mut self.no_primary_since, no_primary, elapsed);
    }

    /// Takes note of a change that was sent, `elapsed` after the run began.
    pub fn record(&mut self, change: Change, elapsed: Duration) {
        self.changes.push((change, elapsed));
        self.met_since = None;
        self.no_primary_since = None;
    }

    /// Takes note that the node was detached again, `elapsed` after the run began.
    pub fn record_taken_back(&mut self, node: NodeId, elapsed: Duration) {
        self.record(Change::Detach(node), elapsed);
        self.took_back = true;
    }

    /// Returns the last change and when it was sent.
    pub(super) fn last_change(&self) -> Option<(Change, Duration)> {
        self.changes.last().copied()
    }

    /// Tells whether this run sent `change`.
    pub(super) fn has_sent(&self, change: Change) -> bool {
        self.changes.iter().any(|&(sent, _)| sent == change)
    }

    /// Returns the node that was the primary, and up, when the run began.
    pub(super) fn primary_at_first(&self) -> Option<NodeId> {
        self.primary_at_first
    }

    /// Tells whether the first view showed the wanted state.
    pub(super) fn met_at_first(&self) -> bool {
        self.met_at_first
    }

    /// Tells whether the node was detached again.
    pub(super) fn took_back(&self) -> bool {
        self.took_back
    }

    /// Returns since when every view showed the wanted state.
    pub(super) fn met_since(&self) -> Option<Duration> {
        self.met_since
    }

    /// Returns since when every view showed no node in the primary's role.
    pub(super) fn no_primary_since(&self) -> Option<Duration> {
        self.no_primary_since
    }
}

/// Keeps the time at which something began to be so for as long as it is.
fn keep_while(since: &mut Option<Duration>, holds: bool, now: Duration) {
    if holds {
        since.get_or_insert(now);
    } else {
        *since = None;
    }
}
