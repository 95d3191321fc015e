//! `pcp_proc_info`.

use pcp_proto::Text;
use pcp_proto::message::{ProcessInfo, ProcessInfos, ProcessTime};

use super::row::{Cell, Style, shown, write};
use super::{Detail, Rows, local_time};
use crate::compat::form::Form;

/// Prints the slots of connection pools.
pub(in crate::compat) fn process_infos(infos: &ProcessInfos, form: Form, detail: Detail, rows: Rows) -> Vec<u8> {
    let style = match form.is_at_least(4, 3) {
        true => Style::of(form),
        // A format of its own.
        false => Style { separator: ": ", end: "" },
    };
    let mut out = Vec::new();
    for process in infos.processes.iter().filter(|process| rows == Rows::All || !process.is_free()) {
        let row = if form.is_at_least(4, 3) { row(process, form) } else { old_row(process, form, rows) };
        write(&mut out, &row, detail, style);
    }
    if out.is_empty() {
        out.extend(b"No process information available\n\n");
    }
    out
}

fn row(process: &ProcessInfo, form: Form) -> Vec<Cell> {
    let text = |text: &Option<Text>| text.as_ref().map_or(Vec::new(), |text| text.as_bytes().to_vec());
    let mut row = vec![
        ("Database", process.database.as_bytes().to_vec()),
        ("Username", process.username.as_bytes().to_vec()),
        ("Start time", time(&process.start_time)),
        ("Client connection count", process.client_connection_count.map_or(Vec::new(), shown)),
        ("Major", shown(process.majorversion)),
        ("Minor", shown(process.minorversion)),
        ("Backend connection time", time(&process.backend_connection_time)),
        ("Client connection time", text(&process.client_connection_time)),
        ("Client idle duration", text(&process.client_idle_duration)),
        ("Client disconnection time", text(&process.client_disconnection_time)),
        ("Pool Counter", shown(process.pool_counter)),
        ("Backend PID", shown(process.backend_pid)),
        ("Connected", flag(process.connected)),
        ("PID", shown(process.pid)),
        ("Backend ID", shown(process.backend_id)),
        ("Status", text(&process.status)),
    ];
    if form.is_at_least(4, 5) {
        row.push(("Load balance node", process.load_balance_node.map_or(Vec::new(), flag)));
    }
    if form.is_at_least(4, 7) {
        row.push(("client_host", text(&process.client_host)));
        row.push(("client_port", text(&process.client_port)));
        row.push(("statement", text(&process.statement)));
    }
    row
}

/// Before 4.3. Which process it is, 3.x tells only with `-a`.
fn old_row(process: &ProcessInfo, form: Form, rows: Rows) -> Vec<Cell> {
    let mut row = vec![
        ("Database", process.database.as_bytes().to_vec()),
        ("Username", process.username.as_bytes().to_vec()),
        ("Start time", time(&process.start_time)),
        ("Creation time", time(&process.backend_connection_time)),
        ("Major", shown(process.majorversion)),
        ("Minor", shown(process.minorversion)),
        ("Counter", shown(process.pool_counter)),
        ("Backend PID", shown(process.backend_pid)),
        ("Connected", flag(process.connected)),
    ];
    if form.is_at_least(4, 0) || rows == Rows::All {
        row.push(("PID", shown(process.pid)));
        row.push(("Backend ID", shown(process.backend_id)));
    }
    row
}

fn time(time: &ProcessTime) -> Vec<u8> {
    match time {
        ProcessTime::Unix(0) => Vec::new(),
        ProcessTime::Unix(seconds) => local_time(*seconds).into_bytes(),
        ProcessTime::Local(text) => text.as_bytes().to_vec(),
    }
}

fn flag(flag: bool) -> Vec<u8> {
    shown(u8::from(flag))
}
