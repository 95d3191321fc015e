//! The file that says what the cluster should look like; `docs/desired-state.md` documents it.

use serde::Deserialize;

use super::{Truth, is_same_node};
use crate::converge::Want;
use crate::resolve::{NodeName, NodeNameError};

/// The version of the file that this reads.
const SCHEMA_VERSION: u32 = 1;

impl Truth {
    /// Reads a desired-state file.
    ///
    /// # Errors
    ///
    /// What it does not know, and what cannot be true; the message names it.
    pub fn from_desired_state(json: &[u8]) -> Result<Self, DesiredStateError> {
        let Version { schema_version } = serde_json::from_slice(json)?;
        if schema_version != SCHEMA_VERSION {
            return Err(DesiredStateError::Version { found: schema_version });
        }
        let file: File = serde_json::from_slice(json)?;
        let mut goals: Vec<(NodeName, Want)> = Vec::new();
        for node in file.nodes {
            let (name, want) = (node.name()?, node.want()?);
            if let Some((other, _)) = goals.iter().find(|(other, _)| is_same_node(other, &name)) {
                return Err(DesiredStateError::Duplicate { first: other.clone(), second: name });
            }
            let is_primary = |want| want == Want::Primary;
            if let Some((other, _)) = goals.iter().find(|(_, other)| is_primary(*other) && is_primary(want)) {
                return Err(DesiredStateError::SeveralPrimaries { first: other.clone(), second: name });
            }
            goals.push((name, want));
        }
        Ok(Self::new(goals))
    }
}

/// Why a file is no desired state.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DesiredStateError {
    /// It is not JSON, has a field that is not known, or lacks one.
    #[error("{0}")]
    Json(serde_json::Error),
    /// It is of another version.
    #[error("its schema_version is {found}; this pcpctl reads {SCHEMA_VERSION}")]
    Version {
        /// The version.
        found: u32,
    },
    /// An address is none.
    #[error(transparent)]
    Address(#[from] NodeNameError),
    /// An address is a node id, which means another node on each Pgpool.
    #[error("the address \"{address}\" is a node id; ids differ between Pgpools, so give host or host:port")]
    NodeId {
        /// The address.
        address: String,
    },
    /// The address has a port, and there is the field `port` as well.
    #[error("node {address} has a port both in its address and beside it")]
    TwoPorts {
        /// The address.
        address: String,
    },
    /// An attached node has no role.
    #[error("node {address} is attached, and its role is missing: primary or standby")]
    NoRole {
        /// The address.
        address: String,
    },
    /// Two entries may mean the same node.
    #[error("{first} and {second} are the same node")]
    Duplicate {
        /// One name.
        first: NodeName,
        /// The other name.
        second: NodeName,
    },
    /// Two nodes are the attached primary.
    #[error("{first} and {second} are both attached primaries")]
    SeveralPrimaries {
        /// One of them.
        first: NodeName,
        /// The other one.
        second: NodeName,
    },
}

impl From<serde_json::Error> for DesiredStateError {
    fn from(error: serde_json::Error) -> Self {
        Self::Json(error)
    }
}

#[derive(Deserialize)]
struct Version {
    schema_version: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(rename = "schema_version")]
    _schema_version: u32,
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Node {
    address: String,
    port: Option<std::num::NonZeroU16>,
    role: Option<Role>,
    state: State,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Role {
    Primary,
    Standby,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Attached,
    Detached,
}

impl Node {
    fn name(&self) -> Result<NodeName, DesiredStateError> {
        let address = || self.address.clone();
        match (self.address.parse()?, self.port) {
            (NodeName::Id(_), _) => Err(DesiredStateError::NodeId { address: address() }),
            (NodeName::Address { port: Some(_), .. }, Some(_)) => {
                Err(DesiredStateError::TwoPorts { address: address() })
            }
            (name, port) => Ok(name.with_default_port(port.map(Into::into))),
        }
    }

    fn want(&self) -> Result<Want, DesiredStateError> {
        match (self.state, self.role) {
            (State::Detached, _) => Ok(Want::Detached),
            (State::Attached, Some(Role::Primary)) => Ok(Want::Primary),
            (State::Attached, Some(Role::Standby)) => Ok(Want::Standby),
            (State::Attached, None) => Err(DesiredStateError::NoRole { address: self.address.clone() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(nodes: &str) -> Result<Vec<String>, String> {
        let json = format!(r#"{{"schema_version":1,"nodes":[{nodes}]}}"#);
        let truth = Truth::from_desired_state(json.as_bytes()).map_err(|error| error.to_string())?;
        Ok(truth.goals().iter().map(|(name, want)| format!("{name} {want}")).collect())
    }

    #[test]
    fn the_documented_example_is_read() {
        let page = include_str!("../../../../docs/desired-state.md");
        let example = page.split("```json").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
        let truth = Truth::from_desired_state(example.as_bytes()).unwrap();
        let goals: Vec<_> = truth.goals().iter().map(|(name, want)| format!("{name} {want}")).collect();
        let expected = [
            "10.0.0.1:5444 detached",
            "10.0.0.2:5444 attached as the primary",
            "pg3.example:5445 attached as a standby",
        ];
        assert_eq!(goals, expected);
    }

    #[test]
    fn nothing_wanted_is_a_desired_state() {
        assert_eq!(read(""), Ok(vec![]));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (nodes, expected) in [
            (
                r#"{"address":"a","role":"standby","state":"attached","weight":1}"#,
                "unknown field `weight`, expected one of `address`, `port`, `role`, `state`",
            ),
            (r#"{"address":"a","role":"slave","state":"attached"}"#, "unknown variant `slave`"),
            (r#"{"address":"a","state":"up"}"#, "unknown variant `up`"),
            (r#"{"address":"a","role":"standby"}"#, "missing field `state`"),
            (r#"{"role":"standby","state":"attached"}"#, "missing field `address`"),
            (r#"{"address":"a","port":0,"state":"detached"}"#, "expected a nonzero u16"),
            (r#"{"address":"a b","state":"detached"}"#, "\"a b\" names no node"),
            (r#"{"address":"2","state":"detached"}"#, "the address \"2\" is a node id"),
            (r#"{"address":"a:1","port":1,"state":"detached"}"#, "node a:1 has a port both"),
            (r#"{"address":"a","state":"attached"}"#, "node a is attached, and its role is missing"),
            (
                r#"{"address":"A.","state":"detached"},{"address":"a:5432","state":"detached"}"#,
                "A. and a:5432 are the same node",
            ),
            (
                r#"{"address":"::ffff:10.0.0.1","state":"detached"},{"address":"10.0.0.1","state":"detached"}"#,
                "::ffff:10.0.0.1 and 10.0.0.1 are the same node",
            ),
            (
                r#"{"address":"a","role":"primary","state":"attached"},{"address":"b","role":"primary","state":"attached"}"#,
                "a and b are both attached primaries",
            ),
        ] {
            let error = read(nodes).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
        let read = |json: &str| Truth::from_desired_state(json.as_bytes()).unwrap_err().to_string();
        assert_eq!(read(r#"{"schema_version":2,"nodes":{}}"#), "its schema_version is 2; this pcpctl reads 1");
        assert!(read(r#"{"nodes":[]}"#).contains("missing field `schema_version`"));
        assert!(read(r#"{"schema_version":1,"nodes":[],"mode":1}"#).contains("unknown field `mode`"));
        assert!(read("").contains("EOF"));
    }

    #[test]
    fn two_ports_of_one_host_are_two_nodes_and_a_detached_primary_is_one_of_any_number() {
        let nodes = r#"{"address":"a","port":1,"role":"primary","state":"detached"},
            {"address":"a","port":2,"role":"primary","state":"attached"}"#;
        assert_eq!(read(nodes), Ok(vec!["a:1 detached".to_owned(), "a:2 attached as the primary".to_owned()]));
    }
}
