use pcp_client::{Error, Inspection, Node, inspect};
use pcp_proto::Text;
use pcp_proto::message::{Delay, NodeInfo};
use serde::Serialize;

use super::read::{self, Answer};
use crate::args::ShowNodesArgs;
use crate::exit::Exit;
use crate::output::{chain, rounded, table};
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
struct NodeRow {
    id: u8,
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
    last_status_change_unix_seconds: Option<i64>,
    /// Why the fields that only node info tells are missing.
    error: Option<String>,
}

impl Nodes {
    fn of(Inspection { view, infos }: Inspection) -> Self {
        let server_age = view.server.age.to_string();
        let nodes = view.nodes.iter().zip(infos).map(|(node, info)| NodeRow::of(node, info)).collect();
        Self { server_age, nodes }
    }
}

impl NodeRow {
    fn of(node: &Node, info: Result<NodeInfo, Error>) -> Self {
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

    fn cells(&self) -> Vec<String> {
        let word = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        let status = match (self.quarantine, self.status.as_deref()) {
            (Some(true), _) => "quarantine".to_owned(),
            (_, Some("waiting")) => "up (waiting)".to_owned(),
            _ => word(&self.status),
        };
        let delay = match (self.replication_delay_bytes, self.replication_delay_microseconds) {
            (Some(bytes), _) => format!("{bytes} B"),
            (None, Some(microseconds)) => format!("{microseconds} µs"),
            (None, None) => "-".to_owned(),
        };
        let replication = [&self.replication_state, &self.replication_sync_state];
        let replication: Vec<_> = replication.into_iter().flatten().map(String::as_str).collect();
        vec![
            self.id.to_string(),
            format!("{}:{}", self.host, self.port),
            status,
            word(&self.role),
            word(&self.pg_status),
            word(&self.pg_role),
            self.weight.map_or_else(|| "-".to_owned(), |weight| format!("{weight:.3}")),
            delay,
            if replication.is_empty() { "-".to_owned() } else { replication.join(" ") },
        ]
    }
}

impl Answer for Nodes {
    fn text(&self) -> String {
        let titles = ["ID", "ADDRESS", "STATUS", "ROLE", "PG STATUS", "PG ROLE", "WEIGHT", "DELAY", "REPLICATION"];
        let mut text = table(&titles, self.nodes.iter().map(NodeRow::cells));
        for node in &self.nodes {
            if let Some(error) = &node.error {
                text.push_str(&format!("\nnode {}: Pgpool did not tell its live state: {error}", node.id));
            }
        }
        text
    }
}
