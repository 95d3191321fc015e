//! In what our bytes may differ from the recorded ones, and in nothing else.

use std::fmt::Debug;

use pcp_proto::{Frame, Kind, Release, ReplyKind, RequestKind};
use pcp_tests::captures::Capture;

/// Compare requests.
pub(crate) fn compare(
    capture: &Capture,
    ours: &[Frame<RequestKind>],
    recorded: &[Frame<RequestKind>],
) -> Result<(), String> {
    let release = capture.release().map_err(crate::text)?;
    let same = |ours: &Frame<RequestKind>, recorded: &Frame<RequestKind>| {
        ours == recorded || is_padding(ours, recorded) || is_old_promotion(ours, recorded, release)
    };
    let ours = match ours {
        [before @ .., last] if is_late_goodbye(capture, last, recorded) => before,
        all => all,
    };
    all(ours, recorded, same)
}

/// Ours: a goodbye also where the server has closed or is about to, after a fatal error or a stop.
fn is_late_goodbye(capture: &Capture, last: &Frame<RequestKind>, recorded: &[Frame<RequestKind>]) -> bool {
    let says_goodbye = |frame: &Frame<RequestKind>| frame.kind == RequestKind::DISCONNECT;
    let stops =
        |frame: &Frame<RequestKind>| matches!(frame.kind, RequestKind::STOP_PGPOOL | RequestKind::STOP_CLUSTER);
    let is_fatal = capture.outcome.as_deref().is_some_and(|outcome| outcome.ends_with("E:FATAL"));
    says_goodbye(last) && !recorded.last().is_some_and(says_goodbye) && (is_fatal || recorded.iter().any(stops))
}

/// Ours: one NUL where the tools send nothing, for servers that free a buffer twice.
fn is_padding(ours: &Frame<RequestKind>, recorded: &Frame<RequestKind>) -> bool {
    let padded = [RequestKind::READ_NODE_COUNT, RequestKind::READ_POOL_STATUS, RequestKind::READ_PROCESS_COUNT];
    ours.kind == recorded.kind && padded.contains(&ours.kind) && ours.body == "\0" && recorded.body.is_empty()
}

/// Ours: always the form of 4.3, which older servers read as well.
fn is_old_promotion(ours: &Frame<RequestKind>, recorded: &Frame<RequestKind>, release: Release) -> bool {
    let promotions = [RequestKind::PROMOTE_NODE, RequestKind::PROMOTE_NODE_GRACEFULLY];
    let new_form = recorded.body.strip_suffix(b"\0").map(|id| [id, b" \0n"].concat());
    release < Release::new(4, 3)
        && ours.kind == recorded.kind
        && promotions.contains(&ours.kind)
        && new_form.is_some_and(|form| ours.body == form)
}

/// Compare replies that were read and written again.
pub(crate) fn compare_replies(again: &[Frame<ReplyKind>], recorded: &[Frame<ReplyKind>]) -> Result<(), String> {
    // A notice has no place of its own among the other frames.
    let part = |frames: &[Frame<ReplyKind>], notices: bool| -> Vec<_> {
        frames.iter().filter(|frame| (frame.kind == ReplyKind::NOTICE) == notices).cloned().collect()
    };
    for notices in [false, true] {
        all(&part(again, notices), &part(recorded, notices), |again, recorded| {
            again == recorded || has_stray_bytes(again, recorded)
        })?;
    }
    Ok(())
}

/// Recorded: a byte of uninitialised memory behind each field of a message that was cut at 254 bytes; it is not
/// kept.
fn has_stray_bytes(again: &Frame<ReplyKind>, recorded: &Frame<ReplyKind>) -> bool {
    let is_message = matches!(again.kind, ReplyKind::ERROR | ReplyKind::NOTICE);
    let mut rest = &recorded.body[..];
    let mut kept = Vec::new();
    for field in again.body.split_inclusive(|&byte| byte == 0) {
        let Some(behind) = rest.strip_prefix(field) else { return false };
        kept.extend_from_slice(field);
        // Letter, 254 bytes of text, NUL.
        rest = if field.len() == 256 { behind.get(1..).unwrap_or_default() } else { behind };
    }
    is_message && again.kind == recorded.kind && rest.is_empty() && kept == again.body
}

fn all<K: Kind + PartialEq>(
    ours: &[Frame<K>],
    recorded: &[Frame<K>],
    same: impl Fn(&Frame<K>, &Frame<K>) -> bool,
) -> Result<(), String>
where
    Frame<K>: Debug,
{
    if ours.len() != recorded.len() {
        let kinds = |frames: &[Frame<K>]| frames.iter().map(|frame| frame.kind).collect::<Vec<_>>();
        return Err(format!("{:?} instead of {:?}", kinds(ours), kinds(recorded)));
    }
    match ours.iter().zip(recorded).find(|(ours, recorded)| !same(ours, recorded)) {
        None => Ok(()),
        Some((ours, recorded)) => Err(format!("{ours:?} instead of {recorded:?}")),
    }
}
