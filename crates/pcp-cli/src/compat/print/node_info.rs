//! `pcp_node_info`.

use pcp_proto::Text;
use pcp_proto::message::{Delay, NodeInfo, NodeInfos, NodeRole, NodeStatus};

use super::row::{Cell, Style, shown, write};
use super::{Detail, Rows, local_time};
use crate::compat::form::Form;

/// Prints nodes. A form that is newer than the server says `unknown` for what the server does not tell.
pub(in crate::compat) fn node_infos(infos: &NodeInfos, form: Form, detail: Detail, rows: Rows) -> Vec<u8> {
    let mut out = Vec::new();
    for node in infos.nodes.iter().filter(|node| rows == Rows::All || !node.host.is_empty()) {
        write(&mut out, &row(node, form, detail), detail, Style::of(form));
    }
    if out.is_empty() {
        out.extend(b"No node information available\n\n");
    }
    out
}

fn row(node: &NodeInfo, form: Form, detail: Detail) -> Vec<Cell> {
    let since = |major, minor| form.is_at_least(major, minor);
    let mut row = vec![
        ("Hostname", node.host.as_bytes().to_vec()),
        ("Port", shown(node.port)),
        ("Status", shown(node.status.code())),
        ("Weight", shown(format_args!("{:.6}", node.weight_share()))),
    ];
    if since(3, 6) {
        row.push(("Status Name", status_name(node)));
    }
    if since(4, 3) {
        row.push(("Backend Status Name", text(node.pg_status.as_ref(), "unknown")));
    }
    if since(3, 7) {
        row.push(("Role", role_name(node.role, form).into()));
    }
    if since(4, 3) {
        row.push(("Backend Role", text(node.pg_role.as_ref(), "unknown")));
    }
    if since(4, 0) {
        row.push(("Replication Delay", delay(node, form, detail)));
    }
    if since(4, 1) {
        // Before, a state that is not there is nothing between two blanks.
        let none = if since(4, 3) { "none" } else { "" };
        let state = |state: &Option<Text>| text(state.as_ref().filter(|state| !state.is_empty()), none);
        row.push(("Replication State", state(&node.repl_state)));
        row.push(("Replication Sync State", state(&node.sync_state)));
    }
    if since(4, 0) {
        row.push(("Last Status Change", local_time(node.changed.unwrap_or_default()).into_bytes()));
    }
    row
}

fn text(text: Option<&Text>, otherwise: &str) -> Vec<u8> {
    text.map_or(otherwise.as_bytes(), Text::as_bytes).to_vec()
}

fn status_name(node: &NodeInfo) -> Vec<u8> {
    match node.status {
        NodeStatus::Down if node.quarantine == Some(true) => b"quarantine".to_vec(),
        NodeStatus::Other(_) => b"unknown".to_vec(),
        status => shown(status),
    }
}

fn role_name(role: Option<NodeRole>, form: Form) -> &'static str {
    match role {
        Some(NodeRole::Main) if form.is_at_least(4, 2) => "main",
        Some(NodeRole::Main) => "master",
        Some(NodeRole::Replica) if form.is_at_least(4, 2) => "replica",
        Some(NodeRole::Replica) => "slave",
        Some(NodeRole::Primary) => "primary",
        Some(NodeRole::Standby) => "standby",
        Some(NodeRole::Other(_)) | None => "unknown",
    }
}

/// Shows the delay; one in microseconds as seconds since 4.4, with the few digits that the tool's `float` has.
fn delay(node: &NodeInfo, form: Form, detail: Detail) -> Vec<u8> {
    match node.replication_delay() {
        Some(Delay::Microseconds(delay)) if form.is_at_least(4, 4) => {
            let unit = match detail {
                Detail::Brief => "",
                Detail::Verbose if delay >= 2_000_000 => " seconds",
                Detail::Verbose => " second",
            };
            #[allow(clippy::cast_precision_loss, reason = "so does the tool")]
            let seconds = delay as f32 / 1_000_000.0;
            shown(format_args!("{seconds:.6}{unit}"))
        }
        Some(Delay::Microseconds(delay) | Delay::Bytes(delay)) => shown(delay),
        None => b"0".to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use pcp_proto::message::NodeInfoLayout;

    use super::*;

    fn line(node: NodeInfo, form: &str, detail: Detail) -> String {
        let infos = NodeInfos { layout: NodeInfoLayout::NEWEST, nodes: vec![node] };
        String::from_utf8(node_infos(&infos, form.parse().unwrap(), detail, Rows::InUse)).unwrap()
    }

    fn node() -> NodeInfo {
        NodeInfo {
            host: "pg1".into(),
            port: 5432,
            status: NodeStatus::Down,
            quarantine: Some(true),
            weight: 715_827_882.333_333,
            role: Some(NodeRole::Replica),
            delay_by_time: Some(true),
            delay: Some(16_777_217),
            ..NodeInfo::default()
        }
    }

    #[test]
    fn a_server_can_be_shown_in_every_form() {
        for (form, start) in [
            ("3.5", "pg1 5432 3 0.333333\n"),
            ("3.6", "pg1 5432 3 0.333333 quarantine\n"),
            ("3.7", "pg1 5432 3 0.333333 quarantine slave\n"),
            ("4.0", "pg1 5432 3 0.333333 quarantine slave 16777217 1"),
            ("4.1", "pg1 5432 3 0.333333 quarantine slave 16777217   1"),
            ("4.2", "pg1 5432 3 0.333333 quarantine replica 16777217   1"),
            ("4.3", "pg1 5432 3 0.333333 quarantine unknown replica unknown 16777217 none none 1"),
            ("4.4", "pg1 5432 3 0.333333 quarantine unknown replica unknown 16.777216 none none 1"),
        ] {
            let line = line(node(), form, Detail::Brief);
            assert!(line.starts_with(start), "{form}: {line}");
        }
    }

    #[test]
    fn a_delay_has_a_unit_where_there_is_room() {
        let shown = |delay| line(NodeInfo { delay: Some(delay), ..node() }, "4.7", Detail::Verbose);
        assert!(shown(2_000_000).contains("Replication Delay      : 2.000000 seconds\n"), "{}", shown(2_000_000));
        assert!(shown(1_999_999).contains(": 1.999999 second\n"), "{}", shown(1_999_999));
    }

    #[test]
    fn nothing_is_said_to_be_nothing() {
        let text = line(NodeInfo::default(), "4.7", Detail::Brief);
        assert_eq!(text, "No node information available\n\n");
    }
}
