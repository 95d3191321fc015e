// What the codec is measured with; shared by what counts instructions and what takes the time.

/// A process list as a 4.7 sends it: so many slots, each with a session.
pub(crate) fn process_list(count: usize) -> BytesMut {
    let slot = ProcessInfo {
        pid: 2_014_233,
        start_time: pcp_proto::message::ProcessTime::Local("2026-11-22 00:48:16".into()),
        client_connection_count: Some(1017),
        pool_id: Some(3),
        backend_id: 2,
        database: "orders".into(),
        username: "application".into(),
        backend_connection_time: pcp_proto::message::ProcessTime::Local("2026-11-22 01:12:56".into()),
        client_connection_time: Some("2026-11-22 01:12:56".into()),
        client_disconnection_time: Some("".into()),
        client_idle_duration: Some("12".into()),
        majorversion: 3,
        minorversion: 0,
        pool_counter: 17,
        backend_pid: 881_203,
        connected: true,
        status: Some("Idle in transaction".into()),
        load_balance_node: Some(true),
        client_host: Some("192.168.1.17".into()),
        client_port: Some("51234".into()),
        statement: Some("SELECT name, price FROM article WHERE id = $1".into()),
    };
    let infos = ProcessInfos { layout: ProcessInfoLayout::NEWEST, processes: vec![slot; count] };
    let mut bytes = BytesMut::new();
    infos.encode(ReplyKind::PROCESS_INFO).iter().for_each(|frame| frame.encode(&mut bytes));
    bytes
}

/// Reads a process list row by row, in the pieces in which it comes.
pub(crate) fn rows(bytes: &[u8]) {
    let mut decoder = FrameDecoder::<ReplyKind>::new();
    let mut buffer = BytesMut::with_capacity(8 << 10);
    for read in bytes.chunks(8 << 10) {
        buffer.extend_from_slice(read);
        while let Ok(Some(frame)) = decoder.decode(&mut buffer) {
            drop(black_box(ProcessInfos::row(&frame)));
        }
    }
}

/// Visits every NUL, as nothing that reads these bytes can avoid.
pub(crate) fn nuls(bytes: &[u8]) {
    memchr::memchr_iter(0, bytes).for_each(|nul| {
        black_box(nul);
    });
}

/// Makes requests, and writes them one after the other into the same buffer.
pub(crate) fn encode(count: usize) -> Result<()> {
    let mut buffer = BytesMut::with_capacity(64);
    for _ in 0..count {
        buffer.clear();
        pcp_proto::message::Request::encode(&ReadNodeInfo::Node(1.try_into()?)).encode(&mut buffer);
        black_box(&buffer);
    }
    Ok(())
}

/// Has one connection log in and ask, one request after the other.
pub(crate) fn session(count: usize) -> Result<()> {
    const LOGGED_IN: &[u8] = b"m\0\0\0\x08\xca\xdb\x96\x65r\0\0\0\x15AuthenticationOK\0";
    const ANSWER: &[u8] = b"i\0\0\0\x3aCommandComplete\x00127.0.0.12\x0014111\x002\x00715827882.333333\x003\0";
    let mut session = Session::new(Credentials::new("pcpadmin", b"secret")?);
    session.input().extend_from_slice(LOGGED_IN);
    while session.poll()?.is_some() {}
    for _ in 0..count {
        let request = Batch::encode(&ReadNodeInfo::Node(1.try_into()?)).pop().context("a request")?;
        session.request(request);
        session.advance_output(usize::MAX);
        session.input().extend_from_slice(ANSWER);
        while let Some(Event::Reply { frame, .. }) = session.poll()? {
            black_box(pcp_proto::message::NodeInfos::decode(std::slice::from_ref(&frame))?);
        }
    }
    Ok(())
}
