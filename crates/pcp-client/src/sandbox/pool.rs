//! Pgpool's children, their pools of connections, and the SQL sessions that fill them.

use std::num::NonZeroU32;
use std::time::Duration;

use bytes::Bytes;
use pcp_proto::ReplyKind;
use pcp_proto::message::{NodeStatus, ProcessCount, ProcessInfo, ProcessInfoLayout, ProcessInfos, ProcessTime};

use super::answer::{Failure, Reply};
use super::layout::civil_time;
use super::request::{number, text};
use super::{Node, World};

/// The children that have served a session, by their places.
pub(super) type Children = Vec<Session>;

/// The last session of a child.
#[derive(Clone, Debug)]
pub(super) struct Session {
    begun: Duration,
    ended: Option<Duration>,
    /// Sessions of this child that ended.
    served: i32,
    /// The nodes that it is connected to.
    nodes: Vec<usize>,
}

const DATABASE: &str = "app";
const USER: &str = "postgres";
const CLIENT_HOST: &str = "10.0.0.100";
const CLIENT_PORT: usize = 43_900;
/// PostgreSQL's process that serves the first slot of the first child.
const BACKEND_PID: usize = 7210;

impl World {
    /// Begins an SQL session, in the first child that has none; it uses every node that is attached, and outlives
    /// all operations here. Nothing happens where every child is busy.
    pub fn open_session(&mut self, now: Duration) {
        self.advance(now);
        let nodes: Vec<usize> = (0..self.nodes.len()).filter(|&id| self.is_attached(id)).collect();
        for node in self.nodes.iter_mut().filter(|node| node.is_attached()) {
            node.status = NodeStatus::Up;
        }
        let free = self.children.iter().position(|session| session.ended.is_some());
        let place = free.unwrap_or(self.children.len());
        if place < self.settings.num_init_children {
            let served = self.children.get(place).map_or(0, |session| session.served);
            let session = Session { begun: now, ended: None, served, nodes };
            match self.children.get_mut(place) {
                Some(old) => *old = session,
                None => self.children.push(session),
            }
        }
    }

    /// Ends the SQL session that began last; its connections to the nodes stay in the child's pool.
    pub fn close_session(&mut self, now: Duration) {
        self.advance(now);
        let open = self.children.iter_mut().filter(|session| session.ended.is_none());
        if let Some(session) = open.max_by_key(|session| session.begun) {
            session.ended = Some(now);
            session.served = session.served.saturating_add(1);
        }
        self.stop_when_idle(now);
    }

    /// Returns how many SQL sessions there are.
    pub fn sessions(&self) -> usize {
        self.children.iter().filter(|session| session.ended.is_none()).count()
    }

    /// Serves a request for the process ids.
    pub(super) fn read_process_count(&self) -> Reply {
        let digits = self.age.process_id_digits();
        let cut = |pid: u32| {
            let shown: String = pid.to_string().chars().take(digits).collect();
            shown.parse().unwrap_or(pid)
        };
        Reply::of(&ProcessCount { pids: self.process_ids().map(cut).collect() }, ReplyKind::PROCESS_COUNT)
    }

    /// Serves a request for what the children do.
    pub(super) fn read_process_info(&self, body: &Bytes) -> Result<Reply, Failure> {
        let asked = number(body)?;
        let asked = u32::try_from(asked).map(NonZeroU32::new).ok();
        let is_asked = |pid: u32| asked.is_some_and(|asked| asked.is_none_or(|asked| asked.get() == pid));
        let children: Vec<_> = self.process_ids().enumerate().filter(|&(_, pid)| is_asked(pid)).collect();
        if children.is_empty() && asked != Some(None) {
            let detail = format!("invalid process ID : {}", text(body));
            return Err(Failure::error_with("informing process info failed", &detail));
        }
        let processes = children.into_iter().flat_map(|(place, pid)| self.slots(place, pid)).collect();
        Ok(Reply::of(&ProcessInfos { layout: self.age.process_info_layout(), processes }, ReplyKind::PROCESS_INFO))
    }

    pub(super) fn process_ids(&self) -> impl Iterator<Item = u32> {
        let first = self.settings.first_process_id;
        (first..).take(self.settings.num_init_children)
    }

    /// Returns every slot of a child: pool by pool, node by node.
    fn slots(&self, place: usize, pid: u32) -> Vec<ProcessInfo> {
        let pools = 0..self.settings.max_pool;
        let slots = pools.flat_map(|pool| (0..self.nodes.len()).map(move |node| (pool, node)));
        slots.map(|(pool, node)| self.slot(place, pid, pool, node)).collect()
    }

    /// Returns a slot; the layout leaves out what its age does not have. Of the child, some is shown in free slots
    /// too.
    fn slot(&self, place: usize, pid: u32, pool: usize, node: usize) -> ProcessInfo {
        let session = self.children.get(place);
        let is_busy = session.is_some_and(|session| session.ended.is_none());
        let free = ProcessInfo {
            pid,
            start_time: self.time_of(Duration::ZERO),
            client_connection_count: Some(session.map_or(0, |session| session.served)),
            pool_id: u32::try_from(pool).ok(),
            backend_id: u8::try_from(node).unwrap_or(u8::MAX),
            backend_connection_time: self.never(),
            client_connection_time: Some("".into()),
            client_disconnection_time: Some("".into()),
            client_idle_duration: Some("0".into()),
            status: Some(if is_busy { "Idle" } else { "Wait for connection" }.into()),
            load_balance_node: Some(false),
            client_host: Some(session.map_or("", |_| CLIENT_HOST).into()),
            client_port: Some(
                session.map(|_| (CLIENT_PORT + place).to_string()).unwrap_or_default().as_str().into(),
            ),
            statement: Some(
                session
                    .filter(|session| self.load_balance_node(session) == Some(node))
                    .map_or("", statement)
                    .into(),
            ),
            ..ProcessInfo::default()
        };
        let Some(session) = session.filter(|session| pool == 0 && session.nodes.contains(&node)) else {
            return free;
        };
        let text = |time| civil_time(Self::unix_time(time)).as_str().into();
        ProcessInfo {
            database: DATABASE.into(),
            username: USER.into(),
            backend_connection_time: self.time_of(session.begun),
            client_connection_time: Some(text(session.begun)),
            client_disconnection_time: Some(session.ended.map(text).unwrap_or_default()),
            majorversion: 3,
            pool_counter: 1,
            backend_pid: i32::try_from(BACKEND_PID + place * self.nodes.len() + node).unwrap_or(i32::MAX),
            connected: is_busy,
            load_balance_node: Some(is_busy && Some(node) == self.load_balance_node(session)),
            ..free
        }
    }

    /// Returns the node that a session's reads go to: its last standby, or else the only node.
    fn load_balance_node(&self, session: &Session) -> Option<usize> {
        let attached = session.nodes.iter().filter(|&&id| self.nodes.get(id).is_some_and(Node::is_attached));
        attached.max().copied()
    }

    fn time_of(&self, time: Duration) -> ProcessTime {
        let unix = Self::unix_time(time);
        match self.has_local_times() {
            true => ProcessTime::Local(civil_time(unix).as_str().into()),
            false => ProcessTime::Unix(unix),
        }
    }

    fn never(&self) -> ProcessTime {
        match self.has_local_times() {
            true => ProcessTime::Local("".into()),
            false => ProcessTime::Unix(0),
        }
    }

    fn has_local_times(&self) -> bool {
        Some(self.age.process_info_layout()) != ProcessInfoLayout::with_fields(11)
    }
}

/// Returns what a session said last.
fn statement(session: &Session) -> &'static str {
    if session.ended.is_some() { "DISCARD ALL" } else { "SELECT 1" }
}

#[cfg(test)]
mod tests {
    use pcp_proto::message::{ReadProcessCount, ReadProcessInfo};

    use super::super::Age;
    use super::super::test::Drill;
    use super::*;

    /// Four children with two pools each, for three nodes; one child is busy, one was.
    fn drill(age: Age) -> Drill {
        let world = World::new(age).node("10.0.0.1", 5432).node("10.0.0.2", 5432).node("10.0.0.3", 5432);
        let mut drill = Drill::new(world.configure(|settings| {
            settings.num_init_children = 4;
            settings.max_pool = 2;
            settings.first_process_id = 1_234_567;
        }));
        drill.world.open_session(drill.now);
        drill.wait(2.0);
        drill.world.open_session(drill.now);
        drill.wait(3.0);
        drill.world.close_session(drill.now);
        drill
    }

    fn process(pid: u32) -> ReadProcessInfo {
        ReadProcessInfo::Process(NonZeroU32::new(pid).unwrap())
    }

    #[test]
    fn the_process_count_has_every_child_and_cuts_long_ids_as_its_age_does() {
        for age in Age::ALL {
            let pids = drill(age).ask(&ReadProcessCount).unwrap().pids;
            let expected = match age {
                Age::V3_5 => [12_345; 4],
                _ if age <= Age::V4_3_1 => [123_456, 123_456, 123_456, 123_457],
                _ => [1_234_567, 1_234_568, 1_234_569, 1_234_570],
            };
            assert_eq!(pids, expected, "{age}");
        }
    }

    #[test]
    fn every_slot_of_the_children_asked_for_is_a_row() {
        for age in Age::ALL {
            let mut drill = drill(age);
            let all = drill.ask(&ReadProcessInfo::All).unwrap();
            assert_eq!((all.layout, all.processes.len()), (age.process_info_layout(), 4 * 2 * 3), "{age}");
            let places: Vec<_> = all.processes.iter().map(|slot| (slot.pid, slot.backend_id)).collect();
            assert_eq!(places[..4], [(1_234_567, 0), (1_234_567, 1), (1_234_567, 2), (1_234_567, 0)]);
            let one = drill.ask(&process(1_234_568)).unwrap().processes;
            assert_eq!(one, all.processes[6..12]);
            for stranger in [1, 1_234_566, 1_234_571] {
                let refusal = drill.ask(&process(stranger)).unwrap_err();
                let expected = format!("ERROR: informing process info failed (invalid process ID : {stranger})");
                assert_eq!(refusal, expected, "{age}");
            }
        }
    }

    #[test]
    fn used_slots_tell_of_their_sessions_and_free_ones_of_their_child() {
        for (age, fields) in
            [(Age::V3_5, 11), (Age::V4_2_8, 11), (Age::V4_3_0, 17), (Age::V4_5, 18), (Age::V4_7, 21)]
        {
            let slots = drill(age).ask(&ReadProcessInfo::All).unwrap();
            assert_eq!(slots.layout.fields(), fields, "{age}");
            let slots = slots.processes;
            let used: Vec<_> = (0..24).filter(|&at| !slots[at].is_free()).collect();
            assert_eq!(used, [0, 1, 2, 6, 7, 8], "{age}");
            let [busy, left, free, idle] = [0, 6, 9, 12].map(|at| &slots[at]);
            assert!((busy.connected, left.connected, free.connected) == (true, false, false));
            assert_eq!((&*busy.database.to_string(), busy.majorversion, busy.backend_pid), ("app", 3, 7210));
            let local = |text: &str| ProcessTime::Local(text.into());
            let times = match fields {
                11 => [World::START, World::START + 2, 0].map(ProcessTime::Unix),
                _ => [local("2026-01-01 00:00:00"), local("2026-01-01 00:00:02"), local("")],
            };
            assert_eq!(
                [&busy.backend_connection_time, &left.backend_connection_time, &free.backend_connection_time],
                times.each_ref()
            );
            if fields > 11 {
                assert_eq!(left.client_disconnection_time, Some("2026-01-01 00:00:05".into()));
                assert_eq!((left.client_connection_count, busy.client_connection_count), (Some(1), Some(0)));
                let statuses = [busy, left, idle].map(|slot| slot.status.clone().unwrap().to_string());
                assert_eq!(statuses, ["Idle", "Wait for connection", "Wait for connection"]);
            }
            if fields >= 18 {
                let balanced: Vec<_> = (0..24).filter(|&at| slots[at].load_balance_node == Some(true)).collect();
                assert_eq!(balanced, [2]);
            }
            if fields == 21 {
                assert_eq!(
                    (&free.client_port, &slots[11].statement),
                    (&Some("43901".into()), &Some("DISCARD ALL".into()))
                );
                assert_eq!([&busy.statement, &slots[2].statement], [&Some("".into()), &Some("SELECT 1".into())]);
                assert_eq!((&idle.client_host, &idle.statement), (&Some("".into()), &Some("".into())));
            }
        }
    }

    #[test]
    fn a_session_uses_waiting_nodes_and_a_child_that_is_free() {
        let mut drill = drill(Age::V4_7);
        drill.detach(2).unwrap();
        drill.wait(2.0);
        drill.attach(2).unwrap();
        drill.wait(2.0);
        assert_eq!(drill.world.nodes()[2].status, NodeStatus::Waiting);
        for _ in 0..9 {
            drill.world.open_session(drill.now);
        }
        assert_eq!(drill.world.nodes()[2].status, NodeStatus::Up);
        assert_eq!(drill.world.sessions(), 4, "there are no more children");
    }
}
