//! Frames: a type byte, a length, a body.

use std::fmt;
use std::marker::PhantomData;
use std::mem;

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::FrameError;

/// The longest frame a server reads, in bytes, counted as the length field counts: the field itself and the body.
///
/// Servers from 3.5.1 on drop the connection at a longer one.
pub const MAX_REQUEST: usize = 259;

/// The cap that a [`FrameDecoder`] puts on a server's frame unless told otherwise: 1 MiB, counted as the length
/// field counts.
pub const MAX_REPLY: usize = 1 << 20;

/// The bytes of the length field, which counts itself.
const LENGTH_FIELD: usize = 4;
const HEADER: usize = 1 + LENGTH_FIELD;

/// The type byte of a frame in one direction: [`RequestKind`](crate::RequestKind) or
/// [`ReplyKind`](crate::ReplyKind).
pub trait Kind: Copy + From<u8> + Into<u8> + fmt::Debug {}

/// One packet of the protocol, in the direction that `K` says.
///
/// `Debug` shows how long the body is and not what is in it: that can be a login, a password of Pgpool's settings, or what a
/// client of the database says.
#[derive(Clone, Eq, PartialEq)]
pub struct Frame<K> {
    /// What the frame is.
    pub kind: K,
    /// Everything after the length field.
    pub body: Bytes,
}

impl<K: fmt::Debug> fmt::Debug for Frame<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let body = format_args!("{} bytes", self.body.len());
        f.debug_struct("Frame").field("kind", &self.kind).field("body", &body).finish()
    }
}

impl<K: Kind> Frame<K> {
    /// Makes a frame.
    pub fn new(kind: K, body: impl Into<Bytes>) -> Self {
        Self { kind, body: body.into() }
    }

    /// Returns how many bytes [`encode`](Self::encode) appends.
    pub fn encoded_len(&self) -> usize {
        HEADER.saturating_add(self.body.len())
    }

    /// Appends the frame to `out`.
    ///
    /// A body of 4 GiB or more would not fit the length field; no message of this crate comes near it, and such a
    /// length is written as the largest one, which every decoder refuses.
    pub fn encode(&self, out: &mut BytesMut) {
        out.reserve(self.encoded_len());
        out.put_u8(self.kind.into());
        out.put_u32(u32::try_from(LENGTH_FIELD.saturating_add(self.body.len())).unwrap_or(u32::MAX));
        out.put_slice(&self.body);
    }

    /// Returns the frame as bytes of its own.
    pub fn to_bytes(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(self.encoded_len());
        self.encode(&mut out);
        out.freeze()
    }
}

/// Cuts a stream into frames.
///
/// What it holds is a frame that is not whole yet, and no more than its cap of it: nothing piles up in the buffer that it
/// reads from, which need not be larger than what is read at once.
#[derive(Clone, Debug)]
pub struct FrameDecoder<K> {
    max_length: usize,
    /// The bytes of a frame that is not whole yet, header and all.
    begun: Vec<u8>,
    kind: PhantomData<K>,
}

impl<K: Kind> FrameDecoder<K> {
    /// Makes a decoder that refuses frames longer than [`MAX_REPLY`].
    pub fn new() -> Self {
        Self::with_max_length(MAX_REPLY)
    }

    /// Makes a decoder that refuses frames whose length field says more than `max_length` bytes.
    pub fn with_max_length(max_length: usize) -> Self {
        Self { max_length, begun: Vec::new(), kind: PhantomData }
    }

    /// Takes bytes off `buffer` up to the end of a frame and returns the frame, or `None` where it is not whole yet
    /// and the buffer is empty.
    ///
    /// Reserves room for the rest of a frame only after its length passed the cap. The frame owns its bytes:
    /// keeping it keeps nothing else.
    ///
    /// # Errors
    ///
    /// A length that cannot be one: below 4, or above the cap. The header was taken off the buffer. The stream cannot be
    /// read on after either, and the error comes again.
    pub fn decode(&mut self, buffer: &mut BytesMut) -> Result<Option<Frame<K>>, FrameError> {
        self.reserve_whole(buffer);
        self.take(HEADER, buffer);
        let mut header = &self.begun[..];
        let (Ok(kind), Ok(length)) = (header.try_get_u8(), header.try_get_u32()) else {
            return Ok(None);
        };
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let Some(body) = length.checked_sub(LENGTH_FIELD) else {
            return Err(FrameError::TooShort { kind, length });
        };
        if length > self.max_length {
            return Err(FrameError::TooLong { kind, length, max: self.max_length });
        }
        let whole = HEADER.saturating_add(body);
        self.take(whole, buffer);
        if self.begun.len() < whole {
            return Ok(None);
        }
        let mut body = Bytes::from(mem::take(&mut self.begun));
        body.advance(HEADER);
        Ok(Some(Frame { kind: K::from(kind), body }))
    }

    /// Returns how many bytes are held of a frame that is not whole yet.
    pub fn held(&self) -> usize {
        self.begun.len()
    }

    /// Makes room for a whole frame at once, where its header is there already and passes the cap. The length counts itself, but not
    /// the type.
    fn reserve_whole(&mut self, buffer: &[u8]) {
        if let (true, Some((header, _))) = (self.begun.is_empty(), buffer.split_first_chunk::<HEADER>()) {
            let [_kind, length @ ..] = *header;
            let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
            if (LENGTH_FIELD..=self.max_length).contains(&length) {
                self.begun.reserve_exact(length.saturating_add(1));
            }
        }
    }

    /// Takes what there is of the first `length` bytes of a frame.
    fn take(&mut self, length: usize, buffer: &mut BytesMut) {
        let missing = length.saturating_sub(self.begun.len());
        self.begun.reserve_exact(missing);
        let (come, _) = buffer.split_at(missing.min(buffer.len()));
        self.begun.extend_from_slice(come);
        let count = come.len();
        buffer.advance(count);
    }
}

impl<K: Kind> Default for FrameDecoder<K> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ReplyKind;

    #[test]
    fn a_body_is_not_shown() {
        let frame = Frame::new(ReplyKind::POOL_STATUS, &b"ProcessConfig\0wd_authkey\0secret\0\0"[..]);
        assert_eq!(format!("{frame:?}"), "Frame { kind: POOL_STATUS, body: 33 bytes }");
    }

    #[test]
    fn frames_are_cut_at_any_split() {
        let mut bytes = BytesMut::new();
        let frames = [
            Frame::new(ReplyKind::SALT, &b"\xca\xdb\x96\x65"[..]),
            Frame::new(ReplyKind::DETACH_NODE, &b""[..]),
            Frame::new(ReplyKind::NODE_COUNT, &b"CommandComplete\x003\0"[..]),
        ];
        for frame in &frames {
            frame.encode(&mut bytes);
            assert_eq!(frame.encoded_len(), frame.to_bytes().len());
        }
        for split in 0..=bytes.len() {
            let mut decoder = FrameDecoder::new();
            let mut buffer = BytesMut::from(&bytes[..split]);
            let mut seen = Vec::new();
            while let Some(frame) = decoder.decode(&mut buffer).unwrap() {
                seen.push(frame);
            }
            buffer.extend_from_slice(&bytes[split..]);
            while let Some(frame) = decoder.decode(&mut buffer).unwrap() {
                seen.push(frame);
            }
            assert_eq!(seen, frames, "split at {split}");
            assert!(buffer.is_empty());
        }
    }

    #[test]
    fn what_is_not_whole_is_held_and_nothing_is_left_in_the_buffer() {
        let mut decoder = FrameDecoder::<ReplyKind>::new();
        let mut buffer = BytesMut::from(&b"i\0\0\x04\x04begun"[..]);
        assert_eq!(decoder.decode(&mut buffer), Ok(None));
        assert_eq!((decoder.held(), buffer.len()), (HEADER + 5, 0));
        assert_eq!(decoder.begun.capacity(), HEADER + 1024, "room for the rest, and no more");
    }

    #[test]
    fn a_length_is_refused_before_anything_is_reserved() {
        let decode = |bytes: &[u8]| {
            let mut decoder = FrameDecoder::<ReplyKind>::with_max_length(100);
            let outcome = decoder.decode(&mut BytesMut::from(bytes));
            assert_eq!(decoder.decode(&mut BytesMut::new()), outcome, "there is nothing to go on with");
            (outcome, decoder.begun.capacity())
        };
        let too_long = |length| Err(FrameError::TooLong { kind: b'i', length, max: 100 });
        assert_eq!(decode(b"i\xff\xff\xff\xff"), (too_long(0xffff_ffff), HEADER));
        assert_eq!(decode(b"i\0\0\0\x65"), (too_long(101), HEADER));
        assert_eq!(decode(b"i\0\0\0\x64"), (Ok(None), 101));
        assert_eq!(decode(b"i\0\0\0\x03").0, Err(FrameError::TooShort { kind: b'i', length: 3 }));
    }
}
