use pcp_client::{Error, Inspection, Node, inspect};
use pcp_proto::Text;
use pcp_proto::message::{Delay, NodeInfo};
use serde::Serialize;

use super::read::{self, Answer};
use crate::args::ShowNodesArgs;
use crate::exit::Exit;
use crate::output::{chain, rounded};
use crate::page::{Cell, Column, Fit, Page, Shown, Style, Table, bytes, local_time, microseconds};
use crate::settings::Env;

pub(super) fn run(args: &ShowNodesArgs, env: Env<'_>) -> Exit {
    read::run(&args.read, env, async |pgpool| {
        let inspection = inspect(&pgpool.connect, pgpool.credentials, pgpool.settings.deadline).await?;
        Ok(Nodes::of(inspection))
    })
}

#[derive(Serialize)]
struct Nodes {
    server_age: String,
    nodes: Vec<NodeRow>,
}

/// A node. `null` is what this server does not tell.
#[derive(Serialize)]
pub(super) struct NodeRow {
    pub(super) id: u8,
    host: String,
    port: u16,
    attached: bool,
    status: Option<String>,
    role: Option<String>,
    quarantine: Option<bool>,
    pg_status: Option<String>,
    pg_role: Option<String>,
    weight: Option<f64>,
    replication_delay_bytes: Option<u64>,
    replication_delay_microseconds: Option<u64>,
    replication_state: Option<String>,
    replication_sync_state: Option<String>,
    pub(super) last_status_change_unix_seconds: Option<i64>,
    /// Why the fields that only node info tells are missing.
    pub(super) error: Option<String>,
}

impl Nodes {
    fn of(Inspection { view, infos }: Inspection) -> Self {
        let server_age = view.server.age.to_string();
        let nodes = view.nodes.iter().zip(infos).map(|(node, info)| NodeRow::of(node, info)).collect();
        Self { server_age, nodes }
    }
}

impl NodeRow {
    pub(super) fn of(node: &Node, info: Result<NodeInfo, Error>) -> Self {
        let error = info.as_ref().err().map(|error| chain(error));
        let info = info.ok();
        let delay = info.as_ref().and_then(NodeInfo::replication_delay);
        let text = |field: fn(&NodeInfo) -> &Option<Text>| {
            let text = info.as_ref().and_then(|info| field(info).as_ref())?;
            (!text.is_empty()).then(|| text.to_string())
        };
        Self {
            id: node.id.get(),
            host: node.host.to_string(),
            port: node.port,
            attached: node.is_attached(),
            status: node.status.map(|status| status.to_string()),
            role: node.role.map(|role| role.to_string()),
            quarantine: info.as_ref().and_then(|info| info.quarantine),
            pg_status: text(|info| &info.pg_status),
            pg_role: text(|info| &info.pg_role),
            weight: info.as_ref().map(|info| rounded(info.weight_share(), 6)),
            replication_delay_bytes: match delay {
                Some(Delay::Bytes(bytes)) => Some(bytes),
                _ => None,
            },
            replication_delay_microseconds: match delay {
                Some(Delay::Microseconds(microseconds)) => Some(microseconds),
                _ => None,
            },
            replication_state: text(|info| &info.repl_state),
            replication_sync_state: text(|info| &info.sync_state),
            last_status_change_unix_seconds: info
                .as_ref()
                .and_then(|info| info.changed)
                .filter(|&changed| changed != 0),
            error,
        }
    }

    pub(super) fn address(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    pub(super) fn status(&self) -> Cell {
        status_cell(self.status.as_deref(), self.quarantine == Some(true))
    }

    pub(super) fn role(&self) -> Cell {
        role_cell(self.role.as_deref())
    }

    pub(super) fn pg_status(&self) -> Cell {
        let is_down = self.pg_status.as_deref() == Some("down");
        Cell::some(self.pg_status.as_ref()).in_style(if is_down { Style::Red } else { Style::Plain })
    }

    pub(super) fn pg_role(&self) -> Cell {
        let disagrees = self.roles_disagree();
        Cell::some(self.pg_role.as_ref()).in_style(if disagrees { Style::Yellow } else { Style::Plain })
    }

    pub(super) fn weight(&self) -> Option<String> {
        self.weight.map(|weight| format!("{weight:.3}"))
    }

    pub(super) fn delay(&self) -> Option<String> {
        self.replication_delay_bytes.map(bytes).or_else(|| self.replication_delay_microseconds.map(microseconds))
    }

    pub(super) fn replication(&self) -> String {
        let words = [&self.replication_state, &self.replication_sync_state];
        words.into_iter().flatten().map(String::as_str).collect::<Vec<_>>().join(" ")
    }

    fn cells(&self) -> [Cell; 10] {
        [
            Cell::new(self.id),
            Cell::new(self.address()),
            self.status(),
            self.role(),
            self.pg_status(),
            self.pg_role(),
            Cell::some(self.weight()),
            Cell::some(self.delay()),
            Cell::new(self.replication()),
            Cell::some(self.last_status_change_unix_seconds.map(local_time)),
        ]
    }

    fn roles_disagree(&self) -> bool {
        let known = |role: &Option<String>| role.clone().filter(|role| ["primary", "standby"].contains(&&**role));
        matches!((known(&self.role), known(&self.pg_role)), (Some(role), Some(pg_role)) if role != pg_role)
    }

    /// Says where Pgpool and PostgreSQL do not see the same.
    pub(super) fn remarks(&self) -> Vec<String> {
        let mut remarks = Vec::new();
        let role = self.pg_role.as_deref().unwrap_or("unknown");
        match (self.attached, self.pg_status.as_deref()) {
            (true, Some("down")) => remarks.push("up for Pgpool, but PostgreSQL does not answer it".to_owned()),
            (false, Some("up")) => {
                remarks.push(format!("not up for Pgpool, but PostgreSQL answers it (role {role})"))
            }
            _ => {}
        }
        if self.attached && self.roles_disagree() {
            let believed = self.role.as_deref().unwrap_or("unknown");
            remarks.push(format!("the {believed} for Pgpool, but PostgreSQL is a {role}"));
        }
        if !self.attached && self.role.as_deref() == Some("primary") {
            remarks.push("not up and still the primary: Pgpool is searching for another one".to_owned());
        }
        if let Some(error) = &self.error {
            remarks.push(format!("Pgpool did not tell its live state: {error}"));
        }
        remarks
    }
}

/// Shows what Pgpool does with a node.
pub(super) fn status_cell(status: Option<&str>, quarantine: bool) -> Cell {
    match status {
        _ if quarantine => Cell::new("quarantine").in_style(Style::Yellow),
        Some("waiting") => Cell::new("up (waiting)"),
        Some("down") => Cell::new("down").in_style(Style::Red),
        status => Cell::some(status),
    }
}

/// Shows what Pgpool takes a node for.
pub(super) fn role_cell(role: Option<&str>) -> Cell {
    Cell::some(role).in_style(if role == Some("primary") { Style::Bold } else { Style::Plain })
}

impl Answer for Nodes {
    fn text(&self, page: Page) -> Shown {
        let drop = |rank| Fit::Drop { rank };
        let mut table = Table::new([
            Column::new("ID"),
            Column::that("ADDRESS", Fit::Shorten { rank: 6, least: 16 }),
            Column::new("STATUS"),
            Column::new("ROLE"),
            Column::that("PG STATUS", drop(5)),
            Column::that("PG ROLE", drop(4)),
            Column::that("WEIGHT", drop(1)),
            Column::that("DELAY", drop(3)),
            Column::that("REPLICATION", drop(2)),
            Column::that("LAST CHANGE", drop(0)),
        ]);
        self.nodes.iter().for_each(|node| table.row(node.cells()));
        let mut text = table.show(page);
        for node in &self.nodes {
            for remark in node.remarks() {
                text.push_line(page.paint(Style::Yellow, format_args!("node {}: {remark}", node.id)));
            }
        }
        text
    }
}
