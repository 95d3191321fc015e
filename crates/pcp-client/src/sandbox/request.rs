//! The requests behind the login.

use std::time::Duration;

use bytes::Bytes;
use pcp_proto::message::{NodeCount, NodeInfos};
use pcp_proto::{Frame, Release, ReplyKind, RequestKind};

use super::answer::{Answer, Failure, Reply, Then};
use super::{Age, Change, FailoverFlag, Mode, Node, World};

/// Requests that no client of this project sends, but others do.
const DETACH_GRACEFULLY: RequestKind = RequestKind(b'd');
const PROMOTE_GRACEFULLY: RequestKind = RequestKind(b'j');
const SET_PARAMETER: RequestKind = RequestKind(b'A');
const PARAMETER_SET: ReplyKind = ReplyKind(b'a');
const STOP_RECOVERY: RequestKind = RequestKind(b'F');

/// More ids than any server has nodes.
const ID_LIMIT: i32 = 128;

/// Which nodes a request is about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Asked {
    All,
    Node(usize),
}

impl World {
    /// Gives the answer that [`request`](Self::request) put off.
    pub fn resume(&mut self, now: Duration, connection: u64) -> Reply {
        self.advance(now);
        match self.connections.get_mut(&connection).and_then(|open| open.dialing_for.take()) {
            Some(asked) => self.node_infos(asked),
            None => Reply::empty(Then::GoOn),
        }
    }

    pub(super) fn command(&mut self, now: Duration, connection: u64, frame: &Frame<RequestKind>) -> Answer {
        let body = &frame.body;
        let reply = match frame.kind {
            RequestKind::READ_NODE_COUNT => {
                let count = u32::try_from(self.nodes.len()).unwrap_or(u32::MAX);
                Ok(Reply::of(&NodeCount(count), ReplyKind::NODE_COUNT))
            }
            RequestKind::READ_NODE_INFO => match self.read_node_info(now, connection, body) {
                Ok(answer) => return answer,
                Err(failure) => Err(failure),
            },
            RequestKind::READ_HEALTH_CHECK_STATS if self.age.has_health_check_stats() => self.read_stats(body),
            RequestKind::READ_POOL_STATUS => Ok(Reply::of(&self.pool_status(), ReplyKind::POOL_STATUS)),
            RequestKind::READ_WATCHDOG_INFO => self.read_watchdog_info(body),
            RequestKind::ATTACH_NODE => self.attach_node(now, body),
            RequestKind::DETACH_NODE | DETACH_GRACEFULLY => self.detach_node(now, body),
            RequestKind::PROMOTE_NODE | PROMOTE_GRACEFULLY => self.promote_node(now, body),
            SET_PARAMETER => Ok(Reply::accepted(PARAMETER_SET)),
            STOP_RECOVERY => Ok(Reply::empty(Then::GoOn)),
            RequestKind(letter) => {
                let detail = format!("unknown PCP packet type \"{}\"", char::from(letter));
                Err(Failure::fatal("PCP processing request", &detail))
            }
        };
        Answer::Now(reply.into())
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
        if let Some(open) = self.connections.get_mut(&connection) {
            open.dialing_for = Some(asked);
        }
        Ok(Answer::Later(now + busy))
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

    fn node_infos(&self, asked: Asked) -> Reply {
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

    fn attach_node(&mut self, now: Duration, body: &Bytes) -> Result<Reply, Failure> {
        let id = in_range(number(body)?, "failback")?;
        if self.settings.mode == Mode::Raw && self.is_attached(id) {
            let status = self.nodes.get(id).map_or(0, |node| node.status.code());
            let message =
                format!("invalid failback request, node id : {id} status: [{status}] not valid for failback");
            return Err(Failure::error(&message));
        }
        self.queue(now, Change::Attach(id));
        Ok(Reply::accepted(ReplyKind::ATTACH_NODE))
    }

    fn detach_node(&mut self, now: Duration, body: &Bytes) -> Result<Reply, Failure> {
        let id = in_range(number(body)?, "degenerate backend")?;
        self.check_detach(id)?;
        self.queue(now, Change::Detach(id));
        Ok(Reply::accepted(ReplyKind::DETACH_NODE))
    }

    fn check_detach(&self, id: usize) -> Result<(), Failure> {
        // A node that does not exist is not refused.
        let Some(node) = self.nodes.get(id) else { return Ok(()) };
        if !node.is_attached() && !node.quarantine {
            return Err(Failure::error(&format!(
                "invalid degenerate backend request, node id : {id} status: [{}] is not valid for failover",
                node.status.code()
            )));
        }
        if node.flag == FailoverFlag::DisallowToFailover {
            return Err(Failure::error(&format!(
                "degenerate backend request for node_id: {id} from pid [{WORKER}] is canceled because failover is \
                 disallowed on the node"
            )));
        }
        Ok(())
    }

    fn promote_node(&mut self, now: Duration, body: &Bytes) -> Result<Reply, Failure> {
        let id = number(body)?;
        let is_new = self.is_at_least(4, 3);
        let Some(known) = self.existing(id) else {
            let message = match is_new {
                true => "could not process promote request",
                false => "could not process recovery request",
            };
            return Err(Failure::error_with(message, &format!("node id {id} is not valid")));
        };
        if self.settings.mode == Mode::Raw {
            let message = match is_new {
                true => "invalid pgpool mode for process promote request",
                false => OLD_MODE,
            };
            let detail = format!("not in streaming replication mode, can't promote node id {id}");
            return Err(Failure::fatal(message, &detail));
        }
        if self.primary == Some(known) {
            let message = if is_new { "invalid promote request" } else { OLD_MODE };
            let detail = format!("specified node is already primary node, can't promote node id {id}");
            return Err(Failure::fatal(message, &detail));
        }
        if is_new && promote_option(body) == Some(b's') {
            self.check_detach(known)?;
            self.queue(now, Change::Switchover(known));
        } else if self.is_attached(known) {
            self.queue(now, Change::Promote(known));
        }
        Ok(Reply::accepted(ReplyKind::DETACH_NODE))
    }

    fn existing(&self, id: i32) -> Option<usize> {
        usize::try_from(id).ok().filter(|&id| id < self.nodes.len())
    }

    fn is_at_least(&self, major: u8, minor: u8) -> bool {
        self.age.release() >= Release::new(major, minor)
    }
}

/// What the worker's process id is said to be.
const WORKER: u32 = 4711;

/// What servers before 4.3 say of a promotion, with the words of another request.
const OLD_MODE: &str = "invalid pgpool mode for process recovery request";

/// Checks an id that need not exist, but fit the server's table.
fn in_range(id: i32, request: &str) -> Result<usize, Failure> {
    usize::try_from(id).ok().filter(|_| id < ID_LIMIT).ok_or_else(|| {
        Failure::error(&format!(
            "invalid {request} request, node id: {id} is out of range. node id must be between [0 and {ID_LIMIT}]"
        ))
    })
}

/// Reads a number as C does: what is none counts as zero, and what follows it is not looked at.
fn number(body: &Bytes) -> Result<i32, Failure> {
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
fn text(body: &Bytes) -> String {
    let text = body.split(|&byte| byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(text).into_owned()
}

/// Returns the letter behind the id; the form of old clients has none.
fn promote_option(body: &Bytes) -> Option<u8> {
    let end = body.iter().position(|&byte| byte == 0 || byte == b' ')?;
    body.get(end + 2).copied()
}
