use std::fmt;

use serde::de::{Deserializer, Error as _, SeqAccess, Visitor};

use super::{ALL, Body, COMPLETE, Query, Reply, Request, complete, request};
use crate::{DecodeError, Frame, ReplyKind, RequestKind, Text};

/// The most members that are read; Pgpool has room for 128.
const MAX_MEMBERS: usize = 256;

/// Asks for the watchdog's view of its cluster. Since 3.5; an error where the watchdog is off.
///
/// 3.5.0 never answers it with the watchdog on. An index that does not exist is no error: one member with id −1 comes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ReadWatchdogInfo {
    /// Every member, this Pgpool first.
    All,
    /// The member with this id: its `pgpool_node_id` since 4.2; before, 0 is this Pgpool and the others are counted
    /// from 1.
    Member(u8),
}

impl Request for ReadWatchdogInfo {
    const KIND: RequestKind = RequestKind::READ_WATCHDOG_INFO;
    const REPLY: ReplyKind = ReplyKind::WATCHDOG_INFO;
    const NAME: &'static str = "reading watchdog info";
    type Reply = WatchdogInfo;

    fn encode(&self) -> Frame<RequestKind> {
        match self {
            Self::All => Frame::new(Self::KIND, ALL),
            Self::Member(index) => Body::empty().shown(index).frame(Self::KIND),
        }
    }

    fn decode(frame: &Frame<RequestKind>) -> Result<Self, DecodeError> {
        let mut fields = request(frame, Self::KIND)?;
        let value = fields.text("watchdog index")?;
        fields.finish()?;
        match value.as_str().map(|text| (text, text.parse())) {
            Some(("-1", _)) => Ok(Self::All),
            Some((_, Ok(index))) => Ok(Self::Member(index)),
            _ => Err(DecodeError::InvalidField { field: "watchdog index", value, expected: "-1 or a number" }),
        }
    }
}

impl Query for ReadWatchdogInfo {}

/// The answer to [`ReadWatchdogInfo`]: the watchdog's own JSON.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct WatchdogInfo {
    /// The JSON as the server sent it.
    pub json: Text,
}

/// What the JSON says. Unknown keys are passed over; what a server does not send is `None`.
#[derive(Clone, Debug, Default, serde::Deserialize, Eq, PartialEq)]
#[serde(rename_all = "PascalCase", default)]
#[non_exhaustive]
pub struct WatchdogCluster {
    /// Members listed.
    pub node_count: Option<i64>,
    /// Members other than this Pgpool.
    pub remote_node_count: Option<i64>,
    /// Members that count for the quorum, other than this Pgpool. Since 4.3.
    pub member_remote_node_count: Option<i64>,
    /// How many members a quorum needs. Since 4.3.
    pub nodes_require_for_quorum: Option<i64>,
    /// 1 exists, 0 is on the edge, −1 is absent, −2 no leader.
    pub quorum_status: Option<i64>,
    /// Members alive.
    pub alive_node_count: Option<i64>,
    /// Whether this Pgpool holds the virtual address: 0 or 1.
    pub escalated: Option<i64>,
    /// The leader's name; `MasterNodeName` before 4.2.
    #[serde(alias = "MasterNodeName")]
    pub leader_node_name: Option<String>,
    /// The leader's host; `MasterHostName` before 4.2.
    #[serde(alias = "MasterHostName")]
    pub leader_host_name: Option<String>,
    /// The members, this Pgpool first.
    #[serde(rename = "WatchdogNodes", deserialize_with = "members")]
    pub members: Vec<WatchdogMember>,
}

/// A member of the watchdog's cluster.
#[derive(Clone, Debug, Default, serde::Deserialize, Eq, PartialEq)]
#[serde(rename_all = "PascalCase", default)]
#[non_exhaustive]
pub struct WatchdogMember {
    /// Its `pgpool_node_id` since 4.2; before, 0 is the Pgpool that was asked. −1 where the id asked for does not
    /// exist.
    #[serde(rename = "ID")]
    pub id: Option<i64>,
    /// The member's name; may hold blanks.
    pub node_name: Option<String>,
    /// Its host.
    pub host_name: Option<String>,
    /// The virtual address, `Not_Set` without one.
    #[serde(rename = "DelegateIP")]
    pub delegate_ip: Option<String>,
    /// The watchdog's port.
    pub wd_port: Option<i64>,
    /// The port for SQL.
    pub pgpool_port: Option<i64>,
    /// The state: 4 leader, 7 standby, 8 lost, 10 shut down, and others.
    pub state: Option<i64>,
    /// The state's name; the leader is `MASTER` before 4.2.
    pub state_name: Option<String>,
    /// The priority in elections.
    pub priority: Option<i64>,
    /// Whether the member counts for the quorum. Since 4.3.
    pub membership: Option<i64>,
    /// The same in words. Since 4.3.
    pub membership_string: Option<String>,
}

impl WatchdogCluster {
    /// Returns whether there is a quorum. `None` where the server does not tell.
    pub fn quorum(&self) -> Option<Quorum> {
        self.quorum_status.map(Quorum::from_code)
    }
}

/// Whether enough members are alive for the cluster to act.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Quorum {
    /// There is a quorum.
    Exists,
    /// Just half of the members are alive.
    OnTheEdge,
    /// There is none.
    Absent,
    /// There is no leader.
    NoLeader,
    /// A code that this version does not know.
    Other(i64),
}

impl Quorum {
    fn from_code(code: i64) -> Self {
        match code {
            1 => Self::Exists,
            0 => Self::OnTheEdge,
            -1 => Self::Absent,
            -2 => Self::NoLeader,
            other => Self::Other(other),
        }
    }
}

impl fmt::Display for Quorum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exists => f.pad("exists"),
            Self::OnTheEdge => f.pad("on the edge"),
            Self::Absent => f.pad("absent"),
            Self::NoLeader => f.pad("no leader"),
            Self::Other(code) => code.fmt(f),
        }
    }
}

impl WatchdogMember {
    /// Tells whether this member takes no part in the cluster: dead, lost, in network trouble, shut down or isolated.
    pub fn is_lost(&self) -> bool {
        const LOST: [i64; 5] = [0, 8, 9, 10, 12];
        self.state.is_some_and(|state| LOST.contains(&state))
    }

    /// Tells whether this member leads.
    pub fn is_leader(&self) -> bool {
        const LEADER: i64 = 4;
        self.state == Some(LEADER)
    }
}

impl WatchdogInfo {
    /// Reads the JSON.
    ///
    /// # Errors
    ///
    /// [`DecodeError::WatchdogJson`] where it is no JSON object, has values of other types than the known ones, a known key
    /// twice, or more members than any watchdog.
    pub fn cluster(&self) -> Result<WatchdogCluster, DecodeError> {
        let json = self.json.to_string_lossy();
        // What is derived would take a list for an object.
        if !json.trim_start().starts_with('{') {
            return Err(DecodeError::WatchdogJson { reason: "it is no object".to_owned() });
        }
        serde_json::from_str(&json).map_err(|error| DecodeError::WatchdogJson { reason: error.to_string() })
    }
}

/// Reads the members one by one, so that a megabyte of them is not made hundreds.
fn members<'de, D: Deserializer<'de>>(json: D) -> Result<Vec<WatchdogMember>, D::Error> {
    struct Members;

    impl<'de> Visitor<'de> for Members {
        type Value = Vec<WatchdogMember>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "at most {MAX_MEMBERS} members")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut json: A) -> Result<Self::Value, A::Error> {
            let mut members = Vec::new();
            while let Some(member) = json.next_element()? {
                if members.len() == MAX_MEMBERS {
                    return Err(A::Error::invalid_length(MAX_MEMBERS.saturating_add(1), &self));
                }
                members.push(member);
            }
            Ok(members)
        }
    }

    json.deserialize_seq(Members)
}

impl Reply for WatchdogInfo {
    fn decode(frames: &[Frame<ReplyKind>]) -> Result<Self, DecodeError> {
        let mut fields = complete(frames)?;
        let json = fields.text("watchdog JSON")?;
        fields.finish()?;
        Ok(Self { json })
    }

    fn encode(&self, kind: ReplyKind) -> Vec<Frame<ReplyKind>> {
        vec![Body::new(COMPLETE).text(self.json.as_bytes()).frame(kind)]
    }
}

#[cfg(test)]
mod tests {
    use super::super::test::{golden, reply};
    use super::*;

    const KIND: ReplyKind = ReplyKind::WATCHDOG_INFO;

    /// What 4.1.4 and 4.7.3 sent, shortened to one member.
    const OLD: &[u8] = b"CommandComplete\0{\"RemoteNodeCount\":2,\"QuorumStatus\":1,\"AliveNodeCount\":2,\"Escalated\":1,\"MasterNodeName\":\"127.0.0.1:14130 Linux vm\",\"MasterHostName\":\"127.0.0.1\",\"NodeCount\":3,\"WatchdogNodes\": [{\"ID\":0,\"State\":4,\"NodeName\":\"127.0.0.1:14130 Linux vm\",\"HostName\":\"127.0.0.1\",\"StateName\":\"MASTER\",\"DelegateIP\":\"Not_Set\",\"WdPort\":14132,\"PgpoolPort\":14130,\"Priority\":10}]}\0";
    const NEW: &[u8] = b"CommandComplete\0{\"RemoteNodeCount\":2,\"MemberRemoteNodeCount\":2,\"NodesRequireForQuorum\":2,\"QuorumStatus\":1,\"AliveNodeCount\":2,\"Escalated\":1,\"LeaderNodeName\":\"127.0.0.1:14730 Linux vm\",\"LeaderHostName\":\"127.0.0.1\",\"NodeCount\":1,\"WatchdogNodes\": [{\"ID\":-1,\"State\":-1,\"Membership\":-1,\"MembershipString\":\"Not_Set\",\"NodeName\":\"Not_Set\",\"HostName\":\"Not_Set\",\"StateName\":\"Not_Set\",\"DelegateIP\":\"Not_Set\",\"WdPort\":0,\"PgpoolPort\":0,\"Priority\":0}]}\0";

    #[test]
    fn golden_bytes() {
        golden(&ReadWatchdogInfo::All, b"W\0\0\0\x07-1\0");
        golden(&ReadWatchdogInfo::Member(0), b"W\0\0\0\x060\0");
        for body in [OLD, NEW] {
            let frames = reply(KIND, &[body]);
            assert_eq!(WatchdogInfo::decode(&frames).unwrap().encode(KIND), frames);
        }
    }

    #[test]
    fn old_and_new_names_mean_the_same() {
        let cluster = |body| WatchdogInfo::decode(&reply(KIND, &[body])).unwrap().cluster().unwrap();
        let (old, new) = (cluster(OLD), cluster(NEW));
        assert_eq!(old.leader_host_name.as_deref(), Some("127.0.0.1"));
        assert!(old.members[0].is_leader());
        assert_eq!((old.nodes_require_for_quorum, new.nodes_require_for_quorum), (None, Some(2)));
        assert_eq!((new.members[0].id, new.members[0].is_leader()), (Some(-1), false));
    }

    #[test]
    fn codes_have_their_meaning() {
        let quorum = |code| WatchdogCluster { quorum_status: Some(code), ..WatchdogCluster::default() }.quorum();
        let words = [1, 0, -1, -2, 7].map(|code| quorum(code).unwrap().to_string());
        assert_eq!(words, ["exists", "on the edge", "absent", "no leader", "7"]);
        assert_eq!(WatchdogCluster::default().quorum(), None);
        let lost = |state| WatchdogMember { state, ..WatchdogMember::default() }.is_lost();
        assert_eq!((0..=12).filter(|&state| lost(Some(state))).collect::<Vec<_>>(), [0, 8, 9, 10, 12]);
        assert!(!lost(None));
    }

    #[test]
    fn bad_json_is_an_error() {
        let members = |count| format!("{{\"WatchdogNodes\":[{}]}}", vec!["{}"; count].join(","));
        let most = WatchdogInfo { json: members(MAX_MEMBERS).into() };
        assert_eq!(most.cluster().unwrap().members.len(), MAX_MEMBERS);
        for json in ["", "{", "[]", "{\"NodeCount\":\"x\"}", &members(MAX_MEMBERS + 1)] {
            let info = WatchdogInfo { json: json.into() };
            assert!(matches!(info.cluster(), Err(DecodeError::WatchdogJson { .. })), "{json}");
        }
        let too_many = WatchdogInfo { json: members(MAX_MEMBERS + 1).into() }.cluster().unwrap_err().to_string();
        assert!(too_many.contains(&format!("expected at most {MAX_MEMBERS} members")), "{too_many}");
    }
}
