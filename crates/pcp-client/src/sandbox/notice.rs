//! Notices: what a worker tells beside its answers when it is asked to, in the order of real servers.

use bytes::Bytes;
use pcp_proto::message::MessageLevel;
use pcp_proto::{Fields, Frame, ReplyKind, RequestKind, ServerMessage};

use super::answer::{Answer, Failure, Reply, Then};
use super::request::{number, text};
use super::{Age, World};

/// What the main process's id is said to be.
const MAIN_PROCESS: u32 = 4700;

/// The level, the message and its detail; none where that is empty.
type Notice = (MessageLevel, String, String);

impl World {
    /// Serves a request for more or fewer notices on this connection.
    pub(super) fn set_parameter(&mut self, connection: u64, body: &Bytes) -> Result<Reply, Failure> {
        if body.is_empty() {
            return Err(Failure::crash());
        }
        match level_asked_for(body) {
            Ok(level) => {
                if let Some(open) = self.connections.get_mut(&connection) {
                    open.client_min_messages = Some(level);
                }
                Ok(Reply::accepted(ReplyKind::SET_PARAMETER))
            }
            Err(detail) => Err(Failure::error_with("PCP: set configuration parameter failed", &detail)),
        }
    }

    /// Puts the notices about the request that is served around its answer.
    pub(super) fn with_notices(&mut self, connection: u64, answer: Answer) -> Answer {
        let Answer::Now(reply) = answer else { return answer };
        let Some(open) = self.connections.get(&connection) else { return Answer::Now(reply) };
        let level = open.client_min_messages.unwrap_or(self.settings.client_min_messages);
        let Some(request) = open.request.as_ref().filter(|_| level <= MessageLevel::Log) else {
            return Answer::Now(reply);
        };
        let is_answered =
            reply.frames.iter().all(|frame| frame.kind != ReplyKind::ERROR) && reply.then != Then::Crash;
        let (before, after) = self.notices(request, is_answered);
        let frames = |notices: Vec<Notice>| {
            let shown = notices.into_iter().filter(move |(of, _, _)| *of >= level);
            shown.map(|(level, message, detail)| frame(level, &message, &detail))
        };
        let frames = frames(before).chain(reply.frames).chain(frames(after)).collect();
        Answer::Now(Reply { frames, ..reply })
    }

    /// Returns what comes before the answer and what comes behind it.
    fn notices(&self, request: &Frame<RequestKind>, is_answered: bool) -> (Vec<Notice>, Vec<Notice>) {
        use RequestKind as Kind;
        // This one was not asked for yet when the request came.
        let (mut before, mut after) = match request.kind {
            Kind::SET_PARAMETER => (Vec::new(), Vec::new()),
            kind => (vec![received(kind)], Vec::new()),
        };
        let id = || number(&request.body).unwrap_or_default();
        match request.kind {
            Kind::READ_SALT => before.push(debug("PCP: sending md5 salt to client", "")),
            Kind::DISCONNECT => before.push(debug(
                "PCP processing request, client disconnecting",
                "closing PCP connection, and exiting child",
            )),
            Kind::DETACH_NODE | Kind::DETACH_NODE_GRACEFULLY => {
                before.push(debug("PCP: processing detach node", &format!("detaching Node ID {}", id())));
                before
                    .extend(self.queued(is_answered, &format!("degenerate backend request for node_id: {}", id())));
            }
            Kind::ATTACH_NODE => {
                before.push(debug("PCP: processing attach node", &format!("attaching Node ID {}", id())));
                before.extend(self.queued(is_answered, &format!("failback request for node_id: {}", id())));
            }
            Kind::PROMOTE_NODE | Kind::PROMOTE_NODE_GRACEFULLY if is_answered => {
                before.push(debug("PCP: processing promote node", &format!("promoting Node ID {}", id())));
                before.extend(self.queued(true, &format!("promote backend request for node_id: {}", id())));
            }
            _ if !is_answered => {}
            Kind::LOGIN => after.push(debug("PCP: processing authentication request", "authentication OK")),
            Kind::READ_NODE_COUNT => {
                let detail = format!("{} node(s) found", self.nodes.len());
                after.push(debug("PCP: informing node count", &detail));
            }
            Kind::READ_PROCESS_COUNT => {
                let detail = format!("{} process(es) found", self.process_ids().count());
                after.push(debug("PCP: informing process count", &detail));
            }
            Kind::READ_PROCESS_INFO => {
                let detail = "retrieved process information from shared memory";
                after.push(debug("PCP informing process info", detail));
            }
            Kind::READ_POOL_STATUS => {
                after.push(debug("PCP: processing status request", "retrieved status information"));
            }
            Kind::READ_NODE_INFO => {
                let detail = "retrieved node information from shared memory";
                match self.age.node_info_layout().has_rows() {
                    true => after.push(debug("PCP informing node info", detail)),
                    false => before.push(debug("PCP: informing node info", detail)),
                }
            }
            Kind::SET_PARAMETER => {
                let value = request.body.split(|&byte| byte == 0).nth(1).unwrap_or_default();
                let (name, value) = (text(&request.body), String::from_utf8_lossy(value).into_owned());
                before.push(debug(&format!("PCP setting parameter \"{name}\" to \"{value}\""), ""));
            }
            Kind::STOP_PGPOOL | Kind::STOP_CLUSTER => {
                let detail = format!("shutdown mode \"{}\"", text(&request.body));
                before.push(debug("PCP: processing shutdown request", &detail));
            }
            _ => {}
        }
        (before, after)
    }

    /// What is told of an operation that was queued.
    fn queued(&self, is_answered: bool, what: &str) -> Vec<Notice> {
        if !is_answered {
            return Vec::new();
        }
        let log = |message: String| (MessageLevel::Log, message, String::new());
        let mut notices = vec![log(format!("received {what} from pid [{}]", super::change::WORKER))];
        if self.age >= Age::V4_2_8 {
            notices.push(log("signal_user1_to_parent_with_reason(0)".to_owned()));
        }
        let signal = format!("sending signal:10 to the parent process with PID:{MAIN_PROCESS}");
        notices.push(debug(&signal, ""));
        notices
    }
}

fn received(kind: RequestKind) -> Notice {
    debug("received PCP packet", &format!("PCP packet type of service '{}'", char::from(kind.0)))
}

fn debug(message: &str, detail: &str) -> Notice {
    (MessageLevel::Debug1, message.to_owned(), detail.to_owned())
}

fn frame(level: MessageLevel, message: &str, detail: &str) -> Frame<ReplyKind> {
    let severity = if level == MessageLevel::Log { "LOG" } else { "DEBUG" };
    let detail = Some(detail).filter(|detail| !detail.is_empty());
    ServerMessage::new(severity, message, detail).encode(ReplyKind::NOTICE)
}

/// Reads the name and the level as servers do; an `Err` is the detail of the refusal.
fn level_asked_for(body: &Bytes) -> Result<MessageLevel, String> {
    let mut fields = Fields::new(body);
    let name = fields.text("parameter").unwrap_or_default();
    let value = fields.text("value").unwrap_or_default();
    if !name.as_bytes().eq_ignore_ascii_case(b"client_min_messages") {
        return Err(format!("invalid parameter \"{name}\""));
    }
    let known =
        MessageLevel::ALL.into_iter().find(|level| value.as_bytes().eq_ignore_ascii_case(level.word().as_bytes()));
    known.ok_or_else(|| format!("invalid value \"{value}\" for parameter \"{name}\""))
}

#[cfg(test)]
mod tests {
    use pcp_proto::message::{
        AttachNode, DetachNode, NodeInfos, ReadNodeCount, ReadNodeInfo, ReadPoolStatus, ReadProcessInfo,
        Reply as _, Request, SetClientMinMessages,
    };

    use super::super::test::Drill;
    use super::*;

    fn drill(age: Age) -> Drill {
        Drill::new(World::new(age).node("10.0.0.1", 5432).node("10.0.0.2", 5432))
    }

    /// The letters of a reply, with rows as one.
    fn letters(reply: &Reply) -> String {
        let mut letters: Vec<u8> = reply.frames.iter().map(|frame| frame.kind.0).collect();
        letters.dedup_by(|next, last| next == last && *last != b'N');
        String::from_utf8(letters).unwrap()
    }

    fn bare(kind: RequestKind) -> Frame<RequestKind> {
        Frame::new(kind, Bytes::new())
    }

    fn set(level: MessageLevel) -> Frame<RequestKind> {
        SetClientMinMessages { level }.encode()
    }

    #[test]
    fn notices_come_where_real_servers_send_them() {
        for age in Age::ALL {
            let mut drill = drill(age);
            let connection = drill.log_in();
            assert_eq!(letters(&drill.send(connection, &ReadNodeCount.encode())), "l", "{age}");
            assert_eq!(letters(&drill.send(connection, &set(MessageLevel::Debug1))), "Na");
            let node = |id: &str| ReadNodeInfo::Node(id.parse().unwrap()).encode();
            let queued = if age >= Age::V4_2_8 { "NNNNN" } else { "NNNN" };
            let rows = age.node_info_layout().has_rows();
            for (frame, expected) in [
                (ReadNodeCount.encode(), "NlN".to_owned()),
                (ReadPoolStatus.encode(), "NbN".to_owned()),
                (ReadProcessInfo::All.encode(), "NpN".to_owned()),
                (node("1"), if rows { "NiN" } else { "NNi" }.to_owned()),
                (node("99"), "NE".to_owned()),
                (DetachNode { node: "1".parse().unwrap() }.encode(), format!("{queued}d")),
                (AttachNode { node: "1".parse().unwrap() }.encode(), format!("{queued}c")),
            ] {
                let reply = drill.send(connection, &frame);
                assert_eq!(letters(&reply), expected, "{age} {:?}", frame.kind);
            }
        }
    }

    #[test]
    fn the_texts_are_those_of_the_captures() {
        let mut drill = drill(Age::V4_7);
        drill.world.settings_mut().client_min_messages = MessageLevel::Debug5;
        let connection = drill.world.connect(drill.now);
        let told = |reply: &Reply| {
            let notices = reply.frames.iter().filter(|frame| frame.kind == ReplyKind::NOTICE);
            notices.map(|frame| ServerMessage::decode(&frame.body).unwrap().to_string()).collect::<Vec<_>>()
        };
        let salt = drill.send(connection, &bare(RequestKind::READ_SALT));
        assert_eq!(letters(&salt), "NNm");
        assert_eq!(
            told(&salt),
            [
                "DEBUG: received PCP packet (PCP packet type of service 'M')",
                "DEBUG: PCP: sending md5 salt to client"
            ]
        );
        let bye = drill.frame(&bare(RequestKind::DISCONNECT));
        assert_eq!((letters(&bye), bye.then), ("NN".to_owned(), Then::Close));
        assert!(told(&bye)[1].starts_with("DEBUG: PCP processing request, client disconnecting (closing"));
        let count = told(&drill.frame(&ReadNodeCount.encode()));
        assert_eq!(count[1], "DEBUG: PCP: informing node count (2 node(s) found)");
        // An answer that comes later has its notices too.
        drill.world.settings_mut().health_check_period = std::time::Duration::from_secs(5);
        drill.world.silence_postgres(1, true);
        let late = drill.frame(&ReadNodeInfo::All.encode());
        assert_eq!(letters(&late), "NiN");
        let rows: Vec<_> = late.frames.iter().filter(|frame| frame.kind.0 == b'i').cloned().collect();
        assert_eq!(NodeInfos::decode(&rows).unwrap().nodes.len(), 2);
    }

    #[test]
    fn levels_and_names_are_read_in_any_case_and_others_refused() {
        let mut drill = drill(Age::V3_5);
        let set = |body: &'static [u8]| Frame::new(RequestKind::SET_PARAMETER, body);
        let connection = drill.log_in();
        assert_eq!(letters(&drill.send(connection, &set(b"Client_Min_Messages\0LOG\0"))), "a");
        let detach = DetachNode { node: "1".parse().unwrap() };
        assert_eq!(letters(&drill.send(connection, &detach.encode())), "Nd", "what is logged");
        assert_eq!(letters(&drill.send(connection, &set(b"client_min_messages\0error\0"))), "a");
        let refused = |drill: &mut Drill, body| {
            let reply = drill.frame(&set(body));
            assert_eq!(reply.then, Then::GoOn);
            ServerMessage::decode(&reply.frames[0].body).unwrap().to_string()
        };
        let failed = "ERROR: PCP: set configuration parameter failed";
        let value = refused(&mut drill, b"client_min_messages\0loud\0");
        assert_eq!(value, format!("{failed} (invalid value \"loud\" for parameter \"client_min_messages\")"));
        let name = refused(&mut drill, b"log_min_messages\0debug1\0");
        assert_eq!(name, format!("{failed} (invalid parameter \"log_min_messages\")"));
        assert_eq!(drill.frame(&set(b"")).then, Then::Crash);
    }
}
