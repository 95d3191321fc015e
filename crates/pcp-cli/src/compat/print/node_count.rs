//! `pcp_node_count`.

use pcp_proto::message::NodeCount;

use super::Detail;

/// Prints the number of nodes, the same in every form.
pub(in crate::compat) fn node_count(count: &NodeCount, detail: Detail) -> Vec<u8> {
    let NodeCount(count) = count;
    match detail {
        Detail::Brief => format!("{count}\n"),
        Detail::Verbose => format!("Node Count\n____________\n {count}\n"),
    }
    .into_bytes()
}
