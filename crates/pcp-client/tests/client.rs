//! One connection: dropped futures, endings of every kind, and no deadlock.

#![allow(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "a test may fail so")]

use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use pcp_client::sandbox::{Age, Fault, Sandbox, World};
use pcp_client::{Client, Deadline, Error, ErrorKind, Limits, observe, observe_again};
use pcp_proto::message::{
    AttachNode, DetachNode, MessageLevel, NodeCount, ReadHealthCheckStats, ReadNodeCount, ReadNodeInfo,
    ReadPoolStatus, ReadProcessInfo,
};
use pcp_proto::{Credentials, Frame, NodeId, ReplyKind, RequestKind, ServerMessage};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf, duplex};
use tokio::time::Instant;
use tokio_test::io::Builder;

const MINUTE: Duration = Duration::from_secs(60);
const SALT: &[u8] = b"m\0\0\0\x08\xca\xdb\x96\x65";
const LOGIN: &[u8] = b"R\0\0\0\x2epcpadmin\x0065ab461d42d971ce8e887f9ad7891f66\0";
const LOGGED_IN: &[u8] = b"r\0\0\0\x15AuthenticationOK\0";
const COUNT: &[u8] = b"L\0\0\0\x05\0";
const THREE_NODES: &[u8] = b"l\0\0\0\x16CommandComplete\x003\0";
const DETACH_2: &[u8] = b"D\0\0\0\x062\0";
const GOODBYE: &[u8] = b"X\0\0\0\x04";

fn client<S: AsyncRead + AsyncWrite + Unpin>(stream: S) -> Client<S> {
    let credentials = Credentials::new("pcpadmin", b"secret").unwrap();
    Client::new(stream, credentials, Limits::new(Deadline::after(MINUTE)))
}

fn id(id: usize) -> NodeId {
    id.try_into().unwrap()
}

fn sandbox() -> Sandbox {
    Sandbox::unbound(World::new(Age::V4_3_1).node("10.0.0.1", 5432).node("10.0.0.2", 5432).node("10.0.0.3", 5432))
}

/// Connects to a sandbox through a pipe that holds this many bytes.
fn connect(sandbox: &Sandbox, pipe: usize) -> Client<DuplexStream> {
    let (ours, theirs) = duplex(pipe);
    sandbox.serve_stream(theirs);
    client(ours)
}

fn error_frame(severity: &str, message: &str) -> Vec<u8> {
    ServerMessage::new(severity, message, None).encode(ReplyKind::ERROR).to_bytes().to_vec()
}

/// Polls a future this many times, with the server running in between, and tells whether it was ready by then.
async fn poll_times<F: Future>(future: F, times: usize) -> bool {
    let mut future = pin!(future);
    for _ in 0..times {
        if future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready() {
            return true;
        }
        for _ in 0..8 {
            tokio::task::yield_now().await;
        }
    }
    false
}

#[tokio::test(start_paused = true)]
async fn a_request_dropped_at_any_poll_leaves_the_client_in_step() {
    for pipe in [16, 200, 1 << 16] {
        let mut polls = 0;
        loop {
            let sandbox = sandbox();
            let mut client = connect(&sandbox, pipe);
            let infos: Vec<_> = (0..3).map(|node| ReadNodeInfo::Node(id(node))).collect();
            let complete =
                poll_times(client.send((ReadNodeCount, infos, ReadHealthCheckStats { node: id(1) })), polls).await;

            let (stats, count) = client.send((ReadHealthCheckStats { node: id(2) }, ReadNodeCount)).await;
            assert_eq!(stats.unwrap().node_id, 2, "dropped after {polls} polls, pipe of {pipe} bytes");
            assert_eq!(count.unwrap(), NodeCount(3));
            let info = client.finish(ReadNodeInfo::Node(id(0))).await.unwrap();
            assert_eq!(info.nodes[0].host, "10.0.0.1");
            if complete {
                break;
            }
            polls += 1;
        }
        assert!(polls >= 3, "{polls} polls with a pipe of {pipe} bytes: nothing was dropped half-way");
    }
}

#[tokio::test(start_paused = true)]
async fn requests_dropped_one_after_the_other_leave_the_client_in_step() {
    let sandbox = sandbox();
    let mut client = connect(&sandbox, 64);
    for polls in 0..200 {
        let _dropped = poll_times(client.send((ReadPoolStatus, ReadNodeCount)), polls % 7).await;
    }
    assert_eq!(client.send(ReadNodeCount).await.unwrap(), NodeCount(3));
}

#[tokio::test(start_paused = true)]
async fn a_second_look_knows_the_age_that_the_first_one_saw() {
    let sandbox = sandbox();
    let view = observe(&mut connect(&sandbox, 4096)).await.unwrap();
    let mut again = connect(&sandbox, 4096);
    assert!(observe_again(&mut again, &view).await.unwrap().is_some());
    assert_eq!(again.server_age().unwrap().to_string(), "4.3 or later, before 4.4");
}

#[tokio::test(start_paused = true)]
async fn notices_are_asked_for_once_whatever_is_dropped_and_heard_to_the_last() {
    let is_set = |kinds: &[RequestKind]| kinds.iter().filter(|&&kind| kind == RequestKind::SET_PARAMETER).count();
    for polls in 0..6 {
        let sandbox = sandbox();
        let pipe = || {
            let (ours, theirs) = duplex(64);
            sandbox.serve_stream(theirs);
            ours
        };
        let mut client = client(pipe());
        client.ask_for_notices(MessageLevel::Debug1);
        let _dropped = poll_times(client.send(ReadNodeCount), polls).await;
        assert_eq!(client.send(ReadNodeInfo::Node(id(1))).await.unwrap().nodes.len(), 1);
        let mut rows = client.rows(ReadProcessInfo::All);
        while let Some(row) = rows.next().await {
            row.unwrap();
        }
        let told = client.take_notices().iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        assert!(told.contains("service 'I'") && told.contains("service 'P'"), "{polls} polls: {told}");
        client.close().await;
        let kinds: Vec<_> = sandbox.requests().into_iter().map(|(_, kind)| kind).collect();
        assert_eq!((is_set(&kinds), kinds[2]), (1, RequestKind::SET_PARAMETER), "{polls} polls: {kinds:?}");
    }
}

#[tokio::test]
async fn login_and_requests_share_a_write() {
    let stream = Builder::new()
        .write(b"M\0\0\0\x04")
        .read(SALT)
        .write(&[LOGIN, COUNT, DETACH_2, GOODBYE].concat())
        .read(&[LOGGED_IN, THREE_NODES, b"d\0\0\0\x14CommandComplete\0"].concat())
        .build();
    let (count, detach) = client(stream).finish((ReadNodeCount, DetachNode { node: id(2) })).await;
    assert_eq!(count.unwrap(), NodeCount(3));
    detach.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_batch_larger_than_every_buffer_does_not_stop_both_sides() {
    let sandbox = sandbox();
    let mut client = connect(&sandbox, 16);
    let counts = client.send(vec![ReadNodeCount; 500]).await;
    assert_eq!(counts.len(), 500);
    assert!(counts.into_iter().all(|count| count.unwrap() == NodeCount(3)));
}

#[tokio::test]
async fn a_refusal_is_the_answer_to_its_request_only() {
    let replies = [LOGGED_IN, &error_frame("ERROR", "no such node"), THREE_NODES].concat();
    let stream = Builder::new()
        .write(b"M\0\0\0\x04")
        .read(SALT)
        .write(&[LOGIN, DETACH_2, COUNT, GOODBYE].concat())
        .read(&replies)
        .build();
    let (refused, count) = client(stream).finish((DetachNode { node: id(2) }, ReadNodeCount)).await;
    let refused = refused.unwrap_err();
    assert_eq!((refused.kind(), refused.outcome_unknown()), (ErrorKind::Refused, false));
    assert_eq!(refused.server_message().unwrap().message, "no such node");
    assert_eq!(count.unwrap(), NodeCount(3));
}

#[tokio::test]
async fn what_follows_a_fatal_refusal_was_not_executed() {
    let stream = Builder::new()
        .write(b"M\0\0\0\x04")
        .read(SALT)
        .write(&[LOGIN, DETACH_2, COUNT, GOODBYE].concat())
        .read(&[LOGGED_IN, &error_frame("FATAL", "unknown")].concat())
        .build();
    let (detach, count) = client(stream).finish((DetachNode { node: id(2) }, ReadNodeCount)).await;
    let detach = detach.unwrap_err();
    assert_eq!(
        (detach.kind(), detach.outcome_unknown()),
        (ErrorKind::Refused, true),
        "it may have been queued before"
    );
    let count = count.unwrap_err();
    assert_eq!((count.kind(), count.outcome_unknown()), (ErrorKind::NotExecuted, false));
}

#[tokio::test]
async fn after_a_bare_end_the_outcome_is_unknown() {
    let stream = Builder::new()
        .write(b"M\0\0\0\x04")
        .read(SALT)
        .write(&[LOGIN, DETACH_2, GOODBYE].concat())
        .read(LOGGED_IN)
        .build();
    let detach = client(stream).finish(DetachNode { node: id(2) }).await.unwrap_err();
    assert_eq!((detach.kind(), detach.outcome_unknown()), (ErrorKind::Disconnected, true));

    let before_the_salt = Builder::new().write(b"M\0\0\0\x04").build();
    let detach = client(before_the_salt).finish(DetachNode { node: id(2) }).await.unwrap_err();
    assert_eq!((detach.kind(), detach.outcome_unknown()), (ErrorKind::Disconnected, false));
    assert!(detach.is_retryable());
}

#[tokio::test]
async fn a_refused_login_wins_over_the_reset_behind_it() {
    let refusal = error_frame("FATAL", "authentication failed for user \"pcpadmin\"");
    let reset = || io::Error::from(io::ErrorKind::ConnectionReset);
    let stream = Builder::new()
        .write(b"M\0\0\0\x04")
        .read(SALT)
        .write(&[LOGIN, COUNT].concat())
        .read(&refusal)
        .read_error(reset())
        .build();
    let mut client = client(stream);
    let error = client.send(ReadNodeCount).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Authentication);
    assert!(error.to_string().contains("authentication failed for user"), "{error}");
    assert!(!error.outcome_unknown(), "it was sent, but behind a login that was refused");
    // And every later request says the same.
    assert_eq!(client.send(ReadNodeCount).await.unwrap_err().kind(), ErrorKind::Authentication);
}

#[tokio::test]
async fn a_server_that_gives_up_between_two_requests_has_not_refused_the_login() {
    let last_words = error_frame("FATAL", "going down");
    let stream = Builder::new()
        .write(b"M\0\0\0\x04")
        .read(SALT)
        .write(LOGIN)
        .read(&[LOGGED_IN, &last_words].concat())
        .build();
    let mut client = client(stream);
    client.login().await.unwrap();
    let error = client.send(ReadNodeCount).await.unwrap_err();
    assert_eq!((error.kind(), error.outcome_unknown()), (ErrorKind::NotExecuted, false));
    assert!(std::error::Error::source(&error).unwrap().to_string().contains("going down"), "{error:?}");
}

/// A server that has closed its reading side, and whose last words can still be read.
struct Deaf<'a>(&'a [u8]);

impl AsyncRead for Deaf<'_> {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let (now, later) = self.0.split_at(self.0.len().min(9));
        buf.put_slice(now);
        self.0 = later;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Deaf<'_> {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn a_write_error_waits_for_the_servers_last_words() {
    let words = [SALT, &error_frame("FATAL", "pcp is going down")].concat();
    let error = client(Deaf(&words)).send(ReadNodeCount).await.unwrap_err();
    assert!(error.to_string().contains("pcp is going down"), "{error}");

    let error = client(Deaf(b"")).send(ReadNodeCount).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Disconnected);
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains("broken pipe"), "{cause}");
}

#[tokio::test]
async fn a_login_alone_tells_whether_it_is_accepted() {
    let stream =
        Builder::new().write(b"M\0\0\0\x04").read(SALT).write(LOGIN).read(LOGGED_IN).write(GOODBYE).build();
    let mut accepted = client(stream);
    accepted.login().await.unwrap();
    accepted.login().await.unwrap();
    assert_eq!(accepted.asked(), []);
    accepted.close().await;

    let refusal = error_frame("FATAL", "authentication failed");
    let stream = Builder::new().write(b"M\0\0\0\x04").read(SALT).write(LOGIN).read(&refusal).build();
    assert_eq!(client(stream).login().await.unwrap_err().kind(), ErrorKind::Authentication);
}

#[tokio::test]
async fn a_goodbye_is_for_those_who_listen() {
    let asked = Builder::new()
        .write(b"M\0\0\0\x04")
        .read(SALT)
        .write(&[LOGIN, COUNT].concat())
        .read(&[LOGGED_IN, THREE_NODES].concat())
        .write(GOODBYE)
        .build();
    let mut client_that_asked = client(asked);
    assert_eq!(client_that_asked.send(ReadNodeCount).await.unwrap(), NodeCount(3));
    assert_eq!(client_that_asked.asked(), [RequestKind::READ_NODE_COUNT]);
    client_that_asked.close().await;

    let sandbox = sandbox();
    connect(&sandbox, 4096).close().await;
    tokio::task::yield_now().await;
    assert_eq!(sandbox.requests(), [], "nothing was asked");

    let fatal = error_frame("FATAL", "unknown");
    let mut ended = client(
        Builder::new()
            .write(b"M\0\0\0\x04")
            .read(SALT)
            .write(&[LOGIN, COUNT].concat())
            .read(&[LOGGED_IN, &fatal].concat())
            .write(b"nothing")
            .build(),
    );
    assert_eq!(ended.send(ReadNodeCount).await.unwrap_err().kind(), ErrorKind::Refused);
    // What is left in the script would end the test if the client wrote or forgot it.
    let Err(left) = tokio::spawn(ended.close()).await else { panic!("something was written") };
    assert!(left.into_panic().downcast::<String>().unwrap().contains("left to write"));
}

#[tokio::test]
async fn what_was_not_sent_before_the_connection_ended_is_not_sent_with_the_goodbye() {
    // An answer too many, which is there before the change is sent. The script allows no further write.
    let stream = Builder::new()
        .write(b"M\0\0\0\x04")
        .read(SALT)
        .write(&[LOGIN, COUNT].concat())
        .read(&[LOGGED_IN, THREE_NODES, THREE_NODES].concat())
        .build();
    let mut client = client(stream);
    client.send(ReadNodeCount).await.unwrap();
    let error = client.finish(DetachNode { node: id(2) }).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol);
    assert!(!error.outcome_unknown());
}

#[tokio::test(start_paused = true)]
async fn a_goodbye_takes_back_what_was_not_sent_and_does_not_wait() {
    let (sent, unsent) = COUNT.split_at(3);
    let half_written = Builder::new()
        .write(b"M\0\0\0\x04")
        .read(SALT)
        .write(LOGIN)
        .read(LOGGED_IN)
        .write(sent)
        .wait(Duration::from_millis(50))
        .write(&[unsent, GOODBYE].concat())
        .build();
    let mut client = client(half_written);
    client.login().await.unwrap();
    assert!(!poll_times(client.send((ReadNodeCount, ReadPoolStatus)), 1).await);
    client.close().await;

    let (ours, _never_read) = duplex(1);
    let mut client = self::client(ours);
    assert!(!poll_times(client.login(), 1).await);
    let started = Instant::now();
    client.close().await;
    assert_eq!(started.elapsed(), Duration::from_millis(100));
}

#[tokio::test]
async fn the_last_notices_are_kept() {
    let notice = |number: usize| {
        ServerMessage::new("NOTICE", &number.to_string(), None).encode(ReplyKind::NOTICE).to_bytes().to_vec()
    };
    let notices: Vec<_> = (0..66).flat_map(notice).collect();
    let stream = Builder::new()
        .write(b"M\0\0\0\x04")
        .read(SALT)
        .write(&[LOGIN, COUNT].concat())
        .read(&[LOGGED_IN, &notices, THREE_NODES].concat())
        .build();
    let mut client = client(stream);
    client.send(ReadNodeCount).await.unwrap();
    let kept: Vec<_> = client.take_notices().iter().map(|notice| notice.message.to_string()).collect();
    assert_eq!(kept, (2..66).map(|number| number.to_string()).collect::<Vec<_>>());
    assert_eq!(client.take_notices(), []);
}

#[tokio::test(start_paused = true)]
async fn each_wait_has_its_own_bound() {
    let ask = async |delay, limits: fn(&mut Limits)| {
        let sandbox = sandbox();
        sandbox.fault(Fault::Delay(Duration::from_secs(delay)));
        let (ours, theirs) = duplex(4096);
        sandbox.serve_stream(theirs);
        let mut set = Limits::new(Deadline::after(10 * MINUTE));
        limits(&mut set);
        let mut client = Client::new(ours, Credentials::new("pcpadmin", b"secret").unwrap(), set);
        let started = Instant::now();
        let (first, second) = client.send((ReadNodeCount, ReadPoolStatus)).await;
        let error = first.err().or_else(|| second.err()).map(|error| error.to_string());
        (error, started.elapsed().as_secs())
    };
    // Salt and login share a bound, and each reply behind them has one of its own.
    assert_eq!(ask(2, |_| {}).await, (None, 8));
    let late = |what| Some(format!("Pgpool did not answer {what} in time"));
    assert_eq!(ask(3, |_| {}).await, (late("the login"), 5));
    assert_eq!(ask(3, |limits| limits.login = MINUTE).await, (None, 12));
    assert_eq!(ask(7, |limits| limits.login = MINUTE).await, (late("its request"), 19));
    // A change has more time.
    let held_back = sandbox();
    held_back.fault(Fault::Delay(Duration::from_secs(2)));
    let started = Instant::now();
    connect(&held_back, 4096).finish(AttachNode { node: id(1) }).await.unwrap();
    assert_eq!(started.elapsed().as_secs(), 6);
}

#[tokio::test]
async fn a_reply_is_kept_up_to_64_mebibytes() {
    const MEBIBYTE: usize = 1 << 20;
    let frame = |text: &[u8], length| {
        let mut body = text.to_vec();
        body.resize(length - 5, 0);
        Frame::new(ReplyKind::POOL_STATUS, body).to_bytes()
    };
    // What it costs to keep a frame counts as well.
    let most = MEBIBYTE - 64 * size_of::<Frame<ReplyKind>>();
    for (end, reason) in [(most, "cannot be read"), (most + 1, "larger than 64 MiB")] {
        let (ours, mut theirs) = duplex(MEBIBYTE);
        let server = tokio::spawn(async move {
            theirs.read_exact(&mut [0; 5]).await?;
            theirs.write_all(SALT).await?;
            theirs.read_exact(&mut vec![0; LOGIN.len() + 6]).await?;
            theirs.write_all(LOGGED_IN).await?;
            let row = frame(b"ProcessConfig\0", MEBIBYTE);
            for _ in 0..63 {
                theirs.write_all(&row).await?;
            }
            theirs.write_all(&frame(b"CommandComplete\0", end)).await?;
            theirs.read_to_end(&mut Vec::new()).await
        });
        let error = client(ours).send(ReadPoolStatus).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Protocol);
        assert!(error.to_string().contains(reason), "{error}");
        drop(server);
    }
}

#[tokio::test(start_paused = true)]
async fn every_wait_has_a_bound() {
    let silent = sandbox();
    silent.fault(Fault::NeverSalt);
    let started = Instant::now();
    let error = connect(&silent, 4096).send(ReadNodeCount).await.unwrap_err();
    assert_eq!((error.kind(), started.elapsed()), (ErrorKind::Timeout, Duration::from_secs(5)));

    let stalled = sandbox();
    stalled.fault(Fault::StallAfter(10));
    let started = Instant::now();
    let mut client = connect(&stalled, 4096);
    let error = client.send(ReadNodeCount).await.unwrap_err();
    assert_eq!((error.kind(), started.elapsed()), (ErrorKind::Timeout, Duration::from_secs(5)));
    // What comes after a timeout could be the late answer: nothing more is asked.
    assert_eq!(client.send(ReadNodeCount).await.unwrap_err().kind(), ErrorKind::Timeout);
    assert_eq!(started.elapsed(), Duration::from_secs(5));

    let slow = sandbox();
    slow.fault(Fault::Delay(Duration::from_secs(20)));
    let (ours, theirs) = duplex(4096);
    slow.serve_stream(theirs);
    let credentials = Credentials::new("pcpadmin", b"secret").unwrap();
    let limits = Limits { login: MINUTE, ..Limits::new(Deadline::after(Duration::from_secs(3))) };
    let started = Instant::now();
    let error = Client::new(ours, credentials, limits).finish(AttachNode { node: id(1) }).await.unwrap_err();
    assert_eq!(
        (error.kind(), started.elapsed()),
        (ErrorKind::Timeout, Duration::from_secs(3)),
        "the deadline wins"
    );
}

#[tokio::test]
async fn garbage_ends_the_connection_and_says_so() {
    let stream = Builder::new().write(b"M\0\0\0\x04").read(b"HTTP/1.1 400 Bad Request\r\n").build();
    let error: Error = client(stream).send(ReadNodeCount).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol);
    assert!(std::error::Error::source(&error).unwrap().to_string().contains("does not speak PCP"));
}
