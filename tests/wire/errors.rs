//! What a client makes of recorded refusals and of connections that ended.

use std::time::Duration;

use bytes::BytesMut;
use pcp_client::{Client, Deadline, ErrorKind, Limits, Refusal};
use pcp_proto::message::{Batch, Outgoing};
use pcp_proto::{Credentials, DecodeError, Frame, FrameDecoder, ReplyKind, RequestKind};
use pcp_tests::captures::{Capture, Side};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

use crate::argv::{Meaning, meaning};
use crate::replay::recorded;
use crate::text;

/// What became of a request: nothing wrong, or the error's kind, its refusal, and whether the request may have been
/// carried out.
type Fate = Option<(ErrorKind, Option<Refusal>, bool)>;

/// Have a client ask what the capture's client asked, of a server that says what the capture's server said.
pub(crate) fn compare(capture: &Capture) -> Result<(), String> {
    if capture.exchange.is_empty() {
        return Err("nothing was recorded".to_owned());
    }
    let requests = if capture.argv.is_empty() { recorded(capture)? } else { of_command_line(capture)? };
    let kinds: Vec<_> = requests.iter().map(|outgoing| outgoing.frame.kind).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().map_err(text)?;
    let results = runtime.block_on(async {
        let (ours, theirs) = duplex(1 << 20);
        let credentials = Credentials::new("anyone", b"").map_err(text)?;
        let client = Client::new(ours, credentials, Limits::new(Deadline::after(Duration::from_secs(60))));
        let (results, served) = tokio::join!(client.finish(Requests(requests)), serve(capture, theirs));
        served.map(|()| results).map_err(text)
    })?;
    let fates: Vec<Fate> =
        results.iter().map(|it| it.as_ref().err().map(|e| (e.kind(), e.refusal(), e.outcome_unknown()))).collect();
    let expected = fates_of(capture, &kinds)?;
    if fates == expected { Ok(()) } else { Err(format!("{fates:?} instead of {expected:?}")) }
}

fn of_command_line(capture: &Capture) -> Result<Vec<Outgoing>, String> {
    match meaning(capture)? {
        Meaning::Requests(requests) => Ok(requests.into_iter().map(|message| message.outgoing).collect()),
        Meaning::Refused => Err("nothing is asked".to_owned()),
    }
}

/// Requests of any kind, the contents of whose replies do not matter.
struct Requests(Vec<Outgoing>);

impl Batch for Requests {
    type Output<E> = Vec<Result<(), E>>;

    fn encode(&self) -> Vec<Outgoing> {
        self.0.clone()
    }

    fn decode<E: From<DecodeError>>(
        &self,
        replies: &mut impl FnMut() -> Result<Vec<Frame<ReplyKind>>, E>,
    ) -> Self::Output<E> {
        self.0.iter().map(|_| replies().map(drop)).collect()
    }
}

/// Says up to the salt what the recorded server said, and the rest when the login and the requests came; then closes.
async fn serve(capture: &Capture, mut stream: DuplexStream) -> std::io::Result<()> {
    let bytes = capture.bytes(Side::Server);
    let mut rest = BytesMut::from(&bytes[..]);
    let mut decoder = FrameDecoder::<ReplyKind>::new();
    while let Ok(Some(frame)) = decoder.decode(&mut rest) {
        if frame.kind == ReplyKind::SALT {
            break;
        }
    }
    let (before, behind) = bytes.split_at(bytes.len() - rest.len());
    stream.write_all(before).await?;
    let mut heard = BytesMut::new();
    while !behind.is_empty() && !heard.ends_with(b"X\0\0\0\x04") && stream.read_buf(&mut heard).await? > 0 {}
    stream.write_all(behind).await
}

/// What must become of the requests, by the recorded outcome.
fn fates_of(capture: &Capture, kinds: &[RequestKind]) -> Result<Vec<Fate>, String> {
    let outcome = capture.outcome.as_deref().ok_or("nothing was recorded")?;
    let (login, answers) = outcome.split_once(' ').unwrap_or((outcome, ""));
    let mut answers = answers.split_whitespace();
    let fate = |&kind: &RequestKind| match answers.next() {
        _ if login == "-" => Some((ErrorKind::Disconnected, None, true)),
        _ if login.starts_with("E:") => Some((ErrorKind::Authentication, None, false)),
        Some("E:ERROR") => Some((ErrorKind::Refused, error(capture, kind), false)),
        Some("E:FATAL") => Some((ErrorKind::Refused, fatal(capture, kind), true)),
        Some("-") => Some((ErrorKind::Disconnected, None, true)),
        Some(_) => None,
        None => Some((ErrorKind::NotExecuted, None, false)),
    };
    Ok(kinds.iter().map(fate).collect())
}

/// Why a request was refused with an error, as far as its letter and the case tell.
fn error(capture: &Capture, kind: RequestKind) -> Option<Refusal> {
    Some(match kind {
        RequestKind::DETACH_NODE | RequestKind::DETACH_NODE_GRACEFULLY => Refusal::NotValidForFailover,
        RequestKind::READ_WATCHDOG_INFO => Refusal::WatchdogOff,
        RequestKind::READ_PROCESS_INFO => Refusal::UnknownProcess,
        RequestKind::ROTATE_LOG => Refusal::LogCollectorOff,
        RequestKind::INVALIDATE_QUERY_CACHE => Refusal::QueryCacheOff,
        RequestKind::RECOVER_NODE => match capture.case.as_str() {
            "recovery_node_0_primary" => Refusal::RecoveryOfPrimary,
            "recovery_node_2_up" => Refusal::NodeAlive,
            "recovery_node_2_down" => Refusal::RecoveryFunctionsMissing,
            _ => Refusal::UnknownNode,
        },
        _ => Refusal::UnknownNode,
    })
}

/// The same of one that cost the connection.
fn fatal(capture: &Capture, kind: RequestKind) -> Option<Refusal> {
    match kind {
        // A length that no server takes.
        _ if capture.case.starts_with("raw_len_") => None,
        RequestKind::PROMOTE_NODE if capture.case.starts_with("mode_") => Some(Refusal::NotStreamingReplication),
        RequestKind::PROMOTE_NODE => Some(Refusal::AlreadyPrimary),
        _ => Some(Refusal::UnknownRequest),
    }
}
