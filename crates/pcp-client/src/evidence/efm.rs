//! EFM as a witness.

use futures_util::future::join_all;
use tokio::time::timeout;

use super::{Evidence, LIMIT, Recovery, port};
use crate::truth::{Database, EfmStatus, Member, MemberType};
use crate::{Node, NodeName, resolve};

/// Tells what EFM saw when its status was read: a standby whose database is up is in recovery, a primary whose
/// database is up is not.
///
/// Of a status in which not more than half of the members are there, nothing is believed.
#[derive(Clone, Debug)]
pub struct EfmEvidence {
    /// The status, as it was read.
    pub status: EfmStatus,
    /// The port of the databases, as `db.port` in `efm.properties`. Without it every node on a member's host is taken
    /// for the member's database.
    pub port: Option<u16>,
}

impl Evidence for EfmEvidence {
    /// Asks the node's port: EFM's word is not needed for that.
    async fn answers(&self, node: &Node) -> bool {
        port::answers(node).await
    }

    async fn recovery(&self, node: &Node) -> Recovery {
        if let Err(doubt) = self.status.has_majority() {
            return Recovery::unknown(doubt);
        }
        let Ok(members) = timeout(LIMIT, self.members_at(node)).await else {
            return Recovery::unknown("looking up the names of EFM's members took too long");
        };
        match members[..] {
            [member] => told(member),
            [] => Recovery::unknown(format_args!("EFM has no member {}", node.host)),
            _ => Recovery::unknown(format_args!("several of EFM's members may be {}", node.address())),
        }
    }
}

impl EfmEvidence {
    /// Returns the members that may be this node, by the rules by which names mean nodes.
    async fn members_at(&self, node: &Node) -> Vec<&Member> {
        let is_node = async |member: &Member| {
            let name = NodeName::Address { host: member.address.clone(), port: self.port };
            resolve(&name, std::slice::from_ref(node)).await.is_ok()
        };
        let members = &self.status.members;
        let found = join_all(members.iter().map(is_node)).await;
        members.iter().zip(found).filter(|(_, found)| *found).map(|(member, _)| member).collect()
    }
}

fn told(member: &Member) -> Recovery {
    match (&member.member_type, &member.database) {
        (MemberType::Standby, Database::Up) if member.is_present() => Recovery::InRecovery,
        (MemberType::Primary, Database::Up) if member.is_present() => Recovery::NotInRecovery,
        _ => Recovery::unknown(format_args!(
            "EFM shows {} neither as a standby nor as a primary whose database is up",
            member.address
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::node;
    use super::*;

    fn evidence(rows: &str, port: Option<u16>) -> EfmEvidence {
        let json = format!("{{\"nodes\":{{{rows}}},\"allowednodes\":[\"10.0.0.1\",\"10.0.0.2\",\"10.0.0.3\"]}}");
        EfmEvidence { status: EfmStatus::parse(json.as_bytes()).unwrap(), port }
    }

    const ROWS: &str = r#""10.0.0.1":{"type":"Primary","db":"UP"},
        "10.0.0.2":{"type":"Standby","db":"UP"},
        "10.0.0.3":{"type":"Standby","db":"UNKNOWN"},
        "10.0.0.4":{"type":"Idle","db":"UP"},
        "10.0.0.5":{"type":"Standby","db":"UP","agent":"DOWN"}"#;

    #[tokio::test]
    async fn members_whose_databases_are_up_are_what_they_are() {
        let evidence = evidence(ROWS, Some(5444));
        assert_eq!(evidence.recovery(&node("10.0.0.1", 5444)).await, Recovery::NotInRecovery);
        assert_eq!(evidence.recovery(&node("::ffff:10.0.0.2", 5444)).await, Recovery::InRecovery);
        for (host, port, expected) in [
            ("10.0.0.3", 5444, "EFM shows 10.0.0.3 neither"),
            ("10.0.0.4", 5444, "EFM shows 10.0.0.4 neither"),
            ("10.0.0.5", 5444, "EFM shows 10.0.0.5 neither"),
            ("10.0.0.6", 5444, "EFM has no member 10.0.0.6"),
            ("10.0.0.1", 5445, "EFM has no member 10.0.0.1"),
        ] {
            let recovery = evidence.recovery(&node(host, port)).await;
            assert!(matches!(&recovery, Recovery::Unknown { reason } if reason.contains(expected)), "{recovery:?}");
        }
    }

    #[tokio::test]
    async fn without_a_port_every_node_of_the_host_counts() {
        let evidence = evidence(ROWS, None);
        assert_eq!(evidence.recovery(&node("10.0.0.2", 5445)).await, Recovery::InRecovery);
    }

    #[tokio::test]
    async fn an_isolated_efm_proves_nothing() {
        let evidence = evidence(r#""10.0.0.2":{"type":"Standby","db":"UP"}"#, None);
        let recovery = evidence.recovery(&node("10.0.0.2", 5444)).await;
        assert!(
            matches!(&recovery, Recovery::Unknown { reason } if reason.contains("1 of 3 members")),
            "{recovery:?}"
        );
    }

    #[tokio::test]
    async fn two_members_that_may_be_the_node_prove_nothing() {
        let rows = r#""localhost":{"type":"Standby","db":"UP"},"127.0.0.1":{"type":"Primary","db":"UP"},
            "10.0.0.1":{"type":"Witness"}"#;
        let recovery = evidence(rows, None).recovery(&node("127.0.0.1", 5444)).await;
        assert!(matches!(&recovery, Recovery::Unknown { reason } if reason.contains("several")), "{recovery:?}");
    }
}
