use bytes::{Buf, BytesMut};

use super::cut::chunks;
use crate::{Frame, FrameDecoder, FrameError, Kind, MAX_REPLY, MAX_REQUEST, ReplyKind, RequestKind};

/// Checks that a stream gives the same frames however it is chunked, that they encode to the bytes they came from,
/// that exactly the rest was refused or is still missing, and that no more than one frame is held.
pub fn frames(data: &[u8]) {
    /// So low that small inputs reach it.
    const LOW: usize = 40;
    check::<ReplyKind>(data, MAX_REPLY);
    check::<RequestKind>(data, MAX_REQUEST);
    check::<ReplyKind>(data, LOW);
}

fn check<K: Kind + PartialEq>(data: &[u8], max: usize) {
    let whole = decode::<K>([data].into_iter(), max);
    assert_eq!(decode(data.chunks(1), max), whole, "byte by byte");
    assert_eq!(decode(chunks(data), max), whole, "in chunks of many sizes");

    let (frames, end) = whole;
    let mut encoded = BytesMut::new();
    for frame in &frames {
        let start = encoded.len();
        frame.encode(&mut encoded);
        assert_eq!(encoded.len() - start, frame.encoded_len());
        assert!(frame.encoded_len() <= 1 + max, "a frame above the cap");
    }
    let (read, mut rest) = data.split_at(encoded.len());
    assert_eq!(encoded, read);

    let (kind, length) = (rest.try_get_u8(), rest.try_get_u32());
    let expected = match (kind, length.map(|length| usize::try_from(length).unwrap_or(usize::MAX))) {
        (Ok(kind), Ok(length)) if length < 4 => Some(FrameError::TooShort { kind, length }),
        (Ok(kind), Ok(length)) if length > max => Some(FrameError::TooLong { kind, length, max }),
        (Ok(_), Ok(length)) => {
            assert!(rest.len() < length - 4, "a whole frame was left");
            None
        }
        _ => None,
    };
    assert_eq!(end, expected);
}

/// Decodes a stream that comes in chunks, up to its end or to the first error.
fn decode<'a, K: Kind>(chunks: impl Iterator<Item = &'a [u8]>, max: usize) -> (Vec<Frame<K>>, Option<FrameError>) {
    let mut decoder = FrameDecoder::with_max_length(max);
    let mut buffer = BytesMut::new();
    let mut frames = Vec::new();
    for chunk in chunks {
        buffer.extend_from_slice(chunk);
        loop {
            match decoder.decode(&mut buffer) {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(error) => return (frames, Some(error)),
            }
        }
        assert!(buffer.is_empty(), "{} bytes are left", buffer.len());
        assert!(decoder.held() <= max.max(4), "{} bytes are held at a cap of {max}", decoder.held());
    }
    (frames, None)
}
