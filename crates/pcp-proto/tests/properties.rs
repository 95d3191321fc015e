//! What holds for every message, every way to cut a stream and every length, on values that proptest makes up.

#![allow(clippy::indexing_slicing, clippy::unwrap_used)]

use std::num::NonZeroU32;

use bytes::{Bytes, BytesMut};
use pcp_proto::message::*;
use pcp_proto::*;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

/// What the longest text of a server may hold.
const MAX_FIELD: usize = 254;

proptest! {
    #[test]
    fn requests_read_back_and_fit_what_servers_read(node in node_id(), index: u8, pid: u32) {
        check_request(&AttachNode { node });
        check_request(&DetachNode { node });
        check_request(&DetachNodeGracefully { node });
        check_request(&InvalidateQueryCache);
        for mode in [PromoteMode::ViewOnly, PromoteMode::Switchover] {
            check_request(&PromoteNode { node, mode });
            check_request(&PromoteNodeGracefully { node, mode });
        }
        check_request(&ReadHealthCheckStats { node });
        check_request(&ReadNodeCount);
        check_request(&ReadNodeInfo::Node(node));
        check_request(&ReadNodeInfo::All);
        check_request(&ReadPoolStatus);
        check_request(&ReadProcessCount);
        check_request(&NonZeroU32::new(pid).map_or(ReadProcessInfo::All, ReadProcessInfo::Process));
        check_request(&RecoverNode { node });
        for scope in [Scope::Local, Scope::Cluster] {
            check_request(&ReloadConfig { scope });
            check_request(&RotateLog { scope });
        }
        for level in MessageLevel::ALL {
            check_request(&SetClientMinMessages { level });
        }
        for mode in [StopMode::Smart, StopMode::Fast, StopMode::Immediate] {
            check_request(&StopCluster { mode });
            check_request(&StopPgpool { mode });
        }
        check_request(&ReadWatchdogInfo::Member(index));
        check_request(&ReadWatchdogInfo::All);
    }

    #[test]
    fn logins_are_verified_and_fit_what_servers_read(
        user in "[^\0]{0,127}", password: Vec<u8>, salt: [u8; 4], other: [u8; 4],
    ) {
        prop_assume!(user.len() <= 127);
        let credentials = Credentials::new(user, &password).unwrap();
        let login = credentials.login(Salt(salt));
        check_length(&login);
        prop_assert_eq!(credentials.verify(&login, Salt(salt)), Ok(true));
        prop_assert_eq!(credentials.verify(&login, Salt(other)), Ok(salt == other));
        prop_assert_eq!(Salt::decode(&Salt(salt).encode()), Ok(Salt(salt)));
    }

    #[test]
    fn node_infos_read_back(infos in node_infos()) {
        check_reply(&infos, ReadNodeInfo::REPLY);
    }

    #[test]
    fn pool_status_reads_back(status in pool_status()) {
        check_reply(&status, ReadPoolStatus::REPLY);
    }

    #[test]
    fn health_check_stats_read_back(stats in health_check_stats()) {
        check_reply(&stats, ReadHealthCheckStats::REPLY);
    }

    #[test]
    fn process_infos_read_back(infos in process_infos()) {
        check_reply(&infos, ReadProcessInfo::REPLY);
        let frames = infos.encode(ReadProcessInfo::REPLY);
        let rows: Vec<_> = frames.iter().filter_map(|frame| ProcessInfos::row(frame).unwrap()).collect();
        prop_assert_eq!(rows, infos.processes);
    }

    #[test]
    fn process_counts_read_back(pids: Vec<u32>) {
        check_reply(&ProcessCount { pids }, ReadProcessCount::REPLY);
    }

    #[test]
    fn short_replies_read_back(count: u32, json in text()) {
        check_reply(&NodeCount(count), ReadNodeCount::REPLY);
        check_reply(&WatchdogInfo { json }, ReadWatchdogInfo::REPLY);
        check_reply(&Accepted, DetachNode::REPLY);
    }

    #[test]
    fn server_messages_read_back(message in server_message()) {
        prop_assert_eq!(ServerMessage::decode(&message.encode(ReplyKind::ERROR).body), Ok(message));
    }

    #[test]
    fn any_field_may_be_cut_with_any_byte_behind_it(
        message in server_message(), field in 0..7_usize, stray: u8,
    ) {
        let long = Text::new(vec![b'x'; MAX_FIELD]);
        let mut cut = message;
        let slot = match field {
            0 => &mut cut.severity,
            1 => &mut cut.code,
            2 => &mut cut.message,
            3 => cut.detail.get_or_insert_default(),
            4 => cut.hint.get_or_insert_default(),
            5 => cut.file.get_or_insert_default(),
            _ => cut.line.get_or_insert_default(),
        };
        *slot = long;
        let mut body = cut.encode(ReplyKind::NOTICE).body.to_vec();
        let end = body.windows(MAX_FIELD).position(|window| window == [b'x'; MAX_FIELD]).unwrap() + MAX_FIELD + 1;
        body.insert(end, stray);
        prop_assert_eq!(ServerMessage::decode(&body.into()), Ok(cut));
    }

    #[test]
    fn any_chunking_of_a_stream_gives_the_same_events(
        answers in vec(answer(), 0..8), tail: Vec<u8>, sizes in vec(1..40_usize, 1..40),
    ) {
        let mut stream = BytesMut::from(SALT_AND_LOGIN);
        answers.iter().flat_map(|(_, frames)| frames).for_each(|frame| frame.encode(&mut stream));
        stream.extend_from_slice(&tail);
        let asked: Vec<_> = answers.into_iter().filter_map(|(asked, _)| asked).collect();
        let whole = events(&asked, [&stream[..]]);
        prop_assert!(whole.len() > asked.len(), "the login and every answer");

        let mut rest = &stream[..];
        let chunks = sizes.into_iter().cycle().map_while(|size| {
            let (chunk, behind) = rest.split_at(size.min(rest.len()));
            rest = behind;
            (!chunk.is_empty()).then_some(chunk)
        });
        prop_assert_eq!(events(&asked, chunks), whole);
    }
}

const SALT_AND_LOGIN: &[u8] = b"m\0\0\0\x08\xca\xdb\x96\x65r\0\0\0\x15AuthenticationOK\0";

fn check_request<R: Request + PartialEq + std::fmt::Debug>(request: &R) {
    let frame = request.encode();
    check_length(&frame);
    assert_eq!(R::decode(&frame).as_ref(), Ok(request));
}

fn check_length(frame: &Frame<RequestKind>) {
    let bytes = frame.to_bytes();
    assert_eq!(bytes.len(), frame.encoded_len());
    assert_eq!(bytes[1..5], u32::try_from(bytes.len() - 1).unwrap().to_be_bytes());
    assert!(bytes.len() - 1 <= MAX_REQUEST, "{} bytes", bytes.len() - 1);
    let mut buffer = BytesMut::from(&bytes[..]);
    let mut decoder = FrameDecoder::with_max_length(MAX_REQUEST);
    assert_eq!(decoder.decode(&mut buffer).as_ref(), Ok(&Some(frame.clone())));
    assert!(buffer.is_empty());
}

fn check_reply<R: Reply + PartialEq + std::fmt::Debug>(reply: &R, kind: ReplyKind) {
    let frames = reply.encode(kind);
    assert!(frames.iter().all(|frame| frame.kind == kind));
    assert_eq!(R::decode(&frames).as_ref(), Ok(reply));
}

fn session() -> Session {
    Session::new(Credentials::new("pcpadmin", b"secret").unwrap())
}

/// Asks everything, hears the chunks and returns what they mean, up to the error that ends it.
fn events<'a>(asked: &[Outgoing], chunks: impl IntoIterator<Item = &'a [u8]>) -> Vec<Result<Event, SessionError>> {
    let mut session = session();
    for outgoing in asked {
        session.request(outgoing.clone());
    }
    let mut events = Vec::new();
    for chunk in chunks {
        session.input().extend_from_slice(chunk);
        loop {
            match session.poll() {
                Ok(Some(event)) => events.push(Ok(event)),
                Ok(None) => break,
                Err(error) => {
                    events.push(Err(error));
                    return events;
                }
            }
            session.advance_output(usize::MAX);
        }
        session.advance_output(usize::MAX);
    }
    events
}

/// A request with its answer, or a notice.
fn answer() -> impl Strategy<Value = (Option<Outgoing>, Vec<Frame<ReplyKind>>)> {
    fn answered<R: Request>(
        request: &R,
        frames: Vec<Frame<ReplyKind>>,
    ) -> (Option<Outgoing>, Vec<Frame<ReplyKind>>) {
        (Some(Batch::encode(request).remove(0)), frames)
    }
    prop_oneof![
        node_infos().prop_map(|infos| answered(&ReadNodeInfo::All, infos.encode(ReadNodeInfo::REPLY))),
        pool_status().prop_map(|status| answered(&ReadPoolStatus, status.encode(ReadPoolStatus::REPLY))),
        any::<u32>().prop_map(|count| answered(&ReadNodeCount, NodeCount(count).encode(ReadNodeCount::REPLY))),
        (node_id(), server_message())
            .prop_map(|(node, message)| { answered(&DetachNode { node }, vec![message.encode(ReplyKind::ERROR)]) }),
        server_message().prop_map(|message| (None, vec![message.encode(ReplyKind::NOTICE)])),
    ]
}

fn node_id() -> impl Strategy<Value = NodeId> {
    (0..=usize::from(NodeId::MAX)).prop_map(|id| NodeId::try_from(id).unwrap())
}

fn text() -> impl Strategy<Value = Text> {
    prop_oneof![
        "[a-zA-Z0-9._:/ -]{0,20}".prop_map(Text::from),
        vec(1..=u8::MAX, 0..40).prop_map(|bytes| Text::new(Bytes::from(bytes))),
    ]
}

/// A number that six decimals hold.
fn decimal() -> impl Strategy<Value = f64> {
    (-1e9..1e9_f64).prop_map(|number| format!("{number:.6}").parse().unwrap())
}

fn status() -> impl Strategy<Value = NodeStatus> {
    prop_oneof![0..5_u32, any::<u32>()].prop_map(NodeStatus::from_code)
}

fn role() -> impl Strategy<Value = NodeRole> {
    prop_oneof![0..5_u32, any::<u32>()].prop_map(NodeRole::from_code)
}

/// Nodes in any layout: what the layout does not have is `None`.
fn node_infos() -> impl Strategy<Value = NodeInfos> {
    let layouts = NodeInfoLayout::all().collect::<Vec<_>>();
    (proptest::sample::select(layouts), vec(node_info(), 1..5)).prop_map(|(layout, mut nodes)| {
        let fields = layout.fields();
        let has_quarantine = matches!(fields, 6 | 8 | 10 | 12 | 13);
        for node in &mut nodes {
            node.quarantine = node.quarantine.filter(|_| has_quarantine);
            node.role = node.role.filter(|_| fields >= 5);
            node.delay = node.delay.filter(|_| fields >= 7);
            node.changed = node.changed.filter(|_| fields >= 7);
            node.repl_state = node.repl_state.take().filter(|_| fields >= 9);
            node.sync_state = node.sync_state.take().filter(|_| fields >= 9);
            node.pg_status = node.pg_status.take().filter(|_| fields >= 11);
            node.pg_role = node.pg_role.take().filter(|_| fields >= 11);
            node.delay_by_time = node.delay_by_time.filter(|_| fields >= 13);
        }
        if !layout.has_rows() {
            nodes.truncate(1);
        }
        NodeInfos { layout, nodes }
    })
}

fn node_info() -> impl Strategy<Value = NodeInfo> {
    let asked = (text(), any::<u16>(), status(), any::<bool>(), text(), decimal());
    let replication = (role(), text(), any::<bool>(), any::<u64>(), text(), text(), any::<i64>());
    (asked, replication).prop_map(
        |(
            (host, port, status, quarantine, pg_status, weight),
            (role, pg_role, delay_by_time, delay, repl_state, sync_state, changed),
        )| NodeInfo {
            host,
            port,
            status,
            quarantine: Some(quarantine),
            pg_status: Some(pg_status),
            weight,
            role: Some(role),
            pg_role: Some(pg_role),
            delay_by_time: Some(delay_by_time),
            delay: Some(delay),
            repl_state: Some(repl_state),
            sync_state: Some(sync_state),
            changed: Some(changed),
        },
    )
}

/// Slots in any layout: what the layout does not have is `None`.
fn process_infos() -> impl Strategy<Value = ProcessInfos> {
    let layouts = ProcessInfoLayout::all().collect::<Vec<_>>();
    (proptest::sample::select(layouts), vec(process_info(), 1..5)).prop_map(|(layout, mut processes)| {
        let fields = layout.fields();
        for slot in &mut processes {
            if fields == 11 {
                slot.start_time = ProcessTime::Unix(slot.pid.into());
                slot.backend_connection_time = ProcessTime::Unix(slot.pool_counter.into());
                slot.client_connection_count = None;
                slot.pool_id = None;
                slot.client_connection_time = None;
                slot.client_disconnection_time = None;
                slot.client_idle_duration = None;
                slot.status = None;
            }
            slot.load_balance_node = slot.load_balance_node.filter(|_| fields >= 18);
            slot.client_host = slot.client_host.take().filter(|_| fields >= 21);
            slot.client_port = slot.client_port.take().filter(|_| fields >= 21);
            slot.statement = slot.statement.take().filter(|_| fields >= 21);
        }
        ProcessInfos { layout, processes }
    })
}

/// A slot of the newest layout.
fn process_info() -> impl Strategy<Value = ProcessInfo> {
    let numbers = (any::<u32>(), any::<u32>(), any::<u8>(), any::<[i32; 5]>(), any::<[bool; 2]>());
    (numbers, vec(text(), 11)).prop_map(|((pid, pool_id, backend_id, numbers, [connected, balanced]), texts)| {
        let text = |at: usize| Some(texts[at].clone());
        ProcessInfo {
            pid,
            start_time: ProcessTime::Local(texts[0].clone()),
            client_connection_count: Some(numbers[0]),
            pool_id: Some(pool_id),
            backend_id,
            database: texts[1].clone(),
            username: texts[2].clone(),
            backend_connection_time: ProcessTime::Local(texts[3].clone()),
            client_connection_time: text(4),
            client_disconnection_time: text(5),
            client_idle_duration: text(6),
            majorversion: numbers[1],
            minorversion: numbers[2],
            pool_counter: numbers[3],
            backend_pid: numbers[4],
            connected,
            status: text(7),
            load_balance_node: Some(balanced),
            client_host: text(8),
            client_port: text(9),
            statement: text(10),
        }
    })
}

fn pool_status() -> impl Strategy<Value = PoolStatus> {
    let name = prop_oneof!["backend_(hostname|port|status|flag)[0-9]{1,3}".prop_map(Text::from), text()];
    let parameter = (name, text(), text());
    vec(parameter.prop_map(|(name, value, description)| Parameter { name, value, description }), 0..12)
        .prop_map(|parameters| PoolStatus { parameters })
}

fn health_check_stats() -> impl Strategy<Value = HealthCheckStats> {
    let node = (any::<u8>(), text(), any::<u16>(), text(), text(), text());
    (node, vec(any::<u64>(), 8), decimal(), decimal(), vec(text(), 4)).prop_map(
        |((node_id, hostname, port, status, role, last_status_change), counts, retries, duration, times)| {
            HealthCheckStats {
                node_id,
                hostname,
                port,
                status,
                role,
                last_status_change,
                total_count: counts[0],
                success_count: counts[1],
                fail_count: counts[2],
                skip_count: counts[3],
                retry_count: counts[4],
                average_retry_count: retries,
                max_retry_count: counts[5],
                max_duration: counts[6],
                min_duration: counts[7],
                average_duration: duration,
                last_health_check: times[0].clone(),
                last_successful_health_check: times[1].clone(),
                last_skip_health_check: times[2].clone(),
                last_failed_health_check: times[3].clone(),
            }
        },
    )
}

fn server_message() -> impl Strategy<Value = ServerMessage> {
    let optional = || option::of(text());
    (text(), text(), text(), optional(), optional(), optional(), optional()).prop_map(
        |(severity, code, message, detail, hint, file, line)| ServerMessage {
            severity,
            code,
            message,
            detail,
            hint,
            file,
            line,
        },
    )
}
