//! From fuzzed bytes to frames and chunks.

use bytes::Bytes;

use crate::{Frame, Kind};

/// Cuts bytes into frames as a decoder would, but never fails: a length is cut down to what is left, so that most
/// mutations of recorded traffic still reach the messages.
pub(super) fn cut<K: Kind>(data: &[u8]) -> Vec<Frame<K>> {
    let mut frames = Vec::new();
    let mut rest = data;
    while let Some((&[kind, a, b, c, d], behind)) = rest.split_first_chunk() {
        let length = usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(usize::MAX);
        let (body, behind) = behind.split_at(length.saturating_sub(4).min(behind.len()));
        frames.push(Frame::new(K::from(kind), Bytes::copy_from_slice(body)));
        rest = behind;
    }
    frames
}

/// Cuts bytes into chunks of 1 to 32 bytes: always the same ones for the same bytes.
pub(super) fn chunks(data: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = data;
    // FNV-1a, then a generator of period 2^64.
    let mut state = data
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    std::iter::from_fn(move || {
        state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
        let size = 1 + usize::from(state.to_be_bytes()[0] % 32);
        let (chunk, behind) = rest.split_at(size.min(rest.len()));
        rest = behind;
        (!chunk.is_empty()).then_some(chunk)
    })
}
