//! How nodes are shown in node info and in health check statistics.

use pcp_proto::Text;
use pcp_proto::message::{Delay, HealthCheckStats, NodeInfo, NodeStatus};

use super::{Age, Mode, Node, World};

/// The scale of weights on the wire: a weight of one in all.
const RAND_MAX: f64 = 2_147_483_647.0;

impl World {
    /// Returns what node info says; the layout leaves out what its age does not have.
    pub(super) fn node_info(&self, id: usize) -> Option<NodeInfo> {
        let node = self.nodes.get(id)?;
        let (repl_state, sync_state) = self.replication(id, node);
        Some(NodeInfo {
            host: node.host.as_str().into(),
            port: node.port,
            status: node.status,
            quarantine: Some(node.quarantine),
            pg_status: Some(self.pg_status(node).into()),
            weight: self.weight_share(node) * RAND_MAX,
            role: Some(self.role(id)),
            pg_role: Some(self.pg_role(id, node)),
            delay_by_time: Some(is_time(node)),
            delay: Some(delay(node)),
            repl_state: Some(repl_state.into()),
            sync_state: Some(sync_state.into()),
            changed: Some(node.changed),
        })
    }

    pub(super) fn health_check_stats(&self, id: usize) -> Option<HealthCheckStats> {
        let node = self.nodes.get(id)?;
        Some(node.with_checks(HealthCheckStats {
            node_id: u8::try_from(id).ok()?,
            hostname: node.host.as_str().into(),
            port: node.port,
            status: self.status_word(node),
            role: self.role(id).to_string().into(),
            last_status_change: civil_time(node.changed).into(),
            ..HealthCheckStats::default()
        }))
    }

    /// Returns the word that everything but node info uses.
    pub(super) fn status_word(&self, node: &Node) -> Text {
        match node.quarantine && self.age.has_quarantine() {
            true => "quarantine".into(),
            false => node.status.to_string().into(),
        }
    }

    /// Returns a node's part of the load, 0 to 1.
    pub(super) fn weight_share(&self, node: &Node) -> f64 {
        let sum: f64 = self.nodes.iter().map(|node| node.weight).sum();
        if sum > 0.0 { node.weight / sum } else { 0.0 }
    }

    fn pg_status(&self, node: &Node) -> &'static str {
        match (self.settings.health_check_period.is_zero(), node.postgres.answers()) {
            (true, _) => "unknown",
            (false, true) => "up",
            (false, false) => "down",
        }
    }

    fn pg_role(&self, id: usize, node: &Node) -> Text {
        // 4.3.0 asks whether there are health checks or not.
        let is_asked = self.age == Age::V4_3_0 || !self.settings.health_check_period.is_zero();
        match self.settings.mode {
            Mode::Raw => self.role(id).to_string().into(),
            Mode::Streaming if !is_asked || !node.postgres.answers() => "unknown".into(),
            Mode::Streaming if node.postgres.in_recovery => "standby".into(),
            Mode::Streaming => "primary".into(),
        }
    }

    /// Tells what the primary knows of a standby; of what Pgpool takes for the primary, nothing, and without one it does not
    /// ask.
    fn replication(&self, id: usize, node: &Node) -> (&'static str, &'static str) {
        let streams = |node: &Node| node.postgres.answers() && node.postgres.in_recovery;
        let sends = |node: &Node| node.postgres.answers() && !node.postgres.in_recovery;
        let is_known = self.primary.is_some_and(|primary| primary != id)
            && node.status != NodeStatus::Unused
            && streams(node)
            && self.nodes.iter().any(sends);
        if is_known { ("streaming", "async") } else { ("", "") }
    }
}

/// Returns the number of a delay, whatever its unit.
pub(super) fn delay(node: &Node) -> u64 {
    match node.delay {
        Delay::Bytes(delay) | Delay::Microseconds(delay) => delay,
    }
}

/// Tells whether a node's delay is a time.
pub(super) fn is_time(node: &Node) -> bool {
    matches!(node.delay, Delay::Microseconds(_))
}

/// Writes a Unix time as a server in UTC does.
pub(super) fn civil_time(unix: i64) -> String {
    let (days, seconds) = (unix.div_euclid(86_400), unix.rem_euclid(86_400));
    // Years that begin in March end with the leap day; 719 468 days lie between the first of March of year 0 and
    // 1970.
    let days = days + 719_468;
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day_of_month = day - (153 * month + 2) / 5 + 1;
    let (month, carry) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    let year = year + era * 400 + carry;
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day_of_month:02} {hour:02}:{minute:02}:{second:02}")
}

#[cfg(test)]
mod tests {
    use pcp_proto::NodeId;
    use pcp_proto::message::{NodeRole, ReadHealthCheckStats, ReadNodeInfo};

    use super::super::test::Drill;
    use super::*;

    fn drill(age: Age) -> Drill {
        let world = World::new(age).node("10.0.0.1", 5432).node("10.0.0.2", 5433);
        let mut drill = Drill::new(world.node("10.0.0.3", 5432).node("10.0.0.4", 5432));
        drill.world.quarantine(drill.now, 2);
        drill
    }

    fn id(id: usize) -> NodeId {
        id.try_into().unwrap()
    }

    #[test]
    fn every_age_writes_its_layout() {
        for age in Age::ALL {
            let infos = drill(age).ask(&ReadNodeInfo::Node(id(1))).unwrap();
            assert_eq!(infos.layout, age.node_info_layout(), "{age}");
            let node = &infos.nodes[0];
            assert_eq!((&node.host, node.port, node.status), (&"10.0.0.2".into(), 5433, NodeStatus::Up));
            assert!((node.weight_share() - 0.25).abs() < 1e-6);
            assert_eq!(node.role.is_some(), age > Age::V3_5);
            assert!(node.role.is_none_or(|role| role == NodeRole::Standby));
            assert!(node.changed.is_none_or(|changed| changed == World::START));
            assert!(node.repl_state.as_ref().is_none_or(|state| *state == "streaming"));
            let mut promoted = drill(age);
            promoted.promote(1).unwrap();
            promoted.wait(1.0);
            let primary = promoted.ask(&ReadNodeInfo::Node(id(1))).unwrap().nodes.remove(0);
            assert!(primary.repl_state.is_none_or(|state| state.is_empty()), "{age}");

            let node = drill(age).ask(&ReadNodeInfo::Node(id(2))).unwrap().nodes.remove(0);
            assert_eq!(node.status, NodeStatus::Down);
            assert_eq!(node.quarantine, age.has_quarantine().then_some(true), "{age}");
        }
    }

    #[test]
    fn without_a_primary_nothing_is_known_of_replication() {
        let mut drill = drill(Age::V4_7);
        let mut state = |primary| {
            drill.world.primary = primary;
            drill.ask(&ReadNodeInfo::Node(id(1))).unwrap().nodes.remove(0).repl_state.unwrap()
        };
        assert_eq!([state(Some(0)), state(None)], ["streaming", ""]);
    }

    #[test]
    fn all_nodes_come_at_once_since_4_3() {
        for age in Age::ALL {
            let infos = drill(age).ask(&ReadNodeInfo::All);
            assert_eq!(infos.map(|infos| infos.nodes.len()).ok(), (age >= Age::V4_3_0).then_some(4), "{age}");
        }
    }

    #[test]
    fn the_live_part_is_the_truth_where_there_are_health_checks() {
        let live = |age, period| {
            let mut drill = drill(age);
            drill.world.settings_mut().health_check_period = std::time::Duration::from_secs(period);
            drill.world.promote_postgres(1);
            drill.world.kill_postgres(3);
            let nodes = drill.ask(&ReadNodeInfo::All).unwrap().nodes;
            [1, 2, 3].map(|id| {
                format!("{}/{}", nodes[id].pg_status.clone().unwrap(), nodes[id].pg_role.clone().unwrap())
            })
        };
        assert_eq!(live(Age::V4_7, 0), ["unknown/unknown"; 3]);
        assert_eq!(live(Age::V4_7, 10), ["up/primary", "up/standby", "down/unknown"]);
        assert_eq!(live(Age::V4_3_0, 0), ["unknown/primary", "unknown/standby", "unknown/unknown"]);
    }

    #[test]
    fn health_check_stats_show_the_view() {
        let stats = |node| drill(Age::V4_2).ask(&ReadHealthCheckStats { node: id(node) }).unwrap();
        assert_eq!((stats(0).status, stats(0).role), ("up".into(), "primary".into()));
        assert_eq!(stats(1).last_status_change, "2026-01-01 00:00:00");
        assert_eq!(stats(2).node_status(), Some(NodeStatus::Down));
    }

    #[test]
    fn times_are_written_as_dates() {
        assert_eq!(civil_time(World::START), "2026-01-01 00:00:00");
        assert_eq!(civil_time(1_709_251_199), "2024-02-29 23:59:59");
        assert_eq!(civil_time(0), "1970-01-01 00:00:00");
    }
}
