//! Replies that are read row by row, and requests that a server is too old for.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test may fail so")]

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Waker};
use std::time::Duration;

use bytes::BytesMut;
use pcp_client::{Client, Deadline, ErrorKind, Limits, Refusal};
use pcp_proto::message::{
    DetachNode, InvalidateQueryCache, NodeCount, Parameter, PoolStatus, ProcessInfo, ProcessInfoLayout,
    ProcessInfos, PromoteMode, PromoteNode, ReadHealthCheckStats, ReadNodeCount, ReadPoolStatus, ReadProcessInfo,
    ReloadConfig, Reply, RotateLog, Scope,
};
use pcp_proto::{Credentials, FrameDecoder, NodeId, Release, ReplyKind, RequestKind, ServerAge, ServerMessage};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::time::Instant;

/// A server of a few words: node count, pool status of some age, and process info of so many rows.
#[derive(Clone, Default)]
struct Server {
    rows: usize,
    parameters: Vec<&'static str>,
    /// After how many rows it falls silent, closes the connection, or refuses to go on.
    break_after: Option<(usize, Break)>,
    /// How many rows it has got rid of.
    written: Arc<AtomicUsize>,
    asked: Arc<std::sync::Mutex<Vec<RequestKind>>>,
}

#[derive(Clone, Copy)]
enum Break {
    Silence,
    Close,
    Refusal(&'static str),
    Garbage,
}

impl Server {
    fn with_rows(rows: usize) -> Self {
        Self { rows, ..Self::default() }
    }

    fn with(self, rows: usize) -> Self {
        Self { rows, ..self }
    }

    /// Connects a client through a pipe that holds this many bytes.
    fn connect(&self, pipe: usize) -> Client<DuplexStream> {
        let (ours, theirs) = duplex(pipe);
        let server = self.clone();
        tokio::spawn(async move { server.serve(theirs).await });
        let credentials = Credentials::new("pcpadmin", b"secret").unwrap();
        Client::new(ours, credentials, Limits::new(Deadline::after(Duration::from_secs(600))))
    }

    async fn serve(self, mut stream: DuplexStream) -> Option<()> {
        let (mut input, mut decoder) = (BytesMut::new(), FrameDecoder::<RequestKind>::new());
        loop {
            while let Some(frame) = decoder.decode(&mut input).unwrap() {
                self.asked.lock().unwrap().push(frame.kind);
                let replies = match frame.kind {
                    RequestKind::READ_SALT => {
                        stream.write_all(b"m\0\0\0\x08salt").await.ok()?;
                        continue;
                    }
                    RequestKind::LOGIN => {
                        stream.write_all(b"r\0\0\0\x15AuthenticationOK\0").await.ok()?;
                        continue;
                    }
                    RequestKind::READ_NODE_COUNT => NodeCount(3).encode(ReplyKind::NODE_COUNT),
                    RequestKind::READ_POOL_STATUS => {
                        let parameters = self.parameters.iter().map(|name| named(name)).collect();
                        PoolStatus { parameters }.encode(ReplyKind::POOL_STATUS)
                    }
                    RequestKind::READ_PROCESS_INFO => {
                        self.process_infos(&mut stream).await?;
                        continue;
                    }
                    RequestKind::DISCONNECT => return None,
                    _ => {
                        let detail = Some("unknown PCP packet type \"?\"");
                        let said = ServerMessage::new("FATAL", "PCP processing request", detail);
                        vec![said.encode(ReplyKind::ERROR)]
                    }
                };
                for reply in replies {
                    stream.write_all(&reply.to_bytes()).await.ok()?;
                }
            }
            if stream.read_buf(&mut input).await.ok()? == 0 {
                return None;
            }
        }
    }

    async fn process_infos(&self, stream: &mut DuplexStream) -> Option<()> {
        let slot = ProcessInfo { pid: 4711, statement: Some("SELECT 1".into()), ..ProcessInfo::default() };
        let reply = ProcessInfos { layout: ProcessInfoLayout::NEWEST, processes: vec![slot] };
        let frames = reply.encode(ReplyKind::PROCESS_INFO).into_iter().map(|frame| frame.to_bytes());
        let [size, row, end] = frames.collect::<Vec<_>>().try_into().unwrap();
        stream.write_all(&size).await.ok()?;
        for at in 0..self.rows {
            match self.break_after {
                Some((after, how)) if after == at => match how {
                    Break::Silence => return std::future::pending().await,
                    Break::Close => return None,
                    Break::Garbage => stream.write_all(b"p\0\0\0\x12ProcessInfo\x001\0").await.ok()?,
                    Break::Refusal(severity) => {
                        let said = ServerMessage::new(severity, "informing process info failed", None);
                        stream.write_all(&said.encode(ReplyKind::ERROR).to_bytes()).await.ok()?;
                        return (severity == "ERROR").then_some(());
                    }
                },
                _ => stream.write_all(&row).await.ok()?,
            }
            self.written.fetch_add(1, Ordering::Relaxed);
        }
        stream.write_all(&end).await.ok()
    }
}

fn named(name: &str) -> Parameter {
    Parameter { name: name.into(), ..Parameter::default() }
}

fn id(id: usize) -> NodeId {
    id.try_into().unwrap()
}

/// Polls a future this many times, with the server running in between, and returns what it was ready with by then.
async fn poll_times<F: Future>(future: F, times: usize) -> Option<F::Output> {
    let mut future = pin!(future);
    for _ in 0..times {
        if let std::task::Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return Some(output);
        }
        for _ in 0..4 {
            tokio::task::yield_now().await;
        }
    }
    None
}

#[tokio::test(start_paused = true)]
async fn rows_come_one_by_one_and_end() {
    let server = Server::with_rows(300);
    let mut client = server.connect(100);
    let collected = client.send(ReadProcessInfo::All).await.unwrap().processes;
    let mut rows = client.rows(ReadProcessInfo::All);
    let mut seen = Vec::new();
    while let Some(row) = rows.next().await {
        seen.push(row.unwrap());
    }
    assert!(rows.next().await.is_none(), "the end stays the end");
    assert_eq!((seen.len(), seen), (300, collected));
    assert_eq!(client.send(ReadNodeCount).await.unwrap(), NodeCount(3));
}

#[tokio::test(start_paused = true)]
async fn rows_dropped_at_any_poll_leave_the_client_in_step() {
    for pipe in [16, 300, 1 << 16] {
        let mut polls = 0;
        loop {
            let mut client = of_release(Release::new(4, 7)).with(7).connect(pipe);
            let count = async {
                let mut rows = client.rows(ReadProcessInfo::All);
                let mut count = 0;
                while let Some(row) = rows.next().await {
                    row.unwrap();
                    count += 1;
                    tokio::task::yield_now().await;
                }
                count
            };
            let complete = poll_times(count, polls).await;
            let mut rows = client.rows(ReadPoolStatus);
            let mut parameters = 0;
            while let Some(row) = rows.next().await {
                row.unwrap();
                parameters += 1;
            }
            assert_eq!(parameters, MARKERS.len() + 1, "{polls} polls, pipe of {pipe}");
            assert_eq!(client.send(ReadNodeCount).await.unwrap(), NodeCount(3), "{polls} polls, pipe of {pipe}");
            assert_eq!(client.send(ReadProcessInfo::All).await.unwrap().processes.len(), 7);
            if let Some(count) = complete {
                assert_eq!(count, 7);
                break;
            }
            polls += 1;
        }
        assert!(polls > 7, "{polls} polls with a pipe of {pipe} bytes: nothing was dropped half-way");
    }
}

#[tokio::test(start_paused = true)]
async fn a_dropped_next_loses_no_row() {
    for pipe in [16, 300, 1 << 16] {
        for polls in 1..6 {
            let mut client = Server::with_rows(50).connect(pipe);
            let mut rows = client.rows(ReadProcessInfo::All);
            let mut count = 0;
            loop {
                match poll_times(rows.next(), polls).await {
                    Some(Some(row)) => count += u32::from(row.unwrap().pid == 4711),
                    Some(None) => break,
                    None => {}
                }
            }
            assert_eq!(count, 50, "{polls} polls, pipe of {pipe}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn rows_that_are_never_asked_for_are_never_sent() {
    let server = Server::with_rows(7);
    let mut client = server.connect(4096);
    client.login().await.unwrap();
    drop(client.rows(ReadProcessInfo::All));
    assert_eq!(client.send(ReadNodeCount).await.unwrap(), NodeCount(3));
    let asked = [RequestKind::READ_SALT, RequestKind::LOGIN, RequestKind::READ_NODE_COUNT];
    assert_eq!(*server.asked.lock().unwrap(), asked);
}

#[tokio::test(start_paused = true)]
async fn a_query_dropped_before_a_byte_of_it_went_out_is_never_sent() {
    let server = Server::with_rows(7);
    let mut client = server.connect(4096);
    drop(client.rows(ReadPoolStatus));
    drop(client.rows(ReadPoolStatus));
    let mut rows = client.rows(ReadProcessInfo::All);
    assert_eq!(rows.next().await.unwrap().unwrap().pid, 4711);
    let asked = [RequestKind::READ_SALT, RequestKind::LOGIN, RequestKind::READ_PROCESS_INFO];
    assert_eq!(*server.asked.lock().unwrap(), asked);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_of_a_dropped_query_is_not_the_next_ones() {
    let refusing = Server { break_after: Some((0, Break::Refusal("ERROR"))), ..of_release(Release::new(4, 7)) };
    for polls in 0..9 {
        let mut client = refusing.connect(16);
        poll_times(client.rows(ReadProcessInfo::All).next(), polls).await;
        let mut rows = client.rows(ReadPoolStatus);
        assert!(rows.next().await.unwrap().is_ok(), "{polls} polls");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_the_first_item_and_the_connection_goes_on() {
    let refusing = |severity| Server { break_after: Some((0, Break::Refusal(severity))), ..Server::with_rows(1) };
    let mut client = refusing("ERROR").connect(4096);
    let mut rows = client.rows(ReadProcessInfo::All);
    assert_eq!(rows.next().await.unwrap().unwrap_err().kind(), ErrorKind::Refused);
    assert!(rows.next().await.is_none());
    assert_eq!(client.send(ReadNodeCount).await.unwrap(), NodeCount(3));

    let mut client = refusing("FATAL").connect(4096);
    let mut rows = client.rows(ReadProcessInfo::All);
    assert_eq!(rows.next().await.unwrap().unwrap_err().kind(), ErrorKind::Refused);
    assert!(rows.next().await.is_none());
    assert_eq!(client.send(ReadNodeCount).await.unwrap_err().kind(), ErrorKind::NotExecuted);
}

#[tokio::test(start_paused = true)]
async fn an_end_half_way_is_an_error_behind_the_rows() {
    let cut = Server { break_after: Some((3, Break::Close)), ..Server::with_rows(9) };
    let mut client = cut.connect(4096);
    let mut rows = client.rows(ReadProcessInfo::All);
    for _ in 0..3 {
        rows.next().await.unwrap().unwrap();
    }
    let error = rows.next().await.unwrap().unwrap_err();
    assert_eq!((error.kind(), error.outcome_unknown()), (ErrorKind::Disconnected, true));
    assert!(rows.next().await.is_none());

    // A row that cannot be read ends the rows, not the connection.
    let odd = Server { break_after: Some((3, Break::Garbage)), ..Server::with_rows(9) };
    let mut client = odd.connect(4096);
    let mut rows = client.rows(ReadProcessInfo::All);
    for _ in 0..3 {
        rows.next().await.unwrap().unwrap();
    }
    assert_eq!(rows.next().await.unwrap().unwrap_err().kind(), ErrorKind::Protocol);
    assert!(rows.next().await.is_none());
    assert_eq!(client.send(ReadNodeCount).await.unwrap(), NodeCount(3));
}

#[tokio::test(start_paused = true)]
async fn every_wait_for_a_row_has_a_bound() {
    const SECOND: Duration = Duration::from_secs(1);
    let silent = Server { break_after: Some((2, Break::Silence)), ..Server::with_rows(9) };
    let mut client = silent.connect(4096);
    let mut rows = client.rows(ReadProcessInfo::All);
    rows.next().await.unwrap().unwrap();
    // How long the reader takes for a row is no wait for the server.
    tokio::time::sleep(20 * SECOND).await;
    rows.next().await.unwrap().unwrap();
    tokio::time::sleep(20 * SECOND).await;
    let started = Instant::now();
    // Dropping the future does not begin the wait anew.
    for _ in 0..4 {
        assert!(tokio::time::timeout(SECOND, rows.next()).await.is_err());
    }
    let error = rows.next().await.unwrap().unwrap_err();
    assert_eq!((error.kind(), started.elapsed()), (ErrorKind::Timeout, 5 * SECOND));
    assert_eq!(client.send(ReadNodeCount).await.unwrap_err().kind(), ErrorKind::Timeout);
}

#[test]
fn a_hundred_thousand_rows_take_no_more_memory_than_a_few() {
    const PIPE: usize = 4096;
    /// What the client may hold: the 8 KiB that it reads at once, the buffer that grew by them, and its own state.
    const BOUND: u64 = 64 << 10;
    let peak = |rows: usize| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let measured = allocation_counter::measure(|| {
            runtime.block_on(async {
                let server = Server::with_rows(rows);
                let mut client = server.connect(PIPE);
                let mut stream = client.rows(ReadProcessInfo::All);
                let mut read = 0;
                while let Some(row) = stream.next().await {
                    assert_eq!(row.unwrap().pid, 4711);
                    read += 1;
                    // The server is never further ahead than the pipe and one read of the client.
                    let ahead = server.written.load(Ordering::Relaxed) - read;
                    assert!(ahead * 60 <= PIPE + (8 << 10) + 60, "{ahead} rows ahead");
                }
                assert_eq!(read, rows);
            });
        });
        measured.bytes_max
    };
    let (few, many) = (peak(1000), peak(100_000));
    assert!(many <= few + 1024 && many <= BOUND, "{few} bytes for 1000 rows, {many} for 100 000");
}

/// The parameters that tell a server's age, oldest first, and the release that each stands for.
const MARKERS: [(&str, Release); 8] = [
    ("failover_on_backend_error", Release::new(4, 0)),
    ("reserved_connections", Release::new(4, 1)),
    ("follow_primary_command", Release::new(4, 2)),
    ("failover_on_backend_shutdown", Release::new(4, 3)),
    ("unix_socket_directories", Release::new(4, 4)),
    ("log_pcp_processes", Release::new(4, 5)),
    ("log_backend_messages", Release::new(4, 6)),
    ("work_dir", Release::new(4, 7)),
];

fn of_release(release: Release) -> Server {
    let markers = MARKERS.iter().filter(|(_, since)| *since <= release).map(|(name, _)| *name);
    Server { parameters: markers.chain(["port"]).collect(), ..Server::with_rows(1) }
}

#[tokio::test(start_paused = true)]
async fn what_the_server_is_too_old_for_is_refused_before_it_is_sent() {
    let server = of_release(Release::new(4, 1));
    let mut client = server.connect(4096);
    assert_eq!(client.server_age(), None);
    client.send(ReadPoolStatus).await.unwrap();
    let age = ServerAge::between(Release::new(4, 1), Release::new(4, 2));
    assert_eq!(client.server_age(), Some(age));

    let (before, stats, count) =
        client.send((ReadNodeCount, ReadHealthCheckStats { node: id(1) }, ReadNodeCount)).await;
    assert_eq!((before.unwrap(), count.unwrap()), (NodeCount(3), NodeCount(3)));
    let stats = stats.unwrap_err();
    assert_eq!((stats.kind(), stats.outcome_unknown()), (ErrorKind::Unsupported, false));
    assert_eq!((stats.is_retryable(), stats.refusal(), stats.server_message()), (false, None, None));
    let too_old = stats.too_old().unwrap();
    assert_eq!((too_old.requirement.since, too_old.age), (Release::new(4, 2), age));
    assert_eq!(
        stats.to_string(),
        "reading health check statistics needs Pgpool 4.2 or later; this server is 4.1 or later, before 4.2"
    );
    assert_eq!(client.send(ReadNodeCount).await.unwrap(), NodeCount(3));
    assert!(!server.asked.lock().unwrap().contains(&RequestKind::READ_HEALTH_CHECK_STATS));
    assert!(!client.asked().contains(&RequestKind::READ_HEALTH_CHECK_STATS));
}

#[tokio::test(start_paused = true)]
async fn each_request_needs_its_release() {
    let switchover = || PromoteNode { node: id(1), mode: PromoteMode::Switchover };
    for (_, release) in MARKERS {
        let unsupported = async |which: usize| {
            let mut client = of_release(release).connect(4096);
            client.send(ReadPoolStatus).await.unwrap();
            let result = match which {
                0 => client.send(ReadHealthCheckStats { node: id(1) }).await.map(drop),
                1 => client.finish(ReloadConfig { scope: Scope::Local }).await.map(drop),
                2 => client.finish(switchover()).await.map(drop),
                3 => client.finish(RotateLog { scope: Scope::Local }).await.map(drop),
                4 => client.finish(InvalidateQueryCache).await.map(drop),
                _ => client.finish(DetachNode { node: id(1) }).await.map(drop),
            };
            result.unwrap_err().kind() == ErrorKind::Unsupported
        };
        let needs =
            [(4, 2), (4, 2), (4, 3), (4, 6), (4, 6), (3, 5)].map(|(major, minor)| Release::new(major, minor));
        for (which, since) in needs.into_iter().enumerate() {
            assert_eq!(unsupported(which).await, release < since, "request {which} of a {release}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_knows_no_age_sends_and_one_that_was_told_does_not() {
    let server = of_release(Release::new(4, 1));
    let mut client = server.connect(4096);
    let error = client.send(ReadHealthCheckStats { node: id(1) }).await.unwrap_err();
    assert_eq!((error.kind(), error.refusal()), (ErrorKind::Refused, Some(Refusal::UnknownRequest)));

    // What may be either is sent: only what is surely lacking is not.
    for (before, kind) in [(3, ErrorKind::Refused), (2, ErrorKind::Unsupported)] {
        let mut client = server.connect(4096);
        client.assume_server_age(ServerAge::between(Release::new(4, 1), Release::new(4, before)));
        assert_eq!(client.send(ReadHealthCheckStats { node: id(1) }).await.unwrap_err().kind(), kind);
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_of_nothing_that_can_be_sent_still_says_goodbye() {
    let server = of_release(Release::new(4, 1));
    let mut client = server.connect(4096);
    client.send(ReadPoolStatus).await.unwrap();
    let error = client.finish(InvalidateQueryCache).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    tokio::task::yield_now().await;
    assert_eq!(server.asked.lock().unwrap().last(), Some(&RequestKind::DISCONNECT));
}
