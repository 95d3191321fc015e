//! From an address to a node of one Pgpool.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use futures_util::future::join_all;
use pcp_proto::NodeId;
use tokio::net::lookup_host;
use tokio::time::timeout;
use tracing::debug;

use crate::endpoint::{is_host, parse_port, split_port};
use crate::observe::Node;

/// How long one name is looked up for.
const LOOKUP_LIMIT: Duration = Duration::from_secs(2);

/// How a caller names a node: `HOST`, `HOST:PORT`, `[V6]:PORT` or a node id.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum NodeName {
    /// Its number in Pgpool.
    Id(NodeId),
    /// Its address.
    Address {
        /// A name or an IP literal, without brackets.
        host: String,
        /// The port; any where there is none.
        port: Option<u16>,
    },
}

impl NodeName {
    /// Adds a port to an address that has none.
    #[must_use]
    pub fn with_default_port(mut self, default: Option<u16>) -> Self {
        if let Self::Address { port: port @ None, .. } = &mut self {
            *port = default;
        }
        self
    }
}

impl FromStr for NodeName {
    type Err = NodeNameError;

    fn from_str(text: &str) -> Result<Self, NodeNameError> {
        let bad = |reason| NodeNameError { text: text.to_owned(), reason };
        if text.is_empty() {
            return Err(bad("it is empty"));
        }
        let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if is_number(text) {
            return text.parse().map(Self::Id).map_err(|_| bad("a node id is a number from 0 to 127"));
        }
        let (host, port) = split_port(text).ok_or_else(|| bad("its brackets do not close"))?;
        // A number in brackets would read back as an id.
        if !is_host(host) || (port.is_none() && is_number(host)) {
            return Err(bad("it holds no host name and no IP address"));
        }
        let port = match port {
            None => None,
            Some(port) => Some(parse_port(port).ok_or_else(|| bad("a port is a number from 1 to 65535"))?),
        };
        Ok(Self::Address { host: host.to_owned(), port })
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => write!(f, "{id}"),
            Self::Address { host, port: None } => f.write_str(host),
            Self::Address { host, port: Some(port) } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Address { host, port: Some(port) } => write!(f, "{host}:{port}"),
        }
    }
}

/// Text that names no node.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{text:?} names no node: {reason}")]
pub struct NodeNameError {
    text: String,
    reason: &'static str,
}

/// Why a name leads to no node, or to several.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ResolveError {
    /// No node has this address or id.
    #[error("Pgpool has no node {name}; it has {}", list(nodes))]
    Unknown {
        /// The name.
        name: NodeName,
        /// Every node there is.
        nodes: Vec<Node>,
    },
    /// Several nodes have this address.
    #[error("{name} is ambiguous: it is {}; add the port, or use the node id", list(nodes))]
    Ambiguous {
        /// The name.
        name: NodeName,
        /// The nodes that have it.
        nodes: Vec<Node>,
    },
    /// The id is another backend on another Pgpool.
    #[error("node {id} is {here} here and {there} on another Pgpool: name it by its address")]
    Differs {
        /// The id.
        id: NodeId,
        /// The node's address on this Pgpool.
        here: String,
        /// Its address on the other one.
        there: String,
    },
}

impl Eq for Node {}

/// Finds the node that `name` means: by its id; else by the same text, ignoring case and a final dot; else by the
/// same IP address; else by looking up both names. A port narrows each step. Never by a part of a text.
///
/// The first step that finds anything decides. Names are looked up only where the steps before found nothing: that
/// takes at most 2 s for the name and 2 s for all the nodes.
///
/// # Errors
///
/// [`ResolveError`], which lists the nodes.
pub async fn resolve<'a>(name: &NodeName, nodes: &'a [Node]) -> Result<&'a Node, ResolveError> {
    resolve_with(name, nodes, look_up).await
}

pub(crate) async fn resolve_with<'a, L>(
    name: &NodeName,
    nodes: &'a [Node],
    look_up: L,
) -> Result<&'a Node, ResolveError>
where
    L: AsyncFn(&str) -> BTreeSet<IpAddr>,
{
    let unknown = || ResolveError::Unknown { name: name.clone(), nodes: nodes.to_vec() };
    let (host, port) = match name {
        NodeName::Id(id) => return nodes.iter().find(|node| node.id == *id).ok_or_else(unknown),
        NodeName::Address { host, port } => (host, *port),
    };
    let candidates: Vec<_> = nodes.iter().filter(|node| port.is_none_or(|port| node.port == port)).collect();
    let found = match by_text(host, &candidates).or_else(|| by_literal(host, &candidates)) {
        Some(found) => found,
        None => by_lookup(host, &candidates, look_up).await,
    };
    match found[..] {
        [node] => Ok(node),
        [] => Err(unknown()),
        _ => Err(ResolveError::Ambiguous { name: name.clone(), nodes: found.into_iter().cloned().collect() }),
    }
}

fn by_text<'a>(host: &str, nodes: &[&'a Node]) -> Option<Vec<&'a Node>> {
    fn bare(name: &[u8]) -> &[u8] {
        name.strip_suffix(b".").filter(|bare| !bare.is_empty()).unwrap_or(name)
    }
    some(nodes.iter().filter(|node| bare(node.host.as_bytes()).eq_ignore_ascii_case(bare(host.as_bytes()))))
}

fn by_literal<'a>(host: &str, nodes: &[&'a Node]) -> Option<Vec<&'a Node>> {
    let wanted = literal(host)?;
    some(nodes.iter().filter(|node| literal(&node.host.to_string_lossy()) == Some(wanted)))
}

async fn by_lookup<'a>(
    host: &str,
    nodes: &[&'a Node],
    look_up: impl AsyncFn(&str) -> BTreeSet<IpAddr>,
) -> Vec<&'a Node> {
    let addresses = async |name: &str| match literal(name) {
        Some(address) => BTreeSet::from([address]),
        None if name.starts_with('/') => BTreeSet::new(),
        None => look_up(name).await,
    };
    let wanted = addresses(host).await;
    if wanted.is_empty() {
        return Vec::new();
    }
    let hosts: Vec<_> = nodes.iter().map(|node| node.host.to_string_lossy()).collect();
    let looked_up = join_all(hosts.iter().map(|host| addresses(host))).await;
    let found = nodes.iter().zip(looked_up).filter(|(_, addresses)| !addresses.is_disjoint(&wanted));
    found.map(|(&node, _)| node).collect()
}

fn some<'a, 'b: 'a>(nodes: impl Iterator<Item = &'a &'b Node>) -> Option<Vec<&'b Node>> {
    let nodes: Vec<_> = nodes.copied().collect();
    (!nodes.is_empty()).then_some(nodes)
}

/// Reads an IP literal; one that maps IPv4 into IPv6 is the IPv4 one.
fn literal(host: &str) -> Option<IpAddr> {
    host.parse::<IpAddr>().ok().map(|address| address.to_canonical())
}

async fn look_up(name: &str) -> BTreeSet<IpAddr> {
    match timeout(LOOKUP_LIMIT, lookup_host((name, 0))).await {
        Ok(Ok(addresses)) => addresses.map(|address| address.ip().to_canonical()).collect(),
        Ok(Err(error)) => {
            debug!(name, %error, "the name has no address");
            BTreeSet::new()
        }
        Err(_) => {
            debug!(name, "looking up the name took too long");
            BTreeSet::new()
        }
    }
}

/// Lists nodes for a message.
fn list(nodes: &[Node]) -> String {
    match nodes {
        [] => "no nodes at all".to_owned(),
        nodes => {
            nodes.iter().map(|node| format!("{} = {}", node.id, node.address())).collect::<Vec<_>>().join(", ")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes(addresses: &[&str]) -> Vec<Node> {
        let node = |(id, address): (usize, &&str)| {
            let (host, port) = split_port(address).unwrap();
            Node {
                id: id.try_into().unwrap(),
                host: host.into(),
                port: port.map_or(5432, |port| port.parse().unwrap()),
                status: None,
                role: None,
                quarantine: false,
                failover_disallowed: false,
            }
        };
        addresses.iter().enumerate().map(node).collect()
    }

    /// A resolver that knows four names.
    async fn names(name: &str) -> BTreeSet<IpAddr> {
        let addresses: &[&str] = match name {
            "pg1" | "pg1.example" => &["10.0.0.1"],
            "pg2" => &["10.0.0.2", "fd00::2"],
            "vip" => &["10.0.0.1", "10.0.0.2"],
            _ => &[],
        };
        addresses.iter().map(|address| address.parse().unwrap()).collect()
    }

    #[track_caller]
    fn check(name: &str, addresses: &[&str], expected: Result<u8, &str>) {
        let nodes = nodes(addresses);
        let name: NodeName = name.parse().unwrap();
        let found = tokio_test::block_on(resolve_with(&name, &nodes, names));
        match expected {
            Ok(id) => assert_eq!(found.map(|node| node.id.get()), Ok(id)),
            Err(text) => {
                let error = found.unwrap_err().to_string();
                assert!(error.contains(text), "{error}");
            }
        }
    }

    #[test]
    fn addresses_match_whole_and_never_in_part() {
        let addresses = ["10.0.0.12", "10.0.0.1", "PG2.", "[fd00::0:9]:5433"];
        check("10.0.0.1", &addresses, Ok(1));
        check("::ffff:10.0.0.1", &addresses, Ok(1));
        check("pg2", &addresses, Ok(2));
        check("fd00::9", &addresses, Ok(3));
        check("[fd00:0:0::9]:5433", &addresses, Ok(3));
        check("10.0.0", &addresses, Err("Pgpool has no node 10.0.0; it has 0 = 10.0.0.12:5432, 1 = 10.0.0.1:5432"));
        check("10.0.0.1:5433", &addresses, Err("Pgpool has no node 10.0.0.1:5433"));
        check(".", &["", "a"], Err("Pgpool has no node ."));
    }

    #[test]
    fn names_are_looked_up_on_both_sides() {
        check("pg1.example", &["pg1", "pg2"], Ok(0));
        check("10.0.0.2", &["pg1", "pg2"], Ok(1));
        check("pg2", &["10.0.0.1", "fd00::2"], Ok(1));
        check("vip", &["10.0.0.1", "10.0.0.2"], Err("vip is ambiguous"));
        // A node that has the address itself goes before a name that leads to it.
        check("::ffff:10.0.0.1", &["pg1", "10.0.0.1"], Ok(1));
        check("nowhere", &["pg1", "gone"], Err("no node nowhere"));
        check("nowhere", &[], Err("it has no nodes at all"));
    }

    #[test]
    fn a_directory_with_a_socket_is_no_name_to_look_up() {
        let look_up = async |name: &str| match name.starts_with('/') {
            true => panic!("{name} was looked up"),
            false => names(name).await,
        };
        let nodes = nodes(&["/run/postgresql", "pg1"]);
        for (name, id) in [("/run/postgresql", Some(0)), ("10.0.0.1", Some(1)), ("/run", None)] {
            let name = name.parse().unwrap();
            let found = tokio_test::block_on(resolve_with(&name, &nodes, look_up));
            assert_eq!(found.ok().map(|node| node.id.get()), id, "{name}");
        }
    }

    #[test]
    fn the_hosts_own_resolver_is_asked() {
        let nodes = nodes(&["192.0.2.1", "127.0.0.1"]);
        let found = tokio_test::block_on(resolve(&"localhost".parse().unwrap(), &nodes));
        assert_eq!(found.map(|node| node.id.get()), Ok(1));
    }

    #[test]
    fn names_are_shown_as_they_are_typed() {
        for text in ["0", "127", "pg1", "pg1:5433", "::1", "[::1]:5433"] {
            assert_eq!(text.parse::<NodeName>().unwrap().to_string(), text);
        }
        let with_port = |text: &str| text.parse::<NodeName>().unwrap().with_default_port(Some(5433)).to_string();
        assert_eq!(["1", "pg1", "pg1:1", "::1"].map(with_port), ["1", "pg1:5433", "pg1:1", "[::1]:5433"]);
    }

    #[test]
    fn several_nodes_on_one_host_need_the_port() {
        let addresses = ["10.0.0.1:5432", "10.0.0.1:5433"];
        check("10.0.0.1", &addresses, Err("it is 0 = 10.0.0.1:5432, 1 = 10.0.0.1:5433; add the port"));
        check("10.0.0.1:5433", &addresses, Ok(1));
        let name: NodeName = "10.0.0.1".parse().unwrap();
        assert_eq!(name.with_default_port(Some(5433)).to_string(), "10.0.0.1:5433");
    }

    #[test]
    fn ids_are_compared_with_what_there_is() {
        check("1", &["a", "b"], Ok(1));
        for id in ["2", "99", "127"] {
            check(id, &["a", "b"], Err("it has 0 = a:5432, 1 = b:5432"));
        }
        for text in ["", "128", "99999999999", "a b", "[::1", ":5432", "a:0", "[a:1]", "[[a]", "a]::b", "[10]"] {
            assert!(text.parse::<NodeName>().is_err(), "{text:?}");
        }
    }
}
