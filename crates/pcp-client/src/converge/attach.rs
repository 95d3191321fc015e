//! Attaching a node that is not to be the primary, and taking that back.

use super::plan::{Planner, refuse, wait};
use super::{Change, Proof, Reason, Step, Want};
use crate::Recovery;

/// Attaches the node unless it is known to be no standby.
pub(super) fn attach_standby(plan: &Planner<'_>) -> Step {
    match plan.recovery(plan.node) {
        Err(ask) => ask,
        Ok(Recovery::NotInRecovery) => refuse_writable(plan),
        Ok(_) => plan.attach(),
    }
}

/// Attaches the node once it answers and is proven a standby as far as it has to be.
pub(super) fn attach_follower(plan: &Planner<'_>, proof: Proof) -> Step {
    if let Some(node) = plan.view.searching() {
        return plan.await_search(node);
    }
    // An old primary that is the present one is the new one: which node failed is not known.
    let is_old_the_new_one = plan.view.primary().is_some_and(|primary| plan.goal.failed == Some(primary.id));
    let proof = if is_old_the_new_one { Proof::InRecovery } else { proof };
    if plan.view.has_primary_role() && plan.view.primary().is_none() {
        return wait("a primary: Pgpool has none".to_owned());
    }
    match plan.answers(plan.node) {
        Err(ask) => return ask,
        Ok(false) => return wait(format!("the PostgreSQL of node {} to answer", plan.node)),
        Ok(true) => {}
    }
    match (plan.recovery(plan.node), proof) {
        (Err(ask), _) => ask,
        (Ok(Recovery::NotInRecovery), _) => refuse_writable(plan),
        (Ok(Recovery::Unknown { reason }), Proof::InRecovery) => refuse(format!(
            "node {} may be the old primary, and is not proven to be a standby: {reason}; when it is one, attach it \
             by hand (pcpctl attach {} s)",
            plan.node,
            plan.node.address()
        )),
        (Ok(_), _) => plan.attach(),
    }
}

fn refuse_writable(plan: &Planner<'_>) -> Step {
    refuse(format!(
        "the PostgreSQL of node {} is not in recovery: attached as a standby, it would be a second node that takes \
         writes",
        plan.node
    ))
}

/// Waits for another node to become the primary: that is for the hook which attaches that node.
pub(super) fn await_other_primary(plan: &Planner<'_>) -> Step {
    match (plan.view.searching(), plan.view.primary()) {
        (Some(node), _) => plan.await_search(node),
        (None, Some(_)) => wait(format!("another primary: Pgpool takes node {} itself for it", plan.node)),
        (None, None) => wait("a primary: Pgpool has none".to_owned()),
    }
}

/// Detaches the node again where Pgpool took a node for the primary by its attach that nobody named.
pub(super) fn taken_back(plan: &Planner<'_>) -> Option<Step> {
    let node = plan.node;
    if plan.memory.has_acted_for(Reason::TakeBack) && node.is_down() {
        return Some(refuse(format!(
            "with node {node} attached, Pgpool took a node for the primary that nobody named, so it was detached again"
        )));
    }
    has_moved_the_primary(plan).then(|| plan.detach(node, Reason::TakeBack))
}

/// Tells whether the node that this run attached made Pgpool take a node for the primary that nobody named: it
/// asks every node for its role after an attach, and among several that take writes it may choose another one
/// than before.
fn has_moved_the_primary(plan: &Planner<'_>) -> bool {
    let before = plan.memory.primary_at_first().and_then(|id| plan.view.node(id));
    // Where the primary of before is down, a failover is under way, and that is somebody else's business.
    let moved =
        before.is_some_and(|before| before.is_attached() && !before.is_primary()) && plan.view.primary().is_some();
    let wrong = match plan.goal.want {
        Want::Attached => moved,
        Want::Standby | Want::Follower(_) => moved || plan.node.is_primary(),
        Want::Primary | Want::Detached => false,
    };
    wrong && plan.node.is_attached() && plan.memory.has_sent(Change::Attach(plan.node.id))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::test::*;
    use super::super::{Answer, Goal, Memory, Question, Time};
    use super::*;

    #[test]
    fn a_primary_that_nobody_named_is_taken_back() {
        let attached = |after| [Ok(DETACHED), Err(attach(2)), Ok(after)];
        for after in ["up standby, up standby, up primary", "up standby, up primary, up standby"] {
            for want in [Want::Attached, Want::Standby] {
                assert_eq!(next(&goal(2, want), &attached(after), 60), act(take_back(2)), "{want:?}: {after}");
            }
        }
        // Somebody detached the primary meanwhile: that is a failover.
        let failover = attached("down standby, up primary, up standby");
        assert_waits_for(&next(&goal(2, Want::Standby), &failover, 60), "to last");
        // The node was up before this run: it is not ours to detach.
        let past = [Ok(HEALTHY), Ok("up standby, up standby, up primary")];
        assert_waits_for(&next(&goal(2, Want::Standby), &past, 60), "another primary");

        let goal = goal(2, Want::Standby);
        let mut memory = Memory::default();
        memory.observe(&goal, &view(DETACHED), Duration::ZERO);
        record(&mut memory, attach(2));
        record(&mut memory, take_back(2));
        memory.observe(&goal, &view(DETACHED), Duration::ZERO);
        let time = Time { elapsed: Duration::ZERO, remaining: Duration::MAX, settle: Duration::ZERO };
        let step = decide(&goal, &memory, &view(DETACHED), time);
        assert!(matches!(&step, Step::Refuse { reason } if reason.contains("nobody named")), "{step:?}");
    }

    #[test]
    fn a_detach_that_takes_back_is_sent_again_when_it_was_lost() {
        const WRONG: &str = "up standby, up standby, up primary";
        let goal = goal(2, Want::Standby);
        let mut memory = Memory::default();
        memory.observe(&goal, &view(DETACHED), Duration::ZERO);
        record(&mut memory, attach(2));
        memory.observe(&goal, &view(WRONG), Duration::ZERO);
        record(&mut memory, take_back(2));
        let step = |nodes, elapsed| {
            let time =
                Time { elapsed: Duration::from_secs(elapsed), remaining: Duration::MAX, settle: Duration::ZERO };
            decide(&goal, &memory, &view(nodes), time)
        };
        assert_waits_for(&step(WRONG, 4), "carry out: detach 2");
        assert_eq!(step(WRONG, 5), act(take_back(2)), "nobody says that it was detached while it is up");
    }

    #[test]
    fn a_node_that_takes_writes_is_not_attached_as_a_standby() {
        for want in [Want::Standby, Want::Follower(Proof::Answers), Want::Follower(Proof::InRecovery)] {
            let goal = goal(2, want);
            let step = told(&goal, DETACHED, &[answering(2), recovery(2, Recovery::NotInRecovery)]);
            assert_refused(&step, "not in recovery");
            let step = told(&goal, DETACHED, &[answering(2), recovery(2, Recovery::InRecovery)]);
            assert_eq!(step, act(attach(2)), "{want:?}");
        }
        // Whoever says that it is a standby is believed where nobody knows better.
        assert_eq!(next(&goal(2, Want::Standby), &[Ok(DETACHED)], 60), act(attach(2)));
    }

    #[test]
    fn a_follower_is_attached_when_it_answers_and_behind_an_unknown_primary_only_when_it_is_proven() {
        let unknown = || recovery(2, Recovery::Unknown { reason: "no login".to_owned() });
        let (plain, doubtful) =
            (goal(2, Want::Follower(Proof::Answers)), goal(2, Want::Follower(Proof::InRecovery)));
        for goal in [&plain, &doubtful] {
            assert_eq!(told(goal, HEALTHY, &[]), Step::Done, "it is attached");
            assert_eq!(told(goal, DETACHED, &[]), Step::Ask(Question::Answers(goal.node)));
            let silent = (Question::Answers(goal.node), Answer::Answers(false));
            assert_waits_for(&told(goal, DETACHED, &[silent]), "PostgreSQL of node 2 (10.0.0.2:5432) to answer");
            assert_waits_for(&told(goal, "down primary, up standby, down standby", &[]), "it searches");
            assert_waits_for(&told(goal, "down standby, up standby, down standby", &[]), "Pgpool has none");
            assert_eq!(
                told(goal, "up, up, down", &[answering(2), recovery(2, Recovery::InRecovery)]),
                act(attach(2))
            );
        }
        assert_eq!(told(&plain, DETACHED, &[answering(2), unknown()]), act(attach(2)));
        let behind_the_present_one = Goal { failed: Some(0.try_into().unwrap()), ..plain.clone() };
        let facts = [answering(2), unknown()];
        assert_refused(&told(&behind_the_present_one, DETACHED, &facts), "not proven to be a standby");
        let behind_another = Goal { failed: Some(1.try_into().unwrap()), ..plain.clone() };
        assert_eq!(told(&behind_another, DETACHED, &facts), act(attach(2)));
        let refused = told(&doubtful, DETACHED, &[answering(2), unknown()]);
        assert_refused(&refused, "may be the old primary, and is not proven to be a standby: no login");
        assert_refused(&refused, "pcpctl attach 10.0.0.2:5432 s");
    }

    #[test]
    fn what_postgresql_said_is_asked_again_after_a_second() {
        let goal = goal(2, Want::Follower(Proof::Answers));
        let mut memory = Memory::default();
        let view = view(DETACHED);
        memory.observe(&goal, &view, Duration::ZERO);
        memory.learn(Question::Answers(goal.node), Answer::Answers(false), Duration::ZERO);
        let at = |elapsed| {
            let time = Time { elapsed: Duration::from_millis(elapsed), ..TIME };
            decide(&goal, &memory, &view, time)
        };
        assert_waits_for(&at(1000), "to answer");
        assert_eq!(at(1001), Step::Ask(Question::Answers(goal.node)));
    }
}
