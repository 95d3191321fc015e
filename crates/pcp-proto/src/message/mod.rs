//! The messages: one file per request with its reply, both directions coded.
//!
//! Requests that read are named `Read…` and their replies are nouns; requests that change something are verbs, and
//! their reply is [`Accepted`], which promises next to nothing.

mod attach_node;
mod batch;
mod detach_node;
mod health_check_stats;
mod node_count;
mod node_info;
mod pool_status;
mod promote_node;
mod watchdog_info;

use bytes::{BufMut, BytesMut};

pub use attach_node::AttachNode;
pub use batch::{Batch, Outgoing, QueryBatch};
pub use detach_node::DetachNode;
pub use health_check_stats::{HealthCheckStats, ReadHealthCheckStats};
pub use node_count::{NodeCount, ReadNodeCount};
pub use node_info::{Delay, NodeInfo, NodeInfoLayout, NodeInfos, NodeRole, NodeStatus, ReadNodeInfo};
pub use pool_status::{ConfiguredNode, Parameter, PoolStatus, ReadPoolStatus};
pub use promote_node::{PromoteMode, PromoteNode};
pub use watchdog_info::{ReadWatchdogInfo, WatchdogCluster, WatchdogInfo, WatchdogMember};

use crate::{DecodeError, Fields, Frame, NodeId, ReplyKind, RequestKind};

/// The word that the last frame of every reply begins with.
const COMPLETE: &str = "CommandComplete";
/// The word of the frame that announces how many rows follow. A hint, not a promise.
const ARRAY_SIZE: &str = "ArraySize";

/// What a client asks.
pub trait Request: Sized {
    /// The type of the request's frame.
    const KIND: RequestKind;
    /// The type of its reply's frames.
    const REPLY: ReplyKind;
    /// What a server answers, unless it refuses.
    type Reply: Reply;

    /// Makes the request's frame.
    fn encode(&self) -> Frame<RequestKind>;

    /// Reads the request's frame: the server's side.
    ///
    /// # Errors
    ///
    /// A frame that does not hold this request.
    fn decode(frame: &Frame<RequestKind>) -> Result<Self, DecodeError>;
}

/// A request that only reads: it may be repeated, and sent on a connection that stays open.
pub trait Query: Request {}

/// What a server answers: frames of one kind, the last of which begins with `CommandComplete`.
pub trait Reply: Sized {
    /// Reads a whole reply.
    ///
    /// # Errors
    ///
    /// Frames that do not hold this reply.
    fn decode(frames: &[Frame<ReplyKind>]) -> Result<Self, DecodeError>;

    /// Makes the frames as a server does.
    fn encode(&self, kind: ReplyKind) -> Vec<Frame<ReplyKind>>;
}

/// The answer to a change: the server took the request.
///
/// It says neither that anything was done nor that anything will be. Servers answer this when they have queued an
/// operation, when there is nothing to do, and for some requests that they refuse in their log only.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Accepted;

impl Reply for Accepted {
    fn decode(frames: &[Frame<ReplyKind>]) -> Result<Self, DecodeError> {
        complete(frames)?.finish()?;
        Ok(Self)
    }

    fn encode(&self, kind: ReplyKind) -> Vec<Frame<ReplyKind>> {
        vec![Body::new(COMPLETE).frame(kind)]
    }
}

/// Tells whether `frame` is the last one of a reply.
pub(crate) fn is_last(frame: &Frame<ReplyKind>) -> bool {
    frame.body.strip_prefix(COMPLETE.as_bytes()).is_some_and(|rest| rest.first() == Some(&0))
}

/// Returns what follows `CommandComplete` in a reply of one frame.
fn complete(frames: &[Frame<ReplyKind>]) -> Result<Fields, DecodeError> {
    let (frame, more) = frames.split_first().ok_or(DecodeError::MissingFrame { frame: COMPLETE })?;
    let mut fields = Fields::new(&frame.body);
    fields.word(COMPLETE)?;
    match more.len() {
        0 => Ok(fields),
        frames => Err(DecodeError::TrailingFrames { frames }),
    }
}

/// Returns the rows of a reply that has an `ArraySize` frame, rows, and a `CommandComplete` frame. What the first frame
/// counts is not looked at: servers announce other numbers than they send.
fn rows<'a>(
    frames: &'a [Frame<ReplyKind>],
    word: &'static str,
) -> Result<impl Iterator<Item = Result<Fields, DecodeError>> + 'a, DecodeError> {
    let (first, rest) = frames.split_first().ok_or(DecodeError::MissingFrame { frame: ARRAY_SIZE })?;
    Fields::new(&first.body).word(ARRAY_SIZE)?;
    let (last, rows) = rest.split_last().ok_or(DecodeError::MissingFrame { frame: COMPLETE })?;
    let mut end = Fields::new(&last.body);
    end.word(COMPLETE)?;
    end.finish()?;
    Ok(rows.iter().map(move |row| {
        let mut fields = Fields::new(&row.body);
        fields.word(word)?;
        Ok(fields)
    }))
}

/// Checks that a request's frame is of the right kind and returns its body.
fn request(frame: &Frame<RequestKind>, kind: RequestKind) -> Result<Fields, DecodeError> {
    if frame.kind == kind {
        Ok(Fields::new(&frame.body))
    } else {
        Err(DecodeError::UnexpectedKind { expected: kind.0, found: frame.kind.0 })
    }
}

/// Reads a node id from a request.
fn node_id(fields: &mut Fields) -> Result<NodeId, DecodeError> {
    let value = fields.text("node id")?;
    value.as_str().and_then(|text| text.parse().ok()).ok_or(DecodeError::InvalidField {
        field: "node id",
        value,
        expected: "a number from 0 to 127",
    })
}

/// A body that grows string by string.
struct Body(BytesMut);

impl Body {
    /// Starts with a word.
    fn new(word: &str) -> Self {
        Self::empty().text(word.as_bytes())
    }

    fn empty() -> Self {
        Self(BytesMut::new())
    }

    /// Appends a NUL-terminated string.
    fn text(mut self, text: &[u8]) -> Self {
        self.0.put_slice(text);
        self.0.put_u8(0);
        self
    }

    /// Appends a value's text, NUL-terminated.
    fn shown(self, value: impl std::fmt::Display) -> Self {
        self.text(value.to_string().as_bytes())
    }

    /// Appends bytes as they are.
    fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.put_slice(bytes);
        self
    }

    fn frame<K: crate::Kind>(self, kind: K) -> Frame<K> {
        Frame::new(kind, self.0.freeze())
    }
}

/// The body of requests that have none: a single NUL.
///
/// Some old servers (3.5.23 to 3.5.28, 3.6.19, 3.6.20, 3.7.12, 3.7.13, 4.0.7, 4.0.8, 4.1.0, 4.1.1) free a buffer twice when
/// such a request has an empty body and is not the first on its connection. With one byte in it the buffer is a fresh
/// one. No server looks at the byte.
const PADDING: &[u8] = b"\0";

#[cfg(test)]
pub(crate) mod test {
    use bytes::Bytes;

    use super::*;

    /// Cuts recorded or written-down bytes into frames.
    pub(crate) fn frames<K: crate::Kind>(bytes: &[u8]) -> Vec<Frame<K>> {
        let mut buffer = BytesMut::from(bytes);
        let mut decoder = crate::FrameDecoder::new();
        let mut frames = Vec::new();
        while let Some(frame) = decoder.decode(&mut buffer).unwrap() {
            frames.push(frame);
        }
        assert!(buffer.is_empty(), "{} bytes of a frame are missing", buffer.len());
        frames
    }

    /// Makes reply frames of bodies.
    pub(crate) fn reply(kind: ReplyKind, bodies: &[&'static [u8]]) -> Vec<Frame<ReplyKind>> {
        bodies.iter().map(|&body| Frame::new(kind, Bytes::from_static(body))).collect()
    }

    /// Checks that a request has these bytes and reads back from them.
    pub(crate) fn golden<R: Request + PartialEq + std::fmt::Debug>(request: &R, bytes: &[u8]) {
        assert_eq!(request.encode().to_bytes(), bytes);
        assert_eq!(R::decode(&frames(bytes)[0]).as_ref(), Ok(request));
    }

    #[test]
    fn the_last_frame_is_told_by_its_whole_first_word() {
        let last = |body| is_last(&Frame::new(ReplyKind::NODE_INFO, Bytes::from_static(body)));
        assert!(last(b"CommandComplete\0") && last(b"CommandComplete\x003\0"));
        assert!(!last(b"CommandComplete") && !last(b"CommandCompleted\0") && !last(b"NodeInfo\0") && !last(b""));
    }
}
