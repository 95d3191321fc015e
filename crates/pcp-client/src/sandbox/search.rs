//! The search for a primary.

use std::time::Duration;

use super::World;

impl World {
    /// Looks once which node is the primary, as the server does: among the nodes that are up in its view and whose
    /// PostgreSQL answers, one that is not in recovery.
    ///
    /// Of several, servers from 4.0 on take the last one where a standby answers too and the first one where none
    /// does; older ones take the first. None of them looks at who is the primary at present.
    pub(super) fn find_primary(&self) -> Option<usize> {
        let answering = || {
            let nodes = self.nodes().iter().enumerate();
            nodes.filter(|(_, node)| node.is_attached() && node.postgres.answers())
        };
        let mut primaries = answering().filter(|(_, node)| !node.postgres.in_recovery).map(|(id, _)| id);
        let has_standby = answering().any(|(_, node)| node.postgres.in_recovery);
        if self.age().prefers_the_last_primary() && has_standby { primaries.next_back() } else { primaries.next() }
    }

    /// Returns how long looking once takes: each silent node that is up costs the connect timeout.
    pub(super) fn time_to_look(&self) -> Duration {
        self.time_to_dial(self.nodes().iter().filter(|node| node.is_attached()))
    }

    /// Returns how long connecting to these nodes, one after the other, takes.
    pub(super) fn time_to_dial<'a>(&self, nodes: impl Iterator<Item = &'a super::Node>) -> Duration {
        nodes.filter(|node| node.postgres.silent).map(|_| self.settings().connect_timeout).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::super::test::Drill;
    use super::super::{Age, World};
    use super::*;

    /// Ages of the servers on which the table was tried, and one of each other kind.
    const AGES: [Age; 5] = [Age::V3_7, Age::V4_1, Age::V4_1_11, Age::V4_3_1, Age::V4_7];

    fn three(age: Age) -> Drill {
        Drill::new(World::new(age).node("10.0.0.1", 5432).node("10.0.0.2", 5432).node("10.0.0.3", 5432))
    }

    /// Node 0 died and was detached, the search ended without a result, then node 1 was promoted.
    fn without_primary(age: Age) -> Drill {
        let mut drill = three(age);
        drill.world.kill_postgres(0);
        drill.detach(0).unwrap();
        drill.wait(5.0);
        drill.world.promote_postgres(1);
        drill
    }

    /// The same, and node 1 was found.
    fn with_the_new_primary(age: Age) -> Drill {
        let mut drill = three(age);
        drill.world.kill_postgres(0);
        drill.world.promote_postgres(1);
        drill.detach(0).unwrap();
        drill.wait(3.0);
        assert_eq!(drill.shown(), "0=down/standby 1=up/primary 2=up/standby");
        drill
    }

    #[test]
    fn a_detach_of_the_old_primary_finds_the_promoted_node_whether_the_old_one_is_dead_or_not() {
        for age in AGES {
            for is_dead in [true, false] {
                let mut drill = three(age);
                if is_dead {
                    drill.world.kill_postgres(0);
                }
                drill.world.promote_postgres(1);
                drill.detach(0).unwrap();
                drill.wait(2.0);
                assert_eq!(drill.shown(), "0=down/standby 1=up/primary 2=up/standby", "{age}");
            }
        }
    }

    #[test]
    fn a_promotion_after_the_search_is_not_noticed() {
        for age in AGES {
            let mut drill = without_primary(age);
            drill.wait(600.0);
            assert_eq!(drill.shown(), "0=down/standby 1=up/standby 2=up/standby", "{age}");
        }
    }

    #[test]
    fn the_promoted_node_is_found_when_it_is_detached_and_attached() {
        for age in AGES {
            let mut drill = without_primary(age);
            drill.detach(1).unwrap();
            drill.wait(5.0);
            assert_eq!(drill.shown(), "0=down/standby 1=down/standby 2=up/standby", "{age}");
            drill.attach(1).unwrap();
            drill.wait(1.0);
            assert_eq!(drill.shown(), "0=down/standby 1=up/primary 2=up/standby", "{age}");
        }
    }

    #[test]
    fn a_detach_of_another_standby_finds_the_promoted_node_on_servers_that_search_then() {
        for age in AGES {
            let mut drill = without_primary(age);
            drill.detach(2).unwrap();
            drill.wait(2.0);
            let role = if matches!(age, Age::V3_7 | Age::V4_1) { "standby" } else { "primary" };
            assert_eq!(drill.shown(), format!("0=down/standby 1=up/{role} 2=down/standby"), "{age}");
            drill.attach(2).unwrap();
            drill.wait(2.0);
            assert_eq!(drill.shown(), "0=down/standby 1=up/primary 2=up/standby", "{age}");
        }
    }

    #[test]
    fn the_only_node_that_is_up_becomes_the_primary_by_a_cycle_or_a_promotion() {
        for age in AGES {
            let mut cycled = without_primary(age);
            cycled.world.set_status(Duration::ZERO, 2, pcp_proto::message::NodeStatus::Down);
            let mut promoted = cycled.clone();

            cycled.detach(1).unwrap();
            cycled.wait(2.0);
            cycled.attach(1).unwrap();
            cycled.wait(4.0);
            assert_eq!(cycled.shown(), "0=down/standby 1=up/primary 2=down/standby", "{age}");

            promoted.promote(1).unwrap();
            promoted.wait(1.0);
            assert_eq!(promoted.shown(), "0=down/standby 1=up/primary 2=down/standby", "{age}");
        }
    }

    #[test]
    fn an_attach_of_a_second_writable_node_leaves_the_primary_where_it_was() {
        for age in AGES {
            let mut drill = with_the_new_primary(age);
            drill.detach(2).unwrap();
            drill.wait(2.0);
            drill.world.promote_postgres(2);
            drill.attach(2).unwrap();
            drill.wait(2.0);
            assert_eq!(drill.shown(), "0=down/standby 1=up/primary 2=up/standby", "{age}");
        }
    }

    #[test]
    fn an_attach_of_the_living_old_primary_may_move_the_role() {
        for age in AGES {
            let is_old = age < Age::V4_0;
            let mut drill = with_the_new_primary(age);
            drill.world.start_postgres(0, false);
            let mut without_standby = drill.clone();

            drill.attach(0).unwrap();
            drill.wait(2.0);
            assert_eq!(drill.world.primary(), Some(if is_old { 0 } else { 1 }), "{age}");

            without_standby.world.kill_postgres(2);
            without_standby.attach(0).unwrap();
            without_standby.wait(2.0);
            assert_eq!(without_standby.shown(), "0=up/primary 1=up/standby 2=up/standby", "{age}");
        }
    }

    #[test]
    fn a_search_looks_at_once_and_every_second_until_its_time_is_over() {
        let mut drill = three(Age::V4_7);
        drill.world.kill_postgres(0);
        drill.detach(0).unwrap();
        drill.wait(1.5);
        // The role stays while the search runs.
        assert_eq!(drill.shown(), "0=down/primary 1=up/standby 2=up/standby");
        drill.world.promote_postgres(2);
        drill.wait(0.5);
        assert_eq!(drill.shown(), "0=down/primary 1=up/standby 2=up/standby");
        drill.wait(0.1);
        assert_eq!(drill.shown(), "0=down/standby 1=up/standby 2=up/primary");

        let mut drill = three(Age::V4_7);
        drill.world.kill_postgres(0);
        drill.detach(0).unwrap();
        drill.wait(2.9);
        drill.world.promote_postgres(1);
        drill.wait(60.0);
        assert_eq!(drill.world.primary(), None, "promoted after the last look");
    }

    #[test]
    fn a_search_without_a_timeout_goes_on_for_ever_and_blocks_all_else() {
        let mut drill = three(Age::V4_7);
        drill.world.settings_mut().search_primary_node_timeout = Duration::ZERO;
        drill.world.kill_postgres(0);
        drill.detach(0).unwrap();
        drill.detach(2).unwrap();
        drill.wait(1000.0);
        assert_eq!(drill.shown(), "0=down/primary 1=up/standby 2=up/standby");
        drill.world.promote_postgres(1);
        drill.wait(1.1);
        assert_eq!(drill.shown(), "0=down/standby 1=up/primary 2=down/standby");
    }

    #[test]
    fn each_look_waits_for_silent_hosts() {
        let mut drill = three(Age::V4_7);
        drill.world.promote_postgres(1);
        drill.world.silence_postgres(2, true);
        drill.detach(0).unwrap();
        drill.wait(9.9);
        assert_eq!(drill.world.primary(), Some(0));
        drill.wait(0.2);
        assert_eq!(drill.world.primary(), Some(1));
    }

    #[test]
    fn nothing_is_searched_where_every_node_is_down_except_by_old_servers() {
        for (age, primary) in [(Age::V4_0, Some(0)), (Age::V4_1, None)] {
            let mut drill = Drill::new(World::new(age).node("10.0.0.1", 5432));
            drill.detach(0).unwrap();
            drill.wait(0.1);
            assert_eq!(drill.world.primary(), primary, "{age}");
        }
    }
}
