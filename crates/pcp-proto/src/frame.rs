//! Frames: a type byte, a length, a body.

use std::marker::PhantomData;

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
pub trait Kind: Copy + From<u8> + Into<u8> + std::fmt::Debug {}

/// One packet of the protocol, in the direction that `K` says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Frame<K> {
    /// What the frame is.
    pub kind: K,
    /// Everything after the length field.
    pub body: Bytes,
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

/// Cuts frames off a growing buffer.
#[derive(Clone, Copy, Debug)]
pub struct FrameDecoder<K> {
    max_length: usize,
    kind: PhantomData<K>,
}

impl<K: Kind> FrameDecoder<K> {
    /// Makes a decoder that refuses frames longer than [`MAX_REPLY`].
    pub fn new() -> Self {
        Self::with_max_length(MAX_REPLY)
    }

    /// Makes a decoder that refuses frames whose length field says more than `max_length` bytes.
    pub fn with_max_length(max_length: usize) -> Self {
        Self { max_length, kind: PhantomData }
    }

    /// Takes the first frame off `buffer`, or returns `None` where it is not whole yet.
    ///
    /// Reserves room for the rest of a frame only after its length passed the cap. The frame owns its bytes:
    /// keeping it keeps nothing else of the buffer.
    ///
    /// # Errors
    ///
    /// A length that cannot be one: below 4, or above the cap. The stream cannot be read on after either.
    pub fn decode(&mut self, buffer: &mut BytesMut) -> Result<Option<Frame<K>>, FrameError> {
        let mut header = &buffer[..];
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
        let missing = body.saturating_sub(header.len());
        if missing > 0 {
            buffer.reserve(missing);
            return Ok(None);
        }
        buffer.advance(HEADER);
        // A copy: a slice of the buffer would keep all of it alive, a dropped frame of a megabyte for one kept row.
        let body = Bytes::copy_from_slice(&buffer.split_to(body));
        Ok(Some(Frame { kind: K::from(kind), body }))
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
    fn room_is_made_for_the_rest_of_a_frame() {
        let mut buffer = BytesMut::from(&b"i\0\0\x04\x04begun"[..]);
        assert_eq!(FrameDecoder::<ReplyKind>::new().decode(&mut buffer), Ok(None));
        assert_eq!(buffer.capacity(), HEADER + 1024);
    }

    #[test]
    fn a_length_is_refused_before_anything_is_reserved() {
        let mut decoder = FrameDecoder::<ReplyKind>::with_max_length(100);
        let mut buffer = BytesMut::from(&b"i\xff\xff\xff\xff"[..]);
        let before = buffer.capacity();
        assert_eq!(
            decoder.decode(&mut buffer),
            Err(FrameError::TooLong { kind: b'i', length: 0xffff_ffff, max: 100 })
        );
        assert_eq!(buffer.capacity(), before);

        let mut buffer = BytesMut::from(&b"i\0\0\0\x65"[..]);
        assert!(decoder.decode(&mut buffer).is_err(), "101 bytes");
        let mut buffer = BytesMut::from(&b"i\0\0\0\x64"[..]);
        assert_eq!(decoder.decode(&mut buffer), Ok(None), "100 bytes");

        let mut buffer = BytesMut::from(&b"i\0\0\0\x03"[..]);
        assert_eq!(decoder.decode(&mut buffer), Err(FrameError::TooShort { kind: b'i', length: 3 }));
    }
}
