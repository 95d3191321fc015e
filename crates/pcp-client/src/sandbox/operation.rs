//! The operations: what each does.

use std::time::Duration;

use pcp_proto::message::NodeStatus;

use super::{FailoverCommand, Mode, Node, World};

/// What an operation does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Change {
    /// Put a node up and search the primary.
    Attach(usize),
    /// Set a node down, and search a primary where it was the primary.
    Detach(usize),
    /// Make a node the primary and set all others down.
    Promote(usize),
    /// Set the primary down in favour of a node, which the failover command may promote.
    Switchover(usize),
}

/// An operation that the main process carried out.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Operation {
    /// When it began.
    pub at: Duration,
    /// What it did.
    pub change: Change,
    /// How many connections were open then.
    pub open_connections: usize,
}

/// A run of `follow_primary_command` that a real server would have started.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct FollowRun {
    /// `%d`: the node that is down.
    pub detached: usize,
    /// `%P`: the old primary; −1 where there was none.
    pub old_primary: Option<usize>,
    /// `%m`, as long as the new primary is the main node.
    pub new_primary: usize,
}

impl World {
    /// Begins an operation, and ends it unless a primary has to be searched.
    pub(super) fn carry_out(&mut self, now: Duration, change: Change) {
        let has_to_search = self.has_to_search(change);
        let lost_primary = self.primary;
        let is_done = match change {
            Change::Attach(id) => self.put_up(now, id),
            Change::Detach(id) => self.set_down(now, id),
            Change::Promote(id) => self.is_attached(id),
            Change::Switchover(_) => self.primary.is_some_and(|primary| self.set_down(now, primary)),
        };
        if !is_done {
            self.main.refuse(now);
            return;
        }
        self.run_failover_command(change, lost_primary);
        let open_connections = self.open_connections();
        self.main.operations.push(Operation { at: now, change, open_connections });
        match change {
            Change::Promote(id) => self.finish(now, change, Some(id)),
            _ if !has_to_search => self.finish(now, change, self.primary),
            _ => self.search(now, change),
        }
    }

    /// Promotes what is to follow a primary that went down, where the command does that.
    fn run_failover_command(&mut self, change: Change, primary: Option<usize>) {
        let successor = match change {
            Change::Switchover(id) => Some(id),
            Change::Detach(id) if primary == Some(id) => self.nodes.iter().position(Node::is_attached),
            _ => None,
        };
        if let Some(id) = successor.filter(|_| self.settings.failover_command == FailoverCommand::Promotes) {
            self.promote_postgres(id);
        }
    }

    /// Puts a node up unless it is.
    fn put_up(&mut self, now: Duration, id: usize) -> bool {
        let Some(node) = self.nodes.get(id) else { return true };
        let (was_attached, was_quarantined) = (node.is_attached(), node.quarantine);
        if was_attached {
            return false;
        }
        self.set_status(now, id, NodeStatus::Waiting);
        if was_quarantined && self.primary.is_none() && self.quarantined_primary == Some(id) {
            self.primary = self.quarantined_primary.take();
        }
        true
    }

    /// Sets a node down unless it is; one in quarantine is only after this.
    fn set_down(&mut self, now: Duration, id: usize) -> bool {
        let Some(node) = self.nodes.get(id) else { return true };
        if !node.is_attached() && !node.quarantine {
            return false;
        }
        if self.quarantined_primary == Some(id) && self.primary.is_none() {
            self.primary = self.quarantined_primary.take();
        }
        self.set_status(now, id, NodeStatus::Down)
    }

    /// Tells whether a primary is searched after a change that is about to be made.
    fn has_to_search(&self, change: Change) -> bool {
        let is_quarantined = |id| self.nodes.get(id).is_some_and(|node: &Node| node.quarantine);
        match (change, self.primary) {
            // One that leaves quarantine comes back as what it was.
            (Change::Attach(id), _) => !is_quarantined(id),
            (Change::Detach(id), None) if self.quarantined_primary == Some(id) => true,
            (Change::Detach(_), None) => self.age.searches_when_no_primary_is_lost(),
            (Change::Detach(id), Some(primary)) => id == primary,
            (Change::Switchover(_), _) => true,
            (Change::Promote(_), _) => false,
        }
    }

    fn search(&mut self, now: Duration, change: Change) {
        let all_are_down = !self.nodes.iter().any(Node::is_attached);
        if self.settings.mode == Mode::Raw || (all_are_down && self.age.gives_up_when_all_are_down()) {
            self.finish(now, change, None);
            return;
        }
        let timeout = self.settings.search_primary_node_timeout;
        let until = (!timeout.is_zero()).then(|| now + timeout);
        self.main.look(now, until, change);
    }

    /// Ends an operation with what is the primary now.
    pub(super) fn finish(&mut self, now: Duration, change: Change, primary: Option<usize>) {
        let old = self.primary;
        if let Some(primary) = primary.filter(|_| self.sets_the_others_down(change, old)) {
            self.follow(now, old, primary);
        }
        if old != primary {
            old.into_iter().chain(primary).for_each(|id| self.stamp(now, id));
        }
        self.primary = primary;
        self.main.complete(now, self.settings.operation_delay);
    }

    /// Tells whether a change of primary sets every other node down.
    fn sets_the_others_down(&self, change: Change, old: Option<usize>) -> bool {
        let has_command = !self.settings.follow_primary_command.is_empty();
        match (change, old) {
            (Change::Promote(_), _) => true,
            (Change::Attach(_), _) => false,
            (Change::Switchover(_), _) => has_command,
            (Change::Detach(id), Some(old)) => has_command && id == old,
            (Change::Detach(_), None) => has_command && self.age.has_quarantine(),
        }
    }

    fn follow(&mut self, now: Duration, old_primary: Option<usize>, new_primary: usize) {
        let others = || (0..self.nodes.len()).filter(|&id| id != new_primary);
        if !self.settings.follow_primary_command.is_empty() {
            let runs = others().map(|detached| FollowRun { detached, old_primary, new_primary });
            self.main.follow_runs.extend(runs);
        }
        for id in others().collect::<Vec<_>>() {
            self.set_status(now, id, NodeStatus::Down);
        }
    }
}

#[cfg(test)]
mod tests {
    use pcp_proto::message::{PromoteMode, PromoteNode};

    use super::super::test::Drill;
    use super::super::{Age, Settings, World};
    use super::*;

    fn three(age: Age) -> World {
        World::new(age).node("10.0.0.1", 5432).node("10.0.0.2", 5432).node("10.0.0.3", 5432)
    }

    #[test]
    fn an_operation_takes_effect_after_its_reply() {
        let mut drill = Drill::new(three(Age::V4_7));
        drill.detach(2).unwrap();
        assert_eq!(drill.shown(), "0=up/primary 1=up/standby 2=up/standby");
        drill.wait(0.0021);
        assert_eq!(drill.shown(), "0=up/primary 1=up/standby 2=down/standby");
        assert_eq!(drill.world.nodes()[2].status, NodeStatus::Down);
        drill.wait(5.0);
        drill.attach(2).unwrap();
        drill.wait(0.1);
        assert_eq!(drill.world.nodes()[2].status, NodeStatus::Waiting, "until its first session");
        assert_eq!(drill.world.nodes()[2].changed, World::START + 5);
        let changes: Vec<_> = drill.world.operations().iter().map(|operation| operation.change).collect();
        assert_eq!(changes, [Change::Detach(2), Change::Attach(2)]);
    }

    #[test]
    fn changes_of_nodes_that_do_not_exist_replace_the_pcp_process_and_no_more() {
        let mut drill = Drill::new(three(Age::V4_7));
        let before = drill.shown();
        drill.detach(3).unwrap();
        drill.wait(5.0);
        drill.attach(127).unwrap();
        drill.wait(5.0);
        assert_eq!((drill.shown(), drill.world.replacements()), (before, 2));
    }

    #[test]
    fn a_detach_of_a_standby_searches_nothing_where_there_is_a_primary() {
        let mut drill = Drill::new(three(Age::V4_7));
        drill.world.kill_postgres(0);
        drill.detach(2).unwrap();
        drill.wait(60.0);
        assert_eq!(drill.shown(), "0=up/primary 1=up/standby 2=down/standby");
        // An attach searches: the primary is dead, so there is none.
        drill.attach(2).unwrap();
        drill.wait(60.0);
        assert_eq!(drill.shown(), "0=up/standby 1=up/standby 2=up/standby");
    }

    #[test]
    fn a_promotion_sets_every_other_node_down_and_asks_no_postgres() {
        for follow in ["", "/etc/pgpool-II/follow_primary.sh"] {
            let world = three(Age::V4_1).configure(|settings| settings.follow_primary_command = follow.to_owned());
            let mut drill = Drill::new(world);
            drill.promote(1).unwrap();
            drill.wait(0.1);
            assert_eq!(drill.shown(), "0=down/standby 1=up/primary 2=down/standby");
            assert_eq!(drill.world.follow_runs().is_empty(), follow.is_empty());
        }
    }

    #[test]
    fn a_failover_command_promotes_the_node_that_is_to_follow_the_primary() {
        let promotes = |settings: &mut Settings| settings.failover_command = FailoverCommand::Promotes;
        for age in Age::ALL {
            let mut drill = Drill::new(three(age).configure(promotes));
            drill.detach(2).unwrap();
            drill.wait(2.0);
            assert!(
                drill.world.nodes().iter().skip(1).all(|node| node.postgres.in_recovery),
                "a standby went down"
            );
            drill.detach(0).unwrap();
            drill.wait(2.0);
            assert_eq!(drill.shown(), "0=down/standby 1=up/primary 2=down/standby", "{age}");
        }
        let mut drill = Drill::new(three(Age::V4_7).configure(promotes));
        drill.ask(&PromoteNode { node: "2".parse().unwrap(), mode: PromoteMode::Switchover }).unwrap();
        drill.wait(2.0);
        assert_eq!(drill.shown(), "0=down/standby 1=up/standby 2=up/primary");
    }

    #[test]
    fn a_follow_command_sets_the_other_nodes_down_after_a_failover_of_the_primary() {
        let world = three(Age::V4_7).configure(|settings| settings.follow_primary_command = "follow".to_owned());
        let mut drill = Drill::new(world);
        drill.detach(2).unwrap();
        drill.wait(2.0);
        assert_eq!(drill.world.follow_runs(), [], "no change of primary");
        drill.attach(2).unwrap();
        drill.wait(2.0);
        drill.world.promote_postgres(1);
        drill.detach(0).unwrap();
        drill.wait(2.0);
        assert_eq!(drill.shown(), "0=down/standby 1=up/primary 2=down/standby");
        let run = |detached| FollowRun { detached, old_primary: Some(0), new_primary: 1 };
        assert_eq!(drill.world.follow_runs(), [run(0), run(2)]);
    }

    #[test]
    fn a_follow_command_runs_without_an_old_primary_where_none_was_known() {
        for (age, runs) in [(Age::V4_3_0, 0), (Age::V4_3_1, 2)] {
            let world = three(age).configure(|settings| settings.follow_primary_command = "follow".to_owned());
            let mut drill = Drill::new(world);
            drill.world.set_primary(None);
            drill.detach(2).unwrap();
            drill.wait(2.0);
            assert_eq!((drill.world.primary(), drill.world.follow_runs().len()), (Some(0), runs), "{age}");
            assert!(drill.world.follow_runs().iter().all(|run| run.old_primary.is_none()));
        }
    }

    #[test]
    fn a_node_leaves_quarantine_as_what_it_was_or_by_a_detach() {
        let mut drill = Drill::new(three(Age::V4_3_1));
        drill.world.quarantine(Duration::ZERO, 0);
        assert_eq!(drill.shown(), "0=quarantine/standby 1=up/standby 2=up/standby");
        // Nothing is searched: this primary would not be found.
        drill.world.kill_postgres(0);
        drill.attach(0).unwrap();
        drill.wait(9.0);
        assert_eq!(drill.shown(), "0=up/primary 1=up/standby 2=up/standby");

        drill.wait(2.0);
        drill.world.quarantine(drill.now, 2);
        drill.detach(2).unwrap();
        drill.wait(0.1);
        assert_eq!(drill.shown(), "0=up/primary 1=up/standby 2=down/standby");
    }
}
