//! The watchdog's view of its cluster.

use pcp_proto::message::WatchdogInfo;

use super::Age;

/// A watchdog that is on.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Watchdog {
    /// 1 exists, 0 is on the edge, −1 is absent, −2 no leader.
    pub quorum: i8,
    /// Whether this Pgpool holds the virtual address.
    pub escalated: bool,
    /// The members; the first one is this Pgpool.
    pub members: Vec<WatchdogPeer>,
}

/// A member of the watchdog's cluster.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct WatchdogPeer {
    /// The member's name.
    pub name: String,
    /// Its host.
    pub host: String,
    /// Its state.
    pub state: WatchdogState,
}

/// The state of a member.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum WatchdogState {
    /// It never came.
    Dead,
    /// It joins.
    Joining,
    /// It leads.
    Leader,
    /// It follows the leader.
    Standby,
    /// It is lost.
    Lost,
    /// It was shut down.
    Shutdown,
}

impl Watchdog {
    /// Makes a watchdog with a quorum of members on these hosts; the first one is this Pgpool and leads.
    pub fn of(hosts: &[&str]) -> Self {
        let member = |(at, host): (usize, &&str)| WatchdogPeer {
            name: format!("{host}:9999 Linux {host}"),
            host: (*host).to_owned(),
            state: if at == 0 { WatchdogState::Leader } else { WatchdogState::Standby },
        };
        Self { quorum: 1, escalated: true, members: hosts.iter().enumerate().map(member).collect() }
    }

    /// Tells whether a member leads. Without one, attach and detach are refused.
    pub fn has_leader(&self) -> bool {
        self.members.iter().any(|member| member.state == WatchdogState::Leader)
    }

    /// Writes the JSON of a member, or of all where `index` is −1, as servers of this age do.
    pub(super) fn info(&self, age: Age, index: i32) -> WatchdogInfo {
        let chosen: Vec<_> = match usize::try_from(index) {
            Err(_) => self.members.iter().enumerate().map(|(id, member)| member.json(age, id)).collect(),
            Ok(id) => match self.members.get(id) {
                Some(member) => vec![member.json(age, id)],
                None => vec![nobody(age)],
            },
        };
        let remote = self.members.len().saturating_sub(1);
        let alive = self.members.iter().skip(1).filter(|member| member.state.is_alive()).count();
        let members = match has_membership(age) {
            true => format!(
                "\"MemberRemoteNodeCount\":{remote},\"NodesRequireForQuorum\":{},",
                self.members.len() / 2 + 1
            ),
            false => String::new(),
        };
        let leader = self.members.iter().find(|member| member.state == WatchdogState::Leader);
        let (name, host) = leader.map_or((UNSET, UNSET), |leader| (&leader.name, &leader.host));
        let title = if is_old(age) { "Master" } else { "Leader" };
        WatchdogInfo {
            json: format!(
                "{{\"RemoteNodeCount\":{remote},{members}\"QuorumStatus\":{},\"AliveNodeCount\":{alive},\
                 \"Escalated\":{},\"{title}NodeName\":{},\"{title}HostName\":{},\"NodeCount\":{},\
                 \"WatchdogNodes\": [{}]}}",
                self.quorum,
                u8::from(self.escalated),
                string(name),
                string(host),
                chosen.len(),
                chosen.join(",")
            )
            .into(),
        }
    }
}

impl WatchdogPeer {
    fn json(&self, age: Age, id: usize) -> String {
        let (code, word) = self.state.code_and_word(age);
        let membership = if has_membership(age) { "\"Membership\":0,\"MembershipString\":\"MEMBER\"," } else { "" };
        format!(
            "{{\"ID\":{id},\"State\":{code},{membership}\"NodeName\":{},\"HostName\":{},\"StateName\":\"{word}\",\
             \"DelegateIP\":\"{UNSET}\",\"WdPort\":9000,\"PgpoolPort\":9999,\"Priority\":1}}",
            string(&self.name),
            string(&self.host)
        )
    }
}

impl WatchdogState {
    fn code_and_word(self, age: Age) -> (u8, &'static str) {
        match self {
            Self::Dead => (0, "DEAD"),
            Self::Joining => (2, "JOINING"),
            Self::Leader if is_old(age) => (4, "MASTER"),
            Self::Leader => (4, "LEADER"),
            Self::Standby => (7, "STANDBY"),
            Self::Lost => (8, "LOST"),
            Self::Shutdown => (10, "SHUTDOWN"),
        }
    }

    fn is_alive(self) -> bool {
        !matches!(self, Self::Dead | Self::Lost | Self::Shutdown)
    }
}

const UNSET: &str = "Not_Set";

/// What is sent for an index that does not exist.
fn nobody(age: Age) -> String {
    let membership = if has_membership(age) { "\"Membership\":-1,\"MembershipString\":\"Not_Set\"," } else { "" };
    format!(
        "{{\"ID\":-1,\"State\":-1,{membership}\"NodeName\":\"{UNSET}\",\"HostName\":\"{UNSET}\",\
         \"StateName\":\"{UNSET}\",\"DelegateIP\":\"{UNSET}\",\"WdPort\":0,\"PgpoolPort\":0,\"Priority\":0}}"
    )
}

fn is_old(age: Age) -> bool {
    age < Age::V4_2
}

fn has_membership(age: Age) -> bool {
    age >= Age::V4_3_0
}

/// Writes a JSON string; names of hosts hold no control characters.
fn string(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_age_writes_its_json() {
        let mut watchdog = Watchdog::of(&["10.0.0.1", "10.0.0.2", "10.0.0.\"3\""]);
        if let Some(last) = watchdog.members.last_mut() {
            last.state = WatchdogState::Lost;
        }
        for age in Age::ALL {
            let info = watchdog.info(age, -1);
            let cluster = info.cluster().unwrap();
            assert_eq!((cluster.node_count, cluster.alive_node_count), (Some(3), Some(1)), "{age}");
            assert_eq!(cluster.leader_host_name.as_deref(), Some("10.0.0.1"));
            assert!(cluster.members[0].is_leader());
            assert_eq!(cluster.members[2].host_name.as_deref(), Some("10.0.0.\"3\""));
            let leader = if age < Age::V4_2 { "MASTER" } else { "LEADER" };
            assert_eq!(cluster.members[0].state_name.as_deref(), Some(leader), "{age}");
            let json = info.json.to_string();
            assert_eq!(json.contains("MasterHostName"), age < Age::V4_2, "{age}");
            assert_eq!(cluster.nodes_require_for_quorum.is_some(), age >= Age::V4_3_0, "{age}");
            assert_eq!(cluster.members[0].membership.is_some(), age >= Age::V4_3_0);
        }
    }

    #[test]
    fn one_member_comes_alone_and_one_that_is_not_there_is_no_error() {
        let watchdog = Watchdog::of(&["10.0.0.1", "10.0.0.2"]);
        let ids = |index| -> Vec<_> {
            watchdog.info(Age::V4_7, index).cluster().unwrap().members.iter().map(|member| member.id).collect()
        };
        assert_eq!(ids(0), [Some(0)]);
        assert_eq!(ids(1), [Some(1)]);
        assert_eq!(ids(9), [Some(-1)]);
    }
}
