//! The messages: one file per request with its reply, both directions coded.
//!
//! Requests that read are named `Read…` and their replies are nouns; requests that change something are verbs, and
//! their reply is [`Accepted`], which promises next to nothing.
//!
//! # What a client sends
//!
//! | message | letter | answer | reply | since |
//! |---|---|---|---|---|
//! | [`AttachNode`] | `C` | `c` | [`Accepted`] | 3.5 |
//! | [`DetachNode`] | `D` | `d` | [`Accepted`] | 3.5 |
//! | [`DetachNodeGracefully`] | `d` | `d` | [`Accepted`] | 3.5 |
//! | [`InvalidateQueryCache`] | `G` | `g` | [`Accepted`] | 4.6 |
//! | [`PromoteNode`] | `J` | `d` | [`Accepted`] | 3.5, a switchover 4.3 |
//! | [`PromoteNodeGracefully`] | `j` | `d` | [`Accepted`] | 3.5, a switchover 4.3 |
//! | [`ReadHealthCheckStats`] | `H` | `h` | [`HealthCheckStats`] | 4.2 |
//! | [`ReadNodeCount`] | `L` | `l` | [`NodeCount`] | 3.5 |
//! | [`ReadNodeInfo`] | `I` | `i` | [`NodeInfos`] | 3.5, all nodes 4.3 |
//! | [`ReadPoolStatus`] | `B` | `b` | [`PoolStatus`] | 3.5 |
//! | [`ReadProcessCount`] | `N` | `n` | [`ProcessCount`] | 3.5 |
//! | [`ReadProcessInfo`] | `P` | `p` | [`ProcessInfos`] | 3.5 |
//! | [`ReadWatchdogInfo`] | `W` | `w` | [`WatchdogInfo`] | 3.5 |
//! | [`RecoverNode`] | `O` | `c` | [`Accepted`] | 3.5 |
//! | [`ReloadConfig`] | `Z` | `z` | [`Accepted`] | 4.2 |
//! | [`RotateLog`] | `V` | `v` | [`Accepted`] | 4.6 |
//! | [`SetClientMinMessages`] | `A` | `a` | [`Accepted`] | 3.5 |
//! | [`StopCluster`] | `t` | `t` | [`Accepted`] | 4.2 |
//! | [`StopPgpool`] | `T` | `t` | [`Accepted`] | 3.5 |
//! | request for the salt | `M` | `m` | [`Salt`](crate::Salt) | 3.5 |
//! | login | `R` | `r` | | 3.5 |
//! | goodbye | `X` | | | 3.5 |
//!
//! A request that a server does not know costs the connection. `F`, "stop recovery", is never sent: servers know it
//! and answer nothing at all.
//!
//! # What a server sends
//!
//! | message | letters | layouts: strings each, and the releases |
//! |---|---|---|
//! | [`Accepted`] | `a` `c` `d` `g` `t` `v` `z` | 0 (3.5 or later) |
//! | [`HealthCheckStats`] | `h` | 20 (4.2 or later) |
//! | [`NodeCount`] | `l` | 1 (3.5 or later) |
//! | [`NodeInfos`] | `i` | 4 (3.5 or later, before 3.7), 5 6 (3.7 or later, before 4.0), 7 8 (4.0 or later, before 4.1), 9 10 (4.1 or later, before 4.3), 11 12 (4.3 or later, before 4.4), 13 (4.4 or later) |
//! | [`PoolStatus`] | `b` | 3 (3.5 or later) |
//! | [`ProcessCount`] | `n` | one, and one for each process (3.5 or later) |
//! | [`ProcessInfos`] | `p` | 11 (3.5 or later, before 4.3), 17 (4.3 or later, before 4.5), 18 (4.5 or later, before 4.7), 21 (4.7 or later) |
//! | [`WatchdogInfo`] | `w` | 1 (3.5 or later) |
//! | [`Salt`](crate::Salt) | `m` | four raw bytes (3.5 or later) |
//! | login accepted | `r` | 0 (3.5 or later) |
//! | error, a [`ServerMessage`](crate::ServerMessage) | `E` | letter and text, any number (3.5 or later) |
//! | notice, a [`ServerMessage`](crate::ServerMessage) | `N` | the same (3.5 or later) |

mod attach_node;
mod batch;
mod detach_node;
mod detach_node_gracefully;
mod health_check_stats;
mod invalidate_query_cache;
mod node_count;
mod node_info;
mod pool_status;
mod process_count;
mod process_info;
mod promote_node;
mod promote_node_gracefully;
mod recover_node;
mod reload_config;
mod rotate_log;
mod scope;
mod set_client_min_messages;
mod stop_cluster;
mod stop_pgpool;
#[cfg(test)]
mod table;
mod watchdog_info;

use bytes::{BufMut, Bytes, BytesMut};

pub use attach_node::AttachNode;
pub use batch::{Batch, Outgoing, QueryBatch};
pub use detach_node::DetachNode;
pub use detach_node_gracefully::DetachNodeGracefully;
pub use health_check_stats::{HealthCheckStats, ReadHealthCheckStats};
pub use invalidate_query_cache::InvalidateQueryCache;
pub use node_count::{NodeCount, ReadNodeCount};
pub use node_info::{Delay, NodeInfo, NodeInfoLayout, NodeInfos, NodeRole, NodeStatus, ReadNodeInfo};
pub use pool_status::{ConfiguredNode, Parameter, PoolStatus, ReadPoolStatus};
pub use process_count::{ProcessCount, ReadProcessCount};
pub use process_info::{ProcessInfo, ProcessInfoLayout, ProcessInfos, ProcessTime, ReadProcessInfo};
pub use promote_node::{PromoteMode, PromoteNode};
pub use promote_node_gracefully::PromoteNodeGracefully;
pub use recover_node::RecoverNode;
pub use reload_config::ReloadConfig;
pub use rotate_log::RotateLog;
pub use scope::Scope;
pub use set_client_min_messages::{MessageLevel, SetClientMinMessages};
pub use stop_cluster::StopCluster;
pub use stop_pgpool::{StopMode, StopPgpool};
pub use watchdog_info::{Quorum, ReadWatchdogInfo, WatchdogCluster, WatchdogInfo, WatchdogMember};

use crate::{DecodeError, Fields, Frame, NodeId, Release, ReplyKind, RequestKind, Requirement, Text};

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
    /// What it does, in words.
    const NAME: &'static str;
    /// The first release that knows its type; an older server drops the connection.
    const SINCE: Release = Release::OLDEST;
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

    /// Returns what this very request needs of a server, to be [checked](crate::ServerAge::check) before it is
    /// sent: the release that knows its type, or a later one that knows its argument.
    fn requirement(&self) -> Requirement {
        Requirement { what: Self::NAME, since: Self::SINCE }
    }
}

/// A request that changes nothing in Pgpool: it may be repeated, and sent on a connection that stays open.
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

/// A reply that can be read row by row as its frames come, so that it need not be held as a whole.
pub trait Rows: Reply {
    /// A row.
    type Row;

    /// Reads one frame of a reply; `None` for the frames around the rows.
    ///
    /// # Errors
    ///
    /// A frame that does not belong to this reply.
    fn row(frame: &Frame<ReplyKind>) -> Result<Option<Self::Row>, DecodeError>;
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

/// Returns what an `ArraySize` frame counts, and the rows between it and a `CommandComplete` frame. The count is for those
/// replies in which servers send as many rows as they announce.
fn rows<'a>(
    frames: &'a [Frame<ReplyKind>],
    word: &'static str,
) -> Result<(Fields, impl Iterator<Item = Result<Fields, DecodeError>> + 'a), DecodeError> {
    let (first, rest) = frames.split_first().ok_or(DecodeError::MissingFrame { frame: ARRAY_SIZE })?;
    let mut count = Fields::new(&first.body);
    count.word(ARRAY_SIZE)?;
    let (last, rows) = rest.split_last().ok_or(DecodeError::MissingFrame { frame: COMPLETE })?;
    let mut end = Fields::new(&last.body);
    end.word(COMPLETE)?;
    end.finish()?;
    let rows = rows.iter().map(move |row| {
        let mut fields = Fields::new(&row.body);
        fields.word(word)?;
        Ok(fields)
    });
    Ok((count, rows))
}

/// Returns a row, or `None` where the frame is the `ArraySize` or the `CommandComplete` frame around rows.
fn row(frame: &Frame<ReplyKind>, word: &'static str) -> Result<Option<Fields>, DecodeError> {
    let mut fields = Fields::new(&frame.body);
    if fields.skip_word(word)? {
        return Ok(Some(fields));
    }
    match fields.text("first word")? {
        found if found == ARRAY_SIZE => Ok(None),
        found if found == COMPLETE => fields.finish().map(|()| None),
        found => Err(DecodeError::UnexpectedWord { expected: word, found }),
    }
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

/// Reads a request that holds a node id and nothing else.
fn only_node_id(frame: &Frame<RequestKind>, kind: RequestKind) -> Result<NodeId, DecodeError> {
    let mut fields = request(frame, kind)?;
    let node = node_id(&mut fields)?;
    fields.finish()?;
    Ok(node)
}

/// The body of requests that ask for everything, not for one number.
const ALL: &[u8] = b"-1\0";

/// Returns a node id as requests hold it, without allocating: most requests are about a node.
fn node_id_body(node: NodeId) -> Bytes {
    static BODIES: [[u8; 4]; 128] = node_id_bodies();
    let length = match node.get() {
        0..10 => 2,
        10..100 => 3,
        _ => 4,
    };
    let body = BODIES.get(usize::from(node)).and_then(|body| body.get(..length));
    Bytes::from_static(body.unwrap_or_default())
}

/// Writes every node id, with the NUL behind it.
#[allow(clippy::arithmetic_side_effects, clippy::indexing_slicing, reason = "the compiler runs this")]
const fn node_id_bodies() -> [[u8; 4]; 128] {
    let mut bodies = [[0; 4]; 128];
    let mut id = 0;
    while id < 128_u8 {
        let (tens, units) = (b'0' + id / 10 % 10, b'0' + id % 10);
        bodies[id as usize] = match id {
            0..10 => [units, 0, 0, 0],
            10..100 => [tens, units, 0, 0],
            _ => [b'1', tens, units, 0],
        };
        id += 1;
    }
    bodies
}

/// Reads a letter without a NUL, the last field of a request, and returns what it stands for.
fn letter<T: Copy>(
    mut fields: Fields,
    field: &'static str,
    expected: &'static str,
    known: &[(u8, T)],
) -> Result<T, DecodeError> {
    let [found] = fields.array(field)?;
    fields.finish()?;
    let meaning = known.iter().find(|(letter, _)| *letter == found).map(|&(_, meaning)| meaning);
    meaning.ok_or_else(|| DecodeError::InvalidField { field, value: Text::new(vec![found]), expected })
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
/// Some old servers (3.5.23 to 3.5.28, 3.6.19, 3.6.20, 3.7.12, 3.7.13, 4.0.7, 4.0.8, 4.1.0, 4.1.1) free a buffer
/// twice when such a request has an empty body and is not the first on its connection. With one byte in it the
/// buffer is a fresh one. No server looks at the byte.
const PADDING: &[u8] = b"\0";

#[cfg(test)]
pub(crate) mod test {
    use super::*;

    /// Cuts recorded or written-down bytes into frames.
    pub(crate) fn frames<K: crate::Kind>(bytes: &[u8]) -> Vec<Frame<K>> {
        let mut buffer = BytesMut::from(bytes);
        let mut decoder = crate::FrameDecoder::new();
        let mut frames = Vec::new();
        while let Some(frame) = decoder.decode(&mut buffer).unwrap() {
            frames.push(frame);
        }
        assert_eq!(decoder.held(), 0, "a frame is cut off");
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
    fn every_node_id_is_written_as_it_is_shown() {
        for id in 0..=usize::from(NodeId::MAX) {
            let node = id.try_into().unwrap();
            assert_eq!(node_id_body(node), format!("{id}\0"));
        }
    }

    #[test]
    fn requests_are_read_to_their_end_and_under_their_own_letter_only() {
        fn other_letter<R: Request>(request: &R) -> Frame<RequestKind> {
            let frame = request.encode();
            assert!(R::decode(&Frame::new(RequestKind(b'?'), frame.body.clone())).is_err(), "{}", R::NAME);
            frame
        }
        fn strict<R: Request>(request: R) {
            let frame = other_letter(&request);
            for more in [&b"x"[..], b"\0", b"0\0"] {
                let longer = Frame::new(frame.kind, [&frame.body, more].concat());
                assert!(R::decode(&longer).is_err(), "{}: {longer:?}", R::NAME);
            }
        }
        let (node, mode) = (NodeId::MAX, StopMode::Fast);
        strict(AttachNode { node });
        strict(DetachNode { node });
        strict(DetachNodeGracefully { node });
        strict(PromoteNode { node, mode: PromoteMode::ViewOnly });
        strict(PromoteNodeGracefully { node, mode: PromoteMode::Switchover });
        strict(ReadHealthCheckStats { node });
        strict(ReadNodeInfo::Node(node));
        strict(ReadNodeInfo::All);
        strict(ReadProcessInfo::All);
        strict(ReadWatchdogInfo::All);
        strict(RecoverNode { node });
        strict(ReloadConfig { scope: Scope::Local });
        strict(RotateLog { scope: Scope::Cluster });
        strict(SetClientMinMessages { level: MessageLevel::Log });
        strict(StopCluster { mode });
        strict(StopPgpool { mode });
        // Servers never look at what these hold.
        other_letter(&InvalidateQueryCache);
        other_letter(&ReadNodeCount);
        other_letter(&ReadPoolStatus);
        other_letter(&ReadProcessCount);
    }

    #[test]
    fn the_last_frame_is_told_by_its_whole_first_word() {
        let last = |body| is_last(&Frame::new(ReplyKind::NODE_INFO, Bytes::from_static(body)));
        assert!(last(b"CommandComplete\0") && last(b"CommandComplete\x003\0"));
        assert!(!last(b"CommandComplete") && !last(b"CommandCompleted\0") && !last(b"NodeInfo\0") && !last(b""));
    }
}
