//! What to do next.

use std::time::Duration;

use pcp_proto::NodeId;

use super::{Change, Goal, Memory, Want};
use crate::observe::{Node, View};

/// How long a change may take to become visible before it is sent again: a server whose queue is full drops it in
/// silence.
const CHANGE_PATIENCE: Duration = Duration::from_secs(5);
/// How long Pgpool is given to find a primary after a change, whatever its search_primary_node_timeout. A promoted
/// node is found within a second or two.
const SEARCH_PATIENCE: Duration = Duration::from_secs(10);
/// How long there must have been no primary before the node is cycled to make Pgpool look again: somebody else's
/// attach may be under way, and its search does not show.
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
    /// Detach the node again that this run attached: Pgpool's view became wrong by it.
    TakeBack,
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
    if memory.took_back() && node.is_down() {
        return refuse(format!(
            "with node {node} attached, Pgpool took a node for the primary that nobody named, so it was detached again"
        ));
    }
    if plan.primary_moved_by_attach() {
        return Step::TakeBack;
    }
    if goal.is_met(view) {
        return plan.settle();
    }
    match goal.want {
        Want::Detached => plan.detach(node),
        Want::Attached | Want::Standby | Want::Primary if !node.is_attached() => plan.attach(),
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

    /// Tells whether the node that this run attached made Pgpool take a node for the primary that nobody named: it
    /// asks every node for its role after an attach, and among several that take writes it may choose another one
    /// than before.
    fn primary_moved_by_attach(&self) -> bool {
        let before = self.memory.primary_at_first().and_then(|id| self.view.node(id));
        // Where the primary of before is down, a failover is under way, and that is somebody else's business.
        let moved = before.is_some_and(|before| before.is_attached() && !before.is_primary())
            && self.view.primary().is_some();
        let wrong = match self.goal.want {
            Want::Attached => moved,
            Want::Standby => moved || self.node.is_primary(),
            Want::Primary | Want::Detached => false,
        };
        wrong && self.node.is_attached() && self.memory.has_sent(Change::Attach(self.node.id))
    }

    /// Waits until the wanted state has lasted: Pgpool may take an attach or a new primary back a moment later.
    fn settle(&self) -> Step {
        let may_fall_back = self.goal.want != Want::Detached && !self.memory.met_at_first();
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

#[cfg(test)]
pub(super) mod tests {
    use pcp_proto::ServerAge;
    use pcp_proto::message::{NodeRole, NodeStatus, PoolStatus};

    use super::*;
    use crate::observe::Server;

    /// A cluster as words: `up primary, up standby, down standby`.
    pub(in crate::converge) fn view(nodes: &str) -> View {
        let nodes = nodes.split(", ").enumerate().map(|(id, state)| {
            let (status, role) = state.split_once(' ').unwrap_or((state, ""));
            Node {
                id: id.try_into().unwrap(),
                host: format!("10.0.0.{id}").into(),
                port: 5432,
                status: NodeStatus::from_word(&status.into()),
                role: NodeRole::from_word(&role.into()),
                quarantine: false,
                failover_disallowed: false,
            }
        });
        let server = Server {
            age: ServerAge::of(&PoolStatus::default()),
            search_primary_node_timeout: Some(Duration::from_secs(3)),
            watchdog: false,
            node_info_dials_backends: false,
        };
        View { server, nodes: nodes.collect() }
    }

    fn goal(node: usize, want: Want) -> Goal {
        Goal { node: node.try_into().unwrap(), want }
    }

    /// Plans the next step of a run that saw these views and sent these changes, a view or a change a second.
    fn next(goal: Goal, past: &[Result<&str, Change>], remaining: u64) -> Step {
        let mut memory = Memory::default();
        let mut last = view("");
        let mut elapsed = Duration::ZERO;
        for event in past {
            match event {
                Ok(nodes) => {
                    last = view(nodes);
                    memory.observe(&goal, &last, elapsed);
                }
                Err(change) => memory.record(*change, elapsed),
            }
            elapsed += Duration::from_secs(1);
        }
        let time = Time {
            elapsed: elapsed.saturating_sub(Duration::from_secs(1)),
            remaining: Duration::from_secs(remaining),
            settle: Duration::from_millis(1500),
        };
        plan(&goal, &memory, &last, time)
    }

    fn attach(node: usize) -> Change {
        Change::Attach(node.try_into().unwrap())
    }

    fn detach(node: usize) -> Change {
        Change::Detach(node.try_into().unwrap())
    }

    const HEALTHY: &str = "up primary, up standby, waiting standby";
    const DETACHED: &str = "up primary, up standby, down standby";
    const SEARCHING: &str = "down primary, up standby, up standby";
    const NO_PRIMARY: &str = "down standby, up standby, up standby";

    #[track_caller]
    fn assert_waits_for(step: &Step, text: &str) {
        assert!(matches!(step, Step::Wait { reason } if reason.contains(text)), "{step:?}");
    }

    #[test]
    fn what_is_so_already_needs_nothing() {
        for (want, node, nodes) in [
            (Want::Detached, 2, DETACHED),
            (Want::Standby, 2, HEALTHY),
            (Want::Attached, 2, HEALTHY),
            (Want::Primary, 0, HEALTHY),
            (Want::Detached, 0, SEARCHING),
            // 3.5 and 3.6 tell no role.
            (Want::Primary, 1, "up, up, up"),
        ] {
            assert_eq!(next(goal(node, want), &[Ok(nodes)], 60), Step::Done, "{want:?} {nodes}");
        }
    }

    #[test]
    fn a_change_is_sent_once_and_again_only_when_it_was_lost() {
        let detached = goal(2, Want::Detached);
        assert_eq!(next(detached, &[Ok(HEALTHY)], 60), Step::Act(detach(2)));
        let mut past = vec![Ok(HEALTHY), Err(detach(2))];
        for _ in 0..4 {
            past.push(Ok(HEALTHY));
            assert_waits_for(&next(detached, &past, 60), "carry out: detach 2");
        }
        past.push(Ok(HEALTHY));
        assert_eq!(next(detached, &past, 60), Step::Act(detach(2)), "five seconds later");
        // While Pgpool searches a primary, it carries out nothing.
        past.push(Ok("down primary, up standby, up standby"));
        assert_waits_for(&next(detached, &past, 60), "carry out: detach 2");
    }

    #[test]
    fn an_attach_has_to_last_and_a_detach_has_not() {
        let attached = [Ok(DETACHED), Err(attach(2)), Ok(HEALTHY)];
        assert_waits_for(&next(goal(2, Want::Standby), &attached, 60), "to last");
        let lasting = [&attached[..], &[Ok(HEALTHY), Ok(HEALTHY)]].concat();
        assert_eq!(next(goal(2, Want::Standby), &lasting, 60), Step::Done);
        let fallen_back = [&attached[..], &[Ok(DETACHED), Ok(HEALTHY), Ok(HEALTHY)]].concat();
        assert_waits_for(&next(goal(2, Want::Standby), &fallen_back, 60), "to last");
        // A primary that somebody else made has to last as well.
        assert_waits_for(
            &next(goal(1, Want::Primary), &[Ok(SEARCHING), Ok("down standby, up primary, up")], 60),
            "to last",
        );
        assert_eq!(next(goal(2, Want::Detached), &[Ok(HEALTHY), Err(detach(2)), Ok(DETACHED)], 60), Step::Done);
    }

    #[test]
    fn nothing_is_sent_while_pgpool_searches() {
        for want in [Want::Attached, Want::Standby, Want::Primary] {
            for node in [0, 1] {
                let step = next(goal(node, want), &[Ok(SEARCHING)], 60);
                assert_waits_for(&step, "it searches for up to 3 s (search_primary_node_timeout)");
            }
        }
    }

    #[test]
    fn who_waits_for_a_search_is_told_how_long_it_lasts() {
        for (timeout, text) in [
            (Some(Duration::from_secs(300)), "it searches for up to 300 s (search_primary_node_timeout)"),
            (Some(Duration::ZERO), "it searches without end (search_primary_node_timeout = 0)"),
            (None, "it searches until it finds one"),
        ] {
            let mut view = view(SEARCHING);
            view.server.search_primary_node_timeout = timeout;
            let time = Time { elapsed: Duration::ZERO, remaining: Duration::MAX, settle: Duration::ZERO };
            assert_waits_for(&plan(&goal(1, Want::Primary), &Memory::default(), &view, time), text);
        }
    }

    #[test]
    fn the_ladder_to_a_primary() {
        let primary = goal(1, Want::Primary);
        assert_eq!(next(primary, &[Ok("up primary, down standby, up standby")], 60), Step::Act(attach(1)));
        assert_eq!(next(primary, &[Ok(HEALTHY)], 60), Step::Act(detach(0)));
        assert_waits_for(&next(primary, &[Ok(NO_PRIMARY)], 60), "find the primary");
        let just_lost = [Ok(HEALTHY), Ok(HEALTHY), Ok(HEALTHY), Ok(NO_PRIMARY)];
        assert_waits_for(&next(primary, &just_lost, 60), "find the primary");
        let long = [Ok(NO_PRIMARY); 3];
        assert_eq!(next(primary, &long, 60), Step::Act(detach(1)), "cycle it");
        let down = "down standby, down standby, up standby";
        assert_eq!(next(primary, &[&long[..], &[Err(detach(1)), Ok(down)]].concat(), 60), Step::Act(attach(1)));
        // It is cycled once.
        let cycled = [&long[..], &[Err(detach(1)), Err(attach(1))], &[Ok(NO_PRIMARY); 9]].concat();
        assert_waits_for(&next(primary, &cycled, 60), "Pgpool found none");
    }

    #[test]
    fn a_node_is_cycled_as_soon_as_no_search_can_run_any_more() {
        let (secs, millis) = (Duration::from_secs, Duration::from_millis);
        for (timeout, change, first) in [
            // Somebody else's attach may be under way.
            (Some(secs(3)), None, millis(1500)),
            // The search that our own change began, and as much again.
            (Some(secs(3)), Some(attach(1)), millis(4500)),
            (Some(secs(60)), Some(attach(1)), millis(11_500)),
            (Some(Duration::ZERO), Some(attach(1)), millis(11_500)),
            (None, Some(attach(1)), millis(11_500)),
        ] {
            let mut view = view(NO_PRIMARY);
            view.server.search_primary_node_timeout = timeout;
            let goal = goal(1, Want::Attached);
            let mut memory = Memory::default();
            change.into_iter().for_each(|change| memory.record(change, Duration::ZERO));
            memory.observe(&goal, &view, Duration::ZERO);
            let at = |elapsed| {
                plan(&goal, &memory, &view, Time { elapsed, remaining: secs(60), settle: Duration::ZERO })
            };
            assert_waits_for(&at(first - millis(1)), "find the primary");
            for elapsed in [first, first + secs(1)] {
                assert_eq!(at(elapsed), Step::Act(detach(1)), "{timeout:?} {change:?} {elapsed:?}");
            }
        }
    }

    #[test]
    fn a_promotion_is_for_the_last_node_that_is_up_and_needs_time() {
        let alone = [Ok("down standby, up standby, down standby"); 3];
        let promote = Change::Promote(1.try_into().unwrap());
        assert_eq!(next(goal(1, Want::Primary), &alone, 15), Step::Act(promote));
        assert_eq!(
            next(goal(1, Want::Primary), &alone, 14),
            Step::Act(detach(1)),
            "cycling sets nothing else down"
        );
        assert_eq!(
            next(goal(1, Want::Attached), &alone, 60),
            Step::Act(detach(1)),
            "nobody said that it is the primary"
        );
    }

    #[test]
    fn a_primary_that_nobody_named_is_taken_back() {
        let attached = |after| [Ok(DETACHED), Err(attach(2)), Ok(after)];
        for after in ["up standby, up standby, up primary", "up standby, up primary, up standby"] {
            for want in [Want::Attached, Want::Standby] {
                assert_eq!(next(goal(2, want), &attached(after), 60), Step::TakeBack, "{want:?}: {after}");
            }
        }
        // Somebody detached the primary meanwhile: that is a failover.
        let failover = attached("down standby, up primary, up standby");
        assert_waits_for(&next(goal(2, Want::Standby), &failover, 60), "to last");
        // The node was up before this run: it is not ours to detach.
        let past = [Ok(HEALTHY), Ok("up standby, up standby, up primary")];
        assert_waits_for(&next(goal(2, Want::Standby), &past, 60), "another primary");

        let goal = goal(2, Want::Standby);
        let mut memory = Memory::default();
        memory.observe(&goal, &view(DETACHED), Duration::ZERO);
        memory.record(attach(2), Duration::ZERO);
        memory.record_taken_back(goal.node, Duration::ZERO);
        memory.observe(&goal, &view(DETACHED), Duration::ZERO);
        let time = Time { elapsed: Duration::ZERO, remaining: Duration::MAX, settle: Duration::ZERO };
        let step = plan(&goal, &memory, &view(DETACHED), time);
        assert!(matches!(&step, Step::Refuse { reason } if reason.contains("nobody named")), "{step:?}");
    }

    #[test]
    fn a_detach_that_takes_back_is_sent_again_when_it_was_lost() {
        const WRONG: &str = "up standby, up standby, up primary";
        let goal = goal(2, Want::Standby);
        let mut memory = Memory::default();
        memory.observe(&goal, &view(DETACHED), Duration::ZERO);
        memory.record(attach(2), Duration::ZERO);
        memory.observe(&goal, &view(WRONG), Duration::ZERO);
        memory.record_taken_back(goal.node, Duration::ZERO);
        let step = |nodes, elapsed| {
            let time =
                Time { elapsed: Duration::from_secs(elapsed), remaining: Duration::MAX, settle: Duration::ZERO };
            plan(&goal, &memory, &view(nodes), time)
        };
        assert_waits_for(&step(WRONG, 4), "carry out: detach 2");
        assert_eq!(step(WRONG, 5), Step::TakeBack, "nobody says that it was detached while it is up");
    }

    #[test]
    fn a_node_that_is_neither_up_nor_down_is_attached_and_costs_no_other_node_its_role() {
        for state in ["unused standby", "77 standby", "odd standby"] {
            for want in [Want::Primary, Want::Attached, Want::Standby] {
                let nodes = format!("up primary, up standby, {state}");
                assert_eq!(next(goal(2, want), &[Ok(&nodes)], 60), Step::Act(attach(2)), "{want:?} {state}");
            }
        }
    }

    #[test]
    fn a_protected_node_is_not_detached() {
        let mut view = view(HEALTHY);
        view.nodes[2].failover_disallowed = true;
        let goal = goal(2, Want::Detached);
        let mut memory = Memory::default();
        memory.observe(&goal, &view, Duration::ZERO);
        let time = Time { elapsed: Duration::ZERO, remaining: Duration::MAX, settle: Duration::ZERO };
        let step = plan(&goal, &memory, &view, time);
        assert!(matches!(&step, Step::Refuse { reason } if reason.contains("backend_flag2")), "{step:?}");
    }
}
