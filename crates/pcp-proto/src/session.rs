//! A connection without the connection.

use std::collections::VecDeque;
use std::fmt;

use bytes::{Buf, BytesMut};

use crate::message::{Outgoing, is_last};
use crate::{
    Credentials, DecodeError, Fields, Frame, FrameDecoder, FrameError, ReplyKind, RequestKind, Salt, ServerMessage,
};

/// The client's side of one PCP connection as a state machine: it logs in, keeps the queue of requests that await
/// their replies, and tells what the server's bytes mean. It knows which letter answers a request and what ends a
/// reply, nothing else of it.
///
/// Requests may be queued at any time: what is queued before the salt came goes out behind the login in the same
/// write. The owner writes [`output`](Self::output), reads into [`input`](Self::input) and then calls
/// [`poll`](Self::poll) until it has no more to say.
pub struct Session {
    credentials: Credentials,
    state: State,
    decoder: FrameDecoder<ReplyKind>,
    input: BytesMut,
    output: BytesMut,
    /// How many bytes of the stream were taken from `output` so far.
    written: u64,
    pending: VecDeque<Pending>,
    goodbye: bool,
    last_ticket: u64,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    AwaitingSalt,
    AwaitingLogin,
    LoggedIn,
}

struct Pending {
    ticket: Ticket,
    outgoing: Outgoing,
    /// Where in the stream the request begins; `None` before it is in `output`.
    start: Option<u64>,
}

/// Names a request of one session.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Ticket(u64);

/// What the server's bytes mean.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Event {
    /// The login was accepted.
    LoggedIn,
    /// A frame of the reply to a request.
    Reply {
        /// The request.
        ticket: Ticket,
        /// The frame.
        frame: Frame<ReplyKind>,
        /// Whether the reply is whole with it.
        last: bool,
    },
    /// The server refused a request, or the login, or gave up the connection.
    Refused {
        /// The request; `None` where it was the login, or where nothing was asked and wholly written.
        ticket: Option<Ticket>,
        /// What the server says. After a fatal one it closes the connection and answers nothing more.
        message: ServerMessage,
    },
    /// The server has something to say; nothing failed.
    Notice(ServerMessage),
}

/// Why a session cannot go on.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// The stream cannot be cut into frames.
    #[error("the server does not speak PCP")]
    Frame(#[from] FrameError),
    /// A frame of the handshake, or an error, cannot be read.
    #[error("the server sent an unreadable frame")]
    Decode(#[from] DecodeError),
    /// A frame came that answers nothing that was asked and wholly written.
    #[error("the server sent a frame of type '{found}' where {expected} belongs")]
    Unexpected {
        /// Its type.
        found: ReplyKind,
        /// What belongs there.
        expected: &'static str,
    },
}

impl Session {
    /// Starts a session; the request for the salt is the first output.
    pub fn new(credentials: Credentials) -> Self {
        let mut session = Self {
            credentials,
            state: State::AwaitingSalt,
            decoder: FrameDecoder::new(),
            input: BytesMut::new(),
            output: BytesMut::new(),
            written: 0,
            pending: VecDeque::new(),
            goodbye: false,
            last_ticket: 0,
        };
        Frame::new(RequestKind::READ_SALT, &b""[..]).encode(&mut session.output);
        session
    }

    /// Queues a request.
    pub fn request(&mut self, outgoing: Outgoing) -> Ticket {
        self.last_ticket = self.last_ticket.wrapping_add(1);
        let ticket = Ticket(self.last_ticket);
        self.pending.push_back(Pending { ticket, outgoing, start: None });
        self.release();
        ticket
    }

    /// Queues the goodbye behind every request. Nothing may be requested after it.
    pub fn goodbye(&mut self) {
        self.goodbye = true;
        self.release();
    }

    /// Returns the bytes to be written next.
    pub fn output(&self) -> &[u8] {
        &self.output
    }

    /// Takes note that the first `count` bytes of [`output`](Self::output) were written.
    pub fn advance_output(&mut self, count: usize) {
        let count = count.min(self.output.len());
        self.output.advance(count);
        self.written = self.written.saturating_add(count as u64);
    }

    /// Returns the buffer that received bytes are appended to.
    pub fn input(&mut self) -> &mut BytesMut {
        &mut self.input
    }

    /// Tells whether the login was accepted.
    pub fn is_logged_in(&self) -> bool {
        self.state == State::LoggedIn
    }

    /// Returns how many requests await their reply, or its rest.
    pub fn pending(&self) -> usize {
        self.pending.len()
    }

    /// Tells whether a byte of this request was written, so that the server may act on it. False once it is
    /// answered.
    pub fn was_sent(&self, ticket: Ticket) -> bool {
        self.pending.iter().any(|pending| pending.ticket == ticket && self.is_written(pending))
    }

    /// Takes back the requests of which no byte was written, from the last one on.
    pub fn withdraw_unsent(&mut self) {
        while let Some(pending) = self.pending.pop_back() {
            if self.is_written(&pending) {
                self.pending.push_back(pending);
                return;
            }
            let unsent = pending.start.and_then(|start| start.checked_sub(self.written));
            if let Some(unsent) = unsent.and_then(|unsent| usize::try_from(unsent).ok()) {
                self.output.truncate(unsent);
            }
        }
    }

    /// Returns the next thing that the received bytes mean, or `None` where more bytes are needed.
    ///
    /// # Errors
    ///
    /// Bytes that make no sense. The session is at its end: which reply belongs to which request is no longer
    /// known.
    pub fn poll(&mut self) -> Result<Option<Event>, SessionError> {
        while let Some(frame) = self.decoder.decode(&mut self.input)? {
            if let Some(event) = self.receive(frame)? {
                return Ok(Some(event));
            }
        }
        Ok(None)
    }

    fn receive(&mut self, frame: Frame<ReplyKind>) -> Result<Option<Event>, SessionError> {
        if frame.kind == ReplyKind::NOTICE {
            return Ok(Some(Event::Notice(ServerMessage::decode(&frame.body)?)));
        }
        if frame.kind == ReplyKind::ERROR {
            // The login's failure comes before any answer, and no request is answered before it was written.
            let is_answer = self.is_logged_in() && self.pending.front().is_some_and(|front| self.is_whole(front));
            let ticket = if is_answer { self.pending.pop_front().map(|front| front.ticket) } else { None };
            return Ok(Some(Event::Refused { ticket, message: ServerMessage::decode(&frame.body)? }));
        }
        match self.state {
            State::AwaitingSalt => {
                let login = self.credentials.login(salt(&frame)?);
                login.encode(&mut self.output);
                self.state = State::AwaitingLogin;
                self.release();
                Ok(None)
            }
            State::AwaitingLogin => {
                if frame.kind != ReplyKind::LOGIN {
                    return Err(SessionError::Unexpected {
                        found: frame.kind,
                        expected: "the answer to the login",
                    });
                }
                Fields::new(&frame.body).word("AuthenticationOK")?;
                self.state = State::LoggedIn;
                Ok(Some(Event::LoggedIn))
            }
            State::LoggedIn => self.receive_reply(frame).map(Some),
        }
    }

    fn receive_reply(&mut self, frame: Frame<ReplyKind>) -> Result<Event, SessionError> {
        let unexpected = |expected| SessionError::Unexpected { found: frame.kind, expected };
        let front = self.pending.front().ok_or_else(|| unexpected("nothing"))?;
        if frame.kind != front.outgoing.reply {
            return Err(unexpected("the answer to another request"));
        }
        if !self.is_whole(front) {
            return Err(unexpected("nothing"));
        }
        let ticket = front.ticket;
        let last = is_last(&frame);
        if last {
            self.pending.pop_front();
        }
        Ok(Event::Reply { ticket, frame, last })
    }

    /// Moves what waits for the salt into the output, once it came.
    fn release(&mut self) {
        if self.state == State::AwaitingSalt {
            return;
        }
        for pending in self.pending.iter_mut().filter(|pending| pending.start.is_none()) {
            pending.start = Some(self.written.saturating_add(self.output.len() as u64));
            pending.outgoing.frame.encode(&mut self.output);
        }
        if std::mem::take(&mut self.goodbye) {
            Frame::new(RequestKind::DISCONNECT, &b""[..]).encode(&mut self.output);
        }
    }

    /// Tells whether a byte of it was written.
    fn is_written(&self, pending: &Pending) -> bool {
        pending.start.is_some_and(|start| start < self.written)
    }

    /// Tells whether all of it was written, so that what comes may be its answer.
    fn is_whole(&self, pending: &Pending) -> bool {
        let length = pending.outgoing.frame.encoded_len() as u64;
        pending.start.is_some_and(|start| start.saturating_add(length) <= self.written)
    }
}

/// Shows no bytes: a login among them is a digest that a password can be guessed from.
impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("user", &self.credentials.user())
            .field("state", &self.state)
            .field("pending", &self.pending.len())
            .field("unwritten", &self.output.len())
            .finish_non_exhaustive()
    }
}

/// Reads the salt, and tells any other frame from it.
fn salt(frame: &Frame<ReplyKind>) -> Result<Salt, SessionError> {
    if frame.kind != ReplyKind::SALT {
        return Err(SessionError::Unexpected { found: frame.kind, expected: "the salt" });
    }
    Ok(Salt::decode(frame)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Accepted, Batch, DetachNode, NodeCount, ReadNodeCount, Reply};

    const SALT: &[u8] = b"m\0\0\0\x08\xca\xdb\x96\x65";
    const LOGIN: &[u8] = b"R\0\0\0\x2epcpadmin\x0065ab461d42d971ce8e887f9ad7891f66\0";
    const LOGGED_IN: &[u8] = b"r\0\0\0\x15AuthenticationOK\0";
    const THREE_NODES: &[u8] = b"l\0\0\0\x16CommandComplete\x003\0";

    fn session() -> Session {
        Session::new(Credentials::new("pcpadmin", b"secret").unwrap())
    }

    fn ask<B: Batch>(session: &mut Session, request: B) -> Ticket {
        session.request(request.encode().remove(0))
    }

    fn take(session: &mut Session) -> Vec<u8> {
        let output = session.output().to_vec();
        session.advance_output(output.len());
        output
    }

    fn feed(session: &mut Session, bytes: &[u8]) -> Vec<Event> {
        session.input().extend_from_slice(bytes);
        std::iter::from_fn(|| session.poll().unwrap()).collect()
    }

    #[test]
    fn everything_after_the_salt_goes_out_in_one_write() {
        let mut session = session();
        let count = ask(&mut session, ReadNodeCount);
        let detach = ask(&mut session, DetachNode { node: "2".parse().unwrap() });
        session.goodbye();
        assert_eq!(take(&mut session), b"M\0\0\0\x04");
        assert_eq!(feed(&mut session, SALT), []);
        assert_eq!(take(&mut session), [LOGIN, b"L\0\0\0\x05\0", b"D\0\0\0\x062\0", b"X\0\0\0\x04"].concat());

        let events = feed(&mut session, &[LOGGED_IN, THREE_NODES, b"d\0\0\0\x14CommandComplete\0"].concat());
        assert_eq!(events[0], Event::LoggedIn);
        assert!(matches!(&events[1], Event::Reply { ticket, last: true, frame }
            if *ticket == count && NodeCount::decode(std::slice::from_ref(frame)) == Ok(NodeCount(3))));
        assert!(matches!(&events[2], Event::Reply { ticket, last: true, frame }
            if *ticket == detach && Accepted::decode(std::slice::from_ref(frame)) == Ok(Accepted)));
        assert_eq!(session.pending(), 0);
    }

    #[test]
    fn an_error_takes_the_place_of_the_reply() {
        let mut session = session();
        let first = ask(&mut session, DetachNode { node: "2".parse().unwrap() });
        let second = ask(&mut session, ReadNodeCount);
        let refusal = ServerMessage::new("ERROR", "no", None);
        let notice = ServerMessage::new("DEBUG1", "listen", None);
        feed(&mut session, SALT);
        take(&mut session);
        let mut bytes = BytesMut::from(LOGGED_IN);
        notice.encode(ReplyKind::NOTICE).encode(&mut bytes);
        refusal.encode(ReplyKind::ERROR).encode(&mut bytes);
        bytes.extend_from_slice(THREE_NODES);
        let events = feed(&mut session, &bytes);
        assert_eq!(events[1], Event::Notice(notice));
        assert_eq!(events[2], Event::Refused { ticket: Some(first), message: refusal });
        assert!(matches!(events[3], Event::Reply { ticket, last: true, .. } if ticket == second));
    }

    #[test]
    fn a_refused_login_answers_no_request() {
        let mut session = session();
        ask(&mut session, ReadNodeCount);
        let refusal = ServerMessage::new("FATAL", "authentication failed for user \"x\"", None);
        feed(&mut session, SALT);
        let written = take(&mut session);
        assert!(written.ends_with(b"L\0\0\0\x05\0"), "behind the login");
        let events = feed(&mut session, &refusal.encode(ReplyKind::ERROR).to_bytes());
        assert_eq!(events, [Event::Refused { ticket: None, message: refusal }]);
        assert!(!session.is_logged_in());
    }

    #[test]
    fn nothing_is_answered_before_it_was_wholly_written() {
        for written in 0..6 {
            let mut session = session();
            feed(&mut session, &[SALT, LOGGED_IN].concat());
            take(&mut session);
            let asked = ask(&mut session, ReadNodeCount);
            session.advance_output(written);

            let refusal = ServerMessage::new("ERROR", "no", None);
            let events = feed(&mut session, &refusal.encode(ReplyKind::ERROR).to_bytes());
            assert_eq!(events, [Event::Refused { ticket: None, message: refusal }]);
            session.input().extend_from_slice(THREE_NODES);
            assert!(matches!(session.poll(), Err(SessionError::Unexpected { .. })), "{written} bytes written");
            assert_eq!((session.pending(), session.was_sent(asked)), (1, written > 0));
        }
    }

    #[test]
    fn only_requests_without_a_byte_written_are_withdrawn() {
        let mut session = session();
        take(&mut session);
        let held = ask(&mut session, ReadNodeCount);
        session.withdraw_unsent();
        assert_eq!((session.pending(), session.was_sent(held)), (0, false));

        feed(&mut session, &[SALT, LOGGED_IN].concat());
        take(&mut session);
        let first = ask(&mut session, ReadNodeCount);
        let second = ask(&mut session, ReadNodeCount);
        assert!(first != second && !session.was_sent(first), "its first byte is the next one");
        session.advance_output(1);
        assert!(session.was_sent(first) && !session.was_sent(second));
        session.withdraw_unsent();
        assert_eq!(session.pending(), 1);
        assert_eq!(take(&mut session), b"\0\0\0\x05\0");
        assert!(matches!(feed(&mut session, THREE_NODES)[..], [Event::Reply { ticket, .. }] if ticket == first));
    }

    #[test]
    fn a_login_on_its_way_is_not_shown() {
        let mut session = session();
        take(&mut session);
        feed(&mut session, SALT);
        assert_eq!(session.output(), LOGIN);
        assert_eq!(
            format!("{session:?}"),
            "Session { user: \"pcpadmin\", state: AwaitingLogin, pending: 0, unwritten: 47, .. }"
        );
    }

    #[test]
    fn a_reply_to_another_request_ends_the_session() {
        let mut session = session();
        ask(&mut session, DetachNode { node: "2".parse().unwrap() });
        assert_eq!(feed(&mut session, &[SALT, LOGGED_IN].concat()), [Event::LoggedIn]);
        session.input().extend_from_slice(THREE_NODES);
        let error = session.poll().unwrap_err();
        let expected = "the server sent a frame of type 'l' where the answer to another request belongs";
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn what_nobody_asked_for_ends_the_session() {
        let poll = |bytes: &[u8]| {
            let mut session = session();
            session.input().extend_from_slice(bytes);
            std::iter::from_fn(|| session.poll().transpose()).find_map(Result::err)
        };
        let unexpected = |bytes: &[&[u8]]| matches!(poll(&bytes.concat()), Some(SessionError::Unexpected { .. }));
        assert!(unexpected(&[LOGGED_IN]));
        assert!(unexpected(&[SALT, SALT]));
        assert!(unexpected(&[SALT, LOGGED_IN, THREE_NODES]));
        assert!(unexpected(&[SALT, THREE_NODES]));
        assert!(matches!(poll(b"m\0\0\0\x06ab"), Some(SessionError::Decode(_))));
        assert!(matches!(poll(b"HTTP/1.1 400 Bad Request"), Some(SessionError::Frame(_))));
    }
}
