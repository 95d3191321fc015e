use std::fmt;

use super::{
    ALL, ARRAY_SIZE, Body, COMPLETE, Query, Reply, Request, Rows, complete, is_last, node_id, node_id_body,
    request, row, rows,
};
use crate::{DecodeError, Fields, Frame, NodeId, Release, ReplyKind, RequestKind, Requirement, ServerAge, Text};

/// The word of a row.
const ROW: &str = "NodeInfo";
/// The first release that sends nodes as rows, and all of them at once.
const ROWS_SINCE: Release = Release::new(4, 3);
/// What errors call it.
const MESSAGE: &str = "node info";

/// Asks what Pgpool knows of a node, or of all. Since 3.5; all nodes since 4.3.
///
/// From 4.3 on, and with health checks on, **the server connects to the node** to answer: a host that swallows packets
/// costs its connect_timeout (10 s by default), and all nodes cost it for every such host in turn. 4.3.0 connects to every node
/// whatever is asked. [`ReadPoolStatus`](super::ReadPoolStatus) and
/// [`ReadHealthCheckStats`](super::ReadHealthCheckStats) never make it connect. A node that does not exist is refused with an
/// error.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ReadNodeInfo {
    /// One node.
    Node(NodeId),
    /// All nodes; servers before 4.3 refuse this with an error.
    All,
}

impl Request for ReadNodeInfo {
    const KIND: RequestKind = RequestKind::READ_NODE_INFO;
    const REPLY: ReplyKind = ReplyKind::NODE_INFO;
    const NAME: &'static str = "reading node info";
    type Reply = NodeInfos;

    fn encode(&self) -> Frame<RequestKind> {
        match *self {
            Self::Node(id) => Frame::new(Self::KIND, node_id_body(id)),
            Self::All => Frame::new(Self::KIND, ALL),
        }
    }

    fn decode(frame: &Frame<RequestKind>) -> Result<Self, DecodeError> {
        let mut fields = request(frame, Self::KIND)?;
        let mut behind = fields.clone();
        if behind.text("node id")? == "-1" {
            behind.finish()?;
            return Ok(Self::All);
        }
        let id = node_id(&mut fields)?;
        fields.finish()?;
        Ok(Self::Node(id))
    }

    fn requirement(&self) -> Requirement {
        match self {
            Self::Node(_) => Requirement { what: Self::NAME, since: Self::SINCE },
            Self::All => Requirement { what: "reading the info of all nodes at once", since: ROWS_SINCE },
        }
    }
}

impl Query for ReadNodeInfo {}

/// The answer to [`ReadNodeInfo`]: the nodes asked for, and how this server writes them.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeInfos {
    /// The layout that the server uses.
    pub layout: NodeInfoLayout,
    /// The nodes in the order of their ids; one where one was asked for.
    pub nodes: Vec<NodeInfo>,
}

impl NodeInfos {
    /// Returns what the reply tells of the server's age.
    pub fn age(&self) -> ServerAge {
        match self.nodes.is_empty() {
            true => ServerAge::since(ROWS_SINCE),
            false => self.layout.age(),
        }
    }
}

/// What Pgpool knows of a node. What the server's layout does not have is `None`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NodeInfo {
    /// `backend_hostnameN`: an address, a name, or a directory with a Unix socket.
    pub host: Text,
    /// `backend_portN`.
    pub port: u16,
    /// What Pgpool does with the node.
    pub status: NodeStatus,
    /// Whether a node that is down is so only on this Pgpool, for want of a quorum. Since 3.7.23, 4.0.18, 4.1.11, 4.2.8 and
    /// 4.3.1.
    pub quarantine: Option<bool>,
    /// `up`, `down` or `unknown`: what PostgreSQL itself answered just now. Always `unknown` without health checks.
    /// Since 4.3.
    pub pg_status: Option<Text>,
    /// The load-balance weight as the server scales it; see [`weight_share`](Self::weight_share).
    pub weight: f64,
    /// What Pgpool takes the node for. Since 3.7.
    pub role: Option<NodeRole>,
    /// `primary`, `standby`, `main`, `replica` or `unknown`: what PostgreSQL itself answered just now. Since 4.3.
    pub pg_role: Option<Text>,
    /// Whether [`delay`](Self::delay) is a time. Zero for the primary even where standbys have one. Since 4.4.
    pub delay_by_time: Option<bool>,
    /// The replication delay, in bytes or microseconds; see [`replication_delay`](Self::replication_delay). Since
    /// 4.0.
    pub delay: Option<u64>,
    /// `streaming` and the like; empty where there is none. Since 4.1.
    pub repl_state: Option<Text>,
    /// `async` and the like; empty where there is none. Since 4.1.
    pub sync_state: Option<Text>,
    /// When the status changed last, in Unix seconds; 0 is never. Since 4.0.
    pub changed: Option<i64>,
}

impl NodeInfo {
    /// Returns the node's part of the load, 0 to 1.
    pub fn weight_share(&self) -> f64 {
        const RAND_MAX: f64 = 2_147_483_647.0;
        self.weight / RAND_MAX
    }

    /// Returns the replication delay with its unit.
    pub fn replication_delay(&self) -> Option<Delay> {
        Some(match (self.delay?, self.delay_by_time) {
            (delay, Some(true)) => Delay::Microseconds(delay),
            (delay, _) => Delay::Bytes(delay),
        })
    }
}

/// How far a standby is behind.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Delay {
    /// In bytes of write-ahead log.
    Bytes(u64),
    /// In microseconds.
    Microseconds(u64),
}

/// What Pgpool does with a node.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum NodeStatus {
    /// Not configured.
    #[default]
    Unused,
    /// Up, and no session has used it yet.
    Waiting,
    /// Up.
    Up,
    /// Detached; also in quarantine.
    Down,
    /// A code that this version does not know.
    Other(u32),
}

impl NodeStatus {
    /// Tells whether Pgpool sends sessions to the node: waiting counts, it only means that none came yet.
    pub fn is_attached(self) -> bool {
        matches!(self, Self::Waiting | Self::Up)
    }

    /// Reads the code that node info sends.
    pub fn from_code(code: u32) -> Self {
        match code {
            0 => Self::Unused,
            1 => Self::Waiting,
            2 => Self::Up,
            3 => Self::Down,
            other => Self::Other(other),
        }
    }

    /// Returns the code that node info sends.
    pub fn code(self) -> u32 {
        match self {
            Self::Unused => 0,
            Self::Waiting => 1,
            Self::Up => 2,
            Self::Down => 3,
            Self::Other(code) => code,
        }
    }

    /// Reads what pool status and health check statistics send: a word, or a code before 3.7. `None` for a word
    /// that this version does not know.
    pub fn from_word(word: &Text) -> Option<Self> {
        Some(match word.as_bytes() {
            b"unused" => Self::Unused,
            b"waiting" => Self::Waiting,
            b"up" => Self::Up,
            b"down" | b"quarantine" => Self::Down,
            _ => Self::from_code(word.as_str()?.parse().ok()?),
        })
    }
}

/// Shows the word that Pgpool uses.
impl fmt::Display for NodeStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unused => f.pad("unused"),
            Self::Waiting => f.pad("waiting"),
            Self::Up => f.pad("up"),
            Self::Down => f.pad("down"),
            Self::Other(code) => code.fmt(f),
        }
    }
}

/// What Pgpool takes a node for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NodeRole {
    /// The first node that is up, outside streaming replication; `master` before 4.2.
    Main,
    /// Any other node outside streaming replication; `slave` before 4.2.
    Replica,
    /// The node that takes writes, in streaming replication.
    Primary,
    /// Any other node in streaming replication: also one whose PostgreSQL is none.
    Standby,
    /// A code that this version does not know.
    Other(u32),
}

impl NodeRole {
    /// Reads the code that node info sends.
    pub fn from_code(code: u32) -> Self {
        match code {
            0 => Self::Main,
            1 => Self::Replica,
            2 => Self::Primary,
            3 => Self::Standby,
            other => Self::Other(other),
        }
    }

    /// Returns the code that node info sends.
    pub fn code(self) -> u32 {
        match self {
            Self::Main => 0,
            Self::Replica => 1,
            Self::Primary => 2,
            Self::Standby => 3,
            Self::Other(code) => code,
        }
    }

    /// Reads the word that health check statistics send. `None` for a word that this version does not know.
    pub fn from_word(word: &Text) -> Option<Self> {
        Some(match word.as_bytes() {
            b"main" | b"master" => Self::Main,
            b"replica" | b"slave" => Self::Replica,
            b"primary" => Self::Primary,
            b"standby" => Self::Standby,
            _ => return None,
        })
    }
}

/// Shows the word that Pgpool uses since 4.2.
impl fmt::Display for NodeRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Main => f.pad("main"),
            Self::Replica => f.pad("replica"),
            Self::Primary => f.pad("primary"),
            Self::Standby => f.pad("standby"),
            Self::Other(code) => code.fmt(f),
        }
    }
}

/// One of the ten ways in which servers write a node, told apart by the number of strings.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct NodeInfoLayout(&'static Layout);

#[derive(Debug, Eq, PartialEq)]
struct Layout {
    age: ServerAge,
    fields: &'static [Field],
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Field {
    Host,
    Port,
    Status,
    Quarantine,
    PgStatus,
    Weight,
    Role,
    PgRole,
    DelayByTime,
    Delay,
    ReplState,
    SyncState,
    Changed,
}

use Field::*;

/// Every layout, the oldest first. The layout changed inside minor series too.
#[rustfmt::skip]
static LAYOUTS: [Layout; 10] = [
    // 3.5, 3.6
    between((3, 5), (3, 7), &[Host, Port, Status, Weight]),
    // 3.7.0
    between((3, 7), (4, 0), &[Host, Port, Status, Weight, Role]),
    // 3.7.23
    between((3, 7), (4, 0), &[Host, Port, Status, Quarantine, Weight, Role]),
    // 4.0.0
    between((4, 0), (4, 1), &[Host, Port, Status, Weight, Role, Delay, Changed]),
    // 4.0.18
    between((4, 0), (4, 1), &[Host, Port, Status, Quarantine, Weight, Role, Delay, Changed]),
    // 4.1.0, 4.2.0
    between((4, 1), (4, 3), &[Host, Port, Status, Weight, Role, Delay, ReplState, SyncState, Changed]),
    // 4.1.11, 4.2.8
    between((4, 1), (4, 3), &[Host, Port, Status, Quarantine, Weight, Role, Delay, ReplState, SyncState, Changed]),
    // 4.3.0
    between((4, 3), (4, 4), &[Host, Port, Status, PgStatus, Weight, Role, PgRole, Delay, ReplState, SyncState, Changed]),
    // 4.3.1
    between((4, 3), (4, 4), &[Host, Port, Status, Quarantine, PgStatus, Weight, Role, PgRole, Delay, ReplState, SyncState, Changed]),
    NEWEST,
];

#[rustfmt::skip]
const NEWEST: Layout = Layout {
    age: ServerAge::since(Release::new(4, 4)),
    fields: &[Host, Port, Status, Quarantine, PgStatus, Weight, Role, PgRole, DelayByTime, Delay, ReplState, SyncState, Changed],
};

const fn between(since: (u8, u8), before: (u8, u8), fields: &'static [Field]) -> Layout {
    let (since, before) = (Release::new(since.0, since.1), Release::new(before.0, before.1));
    Layout { age: ServerAge::between(since, before), fields }
}

impl NodeInfoLayout {
    /// The layout of the newest servers, 4.4 and later.
    pub const NEWEST: Self = Self(&NEWEST);

    /// Returns every layout, the oldest first.
    pub fn all() -> impl Iterator<Item = Self> {
        LAYOUTS.iter().map(Self)
    }

    /// Finds the layout with this number of strings.
    pub fn with_fields(fields: usize) -> Option<Self> {
        Self::all().find(|layout| layout.fields() == fields)
    }

    /// Returns how many strings a node has in this layout.
    pub fn fields(self) -> usize {
        self.0.fields.len()
    }

    /// Returns the releases that use this layout.
    pub fn age(self) -> ServerAge {
        self.0.age
    }

    /// Tells whether nodes come as rows between an `ArraySize` and a `CommandComplete` frame, as since 4.3, or one
    /// node in the `CommandComplete` frame itself.
    pub fn has_rows(self) -> bool {
        self.0.age.is_at_least(ROWS_SINCE)
    }

    fn decode(mut fields: Fields, is_row: bool) -> Result<(Self, NodeInfo), DecodeError> {
        let count = fields.count();
        let layout = Self::with_fields(count)
            .filter(|layout| layout.has_rows() == is_row)
            .ok_or(DecodeError::UnknownLayout { message: MESSAGE, fields: count })?;
        let mut node = NodeInfo::default();
        for field in layout.0.fields {
            match field {
                Host => node.host = fields.text("host")?,
                Port => node.port = fields.number("port")?,
                Status => node.status = NodeStatus::from_code(fields.number("status")?),
                Quarantine => node.quarantine = Some(fields.flag("quarantine")?),
                PgStatus => node.pg_status = Some(fields.text("pg_status")?),
                Weight => node.weight = weight(&mut fields)?,
                Role => node.role = Some(NodeRole::from_code(fields.number("role")?)),
                PgRole => node.pg_role = Some(fields.text("pg_role")?),
                DelayByTime => node.delay_by_time = Some(fields.flag("delay_by_time")?),
                Delay => node.delay = Some(fields.number("delay")?),
                ReplState => node.repl_state = Some(fields.text("repl_state")?),
                SyncState => node.sync_state = Some(fields.text("sync_state")?),
                Changed => node.changed = Some(fields.number("changed")?),
            }
        }
        fields.finish()?;
        Ok((layout, node))
    }

    /// Writes a node; what the layout has and the node has not is written as zero, `unknown` or nothing.
    fn encode(self, node: &NodeInfo, mut body: Body) -> Body {
        let text = |text: &Option<Text>, default: &str| text.clone().unwrap_or_else(|| default.into());
        for field in self.0.fields {
            body = match field {
                Host => body.text(node.host.as_bytes()),
                Port => body.shown(node.port),
                Status => body.shown(node.status.code()),
                Quarantine => body.shown(u8::from(node.quarantine.unwrap_or_default())),
                PgStatus => body.text(text(&node.pg_status, "unknown").as_bytes()),
                Weight => body.shown(format_args!("{:.6}", node.weight)),
                Role => body.shown(node.role.map_or(0, NodeRole::code)),
                PgRole => body.text(text(&node.pg_role, "unknown").as_bytes()),
                DelayByTime => body.shown(u8::from(node.delay_by_time.unwrap_or_default())),
                Delay => body.shown(node.delay.unwrap_or_default()),
                ReplState => body.text(text(&node.repl_state, "").as_bytes()),
                SyncState => body.text(text(&node.sync_state, "").as_bytes()),
                Changed => body.shown(node.changed.unwrap_or_default()),
            };
        }
        body
    }
}

impl Reply for NodeInfos {
    fn decode(frames: &[Frame<ReplyKind>]) -> Result<Self, DecodeError> {
        if frames.first().is_some_and(is_last) {
            let (layout, node) = NodeInfoLayout::decode(complete(frames)?, false)?;
            return Ok(Self { layout, nodes: vec![node] });
        }
        let mut reply = Self { layout: NodeInfoLayout::NEWEST, nodes: Vec::new() };
        let (_, rows) = rows(frames, ROW)?;
        for row in rows {
            let (layout, node) = NodeInfoLayout::decode(row?, true)?;
            if !reply.nodes.is_empty() && layout != reply.layout {
                return Err(DecodeError::MixedLayouts { message: MESSAGE });
            }
            reply.layout = layout;
            reply.nodes.push(node);
        }
        Ok(reply)
    }

    fn encode(&self, kind: ReplyKind) -> Vec<Frame<ReplyKind>> {
        let row = |word, node| self.layout.encode(node, Body::new(word)).frame(kind);
        if !self.layout.has_rows() {
            return self.nodes.iter().map(|node| row(COMPLETE, node)).collect();
        }
        let mut frames = vec![Body::new(ARRAY_SIZE).shown(self.nodes.len()).frame(kind)];
        frames.extend(self.nodes.iter().map(|node| row(ROW, node)));
        frames.push(Body::new(COMPLETE).frame(kind));
        frames
    }
}

impl Rows for NodeInfos {
    type Row = NodeInfo;

    fn row(frame: &Frame<ReplyKind>) -> Result<Option<NodeInfo>, DecodeError> {
        let is_row = !is_last(frame);
        let fields = match is_row {
            true => row(frame, ROW)?,
            false => Some(complete(std::slice::from_ref(frame))?).filter(|node| node.count() > 0),
        };
        fields.map(|fields| NodeInfoLayout::decode(fields, is_row).map(|(_, node)| node)).transpose()
    }
}

/// Reads a finite number.
fn weight(fields: &mut Fields) -> Result<f64, DecodeError> {
    let value = fields.text("weight")?;
    match value.as_str().and_then(|text| text.parse::<f64>().ok()) {
        Some(weight) if weight.is_finite() => Ok(weight),
        _ => Err(DecodeError::InvalidField { field: "weight", value, expected: "a finite number" }),
    }
}

#[cfg(test)]
mod tests {
    use super::super::test::{golden, reply};
    use super::*;

    const KIND: ReplyKind = ReplyKind::NODE_INFO;

    /// What servers of each layout sent for node 1 or 2, a standby.
    const RECORDED: [&[&[u8]]; 10] = [
        &[b"CommandComplete\x00127.0.0.12\x0014311\x001\x00715827882.333333\0"],
        &[b"CommandComplete\x00127.0.0.12\x0014311\x001\x00715827882.333333\x003\0"],
        &[b"CommandComplete\x00127.0.0.12\x0014311\x003\x001\x00715827882.333333\x003\0"],
        &[b"CommandComplete\x00127.0.0.12\x0014311\x001\x00715827882.333333\x003\x002218736\x000\0"],
        &[b"CommandComplete\x00127.0.0.12\x0014311\x001\x000\x00715827882.333333\x003\x000\x001795308239\0"],
        &[b"CommandComplete\x00127.0.0.12\x0014111\x002\x00715827882.333333\x003\x000\0streaming\0async\x001795304121\0"],
        &[b"CommandComplete\x00127.0.0.12\x0014111\x003\x001\x00715827882.333333\x003\x000\0\0\x001795304121\0"],
        &[
            b"ArraySize\x001\0",
            b"NodeInfo\x00127.0.0.12\x0014311\x001\0unknown\x00715827882.333333\x003\0standby\x000\0streaming\0async\x001795308495\0",
            b"CommandComplete\0",
        ],
        &[
            b"ArraySize\x001\0",
            b"NodeInfo\x00127.0.0.12\x0014311\x002\x000\0unknown\x00715827882.333333\x003\0unknown\x000\0streaming\0async\x001795304669\0",
            b"CommandComplete\0",
        ],
        &[
            b"ArraySize\x001\0",
            b"NodeInfo\x00127.0.0.13\x0014712\x001\x000\0down\x00715827882.333333\x003\0unknown\x001\x002217\0\0\x001795304866\0",
            b"CommandComplete\0",
        ],
    ];

    #[test]
    fn every_layout_reads_and_writes_the_same_bytes() {
        for (layout, bodies) in NodeInfoLayout::all().zip(RECORDED) {
            let frames = reply(KIND, bodies);
            let decoded = NodeInfos::decode(&frames).unwrap();
            assert_eq!(decoded.layout, layout);
            let node = &decoded.nodes[0];
            assert!(node.host == "127.0.0.12" || node.host == "127.0.0.13");
            assert!((node.weight_share() - 1.0 / 3.0).abs() < 1e-6, "{}", node.weight);
            assert_eq!(node.role, layout.0.fields.contains(&Role).then_some(NodeRole::Standby));
            assert_eq!(node.quarantine.is_some(), layout.0.fields.contains(&Quarantine));
            assert_eq!(decoded.encode(KIND), frames, "{layout:?}");
            assert_eq!(layout.has_rows(), frames.len() == 3);
            let rows: Vec<_> = frames.iter().filter_map(|frame| NodeInfos::row(frame).unwrap()).collect();
            assert_eq!(rows, decoded.nodes);
        }
    }

    #[test]
    fn the_doubtful_positions_are_told_apart() {
        let node = |at: usize| NodeInfos::decode(&reply(KIND, RECORDED[at])).unwrap().nodes.remove(0);
        assert_eq!((node(2).status, node(2).quarantine), (NodeStatus::Down, Some(true)));
        assert_eq!(node(3).replication_delay(), Some(Delay::Bytes(2_218_736)));
        assert_eq!(node(3).changed, Some(0));
        assert_eq!(node(9).replication_delay(), Some(Delay::Microseconds(2217)));
        assert_eq!(node(9).pg_status, Some("down".into()));
        assert_eq!(node(7).pg_role, Some("standby".into()));
    }

    #[test]
    fn unknown_codes_stay_and_unknown_layouts_are_errors() {
        let decode = |body: &'static [u8]| NodeInfos::decode(&reply(KIND, &[body]));
        let node = decode(b"CommandComplete\0h\x001\x007\x001.000000\x009\0").unwrap().nodes.remove(0);
        assert_eq!((node.status, node.role), (NodeStatus::Other(7), Some(NodeRole::Other(9))));
        assert_eq!(
            decode(b"CommandComplete\0a\0b\0c\0"),
            Err(DecodeError::UnknownLayout { message: MESSAGE, fields: 3 })
        );
        for bad in [
            &b"CommandComplete\0h\x0099999\x001\x001.0\0"[..],
            b"CommandComplete\0h\x001\x00-1\x001.0\0",
            b"CommandComplete\0h\x001\x001\0nan\0",
            b"CommandComplete\0h\x001\x001\x001.0\x003\0tail",
        ] {
            assert!(NodeInfos::decode(&reply(KIND, &[bad])).is_err(), "{}", bad.escape_ascii());
        }
        let none = NodeInfos::decode(&reply(KIND, &[b"ArraySize\x000\0", b"CommandComplete\0"])).unwrap();
        assert_eq!(none.age().to_string(), "4.3 or later", "older servers send no rows");
        let rows = |rows: &[&'static [u8]]| {
            NodeInfos::decode(&reply(KIND, &[&[&b"ArraySize\x002\0"[..]], rows, &[b"CommandComplete\0"]].concat()))
        };
        let unknown = |fields| Err(DecodeError::UnknownLayout { message: MESSAGE, fields });
        assert_eq!(rows(&[RECORDED[8][1], RECORDED[9][1]]), Err(DecodeError::MixedLayouts { message: MESSAGE }));
        assert_eq!(rows(&[b"NodeInfo\0h\x001\x001\x001.0\0"]), unknown(4), "an old layout in a row");
        assert_eq!(decode(b"CommandComplete\0a\0b\0c\0d\0e\0f\0g\0h\0i\0j\0k\0"), unknown(11), "a new one without");
        assert!(NodeInfos::decode(&[]).is_err());
        assert!(NodeInfos::decode(&reply(KIND, &[b"ArraySize\x001\0"])).is_err());
    }

    #[test]
    fn golden_requests() {
        golden(&ReadNodeInfo::Node("1".parse().unwrap()), b"I\0\0\0\x061\0");
        golden(&ReadNodeInfo::All, b"I\0\0\0\x07-1\0");
        for body in [&b"1\0x"[..], b"-1\0\0", b"-1", b"1 \0", b"-2\0", b"1"] {
            assert!(
                ReadNodeInfo::decode(&Frame::new(ReadNodeInfo::KIND, body)).is_err(),
                "{}",
                body.escape_ascii()
            );
        }
    }
}
