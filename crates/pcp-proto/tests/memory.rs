//! What is held of a server's bytes, whatever they are, as a counting allocator sees it.

#![allow(clippy::indexing_slicing, clippy::unwrap_used)]

use allocation_counter::measure;
use bytes::BytesMut;
use pcp_proto::message::{
    AttachNode, Batch, DetachNode, DetachNodeGracefully, ReadHealthCheckStats, ReadNodeCount, ReadNodeInfo,
    ReadPoolStatus, ReadProcessCount, ReadProcessInfo, ReadWatchdogInfo, RecoverNode, Request, WatchdogInfo,
};
use pcp_proto::*;
use proptest::collection::vec;
use proptest::prelude::*;

/// The most bytes that are read at once.
const READ: usize = 8 << 10;

/// A header, while it moves to where there is room for the rest.
const HEADERS: u64 = 10;

/// A cap that many frames of [`stream`] come near.
const LOW_CAP: usize = 64 << 10;

proptest! {
    #[test]
    fn a_decoder_holds_no_more_than_its_cap_and_one_read(stream in stream(), reads in reads(), max in cap()) {
        let held = measure_until_refused(|| {
            let mut decoder = FrameDecoder::<ReplyKind>::with_max_length(max);
            // As large as a read, for good: nothing is left in it.
            let mut buffer = BytesMut::with_capacity(READ);
            for chunk in cut(&stream, &reads) {
                buffer.extend_from_slice(chunk);
                while decoder.decode(&mut buffer)?.is_some() {}
            }
            Ok::<_, FrameError>(())
        });
        prop_assert!(held.bytes_max <= (max + READ) as u64 + HEADERS, "{} bytes at a cap of {max}", held.bytes_max);
    }

    #[test]
    fn a_length_reserves_nothing_above_the_cap(kind: u8, length in length(), max in 4..1_usize << 21) {
        let header = [&[kind][..], &length.to_be_bytes()].concat();
        let mut outcome = Ok(None);
        let held = measure(|| {
            let mut buffer = BytesMut::from(&header[..]);
            outcome = FrameDecoder::<ReplyKind>::with_max_length(max).decode(&mut buffer);
        });
        let refused = !(4..=max).contains(&(length as usize));
        prop_assert_eq!(outcome.is_err(), refused);
        let most = if refused { 0 } else { u64::from(length) } + 2 * HEADERS;
        prop_assert!(held.bytes_max <= most, "{} bytes for a length of {length}", held.bytes_max);
    }

    #[test]
    fn a_session_holds_no_more_than_the_cap_and_one_read(stream in stream()) {
        let held = measure_until_refused(|| {
            let mut session = session();
            session.request(Batch::encode(&ReadNodeInfo::All).remove(0));
            for chunk in SALT_AND_LOGIN.chunks(READ).chain(stream.chunks(READ)) {
                session.input().extend_from_slice(chunk);
                while session.poll()?.is_some() {
                    session.advance_output(usize::MAX);
                }
            }
            Ok::<_, SessionError>(())
        });
        prop_assert!(held.bytes_max <= (MAX_REPLY + READ + 1024) as u64, "{} bytes", held.bytes_max);
    }
}

fn write<R: Request>(request: R, out: &mut BytesMut) {
    Request::encode(&request).encode(out);
}

/// What is asked of nodes, and what is asked over and over, goes into a buffer that has room without an allocation.
#[test]
fn requests_are_written_without_an_allocation() {
    let node = NodeId::MAX;
    let mut out = BytesMut::with_capacity(256);
    let written = measure(|| {
        write(AttachNode { node }, &mut out);
        write(DetachNode { node }, &mut out);
        write(DetachNodeGracefully { node }, &mut out);
        write(RecoverNode { node }, &mut out);
        write(ReadHealthCheckStats { node }, &mut out);
        write(ReadNodeInfo::Node(node), &mut out);
        write(ReadNodeInfo::All, &mut out);
        write(ReadNodeCount, &mut out);
        write(ReadPoolStatus, &mut out);
        write(ReadProcessCount, &mut out);
        write(ReadProcessInfo::All, &mut out);
        write(ReadWatchdogInfo::All, &mut out);
    });
    assert_eq!((written.count_total, out.len()), (0, 95));
}

#[test]
fn a_frame_that_is_there_is_read_with_one_allocation() {
    let mut buffer = BytesMut::with_capacity(256);
    Frame::new(ReplyKind::NODE_INFO, &[b'x'; 100][..]).encode(&mut buffer);
    let mut decoder = FrameDecoder::<ReplyKind>::new();
    let mut frame = None;
    let read = measure(|| frame = decoder.decode(&mut buffer).unwrap());
    // Twice as much would be moved where the header came first.
    assert_eq!((frame.unwrap().body.len(), read.count_total), (100, 1));
}

/// Whoever keeps a small frame must not keep a large one alive with it: a server could send a megabyte of notice
/// before each row of a reply.
#[test]
fn a_kept_frame_costs_what_its_length_says() {
    const ROUNDS: usize = 20;
    let notice = Frame::new(ReplyKind::NOTICE, [&b"M"[..], &[b'x'; 500_000], b"\0\0"].concat());
    let row = Frame::new(ReplyKind::NODE_INFO, &b"NodeInfo\0"[..]);
    let mut stream = BytesMut::from(SALT_AND_LOGIN);
    for _ in 0..ROUNDS {
        notice.encode(&mut stream);
        row.encode(&mut stream);
    }
    let mut session = session();
    let mut kept = Vec::with_capacity(ROUNDS);
    let held = measure(|| {
        session.request(Batch::encode(&ReadNodeInfo::All).remove(0));
        for chunk in stream.chunks(READ) {
            session.input().extend_from_slice(chunk);
            while let Some(event) = session.poll().unwrap() {
                session.advance_output(usize::MAX);
                if let Event::Reply { frame, .. } = event {
                    kept.push(frame);
                }
            }
        }
    });
    assert_eq!(kept, vec![row; ROUNDS]);
    assert!(held.bytes_max <= 600_000, "{} bytes at a time", held.bytes_max);
}

/// A server may fill a frame with values that cost more to keep than to send.
#[test]
fn the_json_of_a_watchdog_costs_no_more_than_twice_its_length() {
    for (begin, filling, end) in [
        ("{\"WatchdogNodes\":[", "{},", "{}]}"),
        ("{\"WatchdogNodes\":[", "[],", "[]]}"),
        ("{\"Unknown\":[", "0,", "0]}"),
        ("{", "\"\":0,", "\"\":0}"),
        ("{\"Unknown\":[", "{\"\":0},", "{}]}"),
        ("{\"LeaderNodeName\":\"", "\\n", "\"}"),
    ] {
        let json = [begin, &filling.repeat(300_000), end].concat();
        let info = WatchdogInfo { json: json.as_str().into() };
        let held = measure(|| drop(info.cluster()));
        assert!(
            held.bytes_max <= 2 * json.len() as u64,
            "{} bytes for {} of {filling}",
            held.bytes_max,
            json.len()
        );
    }
}

const SALT_AND_LOGIN: &[u8] = b"m\0\0\0\x08\xca\xdb\x96\x65r\0\0\0\x15AuthenticationOK\0";

/// Measures what reads a stream to its end, or to what cannot be read.
fn measure_until_refused<E>(read: impl FnOnce() -> Result<(), E>) -> allocation_counter::AllocationInfo {
    measure(|| drop(read()))
}

fn session() -> Session {
    Session::new(Credentials::new("pcpadmin", b"secret").unwrap())
}

/// Cuts a stream into reads of these sizes, over and over.
fn cut<'a>(stream: &'a [u8], reads: &'a [usize]) -> impl Iterator<Item = &'a [u8]> {
    let mut rest = stream;
    reads.iter().cycle().map_while(move |&size| {
        let (chunk, behind) = rest.split_at(size.min(rest.len()));
        rest = behind;
        (!chunk.is_empty()).then_some(chunk)
    })
}

fn reads() -> impl Strategy<Value = Vec<usize>> {
    prop_oneof![Just(vec![READ]), vec(1..=READ, 1..20)]
}

fn cap() -> impl Strategy<Value = usize> {
    prop_oneof![Just(LOW_CAP), READ..=LOW_CAP]
}

/// Frames of many lengths, often near the cap, most of which a session takes, and the beginning of another one.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    const MOST: usize = LOW_CAP - 4;
    let kind = prop_oneof![4 => Just(b'N'), 4 => Just(b'i'), 1 => Just(b'E'), 1 => any::<u8>()];
    let body = prop_oneof![3..40_usize, 3..=MOST, MOST - 20..=MOST];
    let frame = (kind, body).prop_map(|(kind, body)| {
        let text = vec![b'x'; body - 3];
        Frame::new(ReplyKind(kind), [b"M", &text[..], b"\0\0"].concat()).to_bytes()
    });
    (vec(frame, 0..8), length())
        .prop_map(|(frames, begun)| [&frames.concat()[..], b"N", &begun.to_be_bytes()].concat())
}

/// What a length field may say: anything, often near a cap.
fn length() -> impl Strategy<Value = u32> {
    prop_oneof![0..8_u32, 250..270_u32, (1 << 20) - 8..(1_u32 << 20) + 8, 1 << 20..4_u32 << 20, any::<u32>()]
}
