//! What `follow` takes.

use std::str::FromStr;

use clap::Args;
use pcp_proto::NodeId;

use super::values::bare;
use super::{HelpArg, HookArgs, ends_after};

const FOLLOW_HELP: &str = concat!(
    "Examples:\n",
    "  follow_primary_command = '/usr/bin/pcpctl follow -U pcpadmin %d %P %m'\n",
    "  pcpctl follow 2 0 1 --dry-run    node 2 was set down when node 1 took over from node 0\n\n",
    exit_codes!()
);

#[derive(Debug, Args)]
#[command(disable_help_flag = true, after_help = FOLLOW_HELP, mut_arg("deadline", |arg| ends_after(arg, "30s")))]
pub(crate) struct FollowArgs {
    /// The id of the node that was set down: %d
    #[arg(value_name = "DETACHED_ID", allow_negative_numbers = true)]
    pub(crate) detached: DetachedId,
    /// The id of the old primary: %P. -1 or nothing where Pgpool does not know it
    #[arg(value_name = "OLD_PRIMARY_ID", allow_negative_numbers = true)]
    pub(crate) old_primary: PrimaryId,
    /// The id of the new primary: %m
    #[arg(
        value_name = "NEW_PRIMARY_ID",
        allow_negative_numbers = true,
        default_value = "",
        hide_default_value = true
    )]
    pub(crate) new_primary: PrimaryId,
    #[command(flatten)]
    pub(crate) hook: HookArgs,
    #[command(flatten)]
    pub(crate) help: HelpArg,
}

/// A node id, with blanks and quotes around it dropped.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct DetachedId(pub(crate) NodeId);

impl FromStr for DetachedId {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        node_id(text)?.map(Self).ok_or("it is no node: a node id is a number from 0 to 127")
    }
}

/// A node id, or nothing: Pgpool writes -1 or `""` for a node that it does not know.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct PrimaryId(pub(crate) Option<NodeId>);

impl FromStr for PrimaryId {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        node_id(text).map(Self)
    }
}

fn node_id(text: &str) -> Result<Option<NodeId>, &'static str> {
    match bare(text) {
        "" | "-1" => Ok(None),
        text => text.parse().map(Some).map_err(|_| "a node id is a number from 0 to 127"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_as_pgpool_writes_them() {
        for (text, id) in [("0", Some(0)), (" 2", Some(2)), ("127", Some(127)), ("\"1\"", Some(1)), ("-1", None)] {
            assert_eq!(text.parse(), Ok(PrimaryId(id.map(|id: usize| id.try_into().unwrap()))), "{text:?}");
        }
        for text in ["", " ", "\"\"", " -1"] {
            assert_eq!(text.parse(), Ok(PrimaryId(None)), "{text:?}");
            assert!(text.parse::<DetachedId>().is_err(), "{text:?}");
        }
        for text in ["128", "-2", "1a", "%P"] {
            assert!(text.parse::<PrimaryId>().is_err(), "{text:?}");
        }
    }
}
