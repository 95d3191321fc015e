//! How a primary is made known to Pgpool, which looks for one only on certain events.
//!
//! Each rung is shown to work on real servers: while a node that is down holds the role, Pgpool searches, and nothing
//! is sent; the wanted node is attached; another node that holds the role is detached; the node itself is detached
//! and attached, or another one where that would take too long. A promotion, which sets every other node down and
//! asks no PostgreSQL, is the last one.

use std::time::Duration;

use super::plan::{Planner, wait};
use super::{Change, Question, Reason, Step, Want};
use crate::{Node, Recovery};

/// How long Pgpool is given to find a primary after a change, whatever its search_primary_node_timeout. A promoted
/// node is found within a second or two.
const SEARCH_PATIENCE: Duration = Duration::from_secs(10);
/// How long there must have been no primary before the node is cycled to make Pgpool look again: somebody else's
/// attach may be under way, and its search does not show.
const NO_PRIMARY_PATIENCE: Duration = Duration::from_millis(1500);
/// What must be left of the deadline before a node is set down that has to come back, or loses the role.
const DETACH_RESERVE: Duration = Duration::from_secs(5);
/// What must be left of the deadline for a promotion, which sets the other nodes down.
const PROMOTE_RESERVE: Duration = Duration::from_secs(15);
/// How long follow_primary_command is given to bring the other nodes back after a change of primary.
const FOLLOW_PATIENCE: Duration = Duration::from_secs(15);

/// Makes a promotion that PostgreSQL has already done known to Pgpool.
pub(super) fn become_primary(plan: &Planner<'_>) -> Step {
    if let Some(node) = plan.view.searching() {
        return plan.await_search(node);
    }
    match plan.recovery(plan.node) {
        Err(ask) => return ask,
        Ok(Recovery::InRecovery) => {
            return wait(format!(
                "the PostgreSQL of node {} to end its recovery: it is a standby still, and nothing was changed for it",
                plan.node
            ));
        }
        Ok(_) => {}
    }
    if !plan.node.is_attached() {
        return plan.attach();
    }
    if let Some(other) = plan.view.primary() {
        if plan.time.remaining < DETACH_RESERVE {
            return too_late(plan, "another node could lose the role");
        }
        return plan.detach(other, Reason::Displace);
    }
    if !plan.is_another_up() && may_promote(plan) {
        return Step::Act(Change::Promote(plan.node.id), Reason::Goal);
    }
    find_primary(plan)
}

/// Makes Pgpool look for a primary by cycling a node, once.
pub(super) fn find_primary(plan: &Planner<'_>) -> Step {
    if let Some(attach) = attach_half_done(plan) {
        return attach;
    }
    if let Some(node) = plan.view.searching() {
        return plan.await_search(node);
    }
    if search_may_run(plan) {
        return wait("Pgpool to find the primary".to_owned());
    }
    if !plan.memory.has_acted_for(Reason::Cycle) {
        match node_to_cycle(plan) {
            Err(ask) => return ask,
            Ok(Some(_)) if plan.time.remaining < DETACH_RESERVE => {
                return too_late(plan, "a node could be detached and attached again");
            }
            Ok(Some(node)) => return plan.detach(node, Reason::Cycle),
            Ok(None) => {}
        }
    }
    let proven = plan.memory.recovery(plan.node.id, plan.time.elapsed, Duration::MAX);
    if plan.goal.want == Want::Primary && proven == Some(&Recovery::NotInRecovery) && may_promote(plan) {
        return Step::Act(Change::Promote(plan.node.id), Reason::Goal);
    }
    wait("a primary: Pgpool found none; is a PostgreSQL that it shows as up out of recovery?".to_owned())
}

/// Chooses the node that is detached and attached to make Pgpool look for a primary, or returns the step that finds out.
///
/// It looks at both, and takes nothing else up before it is through. While the promoted node itself is down, it finds
/// nothing for the whole of search_primary_node_timeout: where that is long, another standby has to do, one that is
/// alive, for a dead one would come back by it; and where there is none, nothing.
fn node_to_cycle<'a>(plan: &Planner<'a>) -> Result<Option<&'a Node>, Step> {
    if plan.view.server.search_primary_node_timeout.is_none_or(|limit| !limit.is_zero() && limit <= SEARCH_PATIENCE)
    {
        return Ok(Some(plan.node));
    }
    let others = plan.view.nodes.iter().filter(|other| {
        other.id != plan.node.id
            && other.is_attached()
            && !other.failover_disallowed
            && plan.goal.may_attach(other.id)
    });
    for other in others {
        if plan.answers(other)? && *plan.recovery(other)? != Recovery::NotInRecovery {
            return Ok(Some(other));
        }
    }
    Ok(None)
}

/// Returns the second half of a cycle of a node that the goal is not about, for its own is up wherever this is asked.
/// One that has died meanwhile stays down.
pub(super) fn attach_half_done(plan: &Planner<'_>) -> Option<Step> {
    let mut half_done = plan.memory.half_done(plan.goal, plan.view).into_iter();
    let cycled = half_done.find(|&id| plan.memory.has_cycled(id) && !plan.memory.has_sent(Change::Attach(id)))?;
    match plan.answers(plan.view.node(cycled)?) {
        Err(ask) => Some(ask),
        Ok(true) => Some(Step::Act(Change::Attach(cycled), Reason::Restore)),
        Ok(false) => None,
    }
}

/// Attaches again what this run set down for the sake of the new primary, as far as it is proven to be a standby.
pub(super) fn restore_others(plan: &Planner<'_>) -> Step {
    if let Some(attach) = attach_half_done(plan) {
        return attach;
    }
    for id in plan.memory.set_down() {
        let is_down = plan.view.node(id).is_some_and(Node::is_down);
        if !is_down || !plan.goal.may_attach(id) || plan.memory.has_sent(Change::Attach(id)) {
            continue;
        }
        match plan.memory.answers(id, plan.time.elapsed, Duration::MAX) {
            None => return Step::Ask(Question::Answers(id)),
            Some(false) => continue,
            Some(true) => {}
        }
        match plan.memory.recovery(id, plan.time.elapsed, Duration::MAX) {
            None => return Step::Ask(Question::Recovery(id)),
            Some(Recovery::InRecovery) => return Step::Act(Change::Attach(id), Reason::Restore),
            Some(_) => {}
        }
    }
    let left_down = plan.goal.left_down(plan.view);
    if plan.view.server.follow_primary_command && !left_down.is_empty() && plan.met_for() < FOLLOW_PATIENCE {
        return wait("follow_primary_command to attach the other nodes".to_owned());
    }
    Step::Done
}

fn may_promote(plan: &Planner<'_>) -> bool {
    plan.time.remaining >= PROMOTE_RESERVE
        && !search_may_run(plan)
        && !plan.memory.has_sent(Change::Promote(plan.node.id))
}

/// Tells whether Pgpool may be searching a primary without showing it.
fn search_may_run(plan: &Planner<'_>) -> bool {
    let timeout = plan.view.server.search_primary_node_timeout.filter(|timeout| !timeout.is_zero());
    let patience = timeout.unwrap_or(SEARCH_PATIENCE).min(SEARCH_PATIENCE) + NO_PRIMARY_PATIENCE;
    let since = |then: Duration| plan.time.elapsed.saturating_sub(then);
    let ours = plan.memory.last_sent().is_some_and(|last| since(last.at) < patience);
    let others = plan.memory.no_primary_since().is_none_or(|then| since(then) < NO_PRIMARY_PATIENCE);
    ours || others
}

fn too_late(plan: &Planner<'_>, what: &str) -> Step {
    wait(format!("a primary, with {:.1} s left, too little that {what}", plan.time.remaining.as_secs_f64()))
}

#[cfg(test)]
mod tests {
    use super::super::test::*;
    use super::super::{Answer, Goal, Memory, Time};
    use super::*;
    use crate::View;

    #[test]
    fn the_ladder_to_a_primary() {
        let primary = goal(1, Want::Primary);
        assert_eq!(next(&primary, &[Ok("up primary, down standby, up standby")], 60), act(attach(1)));
        assert_eq!(next(&primary, &[Ok(HEALTHY)], 60), act(displace(0)));
        assert_waits_for(&next(&primary, &[Ok(NO_PRIMARY)], 60), "find the primary");
        let just_lost = [Ok(HEALTHY), Ok(HEALTHY), Ok(HEALTHY), Ok(NO_PRIMARY)];
        assert_waits_for(&next(&primary, &just_lost, 60), "find the primary");
        let long = [Ok(NO_PRIMARY); 3];
        assert_eq!(next(&primary, &long, 60), act(cycle(1)), "cycle it");
        let down = "down standby, down standby, up standby";
        assert_eq!(next(&primary, &[&long[..], &[Err(cycle(1)), Ok(down)]].concat(), 60), act(attach(1)));
        // It is cycled once.
        let cycled = [&long[..], &[Err(cycle(1)), Err(attach(1))], &[Ok(NO_PRIMARY); 9]].concat();
        assert_waits_for(&next(&primary, &cycled, 60), "Pgpool found none");
    }

    #[test]
    fn a_node_is_cycled_as_soon_as_no_search_can_run_any_more() {
        let (secs, millis) = (Duration::from_secs, Duration::from_millis);
        for (timeout, change, first, node) in [
            // Somebody else's attach may be under way.
            (Some(secs(3)), None, millis(1500), 1),
            // The search that our own change began, and as much again.
            (Some(secs(3)), Some(attach(1)), millis(4500), 1),
            (Some(secs(10)), Some(attach(1)), millis(11_500), 1),
            (None, Some(attach(1)), millis(11_500), 1),
            // With the promoted node itself down, Pgpool would search for all that time.
            (Some(secs(11)), Some(attach(1)), millis(11_500), 2),
            (Some(Duration::ZERO), Some(attach(1)), millis(11_500), 2),
        ] {
            let mut view = view(NO_PRIMARY);
            view.server.search_primary_node_timeout = timeout;
            let goal = goal(1, Want::Attached);
            let mut memory = Memory::default();
            change.into_iter().for_each(|change| record(&mut memory, change));
            memory.observe(&goal, &view, Duration::ZERO);
            let at = |elapsed| {
                let mut memory = memory.clone();
                let (question, answer) = answering(2);
                memory.learn(question, answer, elapsed);
                decide(&goal, &memory, &view, Time { elapsed, remaining: secs(60), settle: Duration::ZERO })
            };
            assert_waits_for(&at(first - millis(1)), "find the primary");
            for elapsed in [first, first + secs(1)] {
                assert_eq!(at(elapsed), act(cycle(node)), "{timeout:?} {change:?} {elapsed:?}");
            }
        }
    }

    #[test]
    fn a_promotion_is_for_the_last_node_that_is_up_and_needs_time() {
        let alone = [Ok("down standby, up standby, down standby"); 3];
        let promote = (Change::Promote(1.try_into().unwrap()), Reason::Goal);
        assert_eq!(next(&goal(1, Want::Primary), &alone, 15), act(promote));
        assert_eq!(next(&goal(1, Want::Primary), &alone, 14), act(cycle(1)), "cycling sets nothing else down");
        assert_eq!(next(&goal(1, Want::Attached), &alone, 60), act(cycle(1)), "nobody said that it is the primary");
    }

    #[test]
    fn a_node_that_is_still_in_recovery_costs_nobody_the_role() {
        let goal = goal(1, Want::Primary);
        for nodes in
            [HEALTHY, NO_PRIMARY, "up primary, down standby, up standby", "down standby, up standby, down standby"]
        {
            let step = told(&goal, nodes, &[recovery(1, Recovery::InRecovery)]);
            assert_waits_for(&step, "PostgreSQL of node 1 (10.0.0.1:5432) to end its recovery");
        }
        let step = told(&goal, HEALTHY, &[recovery(1, Recovery::NotInRecovery)]);
        assert_eq!(step, act(displace(0)));
    }

    #[test]
    fn nothing_is_set_down_that_could_not_come_back_in_time() {
        let primary = goal(1, Want::Primary);
        assert_eq!(next(&primary, &[Ok(HEALTHY)], 5), act(displace(0)));
        assert_waits_for(&next(&primary, &[Ok(HEALTHY)], 4), "with 4.0 s left");
        assert_eq!(next(&primary, &[Ok(NO_PRIMARY); 3], 5), act(cycle(1)));
        assert_waits_for(&next(&primary, &[Ok(NO_PRIMARY); 3], 4), "with 4.0 s left");
    }

    #[test]
    fn a_promotion_follows_a_cycle_in_vain_only_for_a_node_that_takes_writes() {
        let cycled = [Ok(NO_PRIMARY), Err(cycle(1)), Err(attach(1))].into_iter().chain([Ok(NO_PRIMARY); 6]);
        let cycled: Vec<_> = cycled.collect();
        let promote = (Change::Promote(1.try_into().unwrap()), Reason::Goal);
        let told =
            |want, facts: &[(Question, Answer)], remaining| told_after(&goal(1, want), &cycled, facts, remaining);
        let writable = [recovery(1, Recovery::NotInRecovery)];
        assert_eq!(told(Want::Primary, &writable, 15), act(promote));
        assert_waits_for(&told(Want::Primary, &writable, 14), "Pgpool found none");
        assert_waits_for(&told(Want::Attached, &writable, 60), "Pgpool found none");
        let unknown = [recovery(1, Recovery::Unknown { reason: String::new() })];
        assert_waits_for(&told(Want::Primary, &unknown, 60), "Pgpool found none");
    }

    #[test]
    fn what_a_promotion_set_down_waits_until_the_promotion_shows() {
        let promote = (Change::Promote(1.try_into().unwrap()), Reason::Goal);
        let cycled = [Ok(NO_PRIMARY), Err(cycle(1)), Err(attach(1)), Ok(NO_PRIMARY), Err(promote)];
        let past = [&cycled[..], &[Ok("down standby, up standby, down standby"); 6]].concat();
        let facts =
            [recovery(1, Recovery::NotInRecovery), answering(2), recovery(2, Recovery::InRecovery), answering(1)];
        assert_waits_for(&told_after(&goal(1, Want::Primary), &past, &facts, 60), "Pgpool found none");
    }

    #[test]
    fn what_was_set_down_for_the_new_primary_comes_back_when_it_is_a_standby() {
        let after = "down standby, up primary, down standby";
        let promote = (Change::Promote(1.try_into().unwrap()), Reason::Goal);
        let past = [Ok(NO_PRIMARY), Err(promote), Ok(after), Ok(after), Ok(after)];
        let mut goal = goal(1, Want::Primary);
        let told = |goal: &Goal, facts: &[(Question, Answer)]| told_after(goal, &past, facts, 60);
        assert_eq!(told(&goal, &[]), Step::Ask(Question::Answers(2.try_into().unwrap())), "0 was down before");
        let silent = (Question::Answers(2.try_into().unwrap()), Answer::Answers(false));
        assert_eq!(told(&goal, &[silent]), Step::Done);
        assert_eq!(told(&goal, &[answering(2), recovery(2, Recovery::NotInRecovery)]), Step::Done);
        let restore = (attach(2).0, Reason::Restore);
        assert_eq!(told(&goal, &[answering(2), recovery(2, Recovery::InRecovery)]), act(restore));
        goal.held = vec![2.try_into().unwrap()];
        assert_eq!(told(&goal, &[]), Step::Done);

        // The primary that was displaced is the failed one, unless it is a standby by now.
        let after = "down standby, up primary, up standby";
        let past = [Ok(HEALTHY), Err(displace(0)), Ok(after), Ok(after), Ok(after)];
        goal.held.clear();
        let facts = [answering(0), recovery(0, Recovery::InRecovery)];
        assert_eq!(told_after(&goal, &past, &facts, 60), act((attach(0).0, Reason::Restore)));
        goal.failed = Some(0.try_into().unwrap());
        assert_eq!(told_after(&goal, &past, &facts, 60), Step::Done);
    }

    #[test]
    fn a_follow_command_is_given_time_to_bring_the_others_back() {
        let goal = goal(1, Want::Primary);
        let mut follows = view("down standby, up primary, down standby");
        follows.server.follow_primary_command = true;
        let mut memory = Memory::default();
        memory.observe(&goal, &view(HEALTHY), Duration::ZERO);
        memory.observe(&goal, &follows, Duration::ZERO);
        let at = |view: &View, seconds| plan_at(&goal, &memory, view, Duration::from_secs(seconds));
        assert_waits_for(&at(&follows, 14), "follow_primary_command");
        assert_eq!(at(&follows, 15), Step::Done);
        follows.server.follow_primary_command = false;
        assert_eq!(at(&follows, 2), Step::Done);
    }

    #[test]
    fn another_node_that_was_cycled_comes_back_at_once_unless_it_has_died() {
        let past = |now| [Ok(NO_PRIMARY), Err(cycle(2)), Ok(now)];
        let down = "down standby, up standby, down standby";
        let found = "down standby, up primary, down standby";
        let settled = [&past(found)[..], &[Ok(found), Ok(found)]].concat();
        for want in [Want::Primary, Want::Attached] {
            let goal = goal(1, want);
            let told = |past: &[_], fact| told_after(&goal, past, &[fact, recovery(1, unknown())], 60);
            for past in [&past(down)[..], &settled] {
                assert_eq!(told(past, answering(2)), act((attach(2).0, Reason::Restore)), "{want:?}");
            }
            let dead = (Question::Answers(2.try_into().unwrap()), Answer::Answers(false));
            assert_waits_for(&told(&past(down), dead.clone()), "Pgpool to find the primary");
            assert_eq!(told(&settled, dead), Step::Done, "{want:?}");
        }
    }

    #[test]
    fn a_node_is_cycled_for_another_one_only_if_it_lives_and_nothing_forbids_it() {
        let mut goal = goal(1, Want::Primary);
        let mut seen = view(NO_PRIMARY);
        seen.server.search_primary_node_timeout = Some(Duration::from_secs(300));
        let time = Time { elapsed: Duration::from_secs(20), ..TIME };
        let at = |goal: &Goal, seen: &View, facts: &[(Question, Answer)]| {
            let mut memory = Memory::default();
            memory.observe(goal, seen, Duration::ZERO);
            facts.iter().for_each(|(question, answer)| memory.learn(*question, answer.clone(), time.elapsed));
            decide(goal, &memory, seen, time)
        };
        let lives = [answering(2)];
        assert_eq!(at(&goal, &seen, &[]), Step::Ask(Question::Answers(2.try_into().unwrap())));
        assert_eq!(at(&goal, &seen, &lives), act(cycle(2)));
        let dead = [(Question::Answers(2.try_into().unwrap()), Answer::Answers(false))];
        assert_waits_for(&at(&goal, &seen, &dead), "Pgpool found none");
        let writable = [answering(2), recovery(2, Recovery::NotInRecovery)];
        assert_waits_for(&at(&goal, &seen, &writable), "Pgpool found none");
        goal.held = vec![2.try_into().unwrap()];
        assert_waits_for(&at(&goal, &seen, &lives), "Pgpool found none");
        (goal.held, goal.failed) = (vec![], Some(2.try_into().unwrap()));
        assert_waits_for(&at(&goal, &seen, &lives), "Pgpool found none");
        goal.failed = None;
        seen.nodes[2].failover_disallowed = true;
        assert_waits_for(&at(&goal, &seen, &lives), "Pgpool found none");
    }
}
