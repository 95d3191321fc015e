use pcp_client::{Client, Error, observe, resolve};
use pcp_proto::message::{HealthCheckStats, PoolStatus, ReadHealthCheckStats, ReadPoolStatus};
use pcp_proto::{ServerAge, Text};
use serde::Serialize;

use super::read::{self, Answer, Unread};
use super::show_nodes::{role_cell, status_cell};
use crate::args::ShowHealthArgs;
use crate::exit::Exit;
use crate::output::{self, rounded};
use crate::page::{Cell, Column, Fit, Page, Shown, Style, Table};
use crate::settings::{Env, Layer};

pub(super) fn run(args: &ShowHealthArgs, env: Env<'_>) -> Exit {
    let mut flags = Layer::from_flags(&args.read.connection);
    flags.backend_port = args.backend_port;
    read::run_with(flags, &args.read, env, async |pgpool| {
        let mut client = Client::connect(&pgpool.connect, pgpool.credentials, pgpool.settings.deadline).await?;
        let chosen = match &args.node {
            None => None,
            Some(name) => {
                let view = observe(&mut client).await?;
                let node = resolve(&pgpool.settings.node(name.0.clone()), &view.nodes).await;
                Some(node.map_err(|error| Unread { exit: Exit::Node, reason: output::chain(&error) })?.id)
            }
        };
        let status = client.send(ReadPoolStatus).await?;
        let nodes = status.nodes().map_err(Error::from)?.into_iter().map(|node| node.id);
        let nodes = nodes.filter(|&node| chosen.is_none_or(|chosen| chosen == node));
        // The client knows the server's age from its pool status, and refuses what that is too old for.
        let requests: Vec<_> = nodes.map(|node| ReadHealthCheckStats { node }).collect();
        let stats = client.finish(requests).await.into_iter().collect::<Result<Vec<_>, Error>>()?;
        Ok(Health {
            server_age: ServerAge::of(&status).to_string(),
            nodes: stats.into_iter().map(|stats| NodeHealth::of(stats, &status)).collect(),
        })
    })
}

#[derive(Serialize)]
struct Health {
    server_age: String,
    nodes: Vec<NodeHealth>,
}

/// What the checks of a node came to. Times are those of the server's host, without a zone.
#[derive(Serialize)]
pub(super) struct NodeHealth {
    id: u8,
    host: String,
    port: u16,
    status: String,
    role: String,
    /// Zero: no checks are made.
    health_check_period_seconds: Option<i64>,
    total_count: u64,
    success_count: u64,
    fail_count: u64,
    skip_count: u64,
    retry_count: u64,
    average_retry_count: Option<f64>,
    max_retry_count: u64,
    max_duration_ms: u64,
    min_duration_ms: u64,
    average_duration_ms: Option<f64>,
    last_status_change_local: Option<String>,
    last_health_check_local: Option<String>,
    last_successful_health_check_local: Option<String>,
    last_skip_health_check_local: Option<String>,
    last_failed_health_check_local: Option<String>,
}

impl NodeHealth {
    pub(super) fn of(stats: HealthCheckStats, status: &PoolStatus) -> Self {
        let time = |text: Text| (!text.is_empty()).then(|| text.to_string());
        let average = |value: f64| value.is_finite().then(|| rounded(value, 6));
        let own_period = status.number(&format!("health_check_period{}", stats.node_id));
        Self {
            id: stats.node_id,
            host: stats.hostname.to_string(),
            port: stats.port,
            status: stats.status.to_string(),
            role: stats.role.to_string(),
            health_check_period_seconds: own_period.or_else(|| status.number("health_check_period")),
            total_count: stats.total_count,
            success_count: stats.success_count,
            fail_count: stats.fail_count,
            skip_count: stats.skip_count,
            retry_count: stats.retry_count,
            average_retry_count: average(stats.average_retry_count),
            max_retry_count: stats.max_retry_count,
            max_duration_ms: stats.max_duration,
            min_duration_ms: stats.min_duration,
            average_duration_ms: average(stats.average_duration),
            last_status_change_local: time(stats.last_status_change),
            last_health_check_local: time(stats.last_health_check),
            last_successful_health_check_local: time(stats.last_successful_health_check),
            last_skip_health_check_local: time(stats.last_skip_health_check),
            last_failed_health_check_local: time(stats.last_failed_health_check),
        }
    }

    pub(super) fn is_off(&self) -> bool {
        self.health_check_period_seconds == Some(0)
    }

    pub(super) fn failures(&self) -> Cell {
        Cell::new(self.fail_count).in_style(if self.fail_count > 0 { Style::Red } else { Style::Plain })
    }

    pub(super) fn counts(&self) -> String {
        let Self { total_count, success_count, fail_count, skip_count, .. } = self;
        format!("{total_count} made: {success_count} succeeded, {fail_count} failed, {skip_count} skipped")
    }

    pub(super) fn retries(&self) -> String {
        match self.retry_count {
            0 => "0".to_owned(),
            retries => format!("{retries} (at most {})", self.max_retry_count),
        }
    }

    /// Returns the shortest, the mean and the longest check, in milliseconds.
    pub(super) fn durations(&self) -> Option<[String; 3]> {
        let average = self.average_duration_ms.filter(|_| self.success_count > 0)?;
        Some([self.min_duration_ms.to_string(), format!("{average:.1}"), self.max_duration_ms.to_string()])
    }

    /// Returns what checks came to and when that was so last.
    pub(super) fn lasts(&self) -> [(&'static str, Option<&String>); 4] {
        [
            ("LAST CHECK", self.last_health_check_local.as_ref()),
            ("LAST SUCCESS", self.last_successful_health_check_local.as_ref()),
            ("LAST FAILURE", self.last_failed_health_check_local.as_ref()),
            ("LAST SKIP", self.last_skip_health_check_local.as_ref()),
        ]
    }
}

impl Answer for Health {
    fn text(&self, page: Page) -> Shown {
        let drop = |rank| Fit::Drop { rank };
        let mut table = Table::new([
            Column::new("ID"),
            Column::that("ADDRESS", Fit::Shorten { rank: 9, least: 12 }),
            Column::new("STATUS"),
            Column::that("ROLE", drop(4)),
            Column::new("CHECKS"),
            Column::new("FAILED"),
            Column::that("SKIPPED", drop(7)),
            Column::that("RETRIES", drop(6)),
            Column::that("MS (MIN/AVG/MAX)", drop(5)),
            Column::that("LAST CHECK", drop(0)),
            Column::that("LAST SUCCESS", drop(2)),
            Column::that("LAST FAILURE", drop(3)),
            Column::that("LAST SKIP", drop(1)),
        ]);
        for node in &self.nodes {
            let head = [
                Cell::new(node.id),
                Cell::new(format!("{}:{}", node.host, node.port)),
                status_cell(Some(&node.status), node.status == "quarantine"),
                role_cell(Some(&node.role)),
                Cell::new(node.total_count),
                node.failures(),
                Cell::new(node.skip_count),
                Cell::new(node.retries()),
                Cell::some(node.durations().map(|durations| durations.join(" / "))),
            ];
            table.row(head.into_iter().chain(node.lasts().map(|(_, time)| Cell::some(time))));
        }
        let mut text = table.show(page);
        if self.nodes.iter().any(|node| node.total_count > 0) {
            text.push_line(Shown::new("Times are those of Pgpool's host."));
        }
        let off: Vec<_> = self.nodes.iter().filter(|node| node.is_off()).map(|node| node.id.to_string()).collect();
        if !off.is_empty() {
            let ids = off.join(", ");
            text.push_line(Shown::new(format_args!("Not checked, for health_check_period is 0: {ids}")));
        }
        text
    }
}
