use jiff::Timestamp;
use pcp_client::{Client, ErrorKind, inspect_node, observe, resolve};
use pcp_proto::message::{PoolStatus, ReadHealthCheckStats, ReadPoolStatus};
use serde::Serialize;

use super::read::{self, Answer, Pgpool, Unread};
use super::show_health::NodeHealth;
use super::show_nodes::NodeRow;
use crate::args::{NodeArg, ShowNodeArgs};
use crate::exit::Exit;
use crate::output;
use crate::page::{Cell, Column, Page, Shown, Style, Table, ago, local_time};
use crate::settings::{Env, Layer};

pub(super) fn run(args: &ShowNodeArgs, env: Env<'_>) -> Exit {
    let mut flags = Layer::from_flags(&args.read.connection);
    flags.backend_port = args.backend_port;
    read::run_with(flags, &args.read, env, async |pgpool| ask(&pgpool, &args.node).await)
}

/// Asks for what Pgpool has in memory first, and then for what it may have to ask the node.
async fn ask(pgpool: &Pgpool<'_>, name: &NodeArg) -> Result<OneNode, Unread> {
    let deadline = pgpool.settings.deadline;
    let mut client = Client::connect(&pgpool.connect, pgpool.credentials, deadline).await?;
    let view = observe(&mut client).await?;
    let node = resolve(&pgpool.settings.node(name.0.clone()), &view.nodes)
        .await
        .map_err(|error| Unread { exit: Exit::Node, reason: output::chain(&error) })?;
    let (settings, stats) = client.finish((ReadPoolStatus, ReadHealthCheckStats { node: node.id })).await;
    let settings = settings?;
    let stats = match stats {
        Err(error) if error.kind() == ErrorKind::Unsupported => None,
        stats => Some(stats?),
    };
    let info = inspect_node(&pgpool.connect, pgpool.credentials, deadline, node.id).await;
    Ok(OneNode {
        server_age: view.server.age.to_string(),
        settings: NodeSettings::of(&settings, node.id.get()),
        health: stats.map(|stats| NodeHealth::of(stats, &settings)),
        node: NodeRow::of(node, info),
    })
}

#[derive(Serialize)]
struct OneNode {
    server_age: String,
    node: NodeRow,
    settings: NodeSettings,
    /// `null` before 4.2.
    health: Option<NodeHealth>,
}

/// What is configured for the node.
#[derive(Serialize)]
struct NodeSettings {
    backend_flag: Option<String>,
    backend_application_name: Option<String>,
    backend_data_directory: Option<String>,
}

impl NodeSettings {
    fn of(status: &PoolStatus, id: u8) -> Self {
        let value = |name: &str| status.value(&format!("{name}{id}")).map(ToString::to_string);
        Self {
            backend_flag: value("backend_flag"),
            backend_application_name: value("backend_application_name"),
            backend_data_directory: value("backend_data_directory"),
        }
    }
}

impl Answer for OneNode {
    fn text(&self, page: Page) -> Shown {
        let node = &self.node;
        let mut table = Table::new([Column::new("NODE"), Column::new(node.id.to_string())]);
        let mut row = |name: &str, cell: Cell| {
            if cell.is_some() {
                table.row([Cell::new(name), cell]);
            }
        };
        row("address", Cell::new(node.address()));
        row("status", node.status());
        row("role", node.role());
        row("PostgreSQL's status", node.pg_status());
        row("PostgreSQL's role", node.pg_role());
        row("replication", Cell::new(node.replication()));
        row("delay", Cell::some(node.delay()));
        row("weight", Cell::some(node.weight()));
        let changed = node.last_status_change_unix_seconds;
        row(
            "last change",
            Cell::some(changed.map(|at| format!("{} ({})", local_time(at), ago(at, Timestamp::now())))),
        );
        let settings = &self.settings;
        row("flag", Cell::some(settings.backend_flag.as_ref()));
        row("application name", Cell::some(settings.backend_application_name.as_ref()));
        row("data directory", Cell::some(settings.backend_data_directory.as_ref()));
        match &self.health {
            None => {}
            Some(health) if health.is_off() => row("health checks", Cell::new("off (health_check_period is 0)")),
            Some(health) => {
                row("health checks", Cell::new(health.counts()));
                row("retries", Cell::new(health.retries()));
                let durations = health.durations();
                let durations = durations.map(|[least, mean, most]| format!("{mean} ms ({least} to {most})"));
                row("duration", Cell::some(durations));
                for (name, time) in health.lasts() {
                    let time = time.map(|time| format!("{time} (the time of Pgpool's host)"));
                    row(&name.to_lowercase(), Cell::some(time));
                }
            }
        }
        let mut text = table.show(page);
        for remark in node.remarks() {
            text.push_line(page.paint(Style::Yellow, remark));
        }
        text
    }
}
