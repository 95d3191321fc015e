use pcp_client::{Client, Error};
use pcp_proto::message::{ReadWatchdogInfo, WatchdogCluster, WatchdogMember};
use serde::Serialize;

use super::read::{self, Answer};
use crate::args::ShowWatchdogArgs;
use crate::exit::Exit;
use crate::page::{Cell, Column, Fit, Page, Shown, Style, Table};
use crate::settings::Env;

/// States of a member.
const DEAD: i64 = 0;
const LEADER: i64 = 4;
const LOST: i64 = 8;

pub(super) fn run(args: &ShowWatchdogArgs, env: Env<'_>) -> Exit {
    let request = args.member.map_or(ReadWatchdogInfo::All, ReadWatchdogInfo::Member);
    read::run(&args.read, env, async |pgpool| {
        let client = Client::connect(&pgpool.connect, pgpool.credentials, pgpool.settings.deadline).await?;
        let cluster = client.finish(request).await?.cluster().map_err(Error::from)?;
        Ok(Watchdog::of(cluster))
    })
}

#[derive(Serialize)]
struct Watchdog {
    quorum: Option<&'static str>,
    quorum_status: Option<i64>,
    alive_node_count: Option<i64>,
    nodes_require_for_quorum: Option<i64>,
    escalated: Option<bool>,
    leader_node_name: Option<String>,
    leader_host_name: Option<String>,
    members: Vec<Member>,
}

#[derive(Serialize)]
struct Member {
    id: Option<i64>,
    node_name: Option<String>,
    host_name: Option<String>,
    delegate_ip: Option<String>,
    wd_port: Option<i64>,
    pgpool_port: Option<i64>,
    state: Option<i64>,
    state_name: Option<String>,
    priority: Option<i64>,
    membership: Option<String>,
}

impl Watchdog {
    fn of(cluster: WatchdogCluster) -> Self {
        Self {
            quorum: cluster.quorum_status.map(quorum_word),
            quorum_status: cluster.quorum_status,
            alive_node_count: cluster.alive_node_count,
            nodes_require_for_quorum: cluster.nodes_require_for_quorum,
            escalated: cluster.escalated.map(|escalated| escalated != 0),
            leader_node_name: cluster.leader_node_name,
            leader_host_name: cluster.leader_host_name,
            members: cluster.members.into_iter().map(Member::of).collect(),
        }
    }
}

/// Says what the number means.
pub(super) fn quorum_word(status: i64) -> &'static str {
    match status {
        1 => "exists",
        0 => "on the edge",
        -1 => "absent",
        -2 => "no leader",
        _ => "unknown",
    }
}

impl Member {
    fn of(member: WatchdogMember) -> Self {
        let set = |text: Option<String>| text.filter(|text| text != "Not_Set");
        Self {
            id: member.id,
            node_name: set(member.node_name),
            host_name: set(member.host_name),
            delegate_ip: set(member.delegate_ip),
            wd_port: member.wd_port,
            pgpool_port: member.pgpool_port,
            state: member.state,
            state_name: set(member.state_name),
            priority: member.priority,
            membership: set(member.membership_string),
        }
    }
}

impl Answer for Watchdog {
    fn text(&self, page: Page) -> Shown {
        let alive = self.alive_node_count.map_or_else(|| "-".to_owned(), |count| count.to_string());
        let mut text = Shown::new("quorum ");
        let quorum = self.quorum.unwrap_or("-");
        text.push(page.paint(if quorum == "exists" { Style::Plain } else { Style::Red }, quorum));
        text.push(Shown::new(format_args!(
            ", {alive} other members alive, leader {}{}",
            self.leader_host_name.as_deref().unwrap_or("-"),
            if self.escalated == Some(true) { ", this Pgpool holds the virtual address" } else { "" },
        )));
        let drop = |rank| Fit::Drop { rank };
        let mut table = Table::new([
            Column::new("ID"),
            Column::that("NAME", Fit::Shorten { rank: 4, least: 12 }),
            Column::that("HOST", Fit::Shorten { rank: 5, least: 12 }),
            Column::that("PORT", drop(2)),
            Column::that("WD PORT", drop(0)),
            Column::that("PRIORITY", drop(1)),
            Column::new("STATE"),
            Column::that("MEMBERSHIP", drop(3)),
            Column::that("VIRTUAL IP", drop(3)),
        ]);
        self.members.iter().for_each(|member| table.row(member.cells()));
        text.push_line(table.show(page));
        text
    }
}

impl Member {
    fn cells(&self) -> [Cell; 9] {
        let style = match self.state {
            Some(LEADER) => Style::Bold,
            Some(LOST | DEAD) => Style::Red,
            _ => Style::Plain,
        };
        [
            Cell::some(self.id),
            Cell::some(self.node_name.as_ref()),
            Cell::some(self.host_name.as_ref()),
            Cell::some(self.pgpool_port),
            Cell::some(self.wd_port),
            Cell::some(self.priority),
            Cell::some(self.state_name.as_ref()).in_style(style),
            Cell::some(self.membership.as_ref()),
            Cell::some(self.delegate_ip.as_ref()),
        ]
    }
}
