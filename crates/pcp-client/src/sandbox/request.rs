//! The requests behind the login.

use std::time::Duration;

use bytes::Bytes;
use pcp_proto::message::{NodeCount, NodeInfos};
use pcp_proto::{Frame, Release, ReplyKind, RequestKind};

use super::answer::{Answer, Failure, Reply, Then};
use super::work::Work;
use super::{Age, Node, World};

/// A request that servers take and answer with nothing at all.
const STOP_RECOVERY: RequestKind = RequestKind(b'F');

/// Which nodes a request is about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Asked {
    All,
    Node(usize),
}

impl World {
    pub(super) fn command(&mut self, now: Duration, connection: u64, frame: &Frame<RequestKind>) -> Answer {
        use RequestKind as Kind;
        let body = &frame.body;
        let answer = match frame.kind {
            Kind::READ_NODE_INFO => self.read_node_info(now, connection, body),
            Kind::DETACH_NODE_GRACEFULLY => self.detach_node_gracefully(now, connection, body),
            Kind::PROMOTE_NODE_GRACEFULLY => self.promote_node_gracefully(now, connection, body),
            Kind::RECOVER_NODE => self.recover_node(now, connection, body),
            _ => self.quick_command(now, connection, frame).map(Answer::Now),
        };
        answer.unwrap_or_else(|failure| Answer::Now(failure.into()))
    }

    /// Serves what is answered at once.
    fn quick_command(
        &mut self,
        now: Duration,
        connection: u64,
        frame: &Frame<RequestKind>,
    ) -> Result<Reply, Failure> {
        use RequestKind as Kind;
        let body = &frame.body;
        match frame.kind {
            Kind::READ_NODE_COUNT => {
                let count = u32::try_from(self.nodes.len()).unwrap_or(u32::MAX);
                Ok(Reply::of(&NodeCount(count), ReplyKind::NODE_COUNT))
            }
            Kind::READ_HEALTH_CHECK_STATS if self.age.has_health_check_stats() => self.read_stats(body),
            Kind::READ_POOL_STATUS => Ok(Reply::of(&self.pool_status(), ReplyKind::POOL_STATUS)),
            Kind::READ_PROCESS_COUNT => Ok(self.read_process_count()),
            Kind::READ_PROCESS_INFO => self.read_process_info(body),
            Kind::READ_WATCHDOG_INFO => self.read_watchdog_info(body),
            Kind::ATTACH_NODE => self.attach_node(now, body),
            Kind::DETACH_NODE => self.detach_node(now, body),
            Kind::PROMOTE_NODE => self.promote_node(now, body),
            Kind::STOP_PGPOOL => self.check_nothing_is_in_progress().and_then(|()| self.stop_pgpool(now, body)),
            Kind::STOP_CLUSTER if self.is_at_least(4, 2) => self.stop_pgpool(now, body),
            Kind::RELOAD_CONFIG if self.is_at_least(4, 2) => reload_config(body),
            Kind::ROTATE_LOG if self.is_at_least(4, 6) => self.rotate_log(body),
            Kind::INVALIDATE_QUERY_CACHE if self.is_at_least(4, 6) => self.invalidate_query_cache(),
            Kind::SET_PARAMETER => self.set_parameter(connection, body),
            STOP_RECOVERY => Ok(Reply::empty(Then::GoOn)),
            RequestKind(letter) => {
                let detail = format!("unknown PCP packet type \"{}\"", char::from(letter));
                Err(Failure::fatal("PCP processing request", &detail))
            }
        }
    }

    fn read_node_info(&mut self, now: Duration, connection: u64, body: &Bytes) -> Result<Answer, Failure> {
        let id = number(body)?;
        let has_rows = self.age.node_info_layout().has_rows();
        let asked = match self.existing(id) {
            Some(id) => Asked::Node(id),
            None if id == -1 && has_rows => Asked::All,
            None => {
                let detail = match has_rows {
                    true => format!("invalid node ID : {}", text(body)),
                    false => "invalid node ID".to_owned(),
                };
                return Err(Failure::error_with("informing node info failed", &detail));
            }
        };
        let busy = self.time_to_dial(self.dialed_for(asked).iter());
        if busy.is_zero() {
            return Ok(Answer::Now(self.node_infos(asked)));
        }
        Ok(self.put_off(now + busy, connection, Work::Dial(asked)))
    }

    /// Returns the nodes that the server connects to for node info.
    fn dialed_for(&self, asked: Asked) -> &[Node] {
        let has_checks = !self.settings.health_check_period.is_zero();
        match asked {
            _ if self.age == Age::V4_3_0 => &self.nodes,
            _ if !has_checks || !self.age.node_info_layout().has_rows() => &[],
            Asked::All => &self.nodes,
            Asked::Node(id) => self.nodes.get(id..=id).unwrap_or_default(),
        }
    }

    pub(super) fn node_infos(&self, asked: Asked) -> Reply {
        let ids = match asked {
            Asked::All => 0..self.nodes.len(),
            Asked::Node(id) => id..id + 1,
        };
        let nodes = ids.filter_map(|id| self.node_info(id)).collect();
        Reply::of(&NodeInfos { layout: self.age.node_info_layout(), nodes }, ReplyKind::NODE_INFO)
    }

    fn read_stats(&self, body: &Bytes) -> Result<Reply, Failure> {
        const MESSAGE: &str = "informing health check stats info failed";
        let id = number(body)?;
        if let Some(stats) = self.existing(id).and_then(|id| self.health_check_stats(id)) {
            return Ok(Reply::of(&stats, ReplyKind::HEALTH_CHECK_STATS));
        }
        // The server's first check lets one too many pass.
        let detail = match usize::try_from(id) == Ok(self.nodes.len()) {
            true => format!("stats data for node ID {id} does not exist"),
            false => format!("invalid node ID {id}"),
        };
        Err(Failure::error_with(MESSAGE, &detail))
    }

    fn read_watchdog_info(&self, body: &Bytes) -> Result<Reply, Failure> {
        let Some(watchdog) = &self.settings.watchdog else {
            let detail = match self.is_at_least(4, 3) {
                true => "watchdog is not enabled",
                false => "watcdhog is not enabled",
            };
            return Err(Failure::error_with("PCP: informing watchdog info failed", detail));
        };
        Ok(Reply::of(&watchdog.info(self.age, number(body)?), ReplyKind::WATCHDOG_INFO))
    }

    fn rotate_log(&self, body: &Bytes) -> Result<Reply, Failure> {
        if body.is_empty() {
            return Err(Failure::crash());
        }
        match self.settings.logging_collector {
            true => Ok(Reply::accepted(ReplyKind::ROTATE_LOG)),
            false => {
                Err(Failure::error_with("process log rotation request failed", "logging_collector is disabled"))
            }
        }
    }

    fn invalidate_query_cache(&self) -> Result<Reply, Failure> {
        match self.settings.memory_cache_enabled {
            true => Ok(Reply::accepted(ReplyKind::INVALIDATE_QUERY_CACHE)),
            false => Err(Failure::error("query cache is not enabled")),
        }
    }

    pub(super) fn existing(&self, id: i32) -> Option<usize> {
        usize::try_from(id).ok().filter(|&id| id < self.nodes.len())
    }

    pub(super) fn is_at_least(&self, major: u8, minor: u8) -> bool {
        self.age.release() >= Release::new(major, minor)
    }
}

/// Serves a reload: the settings are in force as soon as they are changed here.
fn reload_config(body: &Bytes) -> Result<Reply, Failure> {
    if body.is_empty() { Err(Failure::crash()) } else { Ok(Reply::accepted(ReplyKind::RELOAD_CONFIG)) }
}

/// Reads a number as C does: what is none counts as zero, and what follows it is not looked at.
pub(super) fn number(body: &Bytes) -> Result<i32, Failure> {
    if body.is_empty() {
        return Err(Failure::crash());
    }
    let text = text(body);
    let text = text.trim_start_matches(|c: char| c.is_ascii_whitespace());
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let digits = digits.bytes().map_while(|byte| byte.is_ascii_digit().then(|| i32::from(byte - b'0')));
    Ok(digits.fold(0_i32, |number, digit| number.saturating_mul(10).saturating_add(sign * digit)))
}

/// Returns the first string of a body.
pub(super) fn text(body: &Bytes) -> String {
    let text = body.split(|&byte| byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(text).into_owned()
}

#[cfg(test)]
mod tests {
    use pcp_proto::message::{ReadHealthCheckStats, ReadNodeCount, ReadNodeInfo, Request};
    use pcp_proto::{NodeId, ServerMessage};

    use super::super::FailoverFlag;
    use super::super::test::Drill;
    use super::*;

    /// Ages around the boundary at which most texts changed.
    const OLD: Age = Age::V4_2_8;
    const NEW: Age = Age::V4_3_1;

    fn drill(age: Age) -> Drill {
        let disallowed = |node: &mut Node| node.flag = FailoverFlag::DisallowToFailover;
        let world = World::new(age).node("10.0.0.1", 5432).node("10.0.0.2", 5432).node("10.0.0.3", 5432);
        let mut drill = Drill::new(world.node_with("10.0.0.4", 5432, disallowed));
        drill.detach(2).unwrap();
        drill.wait(3.0);
        drill
    }

    /// Asks with a body as given; `None` for a reply that is no refusal.
    fn refusal(age: Age, kind: RequestKind, body: &'static [u8]) -> Option<String> {
        let reply = drill(age).frame(&Frame::new(kind, body));
        let refused = reply.frames.first().filter(|frame| frame.kind == ReplyKind::ERROR)?;
        let message = ServerMessage::decode(&refused.body).unwrap();
        assert_eq!(message.is_fatal(), reply.then == Then::Close);
        Some(message.to_string())
    }

    #[test]
    fn refusals_have_the_words_of_their_age() {
        use RequestKind as Kind;
        #[rustfmt::skip]
        let table: &[(Age, RequestKind, &'static [u8], &str)] = &[
            (OLD, Kind::READ_NODE_INFO, b"99\0", "ERROR: informing node info failed (invalid node ID)"),
            (OLD, Kind::READ_NODE_INFO, b"-1\0", "ERROR: informing node info failed (invalid node ID)"),
            (NEW, Kind::READ_NODE_INFO, b"99\0", "ERROR: informing node info failed (invalid node ID : 99)"),
            (NEW, Kind::READ_NODE_INFO, b"-2\0", "ERROR: informing node info failed (invalid node ID : -2)"),
            (NEW, Kind::READ_HEALTH_CHECK_STATS, b"99\0", "ERROR: informing health check stats info failed (invalid node ID 99)"),
            (OLD, Kind::READ_HEALTH_CHECK_STATS, b"4\0", "ERROR: informing health check stats info failed (stats data for node ID 4 does not exist)"),
            (Age::V4_1_11, Kind::READ_HEALTH_CHECK_STATS, b"0\0", "FATAL: PCP processing request (unknown PCP packet type \"H\")"),
            (NEW, RequestKind(b'Q'), b"\0", "FATAL: PCP processing request (unknown PCP packet type \"Q\")"),
            (OLD, Kind::READ_WATCHDOG_INFO, b"-1\0", "ERROR: PCP: informing watchdog info failed (watcdhog is not enabled)"),
            (NEW, Kind::READ_WATCHDOG_INFO, b"-1\0", "ERROR: PCP: informing watchdog info failed (watchdog is not enabled)"),
            (NEW, Kind::ATTACH_NODE, b"128\0", "ERROR: invalid failback request, node id: 128 is out of range. node id must be between [0 and 128]"),
            (NEW, Kind::ATTACH_NODE, b"-1\0", "ERROR: invalid failback request, node id: -1 is out of range. node id must be between [0 and 128]"),
            (NEW, Kind::DETACH_NODE, b"128\0", "ERROR: invalid degenerate backend request, node id: 128 is out of range. node id must be between [0 and 128]"),
            (NEW, Kind::DETACH_NODE, b"2\0", "ERROR: invalid degenerate backend request, node id : 2 status: [3] is not valid for failover"),
            (NEW, Kind::DETACH_NODE, b"3\0", "ERROR: degenerate backend request for node_id: 3 from pid [4711] is canceled because failover is disallowed on the node"),
            (OLD, Kind::PROMOTE_NODE, b"99 \0n", "ERROR: could not process recovery request (node id 99 is not valid)"),
            (NEW, Kind::PROMOTE_NODE, b"99 \0n", "ERROR: could not process promote request (node id 99 is not valid)"),
            (OLD, Kind::PROMOTE_NODE, b"0\0", "FATAL: invalid pgpool mode for process recovery request (specified node is already primary node, can't promote node id 0)"),
            (NEW, Kind::PROMOTE_NODE, b"0 \0n", "FATAL: invalid promote request (specified node is already primary node, can't promote node id 0)"),
        ];
        for &(age, kind, body, text) in table {
            assert_eq!(refusal(age, kind, body).as_deref(), Some(text), "{age}");
        }
    }

    #[test]
    fn what_looks_wrong_and_is_not_refused() {
        use RequestKind as Kind;
        #[rustfmt::skip]
        let table: &[(RequestKind, &'static [u8])] = &[
            (Kind::ATTACH_NODE, b"127\0"), (Kind::DETACH_NODE, b"127\0"), (Kind::DETACH_NODE, b"4\0"),
            (Kind::PROMOTE_NODE, b"2 \0n"), (Kind::READ_NODE_INFO, b"abc\0"), (Kind::READ_NODE_INFO, b"1abc"),
            (Kind::SET_PARAMETER, b"client_min_messages\0debug1\0"), (STOP_RECOVERY, b""),
        ];
        for &(kind, body) in table {
            assert_eq!(refusal(NEW, kind, body), None, "{kind} {}", body.escape_ascii());
        }
        let mut drill = drill(NEW);
        drill.promote(2).unwrap();
        drill.wait(3.0);
        assert_eq!(drill.shown(), "0=up/primary 1=up/standby 2=down/standby 3=up/standby");
    }

    #[test]
    fn a_request_that_lacks_its_payload_kills_the_worker() {
        for kind in [RequestKind::READ_NODE_INFO, RequestKind::DETACH_NODE, RequestKind::PROMOTE_NODE] {
            assert_eq!(drill(NEW).frame(&Frame::new(kind, &b""[..])), Reply::empty(Then::Crash));
        }
    }

    #[test]
    fn node_info_waits_for_silent_hosts_where_the_age_and_the_settings_make_it_dial() {
        let all = ReadNodeInfo::All;
        let node = |id: usize| ReadNodeInfo::Node(NodeId::try_from(id).unwrap());
        let checks = [Duration::ZERO, Duration::from_secs(10)];
        #[rustfmt::skip]
        let table = [
            (Age::V4_2, checks[1], node(1), 0), (Age::V4_3_0, checks[0], node(0), 20), (NEW, checks[0], all, 0),
            (NEW, checks[1], all, 20), (NEW, checks[1], node(0), 0), (NEW, checks[1], node(1), 10), (Age::V4_7, checks[1], all, 20),
        ];
        for (age, period, request, seconds) in table {
            let mut drill = drill(age);
            drill.world.settings_mut().health_check_period = period;
            drill.world.silence_postgres(1, true);
            drill.world.silence_postgres(3, true);
            let before = drill.now;
            drill.ask(&request).unwrap();
            assert_eq!((drill.now - before).as_secs(), seconds, "{age} {period:?} {request:?}");
            drill.ask(&ReadNodeCount).unwrap();
            let _ = drill.ask(&ReadHealthCheckStats { node: NodeId::MAX });
            assert_eq!((drill.now - before).as_secs(), seconds);
        }
    }

    #[test]
    fn a_late_answer_shows_the_state_at_its_end() {
        let mut drill = drill(NEW);
        drill.world.settings_mut().health_check_period = Duration::from_secs(10);
        drill.world.silence_postgres(1, true);
        let connection = drill.log_in();
        let asked = drill.now;
        let frame = ReadNodeInfo::Node(NodeId::try_from(1_usize).unwrap()).encode();
        let late = asked + Duration::from_secs(10);
        assert_eq!(drill.world.request(asked, connection, &frame), Answer::Later(late));
        drill.world.detach(asked, 1);
        let Answer::Now(reply) = drill.world.resume(late, connection) else { panic!("it is ready") };
        let row = reply.frames[1].body.clone();
        assert!(row.starts_with(b"NodeInfo\x0010.0.0.2\x005432\x003\x000\0down\0"), "{}", row.escape_ascii());
    }
}
