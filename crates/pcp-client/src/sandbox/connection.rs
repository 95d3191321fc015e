//! A connection and its login.

use std::time::Duration;

use bytes::Bytes;
use pcp_proto::message::MessageLevel;
use pcp_proto::{Fields, Frame, ReplyKind, RequestKind, Salt};

use super::World;
use super::answer::{Answer, Failure, Reply, Then};
use super::work::Work;

/// Whether a connection is served.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Standing {
    /// A worker reads it.
    Served,
    /// Nothing reads it until the PCP process was replaced.
    Waiting,
    /// It is to be reset; or there is no such connection.
    Reset,
}

/// A connection's worker.
#[derive(Clone, Debug)]
pub(super) struct Connection {
    pub(super) standing: Standing,
    salt: Option<Salt>,
    is_logged_in: bool,
    /// Whether a request came since the login.
    has_asked: bool,
    /// What the worker is busy with.
    pub(super) work: Option<Work>,
    /// What it serves, or served last.
    pub(super) request: Option<Frame<RequestKind>>,
    /// What it tells in notices, where that was asked for.
    pub(super) client_min_messages: Option<MessageLevel>,
}

impl Connection {
    pub(super) fn new(standing: Standing) -> Self {
        Self {
            standing,
            salt: None,
            is_logged_in: false,
            has_asked: false,
            work: None,
            request: None,
            client_min_messages: None,
        }
    }
}

impl World {
    /// Serves a request.
    ///
    /// A connection asks one thing at a time: nothing before [`resume`](Self::resume) gave what comes later.
    pub fn request(&mut self, now: Duration, connection: u64, frame: &Frame<RequestKind>) -> Answer {
        self.advance(now);
        let Some(open) = self.connections.get_mut(&connection) else {
            return Answer::Now(Reply::empty(Then::Close));
        };
        open.request = Some(frame.clone());
        let answer = self.answer(now, connection, frame);
        self.with_notices(connection, answer)
    }

    fn answer(&mut self, now: Duration, connection: u64, frame: &Frame<RequestKind>) -> Answer {
        let Some(open) = self.connections.get_mut(&connection) else {
            return Answer::Now(Reply::empty(Then::Close));
        };
        match frame.kind {
            RequestKind::READ_SALT => {
                self.salts = self.salts.wrapping_add(1);
                // Any bijection will do: salts differ, and are the same in every run.
                let salt = Salt(self.salts.wrapping_mul(0x9e37_79b1).to_be_bytes());
                open.salt = Some(salt);
                Answer::Now(Reply { frames: vec![salt.encode()], then: Then::GoOn })
            }
            RequestKind::LOGIN => Answer::Now(self.log_in(connection, frame).into()),
            _ if !open.is_logged_in => {
                let failure =
                    Failure::fatal("authentication failed for new PCP connection", "connection not authorized");
                Answer::Now(failure.into())
            }
            RequestKind::DISCONNECT => Answer::Now(Reply::empty(Then::Close)),
            _ => {
                let crashes = frame.body.is_empty() && open.has_asked && self.settings.crashes_on_bare_requests;
                open.has_asked = true;
                match self.command(now, connection, frame) {
                    Answer::Now(reply) if crashes => Answer::Now(Reply { then: Then::Crash, ..reply }),
                    answer => answer,
                }
            }
        }
    }

    /// Answers a request whose length field says `length`, which no worker reads the body of; `None` for a length
    /// that is fine.
    ///
    /// After an error the worker takes what follows the length field for the next request.
    pub fn refuse_length(length: u32) -> Option<Reply> {
        const HEADER: u32 = 4;
        let failure = match i32::from_be_bytes(length.to_be_bytes()) {
            1..=3 => {
                let missing = u64::from(HEADER - length);
                Failure::error(&format!("invalid memory alloc request size {}", missing.wrapping_neg()))
            }
            signed if signed <= 0 || signed >= 260 => {
                Failure::fatal("invalid PCP packet", &format!("incorrect packet length ({signed})"))
            }
            _ => return None,
        };
        Some(failure.into())
    }

    fn log_in(&mut self, connection: u64, frame: &Frame<RequestKind>) -> Result<Reply, Failure> {
        const MISMATCH: &str = "username and/or password does not match";
        if frame.body.is_empty() {
            return Err(Failure::crash());
        }
        let credentials = self.settings.credentials.as_ref();
        let Some(open) = self.connections.get_mut(&connection) else { return Err(Failure::crash()) };
        // A salt serves one login.
        let Some(salt) = open.salt.take() else { return Err(Failure::fatal("authentication failed", MISMATCH)) };
        if !credentials.is_some_and(|credentials| credentials.verify(frame, salt) == Ok(true)) {
            let user = Fields::new(&frame.body).text("user").unwrap_or_default();
            return Err(Failure::fatal(&format!("authentication failed for user \"{user}\""), MISMATCH));
        }
        open.is_logged_in = true;
        open.has_asked = false;
        let accepted = Frame::new(ReplyKind::LOGIN, Bytes::from_static(b"AuthenticationOK\0"));
        Ok(Reply { frames: vec![accepted], then: Then::GoOn })
    }
}

#[cfg(test)]
mod tests {
    use pcp_proto::message::{ReadNodeCount, Request};
    use pcp_proto::{Credentials, ServerMessage};

    use super::super::Age;
    use super::super::test::Drill;
    use super::*;

    fn drill() -> Drill {
        Drill::new(World::new(Age::V4_3_1).node("10.0.0.1", 5432))
    }

    fn bare(kind: RequestKind) -> Frame<RequestKind> {
        Frame::new(kind, Bytes::new())
    }

    fn refusal(reply: &Reply) -> String {
        assert_eq!(reply.frames[0].kind, ReplyKind::ERROR);
        format!("{} {:?}", ServerMessage::decode(&reply.frames[0].body).unwrap(), reply.then)
    }

    fn salt_of(reply: &Reply) -> Salt {
        Salt::decode(&reply.frames[0]).unwrap()
    }

    #[test]
    fn logins_are_refused_as_real_servers_do() {
        let mut drill = drill();
        let login = |user, password: &str, salt| Credentials::new(user, password.as_bytes()).unwrap().login(salt);
        let mismatch = "(username and/or password does not match) Close";
        for (user, password) in [("pcpadmin", "Secret"), ("nobody", "secret"), ("pcpadmin", "")] {
            let connection = drill.world.connect(drill.now);
            let salt = salt_of(&drill.send(connection, &bare(RequestKind::READ_SALT)));
            let reply = drill.send(connection, &login(user, password, salt));
            assert_eq!(refusal(&reply), format!("FATAL: authentication failed for user \"{user}\" {mismatch}"));
        }

        let connection = drill.world.connect(drill.now);
        let reply = drill.send(connection, &login("pcpadmin", "secret", Salt([0; 4])));
        assert_eq!(refusal(&reply), format!("FATAL: authentication failed {mismatch}"), "no salt");
        let salt = salt_of(&drill.send(connection, &bare(RequestKind::READ_SALT)));
        let login = login("pcpadmin", "secret", salt);
        assert_eq!(drill.send(connection, &login).frames[0].kind, ReplyKind::LOGIN);
        assert_eq!(refusal(&drill.send(connection, &login)), format!("FATAL: authentication failed {mismatch}"));
        assert_eq!(drill.send(connection, &bare(RequestKind::LOGIN)).then, Then::Crash);
    }

    #[test]
    fn nothing_is_served_before_the_login() {
        for kind in [RequestKind::READ_NODE_COUNT, RequestKind::DISCONNECT, RequestKind(b'Q')] {
            let mut drill = drill();
            let connection = drill.world.connect(drill.now);
            let reply = drill.send(connection, &bare(kind));
            let expected = "FATAL: authentication failed for new PCP connection (connection not authorized) Close";
            assert_eq!(refusal(&reply), expected);
        }
    }

    #[test]
    fn each_salt_is_another_and_the_last_one_counts() {
        let mut drill = drill();
        let connection = drill.world.connect(drill.now);
        let first = salt_of(&drill.send(connection, &bare(RequestKind::READ_SALT)));
        let second = salt_of(&drill.send(connection, &bare(RequestKind::READ_SALT)));
        assert_ne!(first, second);
        let login = Credentials::new("pcpadmin", b"secret").unwrap().login(first);
        assert_eq!(drill.send(connection, &login).then, Then::Close);
    }

    #[test]
    fn lengths_are_checked() {
        let refused = |length| World::refuse_length(length).map(|reply| refusal(&reply));
        let fatal = |length| Some(format!("FATAL: invalid PCP packet (incorrect packet length ({length})) Close"));
        assert_eq!(refused(0), fatal(0));
        assert_eq!((refused(4), refused(259)), (None, None));
        assert_eq!(refused(260), fatal(260));
        assert_eq!(refused(u32::MAX), fatal(-1));
        let odd = Some("ERROR: invalid memory alloc request size 18446744073709551613 GoOn".to_owned());
        assert_eq!(refused(1), odd);
    }

    #[test]
    fn the_second_bare_request_crashes_the_worker_where_that_is_wanted() {
        for wanted in [false, true] {
            let mut drill = drill();
            drill.world.settings_mut().crashes_on_bare_requests = wanted;
            let connection = drill.log_in();
            let padded = ReadNodeCount.encode();
            let thens = [bare(padded.kind), padded.clone(), padded.clone(), bare(padded.kind)]
                .map(|frame| drill.send(connection, &frame).then);
            let last = if wanted { Then::Crash } else { Then::GoOn };
            assert_eq!(thens, [Then::GoOn, Then::GoOn, Then::GoOn, last]);
            let reply = drill.send(connection, &bare(padded.kind));
            assert_eq!(reply.frames[0].kind, ReplyKind::NODE_COUNT, "the reply still comes");
        }
    }
}
