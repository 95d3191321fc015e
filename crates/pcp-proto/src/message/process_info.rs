use std::num::NonZeroU32;
use std::time::Duration;

use super::{ARRAY_SIZE, Body, COMPLETE, Query, Reply, Request, Rows, request, row, rows};
use crate::{DecodeError, Fields, Frame, Release, ReplyKind, RequestKind, ServerAge, Text};

/// The word of a row.
const ROW: &str = "ProcessInfo";
/// What errors call it.
const MESSAGE: &str = "process info";

/// Asks what Pgpool's children do: every slot of their connection pools, used or not. Since 3.5.
///
/// Answered from memory: no node is connected to. Servers send a row for each child, pool and node, which may be
/// hundreds of thousands; [`Rows`](super::Rows) reads them one by one. A process id that is no child's is an error.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ReadProcessInfo {
    /// The child with this process id.
    Process(NonZeroU32),
    /// Every child.
    All,
}

impl Request for ReadProcessInfo {
    const KIND: RequestKind = RequestKind::READ_PROCESS_INFO;
    const REPLY: ReplyKind = ReplyKind::PROCESS_INFO;
    const NAME: &'static str = "reading process info";
    type Reply = ProcessInfos;

    fn encode(&self) -> Frame<RequestKind> {
        match self {
            Self::Process(pid) => Body::empty().shown(pid).frame(Self::KIND),
            Self::All => Frame::new(Self::KIND, &b"0\0"[..]),
        }
    }

    fn decode(frame: &Frame<RequestKind>) -> Result<Self, DecodeError> {
        let mut fields = request(frame, Self::KIND)?;
        let pid = fields.number("process id")?;
        fields.finish()?;
        Ok(NonZeroU32::new(pid).map_or(Self::All, Self::Process))
    }
}

impl Query for ReadProcessInfo {}

/// The answer to [`ReadProcessInfo`]: the slots asked for, and how this server writes them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ProcessInfos {
    /// The layout that the server uses.
    pub layout: ProcessInfoLayout,
    /// The slots: child by child, pool by pool, node by node.
    pub processes: Vec<ProcessInfo>,
}

impl ProcessInfos {
    /// Returns what the reply tells of the server's age.
    pub fn age(&self) -> ServerAge {
        match self.processes.is_empty() {
            true => ServerAge::UNKNOWN,
            false => self.layout.age(),
        }
    }
}

/// A connection to a node in the pool of a child, or room for one. What the server's layout does not have is
/// `None`.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ProcessInfo {
    /// The child's process id; 0 where Pgpool has room for a child and just none there, as it may since 4.4.
    pub pid: u32,
    /// When the child started, in its server's local time. With child_life_time set, text may follow, such as
    /// `2026-11-22 00:48:16 (4:03 before process restarting)`.
    pub start_time: ProcessTime,
    /// How many clients the child has served. Since 4.3.
    pub client_connection_count: Option<i32>,
    /// The number of the pool in the child. Since 4.3.
    pub pool_id: Option<u32>,
    /// The node's id.
    pub backend_id: u8,
    /// The database; empty where the slot is free.
    pub database: Text,
    /// The user; empty where the slot is free.
    pub username: Text,
    /// When the connection to the node was made; `create_time` before 4.3.
    pub backend_connection_time: ProcessTime,
    /// When the client connected. Since 4.3.
    pub client_connection_time: Option<Text>,
    /// When the last client left. Since 4.3.
    pub client_disconnection_time: Option<Text>,
    /// How long the client has been idle, in seconds. With client_idle_limit set, text may follow, such as
    /// `12 (4:48 before client disconnected)`. Since 4.3.
    pub client_idle_duration: Option<Text>,
    /// The first number of the protocol that the client speaks; 0 where the slot is free.
    pub majorversion: i32,
    /// The second number.
    pub minorversion: i32,
    /// How many clients have used the connection.
    pub pool_counter: i32,
    /// The process id that the node's PostgreSQL told; a pooler in its place may tell any number.
    pub backend_pid: i32,
    /// Whether a client uses the connection just now.
    pub connected: bool,
    /// `Wait for connection`, `Idle`, `Idle in transaction`, `Execute command`, `Connecting`: the child's, not the
    /// slot's. Since 4.3.
    pub status: Option<Text>,
    /// Whether the session's reads go to this node. Since 4.5.
    pub load_balance_node: Option<bool>,
    /// Where the client comes from. Since 4.7.
    pub client_host: Option<Text>,
    /// The client's port. Since 4.7.
    pub client_port: Option<Text>,
    /// The last statement sent to this node, cut at 1023 bytes, maybe inside a character. Since 4.7.
    pub statement: Option<Text>,
}

impl ProcessInfo {
    /// Tells whether the slot holds no connection.
    pub fn is_free(&self) -> bool {
        self.database.is_empty()
    }

    /// Returns for how long the client has been idle: the number that `client_idle_duration` begins with. Behind it may
    /// stand when the client will be disconnected. Since 4.3.
    pub fn client_idle(&self) -> Option<Duration> {
        let seconds = self.client_idle_duration.as_ref()?.as_str()?.split(' ').next()?;
        seconds.parse().ok().map(Duration::from_secs)
    }
}

/// A moment, in the form that the server's age gives it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ProcessTime {
    /// Unix seconds, 0 for never: before 4.3.
    Unix(i64),
    /// A date and time of day, local to the server, empty for never: since 4.3.
    Local(Text),
}

impl Default for ProcessTime {
    fn default() -> Self {
        Self::Unix(0)
    }
}

impl ProcessTime {
    /// Tells whether it never was.
    pub fn is_never(&self) -> bool {
        match self {
            Self::Unix(seconds) => *seconds == 0,
            Self::Local(text) => text.is_empty(),
        }
    }

    fn unix(&self) -> i64 {
        match self {
            Self::Unix(seconds) => *seconds,
            Self::Local(_) => 0,
        }
    }

    fn local(&self) -> &[u8] {
        match self {
            Self::Unix(_) => b"",
            Self::Local(text) => text.as_bytes(),
        }
    }
}

/// One of the four ways in which servers write a slot, told apart by the number of strings.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ProcessInfoLayout(&'static Layout);

#[derive(Debug, Eq, PartialEq)]
struct Layout {
    age: ServerAge,
    fields: &'static [Field],
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Field {
    Pid,
    StartUnix,
    StartLocal,
    ClientConnectionCount,
    PoolId,
    BackendId,
    Database,
    Username,
    BackendConnectionUnix,
    BackendConnectionLocal,
    ClientConnectionTime,
    ClientDisconnectionTime,
    ClientIdleDuration,
    MajorVersion,
    MinorVersion,
    PoolCounter,
    BackendPid,
    Connected,
    Status,
    LoadBalanceNode,
    ClientHost,
    ClientPort,
    Statement,
}

use Field::*;

/// Every layout, the oldest first.
static LAYOUTS: [Layout; 4] = [
    Layout {
        age: ServerAge::between(Release::OLDEST, Release::new(4, 3)),
        fields: &[
            Pid,
            Database,
            Username,
            StartUnix,
            BackendConnectionUnix,
            MajorVersion,
            MinorVersion,
            PoolCounter,
            BackendId,
            BackendPid,
            Connected,
        ],
    },
    Layout {
        age: ServerAge::between(Release::new(4, 3), Release::new(4, 5)),
        fields: NEWEST.fields.split_at(17).0,
    },
    Layout {
        age: ServerAge::between(Release::new(4, 5), Release::new(4, 7)),
        fields: NEWEST.fields.split_at(18).0,
    },
    NEWEST,
];

/// Since 4.3 fields were only added behind the others.
const NEWEST: Layout = Layout {
    age: ServerAge::since(Release::new(4, 7)),
    fields: &[
        Pid,
        StartLocal,
        ClientConnectionCount,
        PoolId,
        BackendId,
        Database,
        Username,
        BackendConnectionLocal,
        ClientConnectionTime,
        ClientDisconnectionTime,
        ClientIdleDuration,
        MajorVersion,
        MinorVersion,
        PoolCounter,
        BackendPid,
        Connected,
        Status,
        LoadBalanceNode,
        ClientHost,
        ClientPort,
        Statement,
    ],
};

impl ProcessInfoLayout {
    /// The layout of the newest servers, 4.7 and later.
    pub const NEWEST: Self = Self(&NEWEST);

    /// Returns every layout, the oldest first.
    pub fn all() -> impl Iterator<Item = Self> {
        LAYOUTS.iter().map(Self)
    }

    /// Finds the layout with this number of strings.
    pub fn with_fields(fields: usize) -> Option<Self> {
        Self::all().find(|layout| layout.fields() == fields)
    }

    /// Returns how many strings a slot has in this layout.
    pub fn fields(self) -> usize {
        self.0.fields.len()
    }

    /// Returns the releases that use this layout.
    pub fn age(self) -> ServerAge {
        self.0.age
    }

    fn decode(mut fields: Fields) -> Result<(Self, ProcessInfo), DecodeError> {
        let count = fields.count();
        let layout =
            Self::with_fields(count).ok_or(DecodeError::UnknownLayout { message: MESSAGE, fields: count })?;
        let mut slot = ProcessInfo::default();
        for field in layout.0.fields {
            match field {
                Pid => slot.pid = fields.number("pid")?,
                StartUnix => slot.start_time = ProcessTime::Unix(fields.number("start_time")?),
                StartLocal => slot.start_time = ProcessTime::Local(fields.text("start_time")?),
                ClientConnectionCount => {
                    slot.client_connection_count = Some(fields.number("client_connection_count")?);
                }
                PoolId => slot.pool_id = Some(fields.number("pool_id")?),
                BackendId => slot.backend_id = fields.number("backend_id")?,
                Database => slot.database = fields.text("database")?,
                Username => slot.username = fields.text("username")?,
                BackendConnectionUnix => {
                    slot.backend_connection_time = ProcessTime::Unix(fields.number("create_time")?);
                }
                BackendConnectionLocal => {
                    slot.backend_connection_time = ProcessTime::Local(fields.text("backend_connection_time")?);
                }
                ClientConnectionTime => slot.client_connection_time = Some(fields.text("client_connection_time")?),
                ClientDisconnectionTime => {
                    slot.client_disconnection_time = Some(fields.text("client_disconnection_time")?);
                }
                ClientIdleDuration => slot.client_idle_duration = Some(fields.text("client_idle_duration")?),
                MajorVersion => slot.majorversion = fields.number("majorversion")?,
                MinorVersion => slot.minorversion = fields.number("minorversion")?,
                PoolCounter => slot.pool_counter = fields.number("pool_counter")?,
                BackendPid => slot.backend_pid = fields.number("backend_pid")?,
                Connected => slot.connected = fields.flag("connected")?,
                Status => slot.status = Some(fields.text("status")?),
                LoadBalanceNode => slot.load_balance_node = Some(fields.flag("load_balance_node")?),
                ClientHost => slot.client_host = Some(fields.text("client_host")?),
                ClientPort => slot.client_port = Some(fields.text("client_port")?),
                Statement => slot.statement = Some(fields.text("statement")?),
            }
        }
        fields.finish()?;
        Ok((layout, slot))
    }

    /// Writes a slot; what the layout has and the slot has not is written as zero or nothing.
    fn encode(self, slot: &ProcessInfo, mut body: Body) -> Body {
        fn bytes(text: &Option<Text>) -> &[u8] {
            text.as_ref().map_or(b"", Text::as_bytes)
        }
        for field in self.0.fields {
            body = match field {
                Pid => body.shown(slot.pid),
                StartUnix => body.shown(slot.start_time.unix()),
                StartLocal => body.text(slot.start_time.local()),
                ClientConnectionCount => body.shown(slot.client_connection_count.unwrap_or_default()),
                PoolId => body.shown(slot.pool_id.unwrap_or_default()),
                BackendId => body.shown(slot.backend_id),
                Database => body.text(slot.database.as_bytes()),
                Username => body.text(slot.username.as_bytes()),
                BackendConnectionUnix => body.shown(slot.backend_connection_time.unix()),
                BackendConnectionLocal => body.text(slot.backend_connection_time.local()),
                ClientConnectionTime => body.text(bytes(&slot.client_connection_time)),
                ClientDisconnectionTime => body.text(bytes(&slot.client_disconnection_time)),
                ClientIdleDuration => body.text(slot.client_idle_duration.as_ref().map_or(b"0", Text::as_bytes)),
                MajorVersion => body.shown(slot.majorversion),
                MinorVersion => body.shown(slot.minorversion),
                PoolCounter => body.shown(slot.pool_counter),
                BackendPid => body.shown(slot.backend_pid),
                Connected => body.shown(u8::from(slot.connected)),
                Status => body.text(bytes(&slot.status)),
                LoadBalanceNode => body.shown(u8::from(slot.load_balance_node.unwrap_or_default())),
                ClientHost => body.text(bytes(&slot.client_host)),
                ClientPort => body.text(bytes(&slot.client_port)),
                Statement => body.text(bytes(&slot.statement)),
            };
        }
        body
    }
}

impl Reply for ProcessInfos {
    fn decode(frames: &[Frame<ReplyKind>]) -> Result<Self, DecodeError> {
        let mut reply = Self { layout: ProcessInfoLayout::NEWEST, processes: Vec::new() };
        let (_, rows) = rows(frames, ROW)?;
        for row in rows {
            let (layout, slot) = ProcessInfoLayout::decode(row?)?;
            if !reply.processes.is_empty() && layout != reply.layout {
                return Err(DecodeError::MixedLayouts { message: MESSAGE });
            }
            reply.layout = layout;
            reply.processes.push(slot);
        }
        Ok(reply)
    }

    fn encode(&self, kind: ReplyKind) -> Vec<Frame<ReplyKind>> {
        let mut frames = vec![Body::new(ARRAY_SIZE).shown(self.processes.len()).frame(kind)];
        let row = |slot| self.layout.encode(slot, Body::new(ROW)).frame(kind);
        frames.extend(self.processes.iter().map(row));
        frames.push(Body::new(COMPLETE).frame(kind));
        frames
    }
}

impl Rows for ProcessInfos {
    type Row = ProcessInfo;

    fn row(frame: &Frame<ReplyKind>) -> Result<Option<ProcessInfo>, DecodeError> {
        row(frame, ROW)?.map(|fields| ProcessInfoLayout::decode(fields).map(|(_, slot)| slot)).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::super::test::{golden, reply};
    use super::*;

    const KIND: ReplyKind = ReplyKind::PROCESS_INFO;

    /// What servers of each layout sent for a slot in use and for a free one: 3.5.0, 4.3.5, 4.5.12 and 4.7.3.
    const RECORDED: [[&[u8]; 2]; 4] = [
        [
            b"ProcessInfo\x0031462\0app\0postgres\x001795309005\x001795309008\x003\x000\x001\x002\x0031529\x001\0",
            b"ProcessInfo\x0031459\0\0\x001795309005\x000\x000\x000\x000\x001\x000\x000\0",
        ],
        [
            b"ProcessInfo\x0016674\x002026-11-21 23:44:35\x000\x000\x002\0app\0postgres\x002026-11-21 23:56:41\x002026-11-21 23:56:41\0\x000\x003\x000\x001\x0018818\x001\0Idle in transaction\0",
            b"ProcessInfo\x0016721\x002026-11-21 23:44:37\x000\x000\x001\0\0\0\0\0\x000\x000\x000\x000\x000\x000\0Wait for connection\0",
        ],
        [
            b"ProcessInfo\x0016967\x002026-11-22 00:51:25\x000\x000\x002\0app\0postgres\x002026-11-22 00:51:29\x002026-11-22 00:51:29\0\x000\x003\x000\x001\x0017658\x001\0Idle\x000\0",
            b"ProcessInfo\x0016964\x002026-11-22 00:51:25\x000\x000\x001\0\0\0\0\0\x000\x000\x000\x000\x000\x000\0Wait for connection\x000\0",
        ],
        [
            b"ProcessInfo\x009499\x002026-11-22 00:02:04\x000\x000\x002\0app\0postgres\x002026-11-22 00:02:12\x002026-11-22 00:02:12\0\x000\x003\x000\x001\x0010281\x001\0Idle\x001\x00127.0.0.1\x0043926\0SELECT 1\0",
            b"ProcessInfo\x009498\x002026-11-22 00:02:04\x000\x000\x001\0\0\0\0\0\x000\x000\x000\x000\x000\x000\0Wait for connection\x000\0\0\0\0",
        ],
    ];

    fn recorded(at: usize) -> Vec<Frame<ReplyKind>> {
        reply(KIND, &[b"ArraySize\x002\0", RECORDED[at][0], RECORDED[at][1], b"CommandComplete\0"])
    }

    #[test]
    fn every_layout_reads_and_writes_the_same_bytes() {
        for (at, layout) in ProcessInfoLayout::all().enumerate() {
            let frames = recorded(at);
            let decoded = ProcessInfos::decode(&frames).unwrap();
            assert_eq!((decoded.layout, decoded.age()), (layout, layout.age()));
            let [used, free] = &decoded.processes[..] else { panic!() };
            assert_eq!((used.database == "app", used.username == "postgres"), (true, true));
            assert_eq!((used.backend_id, used.majorversion, used.minorversion), (2, 3, 0));
            assert_eq!((used.pool_counter, used.connected, used.is_free()), (1, true, false));
            assert!(used.backend_pid > 10_000 && used.backend_pid < 40_000 && used.pid > 9000);
            assert!(!used.start_time.is_never() && !used.backend_connection_time.is_never());
            assert_eq!((free.backend_id, free.connected, free.is_free()), (1, false, true));
            assert!(!free.start_time.is_never() && free.backend_connection_time.is_never());
            assert_eq!(used.status.is_some(), at > 0);
            assert_eq!(used.load_balance_node, [None, None, Some(false), Some(true)][at]);
            assert_eq!(used.statement, (at == 3).then(|| "SELECT 1".into()));
            assert_eq!(decoded.encode(KIND), frames, "{layout:?}");

            let rows: Vec<_> = frames.iter().filter_map(|frame| ProcessInfos::row(frame).unwrap()).collect();
            assert_eq!(rows, decoded.processes);
        }
    }

    /// Every field with a value of its own, so that none can be taken for another.
    #[test]
    fn every_field_has_its_place() {
        let new = b"ProcessInfo\x001\0start\x002\x003\x004\0database\0user\0backend\0client\0left\0idle\x005\x006\x007\x008\x001\0status\x000\0host\0port\0statement\0";
        let slot = ProcessInfo {
            pid: 1,
            start_time: ProcessTime::Local("start".into()),
            client_connection_count: Some(2),
            pool_id: Some(3),
            backend_id: 4,
            database: "database".into(),
            username: "user".into(),
            backend_connection_time: ProcessTime::Local("backend".into()),
            client_connection_time: Some("client".into()),
            client_disconnection_time: Some("left".into()),
            client_idle_duration: Some("idle".into()),
            majorversion: 5,
            minorversion: 6,
            pool_counter: 7,
            backend_pid: 8,
            connected: true,
            status: Some("status".into()),
            load_balance_node: Some(false),
            client_host: Some("host".into()),
            client_port: Some("port".into()),
            statement: Some("statement".into()),
        };
        let read = |body: &'static [u8]| ProcessInfos::row(&Frame::new(KIND, body)).unwrap().unwrap();
        assert_eq!(read(new), slot);
        let infos = ProcessInfos { layout: ProcessInfoLayout::NEWEST, processes: vec![slot] };
        assert_eq!(infos.encode(KIND)[1].body, &new[..]);

        let old = b"ProcessInfo\x001\0database\0user\x002\x003\x005\x006\x007\x004\x008\x001\0";
        let slot = ProcessInfo {
            pid: 1,
            start_time: ProcessTime::Unix(2),
            backend_id: 4,
            database: "database".into(),
            username: "user".into(),
            backend_connection_time: ProcessTime::Unix(3),
            majorversion: 5,
            minorversion: 6,
            pool_counter: 7,
            backend_pid: 8,
            connected: true,
            ..ProcessInfo::default()
        };
        assert_eq!(read(old), slot);
        let infos = ProcessInfos { layout: ProcessInfoLayout::with_fields(11).unwrap(), processes: vec![slot] };
        assert_eq!(infos.encode(KIND)[1].body, &old[..]);
    }

    #[test]
    fn what_a_slot_lacks_is_written_as_a_server_writes_nothing() {
        let infos = ProcessInfos { layout: ProcessInfoLayout::NEWEST, processes: vec![ProcessInfo::default()] };
        assert_eq!(
            infos.encode(KIND)[1].body,
            &b"ProcessInfo\x000\0\x000\x000\x000\0\0\0\0\0\x000\x000\x000\x000\x000\x000\0\x000\0\0\0\0"[..]
        );
    }

    #[test]
    fn times_with_text_behind_them_are_kept() {
        let with = |old: &str, new: &str| {
            let body = String::from_utf8(RECORDED[1][0].to_vec()).unwrap().replacen(old, new, 1);
            ProcessInfos::row(&Frame::new(KIND, body.into_bytes())).unwrap().unwrap()
        };
        let slot = with("23:44:35", "23:44:35 (4:03 before process restarting)");
        let start = "2026-11-21 23:44:35 (4:03 before process restarting)";
        assert_eq!(slot.start_time, ProcessTime::Local(start.into()));
        let slot = with("\x000\x003\0", "\x0012 (4:48 before client disconnected)\x003\0");
        assert_eq!(slot.client_idle_duration, Some("12 (4:48 before client disconnected)".into()));
        assert_eq!(slot.client_idle(), Some(Duration::from_secs(12)));
        assert_eq!(ProcessInfo { client_idle_duration: Some("idle".into()), ..slot }.client_idle(), None);
    }

    #[test]
    fn a_row_is_read_by_itself_and_must_hold_what_its_layout_says() {
        let read = |body: &'static [u8]| ProcessInfos::row(&Frame::new(KIND, body));
        assert_eq!(read(b"ArraySize\x0099\0"), Ok(None));
        assert_eq!(read(b"CommandComplete\0"), Ok(None));
        assert_eq!(read(b"CommandComplete\0x\0"), Err(DecodeError::TrailingBytes { bytes: 2 }));
        assert!(matches!(read(b"NodeInfo\0"), Err(DecodeError::UnexpectedWord { .. })));
        assert_eq!(
            read(b"ProcessInfo\x001\x002\0"),
            Err(DecodeError::UnknownLayout { message: MESSAGE, fields: 2 })
        );
        for bad in [
            &b"ProcessInfo\0x\0\0\x000\x000\x000\x000\x000\x001\x000\x000\0"[..],
            b"ProcessInfo\x001\0\0\x000\x000\x000\x000\x000\x001\x000\x002\0",
            b"ProcessInfo\x001\0\0\x000\x000\x000\x000\x000\x00256\x000\x000\0",
            b"ProcessInfo\x001\0\0\x000\x000\x000\x000\x000\x001\x000\x000\0tail",
        ] {
            assert!(read(bad).is_err(), "{}", bad.escape_ascii());
        }
        let mixed = reply(KIND, &[b"ArraySize\x002\0", RECORDED[0][0], RECORDED[1][0], b"CommandComplete\0"]);
        assert_eq!(ProcessInfos::decode(&mixed), Err(DecodeError::MixedLayouts { message: MESSAGE }));
        let empty = reply(KIND, &[b"ArraySize\x000\0", b"CommandComplete\0"]);
        assert_eq!(ProcessInfos::decode(&empty).unwrap().age(), ServerAge::UNKNOWN);
    }

    #[test]
    fn golden_requests() {
        golden(&ReadProcessInfo::All, b"P\0\0\0\x060\0");
        golden(&ReadProcessInfo::Process(NonZeroU32::new(16674).unwrap()), b"P\0\0\0\x0a16674\0");
    }
}
