//! Reading the state of a Pgpool without making it connect to a backend.

use std::fmt;
use std::time::Duration;

use pcp_proto::message::{
    HealthCheckStats, NodeInfo, NodeInfos, NodeRole, NodeStatus, Parameter, PoolStatus, ReadHealthCheckStats,
    ReadNodeInfo, ReadPoolStatus,
};
use pcp_proto::{NodeId, Release, ServerAge, Text};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::{Client, Error, ErrorKind};

/// What a Pgpool knows at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct View {
    /// What does not change while it runs.
    pub server: Server,
    /// Its nodes in the order of their ids.
    pub nodes: Vec<Node>,
}

/// What is known of a Pgpool itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Server {
    /// How old it is.
    pub age: ServerAge,
    /// `search_primary_node_timeout`; zero is for ever.
    pub search_primary_node_timeout: Option<Duration>,
    /// Whether `follow_primary_command` (`follow_master_command` up to 4.1) is set: after a change of primary Pgpool sets
    /// the other nodes down, and the command has to attach them.
    pub follow_primary_command: bool,
    /// Whether `use_watchdog` is on.
    pub watchdog: bool,
    /// Whether node info makes it connect to the node asked for.
    pub node_info_dials_backends: bool,
}

/// A node as Pgpool sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Its id.
    pub id: NodeId,
    /// `backend_hostnameN`.
    pub host: Text,
    /// `backend_portN`.
    pub port: u16,
    /// What Pgpool does with it. `None` for a word that this version does not know.
    pub status: Option<NodeStatus>,
    /// Whether it is down only on this Pgpool, for want of a quorum: it comes back by itself when a health check
    /// succeeds. False where the server does not tell (before 3.7.23, 4.0.18, 4.1.11, and 4.2).
    pub quarantine: bool,
    /// What Pgpool takes it for. `None` where the server does not tell (3.5, 3.6), or uses an unknown word.
    pub role: Option<NodeRole>,
    /// Whether `backend_flagN` forbids to detach it (`DISALLOW_TO_FAILOVER`).
    pub failover_disallowed: bool,
}

impl Node {
    /// Tells whether Pgpool sends sessions to it.
    pub fn is_attached(&self) -> bool {
        self.status.is_some_and(NodeStatus::is_attached)
    }

    /// Tells whether it is detached, and not merely in quarantine.
    pub fn is_down(&self) -> bool {
        self.status == Some(NodeStatus::Down) && !self.quarantine
    }

    /// Tells whether Pgpool takes it for the primary.
    pub fn is_primary(&self) -> bool {
        self.role == Some(NodeRole::Primary)
    }

    /// Returns the word for its status: Pgpool's, or `quarantine`.
    pub fn status_word(&self) -> Option<String> {
        if self.quarantine { Some("quarantine".to_owned()) } else { self.status.map(|status| status.to_string()) }
    }

    /// Shows the state in a word or two, such as `up standby`.
    pub fn state(&self) -> String {
        let status = self.status_word().unwrap_or_else(|| "in an unknown state".to_owned());
        match self.role {
            Some(role) => format!("{status} {role}"),
            None => status,
        }
    }

    /// Returns `host:port`.
    pub fn address(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// Checks that another answer about the node, which says where it is, is not about another one.
    pub(crate) fn check_address(&self, host: &Text, port: u16) -> Result<(), Error> {
        if (&self.host, self.port) == (host, port) {
            return Ok(());
        }
        let (id, address) = (self.id, self.address());
        let message = format!(
            "Pgpool's answers contradict each other: node {id} is {address} in one, {host}:{port} in another"
        );
        Err(Error::new(ErrorKind::Protocol, message))
    }
}

/// Shows the node as messages name it: `2 (10.0.0.3:5432)`.
impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}:{})", self.id, self.host, self.port)
    }
}

impl Server {
    /// Returns how long it searches a primary at most; `None` where that has no end, or is not known.
    pub(crate) fn search_limit(&self) -> Option<Duration> {
        self.search_primary_node_timeout.filter(|limit| !limit.is_zero())
    }

    /// Says how long it searches a primary.
    pub(crate) fn search_words(&self) -> String {
        match self.search_primary_node_timeout {
            Some(Duration::ZERO) => "without end (search_primary_node_timeout = 0)".to_owned(),
            Some(limit) => format!("for up to {} s (search_primary_node_timeout)", limit.as_secs()),
            None => "until it finds one".to_owned(),
        }
    }
}

impl View {
    /// Returns a node.
    pub fn node(&self, id: NodeId) -> Option<&Node> {
        self.nodes.iter().find(|node| node.id == id)
    }

    /// Returns the node that has the primary's role and is up.
    pub fn primary(&self) -> Option<&Node> {
        self.nodes.iter().find(|node| node.is_primary() && node.is_attached())
    }

    /// Returns the node that is down and still has the primary's role: Pgpool is searching for another primary.
    pub fn searching(&self) -> Option<&Node> {
        self.nodes.iter().find(|node| node.is_primary() && !node.is_attached())
    }

    /// Tells whether the nodes have a primary and standbys at all. False for 3.5 and 3.6, which tell no role, and
    /// outside streaming replication.
    pub fn has_primary_role(&self) -> bool {
        self.nodes.iter().any(|node| matches!(node.role, Some(NodeRole::Primary | NodeRole::Standby)))
    }

    /// Tells whether `later` is a view of the same Pgpool with the same nodes.
    fn has_same_nodes(&self, later: &[Node]) -> bool {
        let key = |node: &Node| (node.id, node.host.clone(), node.port);
        self.nodes.iter().map(key).eq(later.iter().map(key))
    }
}

/// A [`View`] with the replies that it was read from.
#[derive(Clone, Debug, PartialEq)]
pub struct Observation {
    /// What they say.
    pub view: View,
    /// The settings.
    pub status: PoolStatus,
    /// What was told of each node of the view, in its order.
    pub details: Vec<NodeDetail>,
}

/// What a server tells of a node without a connection to it.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::large_enum_variant, reason = "there are a few of them, and each is used at once")]
pub enum NodeDetail {
    /// Since 4.2.
    HealthCheckStats(HealthCheckStats),
    /// Before 4.2, where node info comes from memory as well.
    NodeInfo(NodeInfo),
}

/// Reads the whole state: settings first, then every node's status and role.
///
/// Two round trips behind the login's one, whatever the number of nodes.
///
/// # Errors
///
/// Those of the connection and of the requests.
pub async fn observe<S>(client: &mut Client<S>) -> Result<View, Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    observe_in_detail(client).await.map(|observation| observation.view)
}

/// Reads the same as [`observe()`] in the same way, and keeps the replies.
///
/// # Errors
///
/// Those of the connection and of the requests.
pub async fn observe_in_detail<S>(client: &mut Client<S>) -> Result<Observation, Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let status = client.send(ReadPoolStatus).await?;
    let configured = configured_nodes(&status)?;
    let age = ServerAge::of(&status);
    let server = Server {
        age,
        node_info_dials_backends: age.node_info_dials_backends() && has_health_checks(&status),
        search_primary_node_timeout: status
            .number("search_primary_node_timeout")
            .and_then(|seconds| Some(Duration::from_secs(u64::try_from(seconds).ok()?))),
        follow_primary_command: ["follow_primary_command", "follow_master_command"]
            .into_iter()
            .any(|name| status.value(name).is_some_and(|command| !command.as_bytes().is_empty())),
        watchdog: status.number("use_watchdog").is_some_and(|on| on != 0),
    };
    let settings = View { server, nodes: configured };
    let mut view = settings.clone();
    let details = observe_nodes(client, &mut view).await?;
    // A change names a node by its id: on a mistake about whose state is whose it would meet another node.
    for (one, other) in settings.nodes.iter().zip(&view.nodes) {
        one.check_address(&other.host, other.port)?;
    }
    Ok(Observation { view, status, details })
}

/// Reads the nodes' status and role again, or returns `None` where the nodes are others than before: the address
/// leads to another Pgpool now, or its configuration has changed.
///
/// One round trip behind the login's; with the login one write.
///
/// # Errors
///
/// Those of the connection and of the requests.
pub async fn observe_again<S>(client: &mut Client<S>, before: &View) -> Result<Option<View>, Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut view = before.clone();
    client.assume_server_age(before.server.age);
    match observe_nodes(client, &mut view).await {
        // It has fewer nodes.
        Err(error) if error.kind() == ErrorKind::Refused => Ok(None),
        Err(error) => Err(error),
        Ok(_) => Ok(before.has_same_nodes(&view.nodes).then_some(view)),
    }
}

/// Tells whether health checks are on for any node, and true where 4.3.0, which connects regardless, cannot be
/// ruled out.
fn has_health_checks(status: &PoolStatus) -> bool {
    const SURELY_LATER: Release = Release::new(4, 4);
    let on = |parameter: &Parameter| {
        let name = parameter.name.as_str().and_then(|name| name.strip_prefix("health_check_period"));
        name.is_some_and(|node| node.bytes().all(|byte| byte.is_ascii_digit())) && parameter.value != "0"
    };
    !ServerAge::of(status).is_at_least(SURELY_LATER) || status.parameters.iter().any(on)
}

fn configured_nodes(status: &PoolStatus) -> Result<Vec<Node>, Error> {
    let nodes = status.nodes()?.into_iter().map(|node| Node {
        id: node.id,
        host: node.host,
        port: node.port,
        status: node.status,
        quarantine: false,
        role: None,
        failover_disallowed: node.flag.to_string_lossy().contains("DISALLOW_TO_FAILOVER"),
    });
    Ok(nodes.collect())
}

/// Reads status and role of every node with the request that asks the server's memory only: health check statistics since
/// 4.2, before that node info, which connects to nothing there.
async fn observe_nodes<S>(client: &mut Client<S>, view: &mut View) -> Result<Vec<NodeDetail>, Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut details = Vec::with_capacity(view.nodes.len());
    if view.server.age.has_health_check_stats() {
        let requests: Vec<_> = view.nodes.iter().map(|node| ReadHealthCheckStats { node: node.id }).collect();
        for (node, stats) in view.nodes.iter_mut().zip(client.send(requests).await) {
            let stats = stats?;
            node.status = stats.node_status();
            node.quarantine = stats.status == "quarantine";
            node.role = stats.node_role();
            (node.host, node.port) = (stats.hostname.clone(), stats.port);
            details.push(NodeDetail::HealthCheckStats(stats));
        }
    } else {
        let requests: Vec<_> = view.nodes.iter().map(|node| ReadNodeInfo::Node(node.id)).collect();
        for (node, infos) in view.nodes.iter_mut().zip(client.send(requests).await) {
            let NodeInfos { mut nodes, .. } = infos?;
            let Some(info) = nodes.pop() else {
                return Err(Error::new(ErrorKind::Protocol, format!("Pgpool said nothing of node {}", node.id)));
            };
            node.status = Some(info.status);
            node.quarantine = info.quarantine.unwrap_or_default();
            node.role = info.role;
            (node.host, node.port) = (info.host.clone(), info.port);
            details.push(NodeDetail::NodeInfo(info));
        }
    }
    Ok(details)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_shown_by_its_place_and_its_state() {
        let mut node = Node {
            id: NodeId::MAX,
            host: "pg1".into(),
            port: 5433,
            status: Some(NodeStatus::Up),
            role: Some(NodeRole::Standby),
            quarantine: false,
            failover_disallowed: false,
        };
        assert_eq!((node.to_string().as_str(), node.address().as_str()), ("127 (pg1:5433)", "pg1:5433"));
        assert_eq!(node.state(), "up standby");
        node.role = None;
        assert_eq!(node.state(), "up");
        node.status = None;
        assert_eq!(node.state(), "in an unknown state");
        assert!(!node.is_attached() && !node.is_down() && !node.is_primary());
    }

    #[test]
    fn health_checks_may_be_on_for_one_node_alone() {
        let newer = ["failover_on_backend_error", "reserved_connections", "follow_primary_command"];
        let newer = [&newer[..], &["failover_on_backend_shutdown", "unix_socket_directories"]].concat();
        let has = |parameters: &[(&str, &str)]| {
            let markers = newer.iter().map(|&name| (name, ""));
            let parameters = markers.chain(parameters.iter().copied()).map(|(name, value)| Parameter {
                name: name.into(),
                value: value.into(),
                ..Parameter::default()
            });
            has_health_checks(&PoolStatus { parameters: parameters.collect() })
        };
        assert!(!has(&[]));
        assert!(!has(&[("health_check_period", "0"), ("health_check_period0", "0")]));
        assert!(has(&[("health_check_period", "10")]));
        assert!(has(&[("health_check_period", "0"), ("health_check_period12", "5")]));
        assert!(!has(&[("health_check_periodical", "5"), ("health_check_timeout", "20")]));
        assert!(has_health_checks(&PoolStatus::default()), "it may be 4.3.0");
    }
}
