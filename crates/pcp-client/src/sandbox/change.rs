//! The requests that change something: what is refused at once, and what is queued.

use std::time::Duration;

use bytes::Bytes;
use pcp_proto::ReplyKind;

use super::answer::{Failure, Reply};
use super::request::number;
use super::{Change, FailoverFlag, Mode, World};

/// More ids than any server has nodes.
const ID_LIMIT: i32 = 128;

/// What the worker's process id is said to be.
pub(super) const WORKER: u32 = 4711;

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

impl World {
    /// Serves an attach.
    pub(super) fn attach_node(&mut self, now: Duration, body: &Bytes) -> Result<Reply, Failure> {
        let id = in_range(number(body)?, "failback")?;
        if self.settings.mode == Mode::Raw && self.is_attached(id) {
            let status = self.nodes.get(id).map_or(0, |node| node.status.code());
            let message =
                format!("invalid failback request, node id : {id} status: [{status}] not valid for failback");
            return Err(Failure::error(&message));
        }
        if self.is_without_leader() {
            let message =
                format!("failback request for node_id: {id} from pid [{WORKER}] is canceled  by other pgpool");
            return Err(Failure::error(&message));
        }
        self.queue(now, Change::Attach(id));
        Ok(Reply::accepted(ReplyKind::ATTACH_NODE))
    }

    /// Serves a detach.
    pub(super) fn detach_node(&mut self, now: Duration, body: &Bytes) -> Result<Reply, Failure> {
        let change = self.checked_detach(body)?;
        self.queue(now, change);
        Ok(Reply::accepted(ReplyKind::DETACH_NODE))
    }

    /// Reads a detach, and refuses what servers refuse.
    pub(super) fn checked_detach(&self, body: &Bytes) -> Result<Change, Failure> {
        let id = in_range(number(body)?, "degenerate backend")?;
        self.check_detach(id)?;
        Ok(Change::Detach(id))
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
        if self.is_without_leader() {
            return Err(Failure::error(&format!(
                "degenerate backend request for 1 node(s) from pid [{WORKER}] is canceled by other pgpool"
            )));
        }
        Ok(())
    }

    /// Tells whether a watchdog's members have nobody who leads them: there is an election.
    fn is_without_leader(&self) -> bool {
        self.settings.watchdog.as_ref().is_some_and(|watchdog| !watchdog.has_leader())
    }

    /// Serves a promotion or a switchover; the promotion of a node that is down comes to nothing.
    pub(super) fn promote_node(&mut self, now: Duration, body: &Bytes) -> Result<Reply, Failure> {
        match self.checked_promotion(body)? {
            Change::Promote(id) if !self.is_attached(id) => {}
            change => self.queue(now, change),
        }
        Ok(Reply::accepted(ReplyKind::DETACH_NODE))
    }

    /// Reads a promotion or, since 4.3, a switchover, and refuses what servers refuse.
    pub(super) fn checked_promotion(&self, body: &Bytes) -> Result<Change, Failure> {
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
            Ok(Change::Switchover(known))
        } else {
            Ok(Change::Promote(known))
        }
    }
}

/// Returns the letter behind the id; the form of old clients has none.
fn promote_option(body: &Bytes) -> Option<u8> {
    let end = body.iter().position(|&byte| byte == 0 || byte == b' ')?;
    body.get(end + 2).copied()
}

#[cfg(test)]
mod tests {
    use pcp_proto::{Frame, RequestKind};

    use super::super::test::Drill;
    use super::super::{Age, Node};
    use super::*;

    /// Ages around the boundary at which texts and promotions changed.
    const OLD: Age = Age::V4_2_8;
    const NEW: Age = Age::V4_3_1;

    fn drill(age: Age) -> Drill {
        let world = World::new(age).node("10.0.0.1", 5432).node("10.0.0.2", 5432).node("10.0.0.3", 5432);
        let disallowed = |node: &mut Node| node.flag = FailoverFlag::DisallowToFailover;
        let mut drill = Drill::new(world.node_with("10.0.0.4", 5432, disallowed));
        drill.detach(2).unwrap();
        drill.wait(3.0);
        drill
    }

    #[test]
    fn outside_streaming_replication_nothing_is_promoted_and_an_up_node_not_attached() {
        for (age, promote) in [(OLD, OLD_MODE), (NEW, "invalid pgpool mode for process promote request")] {
            let world = World::new(age).node("10.0.0.1", 5432).node("10.0.0.2", 5432);
            let mut drill = Drill::new(world.configure(|settings| settings.mode = Mode::Raw));
            assert_eq!(drill.shown(), "0=up/main 1=up/replica");
            let refusal = drill.promote(1).unwrap_err();
            let detail = "not in streaming replication mode, can't promote node id 1";
            assert_eq!(refusal, format!("FATAL: {promote} ({detail})"));
            let refusal = drill.attach(1).unwrap_err();
            let status = "node id : 1 status: [2] not valid for failback";
            assert_eq!(refusal, format!("ERROR: invalid failback request, {status}"));
            drill.detach(0).unwrap();
            drill.wait(0.1);
            assert_eq!(drill.shown(), "0=down/replica 1=up/main");
        }
    }

    #[test]
    fn whether_a_node_may_be_promoted_or_detached_is_decided_when_it_is_asked() {
        let mut drill = drill(NEW);
        drill.attach(2).unwrap();
        drill.promote(2).unwrap();
        drill.detach(2).unwrap_err();
        drill.wait(3.0);
        assert_eq!(drill.shown(), "0=up/primary 1=up/standby 2=up/standby 3=up/standby");
    }

    #[test]
    fn a_switchover_detaches_the_primary_since_4_3_and_is_a_promotion_before() {
        let shown = |age| {
            let mut drill = drill(age);
            drill.frame(&Frame::new(RequestKind::PROMOTE_NODE, &b"1 \0s"[..]));
            drill.wait(9.0);
            drill.shown()
        };
        assert_eq!(shown(OLD), "0=down/standby 1=up/primary 2=down/standby 3=down/standby");
        assert_eq!(shown(NEW), "0=down/standby 1=up/standby 2=down/standby 3=up/standby");
    }
}
