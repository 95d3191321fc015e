//! What the cluster should look like, from elsewhere than Pgpool.
//!
//! A [`Truth`] comes from a file that somebody wrote ([`Truth::from_desired_state`]) or from what EFM says
//! ([`EfmStatus`], [`agreed`]). What EFM says is acted on only where an isolated host could not say the same.

mod desired;
mod doubt;
mod efm;
#[cfg(feature = "efm")]
mod efm_command;
pub(crate) mod loose_json;

use std::net::IpAddr;

use crate::converge::Want;
use crate::resolve::NodeName;

pub use desired::DesiredStateError;
pub use doubt::{Doubt, agreed};
pub use efm::{Agent, Database, EfmStatus, EfmStatusError, Member, MemberType};
#[cfg(feature = "efm")]
pub use efm_command::{EfmCommand, EfmCommandError};

/// The state that the nodes should have. Nodes that it does not name are left alone.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Truth {
    /// In the order in which they are to be brought about, see [`Truth::goals`].
    goals: Vec<(NodeName, Want)>,
}

impl Truth {
    fn new(mut goals: Vec<(NodeName, Want)>) -> Self {
        goals.sort_by_cached_key(|(name, want)| (turn(*want), sort_key(name)));
        Self { goals }
    }

    /// Returns every node with its wanted state, in the order in which to bring them about: dead nodes are detached
    /// first, then the primary is attached, then the standbys, of which none then waits for a primary.
    ///
    /// The names are addresses. A node to be detached that a Pgpool does not have is as it should be there: EFM also
    /// lists witnesses that are gone, without telling what they were.
    pub fn goals(&self) -> &[(NodeName, Want)] {
        &self.goals
    }

    /// Tells whether both want the same of the same nodes.
    pub fn agrees_with(&self, other: &Self) -> bool {
        let same = |(ours, theirs): (&(NodeName, Want), &(NodeName, Want))| {
            ours.1 == theirs.1 && is_same_node(&ours.0, &theirs.0)
        };
        self.goals.len() == other.goals.len() && self.goals.iter().zip(&other.goals).all(same)
    }
}

fn turn(want: Want) -> u8 {
    match want {
        Want::Detached => 0,
        Want::Primary => 1,
        Want::Standby | Want::Attached | Want::Follower(_) => 2,
    }
}

fn sort_key(name: &NodeName) -> (String, Option<u16>) {
    match name {
        NodeName::Address { host, port } => (canonical(host), *port),
        NodeName::Id(id) => (id.to_string(), None),
    }
}

/// Tells whether two names cannot mean different nodes but by their ports: the same text, ignoring case and a final
/// dot, or the same IP address; and the same port, or none on either side.
fn is_same_node(a: &NodeName, b: &NodeName) -> bool {
    match (a, b) {
        (NodeName::Address { host: a, port: a_port }, NodeName::Address { host: b, port: b_port }) => {
            a_port.is_none_or(|port| b_port.is_none_or(|other| port == other)) && canonical(a) == canonical(b)
        }
        _ => a == b,
    }
}

/// Spells a host in one way.
fn canonical(host: &str) -> String {
    match host.parse::<IpAddr>() {
        Ok(address) => address.to_canonical().to_string(),
        Err(_) => host.trim_end_matches('.').to_ascii_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn truth(goals: &[(&str, Want)]) -> Truth {
        Truth::new(goals.iter().map(|(name, want)| (name.parse().unwrap(), *want)).collect())
    }

    #[test]
    fn the_dead_go_first_and_no_standby_waits_for_the_primary() {
        let truth = truth(&[
            ("pg4", Want::Standby),
            ("pg3", Want::Standby),
            ("pg2", Want::Primary),
            ("pg1", Want::Detached),
        ]);
        let shown: Vec<_> = truth.goals().iter().map(|(name, want)| format!("{name} {want}")).collect();
        assert_eq!(
            shown,
            [
                "pg1 detached",
                "pg2 attached as the primary",
                "pg3 attached as a standby",
                "pg4 attached as a standby"
            ]
        );
    }

    #[test]
    fn two_truths_agree_only_where_every_node_does() {
        let one = truth(&[("pg1", Want::Detached), ("10.0.0.2:5444", Want::Primary)]);
        for (other, agrees) in [
            (vec![("10.0.0.2:5444", Want::Primary), ("PG1.", Want::Detached)], true),
            (vec![("::ffff:10.0.0.2", Want::Primary), ("pg1", Want::Detached)], true),
            (vec![("[::ffff:10.0.0.2]:5444", Want::Primary), ("pg1", Want::Detached)], true),
            (vec![("10.0.0.2:5445", Want::Primary), ("pg1", Want::Detached)], false),
            (vec![("10.0.0.3:5444", Want::Primary), ("pg1", Want::Detached)], false),
            (vec![("10.0.0.2:5444", Want::Standby), ("pg1", Want::Detached)], false),
            (vec![("10.0.0.2:5444", Want::Primary)], false),
            (vec![("10.0.0.2:5444", Want::Primary), ("pg1", Want::Detached), ("pg3", Want::Standby)], false),
        ] {
            assert_eq!(one.agrees_with(&truth(&other)), agrees, "{other:?}");
            assert_eq!(truth(&other).agrees_with(&one), agrees, "{other:?}");
        }
    }
}
