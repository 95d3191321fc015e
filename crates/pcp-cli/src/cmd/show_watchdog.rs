use pcp_client::{Client, Error};
use pcp_proto::message::{ReadWatchdogInfo, WatchdogCluster, WatchdogMember};
use serde::Serialize;

use super::read::{self, Answer};
use crate::args::ShowWatchdogArgs;
use crate::exit::Exit;
use crate::output::table;
use crate::settings::Env;

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
            quorum: cluster.quorum_status.map(|status| match status {
                1 => "exists",
                0 => "on the edge",
                -1 => "absent",
                -2 => "no leader",
                _ => "unknown",
            }),
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
    fn text(&self) -> String {
        let number = |number: Option<i64>| number.map_or_else(|| "-".to_owned(), |number| number.to_string());
        let word = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        let head = format!(
            "quorum {}, {} alive, leader {}{}",
            self.quorum.unwrap_or("-"),
            number(self.alive_node_count),
            word(&self.leader_host_name),
            if self.escalated == Some(true) { ", this Pgpool holds the virtual address" } else { "" },
        );
        let rows = self.members.iter().map(|member| {
            vec![
                number(member.id),
                word(&member.node_name),
                word(&member.host_name),
                number(member.pgpool_port),
                number(member.wd_port),
                number(member.priority),
                word(&member.state_name),
                word(&member.membership),
                word(&member.delegate_ip),
            ]
        });
        let titles = ["ID", "NAME", "HOST", "PORT", "WD PORT", "PRIORITY", "STATE", "MEMBERSHIP", "VIRTUAL IP"];
        format!("{head}\n{}", table(&titles, rows))
    }
}
