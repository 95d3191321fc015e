//! A connection to a sandbox on which something goes wrong.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use pcp_proto::{ReplyKind, ServerMessage};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::time::{Sleep, sleep};

use super::fault::{Kind, Places, Way};

/// How far apart what never ends comes: else no time would pass.
const RATE: Duration = Duration::from_millis(50);

/// What passed over a connection, each way.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Passed {
    pub(crate) replies: Count,
    pub(crate) requests: Count,
}

/// How much passed one way.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Count {
    pub(crate) bytes: usize,
    /// Behind how many bytes each frame ended.
    pub(crate) ends: Vec<usize>,
    letters: Vec<u8>,
    raw: BytesMut,
}

impl Passed {
    pub(crate) fn way(&self, way: Way) -> &Count {
        match way {
            Way::FromServer => &self.replies,
            Way::ToServer => &self.requests,
        }
    }

    /// Tells whether the same was asked and answered on both.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        self.requests.letters == other.requests.letters && self.replies.letters == other.replies.letters
    }
}

impl Count {
    /// Tells whether a byte is in the header of a frame, or the last one before it.
    pub(crate) fn is_at_border(&self, byte: usize) -> bool {
        const HEADER: usize = 5;
        byte <= HEADER || self.ends.iter().any(|&end| (end.saturating_sub(1)..=end + HEADER).contains(&byte))
    }

    /// Tells whether a byte is in a frame whose neighbours are of its kind, two on each side: a row in the middle of a list.
    pub(crate) fn is_in_a_list(&self, byte: usize) -> bool {
        self.is_frame_in_a_list(self.ends.partition_point(|&end| end <= byte))
    }

    /// Tells the same of a frame.
    pub(crate) fn is_frame_in_a_list(&self, frame: usize) -> bool {
        let around = frame.checked_sub(2).and_then(|first| self.letters.get(first..=frame + 2)).unwrap_or_default();
        around.first().is_some_and(|first| around.iter().all(|letter| letter == first))
    }

    fn add(&mut self, bytes: &[u8]) {
        self.raw.extend_from_slice(bytes);
        let mut end = self.bytes + bytes.len() - self.raw.len();
        self.bytes += bytes.len();
        while let Some(length) = whole(&self.raw) {
            self.letters.extend(self.raw.first());
            self.raw.advance(length);
            end += length;
            self.ends.push(end);
        }
    }
}

/// The client's end. The server's is a plain pipe, or gone.
#[derive(Debug)]
pub(crate) struct Pipe {
    server: Option<DuplexStream>,
    fault: Option<(Kind, usize)>,
    /// Whether the fault was met.
    met: bool,
    pausing: Option<Pin<Box<Sleep>>>,
    end: Option<End>,
    frames: Frames,
    read: usize,
    written: usize,
    passed: Rc<RefCell<Passed>>,
}

/// What a connection has become for the client.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum End {
    /// Reads give the end of the file, writes vanish.
    Closed,
    /// Both fail.
    Reset,
    /// Reads give nothing for ever.
    RepliesStall,
    /// Reads give the end of the file, writes go on.
    NoReplies,
    /// Writes vanish, reads go on.
    RequestsVanish,
}

/// Replies, cut into frames.
#[derive(Debug, Default)]
struct Frames {
    raw: BytesMut,
    count: usize,
    ready: VecDeque<Bytes>,
    endless: Option<Bytes>,
}

impl Pipe {
    /// Makes a connection on which `fault` is met; what passes is counted in `passed`.
    pub(crate) fn new(server: DuplexStream, fault: Option<(Kind, usize)>, passed: Rc<RefCell<Passed>>) -> Self {
        Self {
            server: Some(server),
            fault,
            met: false,
            pausing: None,
            end: None,
            frames: Frames::default(),
            read: 0,
            written: 0,
            passed,
        }
    }

    /// Returns how many bytes may pass that way before something happens to them.
    fn room(&self, way: Way, passed: usize) -> usize {
        match self.fault {
            Some((Kind::ByteByByte, _)) => 1,
            Some((kind, at)) if kind.way() == way && !self.met => at.saturating_sub(passed),
            _ => usize::MAX,
        }
    }

    /// Has the fault happen where its place is reached; `Pending` while the pause lasts that it makes.
    fn meet(&mut self, cx: &mut Context<'_>, way: Way, passed: usize) -> Poll<()> {
        let Some((kind, at)) = self.fault.filter(|(kind, _)| kind.way() == way && is_of_bytes(*kind)) else {
            return Poll::Ready(());
        };
        if self.met || passed < at {
            return Poll::Ready(());
        }
        if let Some(pause) = kind.pause() {
            let pausing = self.pausing.get_or_insert_with(|| Box::pin(sleep(pause)));
            ready!(pausing.as_mut().poll(cx));
        }
        self.met = true;
        self.end = match (kind, way) {
            (Kind::Cut(_), _) => Some(End::Closed),
            (Kind::Reset(_), _) => Some(End::Reset),
            (Kind::Stall(_), Way::FromServer) => Some(End::RepliesStall),
            (Kind::HalfClose(_), Way::FromServer) => Some(End::NoReplies),
            (Kind::Stall(_) | Kind::HalfClose(_), Way::ToServer) => Some(End::RequestsVanish),
            _ => None,
        };
        if matches!(self.end, Some(End::Closed | End::Reset)) {
            self.server = None;
        }
        if let (Kind::HalfClose(Way::ToServer), Some(server)) = (kind, &mut self.server) {
            // A pipe is shut at once.
            let _ready = Pin::new(server).poll_shutdown(cx);
        }
        Poll::Ready(())
    }

    /// Takes what the server has sent, up to `room` bytes; nothing is its end.
    fn poll_server(&mut self, cx: &mut Context<'_>, room: usize) -> Poll<io::Result<Bytes>> {
        let Some(server) = &mut self.server else { return Poll::Ready(Ok(Bytes::new())) };
        let mut chunk = [MaybeUninit::uninit(); 4096];
        let room = room.min(chunk.len());
        let mut buffer = ReadBuf::uninit(chunk.get_mut(..room).unwrap_or_default());
        ready!(Pin::new(server).poll_read(cx, &mut buffer))?;
        Poll::Ready(Ok(Bytes::copy_from_slice(buffer.filled())))
    }

    /// Takes whole frames, each as the fault has it.
    fn poll_frames(&mut self, cx: &mut Context<'_>, kind: Kind, at: usize, room: usize) -> Poll<io::Result<Bytes>> {
        loop {
            if let Some(frame) = self.frames.ready.front_mut() {
                let bytes = frame.split_to(room.min(frame.len()));
                if frame.is_empty() {
                    self.frames.ready.pop_front();
                }
                return Poll::Ready(Ok(bytes));
            }
            if let Some(frame) = &self.frames.endless {
                let pausing = self.pausing.get_or_insert_with(|| Box::pin(sleep(RATE)));
                ready!(pausing.as_mut().poll(cx));
                self.pausing = None;
                self.frames.ready.push_back(frame.clone());
                continue;
            }
            // What is endless behind the last frame begins there.
            if kind == Kind::EndlessNotices && self.frames.count >= at {
                self.frames.endless = Some(notice());
                continue;
            }
            let bytes = ready!(self.poll_server(cx, usize::MAX))?;
            if bytes.is_empty() {
                let rest = self.frames.raw.split().freeze();
                return Poll::Ready(Ok(rest));
            }
            self.frames.raw.extend_from_slice(&bytes);
            self.frames.cut(kind, at);
        }
    }

    fn count(&mut self, way: Way, bytes: &[u8]) {
        let mut passed = self.passed.borrow_mut();
        match way {
            Way::FromServer => passed.replies.add(bytes),
            Way::ToServer => passed.requests.add(bytes),
        }
    }
}

impl Frames {
    /// Moves the whole frames to those that are ready.
    fn cut(&mut self, kind: Kind, at: usize) {
        while let Some(length) = whole(&self.raw) {
            // Two are needed to be swapped.
            if kind == Kind::Swap && self.count == at && whole(self.raw.get(length..).unwrap_or_default()).is_none()
            {
                return;
            }
            let mut frame = self.raw.split_to(length);
            let here = self.count == at;
            self.count += 1;
            match kind {
                Kind::Lose if here => continue,
                Kind::Duplicate if here => self.ready.push_back(frame.clone().freeze()),
                Kind::Swap if here => {
                    let length = whole(&self.raw).unwrap_or_default();
                    self.ready.push_back(self.raw.split_to(length).freeze());
                    self.count += 1;
                }
                Kind::Letter(letter) if here => frame.iter_mut().take(1).for_each(|first| *first = letter),
                Kind::Length(length) if here => {
                    let bytes = length.to_be_bytes();
                    frame.iter_mut().skip(1).zip(bytes).for_each(|(byte, new)| *byte = new);
                }
                Kind::Salt(length) if here => {
                    let declared = u32::try_from(length + 4).unwrap_or(u32::MAX).to_be_bytes();
                    frame = BytesMut::from(&[&b"m"[..], &declared, &vec![b'x'; length]].concat()[..]);
                }
                Kind::EndlessRows if here => {
                    self.endless = Some(frame.freeze());
                    return;
                }
                Kind::EndlessNotices if here => {
                    self.endless = Some(notice());
                    return;
                }
                _ => {}
            }
            self.ready.push_back(frame.freeze());
        }
    }
}

/// Returns the length of the frame that the bytes begin with, where it is whole.
fn whole(bytes: &[u8]) -> Option<usize> {
    let length = u32::from_be_bytes(bytes.get(1..5)?.try_into().ok()?);
    let length = usize::try_from(length).ok()?.checked_add(1)?;
    (bytes.len() >= length).then_some(length)
}

fn notice() -> Bytes {
    ServerMessage::new("NOTICE", "nothing to see", None).encode(ReplyKind::NOTICE).to_bytes()
}

fn is_of_bytes(kind: Kind) -> bool {
    kind.places() == Places::BytesAndEnd
}

fn is_of_frames(kind: Kind) -> bool {
    matches!(kind.places(), Places::Frames | Places::Gaps | Places::Pairs | Places::FirstFrame)
}

impl AsyncRead for Pipe {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.meet(cx, Way::FromServer, this.read));
        match this.end {
            Some(End::Closed | End::NoReplies) => return Poll::Ready(Ok(())),
            Some(End::Reset) => return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
            Some(End::RepliesStall) => return Poll::Pending,
            Some(End::RequestsVanish) | None => {}
        }
        let bytes = match this.fault {
            Some((kind, at)) if is_of_frames(kind) => ready!(this.poll_frames(cx, kind, at, buf.remaining()))?,
            Some((kind @ (Kind::Garbage | Kind::Flip), at)) => {
                let bytes = ready!(this.poll_server(cx, buf.remaining()))?;
                let spoilt = bytes.iter().zip(this.read..).map(|(&byte, place)| match kind {
                    Kind::Garbage if place >= at => noise(place),
                    Kind::Flip if place == at => byte ^ 1,
                    _ => byte,
                });
                spoilt.collect()
            }
            _ => {
                let room = this.room(Way::FromServer, this.read).min(buf.remaining());
                ready!(this.poll_server(cx, room))?
            }
        };
        this.read += bytes.len();
        this.count(Way::FromServer, &bytes);
        buf.put_slice(&bytes);
        Poll::Ready(Ok(()))
    }
}

/// Bytes that are the same each time, and no text.
fn noise(place: usize) -> u8 {
    let [byte, ..] = place.wrapping_mul(0x9e37_79b9).rotate_right(11).to_le_bytes();
    byte
}

impl AsyncWrite for Pipe {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.meet(cx, Way::ToServer, this.written));
        match this.end {
            Some(End::Closed | End::RequestsVanish) => return Poll::Ready(Ok(buf.len())),
            Some(End::Reset) => return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
            Some(End::RepliesStall | End::NoReplies) | None => {}
        }
        let room = this.room(Way::ToServer, this.written).min(buf.len());
        let Some(server) = &mut this.server else { return Poll::Ready(Ok(buf.len())) };
        let count = ready!(Pin::new(server).poll_write(cx, buf.get(..room).unwrap_or_default()))?;
        this.written += count;
        this.count(Way::ToServer, buf.get(..count).unwrap_or_default());
        // At once, also where nothing more is to be written.
        if this.fault.is_some_and(|(kind, _)| kind.pause().is_none()) {
            let _at_once = this.meet(cx, Way::ToServer, this.written);
        }
        Poll::Ready(Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().server {
            Some(server) => Pin::new(server).poll_shutdown(cx),
            None => Poll::Ready(Ok(())),
        }
    }
}
