use pcp_client::{Error, read_watchdog};
use pcp_proto::message::{Quorum, ReadPoolStatus, WatchdogCluster, WatchdogMember};

use super::Pgpool;
use super::finding::{Finding, Perf, State, Thresholds};
use crate::args::WatchdogArgs;

const UNSET: &str = "Not_Set";

/// Returns what was found out, and the leader's name.
pub(super) async fn check(pgpool: &Pgpool<'_>, args: &WatchdogArgs) -> Result<(Finding, Option<String>), Error> {
    let thresholds = Thresholds::of(&args.thresholds, Some(0), None);
    let mut client = pgpool.client().await?;
    // Asked first: 3.5.0 never answers a question about its watchdog.
    let status = client.send(ReadPoolStatus).await?;
    if status.number("use_watchdog") == Some(0) {
        client.close().await;
        return Ok((Finding::bare(State::Unknown, "the watchdog is off"), None));
    }
    let cluster = read_watchdog(&mut client).await?;
    client.close().await;
    Ok((judge(&cluster, &thresholds), leader(&cluster).map(str::to_owned)))
}

/// Says which Pgpool follows which leader, where they do not agree.
pub(super) fn disagreement(told: &[(&str, &Option<String>)]) -> Option<String> {
    let mut leaders = told.iter().filter_map(|(_, leader)| leader.as_ref());
    let first = leaders.next()?;
    leaders.any(|leader| leader != first).then(|| {
        let each = told
            .iter()
            .map(|(endpoint, leader)| format!("{endpoint} follows {}", leader.as_deref().unwrap_or("no leader")));
        each.collect::<Vec<_>>().join(", ")
    })
}

fn judge(cluster: &WatchdogCluster, thresholds: &Thresholds) -> Finding {
    let lost: Vec<_> = cluster.members.iter().filter(|member| member.is_lost()).collect();
    #[allow(clippy::cast_precision_loss, reason = "a cluster has a few members")]
    let by_members = thresholds.state(lost.len() as f64);
    let quorum = cluster.quorum();
    let by_quorum = match quorum {
        Some(Quorum::Exists) => State::Ok,
        Some(Quorum::OnTheEdge) => State::Warning,
        Some(Quorum::Absent | Quorum::NoLeader) => State::Critical,
        Some(Quorum::Other(_)) | None => State::Unknown,
    };
    let quorum = quorum.map_or_else(|| "unknown".to_owned(), |quorum| quorum.to_string());
    let members = cluster.members.len();
    let mut finding = Finding::bare(by_members.max(by_quorum), format!("quorum {quorum}, {members} members"));
    match leader(cluster) {
        Some(leader) => finding.worsen(State::Ok, format_args!("leader {leader}")),
        None => finding.worsen(State::Critical, "no leader"),
    }
    if cluster.escalated.is_some_and(|escalated| escalated != 0) {
        finding.worsen(State::Ok, "this Pgpool is escalated");
    }
    for member in &lost {
        let state = member.state_name.as_deref().unwrap_or("lost").to_lowercase();
        finding.worsen(State::Ok, format_args!("{} is {state}", name(member)));
    }
    finding.perf = vec![Perf::new("lost", lost.len(), "").thresholds(thresholds).bounds(0, members)];
    let told = [
        ("members", i64::try_from(members).ok()),
        ("quorum", cluster.quorum_status),
        ("remote_alive", cluster.alive_node_count),
        ("escalated", cluster.escalated),
    ];
    let told = told.into_iter().filter_map(|(label, value)| value.map(|value| Perf::new(label, value, "")));
    finding.perf.extend(told);
    finding
}

fn leader(cluster: &WatchdogCluster) -> Option<&str> {
    cluster.leader_node_name.as_deref().filter(|name| !name.is_empty() && *name != UNSET)
}

/// A member that never came has no name; its host and port are from the configuration.
fn name(member: &WatchdogMember) -> String {
    match member.node_name.as_deref().filter(|name| *name != UNSET) {
        Some(name) => name.to_owned(),
        None => {
            let host = member.host_name.as_deref().unwrap_or("?");
            format!("{host}:{}", member.pgpool_port.unwrap_or_default())
        }
    }
}
