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
    AttachNode, DetachNode, NodeCount, ReadHealthCheckStats, ReadNodeCount, ReadNodeInfo, ReadPoolStatus,
};
use pcp_proto::{Credentials, NodeId, ReplyKind, ServerMessage};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf, duplex};
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
    assert_eq!(detach.unwrap_err().kind(), ErrorKind::Refused);
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
    // And every later request says the same.
    assert_eq!(client.send(ReadNodeCount).await.unwrap_err().kind(), ErrorKind::Authentication);
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
