//! What to do next.

use std::time::Duration;

use super::{Change, Goal, LastNode, Memory, Question, Reason, Want, attach, primary};
use crate::Recovery;
use crate::observe::{Node, View};

/// How long a change may take to become visible before it is sent again: a server whose queue is full drops it in
/// silence.
pub(super) const CHANGE_PATIENCE: Duration = Duration::from_secs(5);
/// How long an answer of PostgreSQL counts that may be another one a moment later.
const ANSWER_PATIENCE: Duration = Duration::from_secs(1);

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
    /// Find out something that Pgpool does not know, and look again.
    Ask(Question),
    /// Send a change, on the connection on which the view was read.
    Act(Change, Reason),
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

/// Decides the next step from the goal, what this run has seen, done and been told, and what Pgpool shows now.
///
/// `memory` must have [observed](Memory::observe) the view. No clock is read and nothing is sent here.
pub fn plan(goal: &Goal, memory: &Memory, view: &View, time: Time) -> Step {
    let Some(node) = view.node(goal.node) else {
        return refuse(format!("Pgpool has no node {} any more", goal.node));
    };
    let plan = Planner { goal, memory, view, time, node };
    match next_step(&plan) {
        Step::Wait { reason } => wait(reason + &plan.long_search()),
        step => step,
    }
}

fn next_step(plan: &Planner<'_>) -> Step {
    if let Some(change) = plan.change_under_way() {
        return wait(format!("Pgpool to carry out: {change}"));
    }
    if let Some(step) = attach::taken_back(plan) {
        return step;
    }
    if plan.goal.is_met(plan.view) {
        return plan.settle();
    }
    match plan.goal.want {
        Want::Detached => plan.detach_goal(),
        Want::Primary => primary::become_primary(plan),
        Want::Attached if plan.node.is_attached() => primary::find_primary(plan),
        Want::Standby | Want::Follower(_) if plan.node.is_attached() => attach::await_other_primary(plan),
        Want::Attached => plan.attach(),
        Want::Standby => attach::attach_standby(plan),
        Want::Follower(proof) => attach::attach_follower(plan, proof),
    }
}

/// What the rules look at.
pub(super) struct Planner<'a> {
    pub(super) goal: &'a Goal,
    pub(super) memory: &'a Memory,
    pub(super) view: &'a View,
    pub(super) time: Time,
    /// The node that the goal is about.
    pub(super) node: &'a Node,
}

impl Planner<'_> {
    /// Returns the last change if it does not show yet and should not be sent again either.
    fn change_under_way(&self) -> Option<Change> {
        let last = self.memory.last_sent()?;
        let overdue =
            self.time.elapsed.saturating_sub(last.at) >= CHANGE_PATIENCE && self.view.searching().is_none();
        (!last.change.is_visible(self.view) && !overdue).then_some(last.change)
    }

    /// Waits until the wanted state has lasted: Pgpool may take an attach or a new primary back a moment later.
    fn settle(&self) -> Step {
        let may_fall_back = self.goal.want != Want::Detached && !self.memory.always_met();
        if may_fall_back && self.met_for() < self.time.settle {
            return wait("the state to last".to_owned());
        }
        match self.goal.want {
            Want::Primary => primary::restore_others(self),
            _ => primary::attach_half_done(self).unwrap_or(Step::Done),
        }
    }

    /// Tells whether a node is up that the goal is not about.
    pub(super) fn is_another_up(&self) -> bool {
        self.view.nodes.iter().any(|other| other.id != self.node.id && other.is_attached())
    }

    /// Returns for how long the wanted state has been there.
    pub(super) fn met_for(&self) -> Duration {
        self.time.elapsed.saturating_sub(self.memory.met_since().unwrap_or(self.time.elapsed))
    }

    /// Detaches the node that is to be down, unless Pgpool would have none left that works.
    fn detach_goal(&self) -> Step {
        let is_last = self.node.is_attached() && !self.is_another_up();
        if is_last && self.goal.last_node == LastNode::Kept {
            match self.answers(self.node) {
                Err(ask) => return ask,
                Ok(false) => {}
                Ok(true) => {
                    return refuse(format!(
                        "node {} is the last one that is up, and its PostgreSQL answers: without it Pgpool serves nobody \
                         (--force detaches it)",
                        self.node
                    ));
                }
            }
        }
        self.detach(self.node, Reason::Goal)
    }

    pub(super) fn detach(&self, node: &Node, reason: Reason) -> Step {
        if node.failover_disallowed {
            return refuse(format!(
                "backend_flag{} in pgpool.conf is DISALLOW_TO_FAILOVER: Pgpool does not detach node {node}",
                node.id
            ));
        }
        Step::Act(Change::Detach(node.id), reason)
    }

    pub(super) fn attach(&self) -> Step {
        match self.view.searching() {
            Some(node) => self.await_search(node),
            None => Step::Act(Change::Attach(self.node.id), Reason::Goal),
        }
    }

    pub(super) fn await_search(&self, old: &Node) -> Step {
        let limit = self.view.server.search_words();
        wait(format!("Pgpool to find a primary in the place of node {old}: it searches {limit}"))
    }

    /// Names the limit of a search that does not show and that this run would not outlast: while it looks for a
    /// primary, Pgpool carries out nothing.
    fn long_search(&self) -> String {
        let may_run =
            self.view.has_primary_role() && self.view.primary().is_none() && self.view.searching().is_none();
        let whole = self.time.elapsed.saturating_add(self.time.remaining);
        let limit = match self.view.server.search_primary_node_timeout.filter(|_| may_run) {
            Some(Duration::ZERO) => "0, without end".to_owned(),
            Some(limit) if limit >= whole => format!("{} s, more than this command waits", limit.as_secs()),
            _ => return String::new(),
        };
        format!(
            "; search_primary_node_timeout is {limit}: Pgpool may be searching, and carries out nothing meanwhile"
        )
    }

    /// Returns whether the node's PostgreSQL answers, or the step that finds out.
    pub(super) fn answers(&self, node: &Node) -> Result<bool, Step> {
        let known = self.memory.answers(node.id, self.time.elapsed, ANSWER_PATIENCE);
        known.ok_or(Step::Ask(Question::Answers(node.id)))
    }

    /// Returns whether the node's PostgreSQL is in recovery, or the step that finds out.
    pub(super) fn recovery(&self, node: &Node) -> Result<&Recovery, Step> {
        let known = self.memory.recovery(node.id, self.time.elapsed, ANSWER_PATIENCE);
        known.ok_or(Step::Ask(Question::Recovery(node.id)))
    }
}

pub(super) fn wait(reason: String) -> Step {
    Step::Wait { reason }
}

pub(super) fn refuse(reason: String) -> Step {
    Step::Refuse { reason }
}

#[cfg(test)]
mod tests {
    use super::super::Answer;
    use super::super::test::*;
    use super::*;

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
            assert_eq!(next(&goal(node, want), &[Ok(nodes)], 60), Step::Done, "{want:?} {nodes}");
        }
    }

    #[test]
    fn a_change_is_sent_once_and_again_only_when_it_was_lost() {
        let detached = goal(2, Want::Detached);
        assert_eq!(next(&detached, &[Ok(HEALTHY)], 60), act(detach(2)));
        let mut past = vec![Ok(HEALTHY), Err(detach(2))];
        for _ in 0..4 {
            past.push(Ok(HEALTHY));
            assert_waits_for(&next(&detached, &past, 60), "carry out: detach 2");
        }
        past.push(Ok(HEALTHY));
        assert_eq!(next(&detached, &past, 60), act(detach(2)), "five seconds later");
        // While Pgpool searches a primary, it carries out nothing.
        past.push(Ok("down primary, up standby, up standby"));
        assert_waits_for(&next(&detached, &past, 60), "carry out: detach 2");
    }

    #[test]
    fn an_attach_has_to_last_and_a_detach_has_not() {
        let attached = [Ok(DETACHED), Err(attach(2)), Ok(HEALTHY)];
        assert_waits_for(&next(&goal(2, Want::Standby), &attached, 60), "to last");
        let lasting = [&attached[..], &[Ok(HEALTHY), Ok(HEALTHY)]].concat();
        assert_eq!(next(&goal(2, Want::Standby), &lasting, 60), Step::Done);
        let fallen_back = [&attached[..], &[Ok(DETACHED), Ok(HEALTHY), Ok(HEALTHY)]].concat();
        assert_waits_for(&next(&goal(2, Want::Standby), &fallen_back, 60), "to last");
        // A primary that somebody else made has to last as well.
        assert_waits_for(
            &next(&goal(1, Want::Primary), &[Ok(SEARCHING), Ok("down standby, up primary, up")], 60),
            "to last",
        );
        assert_eq!(next(&goal(2, Want::Detached), &[Ok(HEALTHY), Err(detach(2)), Ok(DETACHED)], 60), Step::Done);
        // And so has what was there at first, and was gone in between.
        let gone = [Ok("up primary, down standby, down standby"), Ok(DETACHED), Ok("up primary, down standby, up")];
        assert_waits_for(&next(&goal(0, Want::Primary), &[Ok(HEALTHY), Ok(SEARCHING), Ok(HEALTHY)], 60), "to last");
        assert_eq!(next(&goal(0, Want::Primary), &gone, 60), Step::Done, "it always was there");
    }

    #[test]
    fn a_state_has_lasted_when_its_time_is_over_and_not_a_look_later() {
        let goal = goal(2, Want::Standby);
        let mut memory = Memory::default();
        memory.observe(&goal, &view(DETACHED), Duration::ZERO);
        record(&mut memory, attach(2));
        memory.observe(&goal, &view(HEALTHY), Duration::ZERO);
        let at = |elapsed, settle| decide(&goal, &memory, &view(HEALTHY), Time { elapsed, settle, ..TIME });
        let settle = Duration::from_secs(2);
        assert_waits_for(&at(settle - Duration::from_millis(1), settle), "to last");
        assert_eq!(at(settle, settle), Step::Done);
        assert_eq!(at(Duration::ZERO, Duration::ZERO), Step::Done, "it need not last");
    }

    #[test]
    fn nothing_is_sent_while_pgpool_searches() {
        for want in [Want::Attached, Want::Standby, Want::Primary] {
            for node in [0, 1] {
                let step = next(&goal(node, want), &[Ok(SEARCHING)], 60);
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
            assert_waits_for(&decide(&goal(1, Want::Primary), &Memory::default(), &view, time), text);
        }
    }

    #[test]
    fn a_search_that_does_not_show_is_named_where_the_run_does_not_outlast_it() {
        let goal = goal(1, Want::Standby);
        for (nodes, timeout, named) in [
            (NO_PRIMARY, Some(0), "search_primary_node_timeout is 0, without end: Pgpool may be searching"),
            (NO_PRIMARY, Some(300), "search_primary_node_timeout is 300 s, more than this command waits"),
            (NO_PRIMARY, Some(60), "search_primary_node_timeout is 60 s, more than this command waits"),
            (NO_PRIMARY, Some(59), ""),
            (NO_PRIMARY, None, ""),
            ("up standby, up primary, up standby", Some(300), ""),
        ] {
            let mut seen = view(nodes);
            seen.server.search_primary_node_timeout = timeout.map(Duration::from_secs);
            let time = Time { elapsed: Duration::from_secs(20), remaining: Duration::from_secs(40), ..TIME };
            let step = decide(&goal, &Memory::default(), &seen, time);
            assert_waits_for(&step, named);
            let is_named = format!("{step:?}").contains("search_primary_node_timeout");
            assert_eq!(is_named, !named.is_empty(), "{step:?}");
        }
    }

    #[test]
    fn a_node_that_is_neither_up_nor_down_is_attached_and_costs_no_other_node_its_role() {
        for state in ["unused standby", "77 standby", "odd standby"] {
            for want in [Want::Primary, Want::Attached, Want::Standby] {
                let nodes = format!("up primary, up standby, {state}");
                assert_eq!(next(&goal(2, want), &[Ok(&nodes)], 60), act(attach(2)), "{want:?} {state}");
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
        let step = decide(&goal, &memory, &view, time);
        assert!(matches!(&step, Step::Refuse { reason } if reason.contains("backend_flag2")), "{step:?}");
    }

    #[test]
    fn the_last_node_that_answers_is_kept_unless_it_is_given_up() {
        let alone = "down standby, down standby, up primary";
        let mut goal = goal(2, Want::Detached);
        let ask = Step::Ask(Question::Answers(goal.node));
        assert_eq!(next(&goal, &[Ok(alone)], 60), ask);
        assert_eq!(
            next(&goal, &[Ok("up primary, down standby, up standby")], 60),
            act(detach(2)),
            "not the last one"
        );
        assert_eq!(next(&goal, &[Ok("down standby, waiting primary, up standby")], 60), act(detach(2)));
        let told = |answers| told(&goal, alone, &[(Question::Answers(goal.node), Answer::Answers(answers))]);
        assert_eq!(told(false), act(detach(2)));
        assert_refused(&told(true), "the last one that is up, and its PostgreSQL answers");
        goal.last_node = LastNode::GivenUp;
        assert_eq!(next(&goal, &[Ok(alone)], 60), act(detach(2)));
    }
}
