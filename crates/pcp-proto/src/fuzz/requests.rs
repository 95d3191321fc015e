use std::fmt::Debug;

use super::cut::cut;
use super::replies::is_kept;
use crate::message::{
    AttachNode, DetachNode, DetachNodeGracefully, InvalidateQueryCache, PromoteNode, PromoteNodeGracefully,
    ReadHealthCheckStats, ReadNodeCount, ReadNodeInfo, ReadPoolStatus, ReadProcessCount, ReadProcessInfo,
    ReadWatchdogInfo, RecoverNode, ReloadConfig, Request, RotateLog, SetClientMinMessages, StopCluster, StopPgpool,
};
use crate::{Credentials, Frame, MAX_REQUEST, RequestKind, Salt};

/// Checks the server's side: what decodes as a request encodes to one that a server reads, of the same meaning, and
/// only the right login is taken for the right login.
pub fn requests(data: &[u8]) {
    for frame in cut(data) {
        round_trip::<AttachNode>(&frame);
        round_trip::<DetachNode>(&frame);
        round_trip::<DetachNodeGracefully>(&frame);
        round_trip::<InvalidateQueryCache>(&frame);
        round_trip::<PromoteNode>(&frame);
        round_trip::<PromoteNodeGracefully>(&frame);
        round_trip::<ReadHealthCheckStats>(&frame);
        round_trip::<ReadNodeCount>(&frame);
        round_trip::<ReadNodeInfo>(&frame);
        round_trip::<ReadPoolStatus>(&frame);
        round_trip::<ReadProcessCount>(&frame);
        round_trip::<ReadProcessInfo>(&frame);
        round_trip::<ReadWatchdogInfo>(&frame);
        round_trip::<RecoverNode>(&frame);
        round_trip::<ReloadConfig>(&frame);
        round_trip::<RotateLog>(&frame);
        round_trip::<SetClientMinMessages>(&frame);
        round_trip::<StopCluster>(&frame);
        round_trip::<StopPgpool>(&frame);
        log_in(&frame);
    }
}

fn round_trip<R: Request + Debug + PartialEq>(frame: &Frame<RequestKind>) {
    let Ok(request) = R::decode(frame) else { return };
    assert_eq!(frame.kind, R::KIND);
    let encoded = request.encode();
    assert!(encoded.encoded_len() <= 1 + MAX_REQUEST, "longer than servers read: {request:?}");
    assert_eq!(R::decode(&encoded).as_ref(), Ok(&request));
    // The body of a request without fields is not looked at.
    if !matches!(&encoded.body[..], b"" | b"\0") {
        let fields = |frame: &Frame<RequestKind>| {
            let fields = frame.body.split(|&byte| byte == 0);
            fields.map(|field| field.strip_suffix(b" ").unwrap_or(field).to_vec()).collect::<Vec<_>>()
        };
        let (before, after) = (fields(frame), fields(&encoded));
        // A promotion before 4.3 had no mode, and the names and values of parameters are read in any case.
        let is_same =
            |a: &Vec<u8>, b: &Vec<u8>| is_kept(a, b) || a.eq_ignore_ascii_case(b) || (is_old(frame) && b == b"n");
        let kept = before.len() == after.len() && before.iter().zip(&after).all(|(a, b)| is_same(a, b));
        assert!(kept, "\"{}\" was read as {request:?}", frame.body.escape_ascii());
    }
}

/// Tells whether it is a promotion in the form before 4.3: an id and its NUL.
fn is_old(frame: &Frame<RequestKind>) -> bool {
    matches!(frame.kind, PromoteNode::KIND | PromoteNodeGracefully::KIND) && frame.body.ends_with(b"\0")
}

fn log_in(frame: &Frame<RequestKind>) {
    const SALT: Salt = Salt([0xca, 0xdb, 0x96, 0x65]);
    let credentials = Credentials::new("pcpadmin", b"secret").expect("the user name is short");
    if let Ok(is_right) = credentials.verify(frame, SALT) {
        assert_eq!(is_right, *frame == credentials.login(SALT));
    }
}
