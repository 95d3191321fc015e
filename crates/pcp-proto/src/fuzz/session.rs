use std::ops::ControlFlow;

use bytes::{BufMut, Bytes, BytesMut};

use crate::message::{
    AttachNode, DetachNode, Outgoing, PromoteMode, PromoteNode, ReadHealthCheckStats, ReadNodeCount, ReadNodeInfo,
    ReadPoolStatus, ReadWatchdogInfo, Request, is_last,
};
use crate::{
    Credentials, Event, Frame, FrameDecoder, MAX_REQUEST, NodeId, ReplyKind, RequestKind, ServerMessage, Session,
    Ticket,
};

/// The most steps of one run: what is checked after each grows with them.
const MAX_STEPS: usize = 300;

/// Checks a session against a model of it, while its owner and a server do what the bytes say.
///
/// Each byte is a step, its low four bits the choice and the others an operand; `Run::step` lists the choices. The
/// server may answer well, badly, or before it was asked; every frame may come in parts.
///
/// A reply goes to the oldest request that is open and wholly written, or the session ends; what goes out is always
/// a run of whole frames: the login, then every request that was not withdrawn, in order and once.
pub fn session(data: &[u8]) {
    let mut run = Run::new();
    let mut script = Script(data);
    for _ in 0..MAX_STEPS {
        if run.step(&mut script).is_break() {
            break;
        }
        run.check();
    }
}

struct Script<'a>(&'a [u8]);

impl<'a> Script<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (&byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(byte)
    }

    fn bytes(&mut self, count: usize) -> &'a [u8] {
        let (bytes, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        bytes
    }
}

/// A session and what is known of it from outside.
struct Run {
    session: Session,
    asked: Vec<Asked>,
    is_logged_in: bool,
    goodbyes: usize,
    /// Everything that was written.
    written: BytesMut,
    /// What the server has sent and the session has not received.
    incoming: BytesMut,
}

struct Asked {
    ticket: Ticket,
    outgoing: Outgoing,
    state: State,
    /// Where in the stream its first byte is.
    start: Option<usize>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    Open,
    Answered,
    Withdrawn,
}

impl Run {
    fn new() -> Self {
        let credentials = Credentials::new("pcpadmin", b"secret").expect("the user name is short");
        Self {
            session: Session::new(credentials),
            asked: Vec::new(),
            is_logged_in: false,
            goodbyes: 0,
            written: BytesMut::new(),
            incoming: BytesMut::new(),
        }
    }

    fn step(&mut self, script: &mut Script<'_>) -> ControlFlow<()> {
        let Some(byte) = script.byte() else { return ControlFlow::Break(()) };
        let operand = byte >> 4;
        match byte & 0x0f {
            0 => self.incoming.put_slice(script.bytes(usize::from(operand))),
            1 => self.incoming.put_slice(&Frame::new(ReplyKind::SALT, &b"\xca\xdb\x96\x65"[..]).to_bytes()),
            2 => self.send(ReplyKind::LOGIN, b"AuthenticationOK\0"),
            3 => self.send(self.next_reply(operand), b"CommandComplete\x003\0"),
            4 => self.send(self.next_reply(operand), b"ArraySize\x003\0"),
            5 => self.refuse(ReplyKind::ERROR, if operand == 0 { "FATAL" } else { "ERROR" }),
            6 => self.refuse(ReplyKind::NOTICE, "DEBUG1"),
            7 => return self.receive(usize::from(operand)),
            8 | 9 => return self.receive(self.incoming.len()),
            10 => self.write(usize::from(operand)),
            11 => self.write(self.session.output().len()),
            12 => self.withdraw(),
            13 if operand == 0 => {
                self.session.goodbye();
                self.goodbyes += 1;
            }
            _ => self.ask(operand),
        }
        ControlFlow::Continue(())
    }

    /// Returns the kind that answers the oldest open request, or any kind for an odd operand.
    fn next_reply(&self, operand: u8) -> ReplyKind {
        let kinds = [ReplyKind::NODE_INFO, ReplyKind::NODE_COUNT, ReplyKind::DETACH_NODE, ReplyKind(0)];
        let odd = (operand % 2 == 1).then(|| kinds.get(usize::from(operand / 2))).flatten();
        let open = self.asked.iter().find(|asked| asked.state == State::Open);
        odd.copied().or_else(|| open.map(|open| open.outgoing.reply)).unwrap_or(ReplyKind::NODE_INFO)
    }

    fn send(&mut self, kind: ReplyKind, body: &'static [u8]) {
        Frame::new(kind, Bytes::from_static(body)).encode(&mut self.incoming);
    }

    fn refuse(&mut self, kind: ReplyKind, severity: &str) {
        ServerMessage::new(severity, "why", None).encode(kind).encode(&mut self.incoming);
    }

    fn ask(&mut self, operand: u8) {
        fn outgoing<R: Request>(request: &R) -> Outgoing {
            Outgoing { frame: request.encode(), reply: R::REPLY, requirement: request.requirement() }
        }
        let node = NodeId::try_from(usize::from(operand)).unwrap_or(NodeId::MAX);
        let outgoing = match operand % 8 {
            0 => outgoing(&ReadNodeCount),
            1 => outgoing(&ReadNodeInfo::Node(node)),
            2 => outgoing(&ReadPoolStatus),
            3 => outgoing(&ReadHealthCheckStats { node }),
            4 => outgoing(&ReadWatchdogInfo::All),
            5 => outgoing(&AttachNode { node }),
            6 => outgoing(&DetachNode { node }),
            _ => outgoing(&PromoteNode { node, mode: PromoteMode::ViewOnly }),
        };
        let ticket = self.session.request(outgoing.clone());
        assert!(self.asked.iter().all(|asked| asked.ticket < ticket), "tickets rise");
        self.asked.push(Asked { ticket, outgoing, state: State::Open, start: None });
    }

    fn write(&mut self, count: usize) {
        let output = self.session.output();
        let part = output.get(..count).unwrap_or(output);
        self.written.extend_from_slice(part);
        self.session.advance_output(count);
    }

    fn withdraw(&mut self) {
        let sent = self.written.len();
        let is_unsent =
            |asked: &&mut Asked| asked.state == State::Open && asked.start.is_none_or(|start| start >= sent);
        self.asked.iter_mut().filter(is_unsent).for_each(|asked| asked.state = State::Withdrawn);
        self.session.withdraw_unsent();
    }

    fn receive(&mut self, count: usize) -> ControlFlow<()> {
        let chunk = self.incoming.split_to(count.min(self.incoming.len()));
        self.session.input().extend_from_slice(&chunk);
        loop {
            match self.session.poll() {
                Ok(Some(event)) => self.take(event),
                Ok(None) => return ControlFlow::Continue(()),
                // The owner of a session that failed asks it nothing more.
                Err(_) => return ControlFlow::Break(()),
            }
            // With the salt, what waited for it gets its place in the stream.
            if self.asked.iter().any(|asked| asked.state == State::Open && asked.start.is_none()) {
                self.check();
            }
        }
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::LoggedIn => {
                assert!(!self.is_logged_in, "logged in twice");
                self.is_logged_in = true;
            }
            Event::Reply { ticket, frame, last } => {
                assert_eq!(last, is_last(&frame));
                let kind = self.answer(ticket, last);
                assert_eq!(frame.kind, kind);
            }
            Event::Refused { ticket: Some(ticket), .. } => {
                self.answer(ticket, true);
            }
            Event::Refused { ticket: None, .. } | Event::Notice(_) => {}
        }
    }

    /// Takes note of an answer and returns what kind it must be of.
    fn answer(&mut self, ticket: Ticket, last: bool) -> ReplyKind {
        assert!(self.is_logged_in, "an answer before the login");
        let sent = self.written.len();
        let oldest = self.asked.iter_mut().find(|asked| asked.state == State::Open).expect("nothing is open");
        assert_eq!(oldest.ticket, ticket, "an answer to another request than the oldest open one");
        let end = oldest.start.map(|start| start + oldest.outgoing.frame.encoded_len());
        assert!(end.is_some_and(|end| end <= sent), "an answer to what was not written");
        if last {
            oldest.state = State::Answered;
        }
        oldest.outgoing.reply
    }

    fn check(&mut self) {
        let stream = [&self.written[..], self.session.output()].concat();
        let mut buffer = BytesMut::from(&stream[..]);
        let mut decoder = FrameDecoder::<RequestKind>::with_max_length(MAX_REQUEST);
        let mut asked = self.asked.iter_mut().filter(|asked| asked.state != State::Withdrawn);
        let (mut frames, mut goodbyes) = (0, 0);
        while let Some(frame) = decoder.decode(&mut buffer).expect("servers read it") {
            let start = stream.len() - buffer.len() - frame.encoded_len();
            match (frames, frame.kind) {
                (0, kind) => assert_eq!(kind, RequestKind::READ_SALT),
                (1, kind) => assert_eq!(kind, RequestKind::LOGIN),
                (_, RequestKind::DISCONNECT) => goodbyes += 1,
                _ => {
                    let next = asked.next().expect("a request that nobody asked, or that was withdrawn");
                    assert_eq!(frame, next.outgoing.frame);
                    next.start = Some(start);
                }
            }
            frames += 1;
        }
        assert_eq!(decoder.held(), 0, "a frame is cut off: {}", stream.escape_ascii());
        let held = asked.count();
        assert!(held == 0 || frames < 2, "{held} requests were left behind after the login");
        assert!(goodbyes <= self.goodbyes);

        assert_eq!(self.session.is_logged_in(), self.is_logged_in);
        assert_eq!(self.session.pending(), self.asked.iter().filter(|asked| asked.state == State::Open).count());
        for asked in &self.asked {
            let is_sent = asked.start.is_some_and(|start| start < self.written.len());
            assert_eq!(self.session.was_sent(asked.ticket), asked.state == State::Open && is_sent);
        }
    }
}
