//! A connection and its login.

use std::time::Duration;

use bytes::Bytes;
use pcp_proto::{Fields, Frame, ReplyKind, RequestKind, Salt};

use super::World;
use super::answer::{Answer, Failure, Reply, Then};
use super::request::Asked;

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
    pub(super) dialing_for: Option<Asked>,
}

impl Connection {
    pub(super) fn new(standing: Standing) -> Self {
        Self { standing, salt: None, is_logged_in: false, has_asked: false, dialing_for: None }
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

    /// Answers a request whose length field says `length`, which no worker reads the body of; `None` for a length that
    /// is fine.
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
