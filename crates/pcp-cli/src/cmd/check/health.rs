use jiff::Timestamp;
use pcp_client::{Error, Node, NodeDetail, Observation, observe_in_detail};
use pcp_proto::message::{HealthCheckStats, PoolStatus};

use super::Pgpool;
use super::finding::{Finding, Perf, State, Thresholds};
use crate::args::HealthArgs;
use crate::server_time::ServerZone;

/// By how much the clocks of two hosts may differ.
const SKEW: i64 = 60;

pub(super) async fn check(pgpool: &Pgpool<'_>, args: &HealthArgs) -> Result<Finding, Error> {
    let mut client = pgpool.client().await?;
    let observation = observe_in_detail(&mut client).await?;
    client.close().await;
    Ok(judge(&observation, args, &args.zone.zone(), Timestamp::now().as_second()))
}

fn judge(
    Observation { view, status, details }: &Observation,
    args: &HealthArgs,
    zone: &ServerZone,
    now: i64,
) -> Finding {
    let mut checked = Vec::new();
    for (node, detail) in view.nodes.iter().zip(details) {
        let NodeDetail::HealthCheckStats(stats) = detail else {
            return Finding::bare(State::Unknown, "Pgpool tells of its health checks since 4.2; this one is older");
        };
        if setting(status, "health_check_period", node) > 0 {
            checked.push((node, stats));
        }
    }
    if checked.is_empty() {
        return Finding::bare(State::Unknown, "health checks are off (health_check_period = 0)");
    }
    let mut finding =
        Finding::bare(State::Ok, format!("{} of {} nodes are checked", checked.len(), view.nodes.len()));
    for (node, stats) in checked {
        let period = setting(status, "health_check_period", node);
        let usual = period.saturating_mul(3).saturating_add(setting(status, "health_check_timeout", node));
        let thresholds = Thresholds::of(&args.thresholds, Some(usual), None);
        let times = Times::of(stats, zone);
        judge_node(&mut finding, node, &times, &thresholds, now);
        finding.perf.extend(measured(node, stats, times.age(now), &thresholds));
    }
    finding
}

fn measured(node: &Node, stats: &HealthCheckStats, age: Option<i64>, thresholds: &Thresholds) -> Vec<Perf> {
    let id = node.id;
    let age = age.map(|age| Perf::new(format!("age_{id}"), age.max(0), "s").thresholds(thresholds).bounds(0, ""));
    let duration = Some(stats.average_duration / 1000.0).filter(|seconds| seconds.is_finite());
    let duration = duration
        .map(|seconds| Perf::new(format!("duration_{id}"), format_args!("{seconds:.6}"), "s").bounds(0, ""));
    let counts = [
        Perf::new(format!("failed_{id}"), stats.fail_count, "c"),
        Perf::new(format!("retries_{id}"), stats.retry_count, "c"),
    ];
    age.into_iter().chain(counts).chain(duration).collect()
}

fn judge_node(finding: &mut Finding, node: &Node, times: &Times, thresholds: &Thresholds, now: i64) {
    if !node.is_attached() {
        return finding.worsen(State::Ok, format_args!("{node} is {} and passed over", node.state()));
    }
    let Some(age) = times.age(now) else {
        let state = if times.failed.is_some() { State::Critical } else { State::Unknown };
        return finding.worsen(state, format_args!("no check of {node} has succeeded yet"));
    };
    if age < -SKEW {
        let text = format_args!("the last check of {node} is {} s ahead: see --server-timezone", -age);
        return finding.worsen(State::Unknown, text);
    }
    let age = age.max(0);
    if let Some(failed) = times.failed.filter(|&failed| Some(failed) > times.succeeded) {
        let since = (now - failed).max(0);
        let text = format_args!("the last check of {node} failed {since} s ago, the last success is {age} s ago");
        return finding.worsen(State::Critical, text);
    }
    #[allow(clippy::cast_precision_loss, reason = "a time of this century")]
    let state = thresholds.state(age as f64);
    if state > State::Ok {
        finding.worsen(state, format_args!("the last successful check of {node} is {age} s ago"));
    }
}

/// When a node was checked.
struct Times {
    succeeded: Option<i64>,
    failed: Option<i64>,
}

impl Times {
    fn of(stats: &HealthCheckStats, zone: &ServerZone) -> Self {
        Self {
            succeeded: zone.unix(&stats.last_successful_health_check),
            failed: zone.unix(&stats.last_failed_health_check),
        }
    }

    fn age(&self, now: i64) -> Option<i64> {
        Some(now - self.succeeded?)
    }
}

/// Returns a setting of a node, or the one for all.
fn setting(status: &PoolStatus, name: &str, node: &Node) -> u64 {
    let own = status.number(&format!("{name}{}", node.id));
    own.or_else(|| status.number(name)).and_then(|value| u64::try_from(value).ok()).unwrap_or_default()
}
