use pcp_client::{NodeName, Proof, Want};
use pcp_proto::NodeId;

use super::hook::{self, Hook};
use super::start::Pgpools;
use crate::args::FollowArgs;
use crate::exit::Exit;
use crate::settings::Env;
use crate::verdict::Matter;

pub(super) fn run(args: &FollowArgs, env: Env<'_>) -> Exit {
    let (node, old, new) = (args.detached.0, args.old_primary.0, args.new_primary.0);
    let (proof, left_alone) = match judge(node, old, new) {
        Decision::LeaveAlone(reason) => (Proof::InRecovery, Some(reason)),
        Decision::Attach(proof) => (proof, None),
    };
    hook::run(
        Hook {
            matter: Matter {
                verb: "follow",
                node: &NodeName::Id(node),
                want: Want::Follower(proof),
                failed: old.map(NodeName::Id).as_ref(),
            },
            default_limit: hook::FOLLOW_LIMIT,
            pgpools: Pgpools::Caller,
            left_alone,
        },
        &args.hook,
        env,
    )
}

/// What becomes of a node that was set down.
#[derive(Debug, Eq, PartialEq)]
enum Decision {
    LeaveAlone(&'static str),
    Attach(Proof),
}

/// Judges by the ids alone. Pgpool sets every node but the new primary down, the old one included, and may have
/// forgotten which that was, or take the new one for it when its own failover came on top.
fn judge(node: NodeId, old: Option<NodeId>, new: Option<NodeId>) -> Decision {
    if new == Some(node) {
        return Decision::LeaveAlone("it is the new primary");
    }
    match old {
        Some(old) if old == node => Decision::LeaveAlone("it is the old primary"),
        Some(old) if new != Some(old) => Decision::Attach(Proof::Answers),
        _ => Decision::Attach(Proof::InRecovery),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_attached_on_its_answer_only_where_the_old_primary_is_another_one() {
        let judged = |node: usize, old: i8, new: i8| {
            let id = |id: i8| usize::try_from(id).ok().map(|id| id.try_into().unwrap());
            judge(node.try_into().unwrap(), id(old), id(new))
        };
        use Decision::{Attach, LeaveAlone};
        for (ids, decision) in [
            ((2, 0, 1), Attach(Proof::Answers)),
            ((2, 0, -1), Attach(Proof::Answers)),
            ((0, 0, 1), LeaveAlone("it is the old primary")),
            ((1, 0, 1), LeaveAlone("it is the new primary")),
            ((1, 1, 1), LeaveAlone("it is the new primary")),
            // Forgotten, or Pgpool's own failover came on top of the manager's.
            ((0, -1, 1), Attach(Proof::InRecovery)),
            ((0, 1, 1), Attach(Proof::InRecovery)),
            ((0, -1, -1), Attach(Proof::InRecovery)),
        ] {
            assert_eq!(judged(ids.0, ids.1, ids.2), decision, "{ids:?}");
        }
    }
}
