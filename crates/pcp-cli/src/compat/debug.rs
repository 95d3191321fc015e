//! What `-d` tells: the frames that came and went.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::BytesMut;
use pcp_client::{Connect, Connector, Deadline, Error, Stream};
use pcp_proto::message::Outgoing;
use pcp_proto::{Frame, FrameDecoder, ReplyKind, RequestKind, ServerMessage};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::form::Form;

/// Connects, and keeps what the server says.
pub(super) struct Recorder {
    pub(super) connector: Connector,
    pub(super) record: Record,
}

/// What a server said, as far as anybody wants to know.
#[derive(Clone, Default)]
pub(super) struct Record(Option<Rc<RefCell<Tape>>>);

#[derive(Default)]
struct Tape {
    bytes: BytesMut,
    has_ended: bool,
}

/// A connection that is listened to.
pub(super) struct Recorded {
    stream: Stream,
    record: Record,
}

/// How much had come when the tool's request was sent, and whose tool that is where it is known.
#[derive(Clone, Copy, Default)]
pub(super) struct Mark {
    place: usize,
    form: Option<Form>,
}

impl Record {
    /// Makes a record that is kept.
    pub(super) fn kept() -> Self {
        Self(Some(Rc::default()))
    }

    /// Returns how much there is.
    pub(super) fn mark(&self, form: Option<Form>) -> Mark {
        Mark { place: self.0.as_ref().map_or(0, |tape| tape.borrow().bytes.len()), form }
    }

    /// Keeps nothing of what is still to come.
    pub(super) fn end(&self) {
        if let Some(tape) = &self.0 {
            tape.borrow_mut().has_ended = true;
        }
    }

    /// Tells, in the words of the tools, what came up to the login, and what was sent and came behind `asked`.
    ///
    /// What a link asks besides is left out. A login goes out together with the request; the tools wait in between, so
    /// that is how it is told.
    pub(super) fn tell(&self, request: &Outgoing, asked: Mark) -> String {
        let Some(tape) = &self.0 else { return String::new() };
        let frames = frames(&tape.borrow().bytes);
        let login = frames.iter().position(|(_, frame)| frame.kind == ReplyKind::LOGIN);
        let (before, after) = frames.split_at(login.map_or(frames.len(), |login| login + 1));
        let mut text: String = before.iter().map(|(_, frame)| received(frame)).collect();
        if login.is_some() {
            text.push_str(&sent(request, asked.form));
            let reply = after.iter().filter(|(place, _)| *place >= asked.place);
            text.extend(reply.map(|(_, frame)| received(frame)));
        }
        text
    }

    /// Tells of the goodbye, which is said where there was a login.
    pub(super) fn goodbye(&self) -> &'static str {
        let is_login = |(_, frame): &(usize, Frame<ReplyKind>)| frame.kind == ReplyKind::LOGIN;
        let logged_in = self.0.as_ref().is_some_and(|tape| frames(&tape.borrow().bytes).iter().any(is_login));
        if logged_in { "DEBUG: send: tos=\"X\", len=4\n" } else { "" }
    }
}

/// Cuts bytes into frames, each with the place where it begins.
fn frames(bytes: &[u8]) -> Vec<(usize, Frame<ReplyKind>)> {
    let mut rest = BytesMut::from(bytes);
    let mut decoder = FrameDecoder::<ReplyKind>::new();
    let mut frames = Vec::new();
    let mut place = 0;
    while let Ok(Some(frame)) = decoder.decode(&mut rest) {
        let length = frame.encoded_len();
        frames.push((place, frame));
        place += length;
    }
    frames
}

fn received(frame: &Frame<ReplyKind>) -> String {
    let mut text = format!("DEBUG: recv: tos=\"{}\", len={}\n", frame.kind, frame.encoded_len() - 1);
    if frame.kind == ReplyKind::NOTICE
        && let Ok(ServerMessage { severity, message, detail, .. }) = ServerMessage::decode(&frame.body)
    {
        text.push_str(&format!("BACKEND {severity}:  {message}\n"));
        text.extend(detail.map(|detail| format!("DETAIL:  {detail}\n")));
    }
    text
}

/// Tells what the tool sends, with the letters that it names.
fn sent(request: &Outgoing, form: Option<Form>) -> String {
    let kind = request.frame.kind;
    let (letter, place) = match kind {
        RequestKind::READ_HEALTH_CHECK_STATS => ("L".to_owned(), ""),
        RequestKind::READ_POOL_STATUS => ("B".to_owned(), " pcp_pool_status"),
        RequestKind::DETACH_NODE | RequestKind::DETACH_NODE_GRACEFULLY | RequestKind::RECOVER_NODE => {
            ("D".to_owned(), "")
        }
        RequestKind::PROMOTE_NODE | RequestKind::PROMOTE_NODE_GRACEFULLY => ("E".to_owned(), ""),
        RequestKind::STOP_PGPOOL | RequestKind::STOP_CLUSTER => ("T".to_owned(), ""),
        RequestKind::ROTATE_LOG => ("Z".to_owned(), ""),
        kind => (kind.to_string(), ""),
    };
    let is_before_4_3 = form.is_some_and(|form| !form.is_at_least(4, 3));
    let more_than_theirs = match kind {
        // The mode, which the tools name since 4.3.
        RequestKind::PROMOTE_NODE | RequestKind::PROMOTE_NODE_GRACEFULLY if is_before_4_3 => " n".len(),
        // Ours has a NUL where theirs has nothing.
        _ => usize::from(request.frame.body == "\0"),
    };
    format!("DEBUG{place}: send: tos=\"{letter}\", len={}\n", request.frame.encoded_len() - 1 - more_than_theirs)
}

impl Connect for Recorder {
    type Stream = Recorded;

    async fn connect(&self, deadline: Deadline) -> Result<Recorded, Error> {
        let stream = self.connector.connect(deadline).await?;
        Ok(Recorded { stream, record: self.record.clone() })
    }

    fn name(&self) -> String {
        self.connector.name()
    }
}

impl AsyncRead for Recorded {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        if let Some(tape) = &self.record.0 {
            let mut tape = tape.borrow_mut();
            if !tape.has_ended {
                tape.bytes.extend_from_slice(buf.filled().get(before..).unwrap_or_default());
            }
        }
        read
    }
}

impl AsyncWrite for Recorded {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use pcp_proto::message::{Outgoing, ReadNodeCount, Request};

    use super::*;

    fn heard(frames: &[Frame<ReplyKind>]) -> Record {
        let record = Record::kept();
        for frame in frames {
            record.0.as_ref().unwrap().borrow_mut().bytes.extend_from_slice(&frame.to_bytes());
        }
        record
    }

    fn node_count() -> Outgoing {
        let requirement = ReadNodeCount.requirement();
        Outgoing { frame: ReadNodeCount.encode(), reply: ReadNodeCount::REPLY, requirement }
    }

    #[test]
    fn the_login_is_told_before_the_request_and_notices_where_they_came() {
        let notice = ServerMessage::new("LOG", "a worker began", Some("pid 7")).encode(ReplyKind::NOTICE);
        let salt = Frame::new(ReplyKind::SALT, &b"salt"[..]);
        let login = Frame::new(ReplyKind::LOGIN, &b"AuthenticationOK\0"[..]);
        let reply = Frame::new(ReplyKind::NODE_COUNT, &b"CommandComplete\x003\0"[..]);
        let length = notice.body.len() + 4;
        let record = heard(&[notice, salt.clone(), login, reply]);
        let told = format!(
            "DEBUG: recv: tos=\"N\", len={length}\nBACKEND LOG:  a worker began\nDETAIL:  pid 7\n\
            DEBUG: recv: tos=\"m\", len=8\nDEBUG: recv: tos=\"r\", len=21\n\
            DEBUG: send: tos=\"L\", len=4\nDEBUG: recv: tos=\"l\", len=22\n"
        );
        assert_eq!(record.tell(&node_count(), Mark::default()), told);
        assert_eq!(record.goodbye(), "DEBUG: send: tos=\"X\", len=4\n");
        // What was asked before the request is none of it.
        assert!(!record.tell(&node_count(), record.mark(None)).contains("tos=\"l\""));

        let refused = ServerMessage::new("FATAL", "no", None).encode(ReplyKind::ERROR);
        let record = heard(&[salt, refused]);
        assert!(record.tell(&node_count(), Mark::default()).ends_with("tos=\"E\", len=23\n"));
        assert_eq!((record.goodbye(), Record::default().goodbye()), ("", ""));
    }
}
