//! What to do next.

use std::time::Duration;

use pcp_proto::NodeId;

use super::{Change, Goal, Memory, Want};
use crate::observe::{Node, View};

/// How long a change may take to become visible before it is sent again: a server whose queue is full drops it in silence.
const CHANGE_PATIENCE: Duration = Duration::from_secs(5);
/// How long Pgpool is given to find a primary after a change, whatever its search_primary_node_timeout. A promoted node is found
/// within a second or two.
const SEARCH_PATIENCE: Duration = Duration::from_secs(10);
/// How long there must have been no primary before the node is cycled to make Pgpool look again: somebody else's attach may be
/// under way, and its search does not show.
const NO_PRIMARY_PATIENCE: Duration = Duration::from_millis(1500);
/// What must be left of the deadline for a promotion, which sets the other nodes down.
const PROMOTE_RESERVE: Duration = Duration::from_secs(15);

/// What the driver does next.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Step {
    /// The state is the wanted one, and has been for long enough.
    Done,
    /// Look again a little later.
    Wait {
        /// What is awaited.
        reason: String,
    },
    /// Send a change, on the connection on which the view was read.
    Act(Change),
    /// Give up: the wanted state would be wrong, or Pgpool is set up not to allow it.
    Refuse {
        /// Why.
        reason: String,
    },
}

/// The time as the planner needs it.
#[derive(Clone, Copy, Debug)]
pub struct Time {
    /// Since the run began.
    pub elapsed: Duration,
    /// Until the deadline.
    pub remaining: Duration,
    /// How long a state has to last before it counts, after an attach or a change of primary.
    pub settle: Duration,
}

/// Decides the next step from the goal, what this run has seen and done, and what Pgpool shows now.
///
/// `memory` must have [observed](Memory::observe) the view. No clock is read and nothing is sent here.
pub fn plan(goal: &Goal, memory: &Memory, view: &View, time: Time) -> Step {
    let Some(node) = view.node(goal.node) else {
        return refuse(format!("Pgpool has no node {} any more", goal.node));
    };
    let plan = Planner { goal, memory, view, time, node };
    if let Some(change) = plan.change_under_way() {
        return wait(format!("Pgpool to carry out: {change}"));
    }
    if let Some(step) = plan.take_back() {
        return step;
    }
    if goal.is_met(view) {
        return plan.settle();
    }
    match goal.want {
        Want::Detached => plan.detach(node),
        Want::Attached | Want::Standby | Want::Primary if node.is_down() => plan.attach(),
        Want::Attached => plan.find_primary(),
        Want::Standby => plan.await_other_primary(),
        Want::Primary => plan.become_primary(),
    }
}

struct Planner<'a> {
    goal: &'a Goal,
    memory: &'a Memory,
    view: &'a View,
    time: Time,
    node: &'a Node,
}

impl Planner<'_> {
    /// Returns the last change if it does not show yet and should not be sent again either.
    fn change_under_way(&self) -> Option<Change> {
        let (change, sent) = self.memory.last_change()?;
        let overdue = self.time.elapsed.saturating_sub(sent) >= CHANGE_PATIENCE && self.view.searching().is_none();
        (!change.is_visible(self.view) && !overdue).then_some(change)
    }

    /// Detaches the node again where this run attached it and Pgpool then took it for the primary although nobody said that it is.
    fn take_back(&self) -> Option<Step> {
        let attached_here = self.memory.has_sent(Change::Attach(self.node.id));
        let was_named = match self.goal.want {
            Want::Primary | Want::Detached => true,
            Want::Standby => false,
            Want::Attached => self.memory.primary_at_first().is_none_or(|primary| primary == self.node.id),
        };
        if was_named || !attached_here {
            return None;
        }
        let taken_back = matches!(self.memory.last_change(), Some((Change::Detach(id), _)) if id == self.node.id);
        if taken_back {
            return Some(refuse(format!(
                "Pgpool took node {} for the primary when it was attached, so it was detached again",
                self.node
            )));
        }
        (self.node.is_attached() && self.node.is_primary()).then_some(Step::Act(Change::Detach(self.node.id)))
    }

    /// Waits until the wanted state has lasted: Pgpool may take an attach or a new primary back a moment later.
    fn settle(&self) -> Step {
        let may_fall_back = self.goal.want != Want::Detached && self.memory.last_change().is_some();
        let lasted = self.time.elapsed.saturating_sub(self.memory.met_since().unwrap_or(self.time.elapsed));
        if !may_fall_back || lasted >= self.time.settle {
            return Step::Done;
        }
        wait("the state to last".to_owned())
    }

    fn detach(&self, node: &Node) -> Step {
        if node.failover_disallowed {
            return refuse(format!(
                "backend_flag{} in pgpool.conf is DISALLOW_TO_FAILOVER: Pgpool does not detach node {node}",
                node.id
            ));
        }
        Step::Act(Change::Detach(node.id))
    }

    fn attach(&self) -> Step {
        match self.view.searching() {
            Some(node) => self.await_search(node),
            None => Step::Act(Change::Attach(self.node.id)),
        }
    }

    /// Makes Pgpool look for a primary by cycling the node, once.
    fn find_primary(&self) -> Step {
        if let Some(node) = self.view.searching() {
            return self.await_search(node);
        }
        if self.search_may_run() {
            return wait("Pgpool to find the primary".to_owned());
        }
        if self.memory.has_sent(Change::Detach(self.node.id)) {
            return wait(
                "a primary: Pgpool found none; is a PostgreSQL that it shows as up out of recovery?".to_owned(),
            );
        }
        self.detach(self.node)
    }

    /// Waits for another node to become the primary: that is for the hook which attaches that node.
    fn await_other_primary(&self) -> Step {
        match (self.view.searching(), self.view.primary()) {
            (Some(node), _) => self.await_search(node),
            (None, Some(_)) => wait(format!("another primary: Pgpool takes node {} itself for it", self.node)),
            (None, None) => wait("a primary: Pgpool has none".to_owned()),
        }
    }

    /// Makes a promotion that PostgreSQL has already done known to Pgpool.
    fn become_primary(&self) -> Step {
        if let Some(node) = self.view.searching() {
            return self.await_search(node);
        }
        if let Some(other) = self.view.primary() {
            return self.detach(other);
        }
        let others_up = self.view.nodes.iter().any(|node| node.id != self.node.id && node.is_attached());
        let may_promote = self.time.remaining >= PROMOTE_RESERVE && !self.search_may_run();
        if !others_up && may_promote && !self.memory.has_sent(Change::Promote(self.node.id)) {
            return Step::Act(Change::Promote(self.node.id));
        }
        self.find_primary()
    }

    /// Tells whether Pgpool may be searching a primary without showing it.
    fn search_may_run(&self) -> bool {
        let timeout = self.view.server.search_primary_node_timeout.filter(|timeout| !timeout.is_zero());
        let patience = timeout.unwrap_or(SEARCH_PATIENCE).min(SEARCH_PATIENCE) + NO_PRIMARY_PATIENCE;
        let ours =
            self.memory.last_change().is_some_and(|(_, sent)| self.time.elapsed.saturating_sub(sent) < patience);
        let others = self
            .memory
            .no_primary_since()
            .is_none_or(|since| self.time.elapsed.saturating_sub(since) < NO_PRIMARY_PATIENCE);
        ours || others
    }

    fn await_search(&self, old: &Node) -> Step {
        let limit = match self.view.server.search_primary_node_timeout {
            Some(timeout) if timeout.is_zero() => "without end (search_primary_node_timeout = 0)".to_owned(),
            Some(timeout) => format!("for up to {} s (search_primary_node_timeout)", timeout.as_secs()),
            None => "until it finds one".to_owned(),
        };
        wait(format!("Pgpool to find a primary in the place of node {old}: it searches {limit}"))
    }
}

fn wait(reason: String) -> Step {
    Step::Wait { reason }
}

fn refuse(reason: String) -> Step {
    Step::Refuse { reason }
}

/// Returns the ids of the nodes that are down, other than `node`.
pub(super) fn others_down(view: &View, node: NodeId) -> Vec<&Node> {
    view.nodes.iter().filter(|other| other.id != node && other.is_down()).collect()
}
