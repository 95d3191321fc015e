use std::fmt::Debug;

use super::cut::cut;
use crate::message::{
    Accepted, HealthCheckStats, NodeCount, NodeInfos, PoolStatus, ProcessCount, ProcessInfos, Reply, Rows,
    WatchdogInfo, is_last,
};
use crate::{Frame, ReplyKind, ServerAge};

/// Checks replies to changes.
pub fn accepted(data: &[u8]) {
    round_trip::<Accepted>(data, ReplyKind::DETACH_NODE, PartialEq::eq, Kept::Bytes);
}

/// Checks node counts.
pub fn node_count(data: &[u8]) {
    round_trip::<NodeCount>(data, ReplyKind::NODE_COUNT, PartialEq::eq, Kept::Numbers);
}

/// Checks node info, in every layout.
pub fn node_info(data: &[u8]) {
    let rounded = |mut infos: NodeInfos| {
        infos.nodes.iter_mut().for_each(|node| node.weight = round(node.weight));
        infos
    };
    let same = |a: &NodeInfos, b: &NodeInfos| rounded(a.clone()) == *b;
    if let Some(infos) = round_trip(data, ReplyKind::NODE_INFO, same, Kept::Numbers) {
        for node in &infos.nodes {
            let _shown = format!("{} {:?} {}", node.status, node.role.map(|role| role.to_string()), node.host);
            assert!(node.weight_share().is_finite());
            assert_eq!(node.replication_delay().is_some(), node.delay.is_some());
        }
    }
}

/// Checks pool status and what is read off it: nodes and the server's age.
pub fn pool_status(data: &[u8]) {
    if let Some(status) = round_trip::<PoolStatus>(data, ReplyKind::POOL_STATUS, PartialEq::eq, Kept::Bytes) {
        if let Ok(nodes) = status.nodes() {
            assert!(nodes.is_sorted_by(|a, b| a.id < b.id), "a node came twice: {nodes:?}");
            for node in &nodes {
                let host = status.value(&format!("backend_hostname{}", node.id));
                assert_eq!(host, Some(&node.host), "the value is the one that others see");
            }
        }
        let age = ServerAge::of(&status);
        assert!(age.before.is_none_or(|before| age.is_at_least(before) || age.at_least < before));
    }
}

/// Checks process counts.
pub fn process_count(data: &[u8]) {
    round_trip::<ProcessCount>(data, ReplyKind::PROCESS_COUNT, PartialEq::eq, Kept::Numbers);
}

/// Checks process info, in every layout, as a whole and row by row.
pub fn process_info(data: &[u8]) {
    let infos = round_trip::<ProcessInfos>(data, ReplyKind::PROCESS_INFO, PartialEq::eq, Kept::Numbers);
    let rows =
        cut(data).iter().filter_map(|frame| ProcessInfos::row(frame).transpose()).collect::<Result<Vec<_>, _>>();
    if let Some(infos) = infos {
        assert_eq!(rows, Ok(infos.processes), "a row alone is the same row");
    }
}

/// Checks health check statistics.
pub fn health_check_stats(data: &[u8]) {
    let rounded = |mut stats: HealthCheckStats| {
        stats.average_retry_count = round(stats.average_retry_count);
        stats.average_duration = round(stats.average_duration);
        // NaN equals nothing, itself included.
        format!("{stats:?}")
    };
    let same = |a: &HealthCheckStats, b: &HealthCheckStats| rounded(a.clone()) == rounded(b.clone());
    if let Some(stats) = round_trip(data, ReplyKind::HEALTH_CHECK_STATS, same, Kept::Numbers) {
        let _read = (stats.node_status(), stats.node_role());
    }
}

/// Checks watchdog info and its JSON.
pub fn watchdog_info(data: &[u8]) {
    if let Some(info) = round_trip::<WatchdogInfo>(data, ReplyKind::WATCHDOG_INFO, PartialEq::eq, Kept::Bytes) {
        if let Ok(cluster) = info.cluster() {
            let leaders = cluster.members.iter().filter(|member| member.is_leader()).count();
            assert!(leaders <= cluster.members.len());
            assert!(info.json.as_bytes().contains(&b'{'), "what is no object is no cluster");
        }
    }
}

/// What a reply keeps of the fields it was read from, the count of an `ArraySize` frame aside.
#[derive(Clone, Copy, Debug)]
enum Kept {
    /// Everything.
    Bytes,
    /// The bytes of texts and of numbers that are spelled as servers spell them; the value of other numbers.
    Numbers,
}

/// Checks that what decodes is encoded as one whole reply, which decodes to the same value and encodes to the same
/// bytes, and that nothing was lost of the fields.
fn round_trip<R: Reply + Debug>(
    data: &[u8],
    kind: ReplyKind,
    same: impl Fn(&R, &R) -> bool,
    kept: Kept,
) -> Option<R> {
    let frames = cut(data);
    let reply = R::decode(&frames).ok()?;
    let encoded = reply.encode(kind);
    let (last, rows) = encoded.split_last().expect("a reply has a frame");
    assert!(is_last(last) && !rows.iter().any(is_last), "no whole reply: {encoded:?}");
    let again = R::decode(&encoded).expect("what a server sends is read");
    assert!(same(&reply, &again), "{reply:?} became {again:?}");
    assert_eq!(again.encode(kind), encoded);

    // What begins with `ArraySize` counts, and the count is not kept.
    let counts = usize::from(encoded.len() > 1);
    assert_eq!(frames.len(), encoded.len(), "frames were lost");
    for (before, after) in frames.iter().zip(&encoded).skip(counts) {
        check_kept(before, after, kept);
    }
    Some(reply)
}

fn check_kept(before: &Frame<ReplyKind>, after: &Frame<ReplyKind>, kept: Kept) {
    let (before, after) = (&before.body, &after.body);
    let same = match kept {
        Kept::Bytes => before == after,
        Kept::Numbers => {
            let fields =
                |body: &bytes::Bytes| body.split(|&byte| byte == 0).map(<[u8]>::to_vec).collect::<Vec<_>>();
            let (before, after) = (fields(before), fields(after));
            before.len() == after.len() && before.iter().zip(&after).all(|(before, after)| is_kept(before, after))
        }
    };
    assert!(same, "\"{}\" became \"{}\"", before.escape_ascii(), after.escape_ascii());
}

/// Tells whether a field is the same, or the same number in a server's spelling.
pub(super) fn is_kept(before: &[u8], after: &[u8]) -> bool {
    let number = |field| std::str::from_utf8(field).ok()?.parse::<f64>().ok();
    let (Some(old), Some(new)) = (number(before), number(after)) else { return before == after };
    let is_near =
        old == new || (old - new).abs() <= 0.5e-6 + f64::EPSILON * old.abs() || (old.is_nan() && new.is_nan());
    let is_spelled_alike = before.contains(&b'.') == after.contains(&b'.') && is_canonical(before);
    before == after || (is_near && !is_spelled_alike)
}

/// Tells whether a number is spelled as C spells it with `%d` or `%f`, and is short enough to be exact.
fn is_canonical(field: &[u8]) -> bool {
    let digits = field.strip_prefix(b"-").unwrap_or(field);
    let (whole, fraction) = match digits.iter().position(|&byte| byte == b'.') {
        Some(point) => digits.split_at(point),
        None => (digits, &b".000000"[..]),
    };
    let is_plain = whole == b"0" || whole.first().is_some_and(|&first| first != b'0');
    let all_digits = whole.iter().chain(fraction.iter().skip(1)).all(u8::is_ascii_digit);
    is_plain && all_digits && field != b"-0" && fraction.len() == 7 && whole.len() <= 9
}

/// Rounds as `%f` does.
fn round(value: f64) -> f64 {
    format!("{value:.6}").parse().unwrap_or(value)
}
