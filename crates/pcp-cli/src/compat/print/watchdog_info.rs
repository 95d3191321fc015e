//! `pcp_watchdog_info`.

use pcp_proto::message::{WatchdogCluster, WatchdogMember};

use super::Detail;
use super::row::{Cell, Style, shown, write};
use crate::compat::form::Form;

/// Prints the watchdog's cluster.
pub(in crate::compat) fn watchdog_info(cluster: &WatchdogCluster, form: Form, detail: Detail) -> Vec<u8> {
    const STYLE: Style = Style { separator: ": ", end: "\n" };
    let mut out = Vec::new();
    match detail {
        Detail::Brief => {
            write(&mut out, &summary(cluster, form), detail, STYLE);
            out.push(b'\n');
            for member in &cluster.members {
                write(&mut out, &brief(member, form), detail, STYLE);
            }
        }
        Detail::Verbose => {
            out.extend(b"Watchdog Cluster Information \n");
            write(&mut out, &state(cluster, form), detail, STYLE);
            out.extend(b"Watchdog Node Information \n");
            for member in &cluster.members {
                write(&mut out, &verbose(member, form), detail, STYLE);
            }
        }
    }
    out
}

/// The first line without `-v`. Its values have no titles.
fn summary(cluster: &WatchdogCluster, form: Form) -> Vec<Cell> {
    let mut row = vec![("", shown(with_this_one(number(cluster.remote_node_count))))];
    if form.is_at_least(4, 3) {
        row.push(("", shown(with_this_one(cluster.member_remote_node_count.unwrap_or(-1)))));
    }
    row.push(("", yes_or_no(cluster.escalated)));
    row.push(("", text(&cluster.leader_node_name)));
    row.push(("", text(&cluster.leader_host_name)));
    row
}

fn brief(member: &WatchdogMember, form: Form) -> Vec<Cell> {
    let mut row = vec![
        ("", text(&member.node_name)),
        ("", text(&member.host_name)),
        ("", shown(number(member.pgpool_port))),
        ("", shown(number(member.wd_port))),
        ("", shown(number(member.state))),
        ("", text(&member.state_name)),
    ];
    if form.is_at_least(4, 3) {
        row.push(("", shown(number(member.membership))));
        row.push(("", membership(member)));
    }
    row
}

fn state(cluster: &WatchdogCluster, form: Form) -> Vec<Cell> {
    let quorum = ("Quorum state", quorum(cluster.quorum_status, form).into());
    let alive = shown(number(cluster.alive_node_count));
    let remote = number(cluster.remote_node_count);
    let mut rows = vec![("Total Nodes", shown(with_this_one(remote))), ("Remote Nodes", shown(remote))];
    if form.is_at_least(4, 3) {
        rows.push(("Member Remote Nodes", shown(cluster.member_remote_node_count.unwrap_or(-1))));
        rows.push(("Alive Remote Nodes", alive));
        rows.push(("Nodes required for quorum", shown(cluster.nodes_require_for_quorum.unwrap_or(-1))));
        rows.push(quorum);
    } else {
        rows.push(quorum);
        rows.push(("Alive Remote Nodes", alive));
    }
    // Before 4.3 the longest title is shorter, and its word is padded by hand.
    let escalation = match (form.says_escalation(), form.is_at_least(4, 3)) {
        (true, _) => "Local node escalation",
        (false, true) => "VIP up on local node",
        (false, false) => "VIP up on local node ",
    };
    rows.push((escalation, yes_or_no(cluster.escalated)));
    let [name, host] = match form.is_at_least(4, 2) {
        true => ["Leader Node Name", "Leader Host Name"],
        false => ["Master Node Name", "Master Host Name"],
    };
    rows.push((name, text(&cluster.leader_node_name)));
    rows.push((host, text(&cluster.leader_host_name)));
    rows
}

fn verbose(member: &WatchdogMember, form: Form) -> Vec<Cell> {
    // As wide as the longest title of its time.
    let node_name = if form.is_at_least(4, 3) { "Node Name" } else { "Node Name      " };
    let mut row = vec![
        (node_name, text(&member.node_name)),
        ("Host Name", text(&member.host_name)),
        ("Delegate IP", text(&member.delegate_ip)),
        ("Pgpool port", shown(number(member.pgpool_port))),
        ("Watchdog port", shown(number(member.wd_port))),
        ("Node priority", shown(number(member.priority))),
        ("Status", shown(number(member.state))),
        ("Status Name", text(&member.state_name)),
    ];
    if form.is_at_least(4, 3) {
        row.push(("Membership Status ", membership(member)));
    }
    row
}

fn quorum(status: Option<i64>, form: Form) -> &'static str {
    match status {
        Some(0) => "QUORUM IS ON THE EDGE",
        Some(1) => "QUORUM EXIST",
        Some(-1) => "QUORUM ABSENT",
        Some(-2) if form.is_at_least(4, 2) => "NO LEADER NODE",
        Some(-2) if form.is_at_least(3, 7) => "NO MASTER NODE",
        _ => "UNKNOWN",
    }
}

/// What the tools say of a server that does not tell.
fn membership(member: &WatchdogMember) -> Vec<u8> {
    member.membership_string.as_deref().unwrap_or("NOT-Available").into()
}

fn yes_or_no(flag: Option<i64>) -> Vec<u8> {
    if number(flag) == 0 { b"NO".to_vec() } else { b"YES".to_vec() }
}

/// Counts the Pgpool that was asked as well.
fn with_this_one(others: i64) -> i64 {
    others.saturating_add(1)
}

fn number(number: Option<i64>) -> i64 {
    number.unwrap_or_default()
}

fn text(text: &Option<String>) -> Vec<u8> {
    text.as_deref().unwrap_or_default().into()
}
