use pcp_client::{Error, Node, View, inspect, observe};
use pcp_proto::message::{NodeInfo, NodeStatus};

use super::Pgpool;
use super::finding::{Finding, Perf, State, Thresholds};
use crate::args::{Dial, NodesArgs};

pub(super) async fn check(pgpool: &Pgpool<'_>, args: &NodesArgs) -> Result<Finding, Error> {
    let thresholds = Thresholds::of(&args.thresholds, Some(0), None);
    let (view, infos) = look(pgpool, args.live.dial()).await?;
    let mut in_order = infos.iter();
    let nodes = view.nodes.iter().map(|node| (node, in_order.next()));
    let nodes: Vec<_> = nodes.filter(|(node, _)| node.status != Some(NodeStatus::Unused)).collect();
    let mut finding = judge(&nodes, &thresholds, args.min_up);
    note_ignorance(&mut finding, args.live.dial(), &infos);
    Ok(finding)
}

/// Reads the state, and what Pgpool finds when it asks the backends where that is wanted.
pub(super) async fn look(pgpool: &Pgpool<'_>, dial: Dial) -> Result<(View, Vec<Result<NodeInfo, Error>>), Error> {
    match dial {
        Dial::Allowed => {
            let inspection = inspect(&pgpool.connect, pgpool.credentials, pgpool.settings.deadline).await?;
            Ok((inspection.view, inspection.infos))
        }
        Dial::Never => {
            let mut client = pgpool.client().await?;
            let view = observe(&mut client).await?;
            client.close().await;
            Ok((view, Vec::new()))
        }
    }
}

/// Makes it known where PostgreSQL's own state was asked for, and Pgpool does not tell it.
pub(super) fn note_ignorance(finding: &mut Finding, dial: Dial, infos: &[Result<NodeInfo, Error>]) {
    let tells = |info: &Result<NodeInfo, Error>| match info {
        Ok(info) => info.pg_status.as_ref().is_some_and(|status| *status != "unknown"),
        Err(_) => true,
    };
    if dial == Dial::Allowed && !infos.iter().any(tells) {
        let text = "PostgreSQL's own state is not known: Pgpool tells it since 4.3, with health checks on";
        finding.worsen(State::Unknown, text);
    }
}

type Seen<'a> = (&'a Node, Option<&'a Result<NodeInfo, Error>>);

fn judge(nodes: &[Seen<'_>], thresholds: &Thresholds, min_up: u8) -> Finding {
    let troubles: Vec<_> = nodes.iter().filter_map(trouble).collect();
    let (all, bad) = (nodes.len(), troubles.len());
    let up = all - bad;
    let quarantined = nodes.iter().filter(|(node, _)| node.quarantine).count();
    #[allow(clippy::cast_precision_loss, reason = "a Pgpool has 128 nodes at most")]
    let mut state = thresholds.state(bad as f64);
    let mut text = match bad {
        0 => format!("{} up", count(all)),
        _ => format!("{bad} of {} not up: {}", count(all), troubles.join(", ")),
    };
    if up < min_up.into() {
        state = State::Critical;
        text.push_str(&format!(", fewer than {min_up} up"));
    }
    let perf = vec![
        Perf::new("up", up, "").bounds(0, all),
        Perf::new("not_up", bad, "").thresholds(thresholds).bounds(0, all),
        Perf::new("quarantine", quarantined, "").bounds(0, all),
    ];
    Finding { state, text, perf }
}

/// Says why a node does not count as up; `None` where it does.
fn trouble((node, info): &Seen<'_>) -> Option<String> {
    if !node.is_attached() {
        return Some(format!("{node} {}", node.state()));
    }
    match info {
        Some(Ok(info)) if info.pg_status.as_ref().is_some_and(|status| *status == "down") => {
            Some(format!("{node} {} but its PostgreSQL down", node.state()))
        }
        Some(Err(_)) => Some(format!("{node} {} but its PostgreSQL silent", node.state())),
        _ => None,
    }
}

fn count(nodes: usize) -> String {
    if nodes == 1 { "1 node".to_owned() } else { format!("{nodes} nodes") }
}
