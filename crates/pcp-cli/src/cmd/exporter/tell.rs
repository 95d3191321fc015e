//! From a reading to samples.

use pcp_client::{ChildState, Error, Node, NodeSurvey, PoolUse, Survey, View};
use pcp_proto::Text;
use pcp_proto::message::{Delay, HealthCheckStats, NodeInfo, NodeStatus, PoolStatus, WatchdogCluster};

use super::metrics as m;
use super::page::{Labels, Page};
use super::reader::Reading;
use crate::server_time::ServerZone;

/// The settings that are told as numbers: what bounds a pool, and what decides on failovers.
const SETTINGS: [&str; 12] = [
    "num_init_children",
    "max_pool",
    "reserved_connections",
    "child_life_time",
    "client_idle_limit",
    "health_check_period",
    "health_check_timeout",
    "health_check_max_retries",
    "search_primary_node_timeout",
    "failover_on_backend_error",
    "auto_failback",
    "delay_threshold",
];

/// Adds what a reading of one Pgpool found.
pub(super) fn survey(page: &mut Page, pgpool: &Labels, survey: &Survey, zone: &ServerZone) {
    server(page, pgpool, survey);
    for (node, of_it) in survey.view.nodes.iter().zip(&survey.nodes) {
        let role = node.role.map(|role| role.to_string()).unwrap_or_default();
        let place = pgpool.clone().with("node", node.id).with("hostname", &node.host).with("port", node.port);
        let with_role = place.clone().with("role", role);
        tell_node(page, &place, &with_role, node, of_it, zone);
        if let Some(stats) = &of_it.health {
            health(page, &place, &with_role, node, stats, zone);
        }
    }
    if let Ok(used) = &survey.pool {
        pool(page, pgpool, &survey.view, used);
    }
    if let Some(Ok(cluster)) = &survey.watchdog {
        watchdog(page, pgpool, cluster);
    }
}

/// Adds which parts of a reading succeeded.
pub(super) fn collectors(page: &mut Page, pgpool: &Labels, reading: &Reading) {
    for (part, success) in parts(reading) {
        page.flag(&m::COLLECTOR_SUCCESS, &pgpool.clone().with("collector", part), success);
    }
}

/// Tells whether every part of a reading succeeded.
pub(super) fn is_whole(reading: &Reading) -> bool {
    reading.result.is_ok() && parts(reading).all(|(_, success)| success)
}

/// The parts of a reading that may fail while the others succeed.
fn parts(reading: &Reading) -> impl Iterator<Item = (&'static str, bool)> {
    let survey = reading.result.as_ref().ok();
    let pool = survey.map(|survey| ("pool", survey.pool.is_ok()));
    let watchdog = survey.and_then(|survey| survey.watchdog.as_ref());
    let watchdog = watchdog.map(|watchdog| ("watchdog", watchdog.is_ok()));
    let infos = survey.into_iter().flat_map(|survey| &survey.nodes).filter_map(|node| node.info.as_ref());
    let infos: Vec<_> = infos.map(Result::is_ok).collect();
    let all_came = reading.asking == 0 && infos.iter().all(|&success| success);
    let infos = (!infos.is_empty() || reading.asking > 0).then_some(("node_info", all_came));
    pool.into_iter().chain(watchdog).chain(infos)
}

fn server(page: &mut Page, pgpool: &Labels, survey: &Survey) {
    let age = survey.view.server.age;
    let before = age.before.map(|before| before.to_string()).unwrap_or_default();
    page.count(&m::SERVER_INFO, &pgpool.clone().with("at_least", age.at_least).with("before", before), 1);
    page.flag(&m::WATCHDOG_ENABLED, pgpool, survey.view.server.watchdog);
    settings(page, pgpool, &survey.status);
    if survey.view.has_primary_role() {
        let primaries = survey.view.nodes.iter().filter(|node| node.is_primary() && node.is_attached());
        page.count(&m::PRIMARIES_UP, pgpool, primaries.map(|_| 1).sum());
    }
}

fn settings(page: &mut Page, pgpool: &Labels, status: &PoolStatus) {
    for name in SETTINGS {
        if let Some(value) = status.number(name) {
            page.integer(&m::SETTING, &pgpool.clone().with("name", name), value);
        }
    }
}

fn tell_node(
    page: &mut Page,
    place: &Labels,
    with_role: &Labels,
    node: &Node,
    survey: &NodeSurvey,
    zone: &ServerZone,
) {
    page.flag(&m::NODE_STATUS, with_role, node.is_attached());
    if let Some(now) = node.status_word() {
        let words = [NodeStatus::Up, NodeStatus::Waiting, NodeStatus::Down, NodeStatus::Unused];
        for state in words.map(|status| status.to_string()).into_iter().chain(["quarantine".to_owned()]) {
            page.flag(&m::NODE_STATE, &place.clone().with("state", &state), state == now);
        }
    }
    if node.role.is_some() {
        page.flag(&m::NODE_PRIMARY, place, node.is_primary());
    }
    page.flag(&m::NODE_PROTECTED, place, node.failover_disallowed);
    if let Some(weight) = survey.weight {
        page.add(&m::NODE_WEIGHT, place, weight);
    }
    match survey.delay {
        Some(Delay::Bytes(bytes)) => page.count(&m::NODE_DELAY, with_role, bytes),
        #[allow(clippy::cast_precision_loss, reason = "samples are floating-point numbers")]
        Some(Delay::Microseconds(microseconds)) => {
            page.add(&m::NODE_DELAY_SECONDS, place, microseconds as f64 / 1e6);
        }
        None => {}
    }
    let info = survey.info.as_ref().and_then(|info| info.as_ref().ok());
    let of_info = info.and_then(|info| info.changed).filter(|&changed| changed != 0);
    let of_stats = survey.health.as_ref().and_then(|stats| zone.unix(&stats.last_status_change));
    if let Some(changed) = of_info.or(of_stats) {
        page.integer(&m::NODE_CHANGED, place, changed);
    }
    if let Some(info) = info {
        node_info(page, place, info);
    }
}

/// Adds what only node info tells.
fn node_info(page: &mut Page, place: &Labels, info: &NodeInfo) {
    let word = |text: &Option<Text>| text.as_ref().map(Text::to_string).filter(|text| !text.is_empty());
    if let Some(state) = word(&info.repl_state) {
        let labels =
            place.clone().with("state", state).with("sync_state", word(&info.sync_state).unwrap_or_default());
        page.count(&m::NODE_REPLICATION, &labels, 1);
    }
    match word(&info.pg_status).as_deref() {
        Some("up") => page.flag(&m::NODE_POSTGRES_UP, place, true),
        Some("down") => page.flag(&m::NODE_POSTGRES_UP, place, false),
        _ => {}
    }
    match word(&info.pg_role).as_deref() {
        Some("primary") => page.flag(&m::NODE_POSTGRES_PRIMARY, place, true),
        Some("standby") => page.flag(&m::NODE_POSTGRES_PRIMARY, place, false),
        _ => {}
    }
}

fn health(
    page: &mut Page,
    place: &Labels,
    with_role: &Labels,
    node: &Node,
    stats: &HealthCheckStats,
    zone: &ServerZone,
) {
    page.flag(&m::HEALTH_STATUS, with_role, node.is_attached());
    for (metric, count) in [
        (&m::HEALTH_TOTAL, stats.total_count),
        (&m::HEALTH_SUCCESS, stats.success_count),
        (&m::HEALTH_FAIL, stats.fail_count),
        (&m::HEALTH_SKIP, stats.skip_count),
        (&m::HEALTH_RETRY, stats.retry_count),
        (&m::HEALTH_MAX_RETRY, stats.max_retry_count),
        (&m::HEALTH_MAX_DURATION, stats.max_duration),
        (&m::HEALTH_MIN_DURATION, stats.min_duration),
    ] {
        page.count(metric, with_role, count);
    }
    for (metric, average) in [
        (&m::HEALTH_AVERAGE_RETRY, stats.average_retry_count),
        (&m::HEALTH_AVERAGE_DURATION, stats.average_duration),
    ] {
        if average.is_finite() {
            page.add(metric, with_role, average);
        }
    }
    for (metric, time) in [
        (&m::HEALTH_LAST, &stats.last_health_check),
        (&m::HEALTH_LAST_SUCCESS, &stats.last_successful_health_check),
        (&m::HEALTH_LAST_FAILURE, &stats.last_failed_health_check),
        (&m::HEALTH_LAST_SKIP, &stats.last_skip_health_check),
    ] {
        if let Some(time) = zone.unix(time) {
            page.integer(metric, place, time);
        }
    }
}

fn pool(page: &mut Page, pgpool: &Labels, view: &View, pool: &PoolUse) {
    page.count(&m::FRONTEND_TOTAL, pgpool, pool.children);
    for ((user, database), &count) in &pool.clients {
        page.count(&m::FRONTEND_USED, &pgpool.clone().with("username", user).with("database", database), count);
    }
    page.add(&m::FRONTEND_USED_RATIO, pgpool, pool.busy_share());
    page.count(&m::BACKEND_TOTAL, pgpool, pool.slots);
    page.count(&m::BACKEND_USED, pgpool, pool.used_slots());
    page.add(&m::BACKEND_USED_RATIO, pgpool, pool.slot_share());
    page.count(&m::CHILDREN_RUNNING, pgpool, pool.running);
    if !pool.states.is_empty() {
        for state in ChildState::ALL {
            let count = pool.states.get(&state).copied().unwrap_or_default();
            page.count(&m::CHILDREN, &pgpool.clone().with("state", state_word(state)), count);
        }
    }
    if let Some(idle) = pool.longest_idle {
        page.count(&m::LONGEST_IDLE, pgpool, idle.as_secs());
    }
    for node in &view.nodes {
        let place = pgpool.clone().with("node", node.id).with("hostname", &node.host).with("port", node.port);
        let connections = pool.connections.get(&node.id.get()).copied().unwrap_or_default();
        page.count(&m::BACKEND_CONNECTIONS, &place, connections);
    }
}

fn state_word(state: ChildState) -> &'static str {
    match state {
        ChildState::WaitForConnection => "wait_for_connection",
        ChildState::Connecting => "connecting",
        ChildState::Idle => "idle",
        ChildState::IdleInTransaction => "idle_in_transaction",
        ChildState::ExecuteCommand => "execute_command",
        _ => "other",
    }
}

fn watchdog(page: &mut Page, pgpool: &Labels, cluster: &WatchdogCluster) {
    let set = |text: &Option<String>| text.clone().filter(|text| text != "Not_Set").unwrap_or_default();
    for (metric, value) in [
        (&m::WATCHDOG_QUORUM, cluster.quorum_status),
        (&m::WATCHDOG_ESCALATED, cluster.escalated),
        (&m::WATCHDOG_REMOTE_ALIVE, cluster.alive_node_count),
        (&m::WATCHDOG_REQUIRED, cluster.nodes_require_for_quorum),
        (&m::WATCHDOG_MEMBERS, i64::try_from(cluster.members.len()).ok()),
    ] {
        if let Some(value) = value {
            page.integer(metric, pgpool, value);
        }
    }
    if let Some(own) = cluster.members.first() {
        page.flag(&m::WATCHDOG_LEADER, pgpool, own.is_leader());
    }
    let leader = set(&cluster.leader_node_name);
    if !leader.is_empty() {
        let labels = pgpool.clone().with("name", leader).with("hostname", set(&cluster.leader_host_name));
        page.count(&m::WATCHDOG_LEADER_INFO, &labels, 1);
    }
    for member in &cluster.members {
        let number = |number: Option<i64>| number.map(|number| number.to_string()).unwrap_or_default();
        let labels = pgpool.clone().with("member", number(member.id)).with("hostname", set(&member.host_name));
        let labels = labels.with("port", number(member.pgpool_port));
        if let Some(state) = member.state {
            page.integer(&m::WATCHDOG_MEMBER_STATE, &labels, state);
            page.flag(&m::WATCHDOG_MEMBER_LOST, &labels, member.is_lost());
        }
    }
}

/// Returns the reason of an error as a label.
pub(super) fn reason(error: &Error) -> &'static str {
    use pcp_client::ErrorKind::*;
    match error.kind() {
        Unreachable => "unreachable",
        Disconnected => "disconnected",
        Timeout => "timeout",
        Authentication => "authentication",
        Refused => "refused",
        Unsupported => "unsupported",
        NotExecuted => "not_executed",
        Protocol => "protocol",
        _ => "other",
    }
}
