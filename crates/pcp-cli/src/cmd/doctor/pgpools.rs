//! Judging several Pgpools beside each other.

use std::collections::{BTreeMap, BTreeSet};

use pcp_proto::message::{PoolStatus, WatchdogCluster, WatchdogMember};

use super::finding::Finding;
use super::look::Told;

/// What has to be the same everywhere, for a hook does the same everywhere. A Pgpool that is too old for a name lacks it.
const SAME_EVERYWHERE: &[&str] = &[
    "backend_clustering_mode",
    "master_slave_mode",
    "master_slave_sub_mode",
    "load_balance_mode",
    "search_primary_node_timeout",
    "failover_command",
    "failback_command",
    "follow_primary_command",
    "follow_master_command",
    "health_check_period",
    "auto_failback",
    "detach_false_primary",
    "fail_over_on_backend_error",
    "failover_on_backend_error",
    "failover_on_backend_shutdown",
    "sr_check_user",
    "sr_check_database",
    "use_watchdog",
    "failover_when_quorum_exists",
    "failover_require_consensus",
    "allow_multiple_failover_requests_from_node",
    "enable_consensus_with_half_votes",
];

/// The codes of a watchdog member's state that take part in the cluster: leader and standby.
const TAKE_PART: [i64; 2] = [4, 7];

/// Judges the Pgpools that could be read; one that has no other is judged for its watchdog alone.
pub(super) fn judge(pgpools: &[(&str, &Told)]) -> Vec<Finding> {
    let mut findings = watchdog(pgpools);
    if pgpools.len() > 1 {
        let statuses: Vec<_> = pgpools.iter().map(|&(endpoint, told)| (endpoint, &told.status)).collect();
        findings.extend(settings(&statuses));
        findings.extend(nodes(&statuses));
        findings.extend(roles(pgpools));
    }
    findings
}

/// Finds settings that differ.
pub(super) fn settings(pgpools: &[(&str, &PoolStatus)]) -> Vec<Finding> {
    let differing = SAME_EVERYWHERE.iter().filter_map(|&name| {
        let values = values(pgpools, |status| status.value(name).map(ToString::to_string));
        (values.len() > 1).then(|| {
            let why = "a hook does the same on every Pgpool, and has to find the same";
            Finding::warning(name, format!("{name} differs: {}", list(&values)), why)
        })
    });
    let differing: Vec<_> = differing.collect();
    match differing.is_empty() {
        true => vec![Finding::ok("settings", "the Pgpools agree in what matters to hooks")],
        false => differing,
    }
}

/// Finds nodes that not every Pgpool has, and ids that differ.
pub(super) fn nodes(pgpools: &[(&str, &PoolStatus)]) -> Vec<Finding> {
    let ids = |status: &PoolStatus| -> BTreeMap<String, u8> {
        let nodes = status.nodes().unwrap_or_default().into_iter();
        nodes.map(|node| (format!("{}:{}", node.host, node.port), node.id.get())).collect()
    };
    let has_watchdog = pgpools.iter().any(|(_, status)| status.number("use_watchdog").is_some_and(|on| on != 0));
    let addresses: BTreeSet<String> = pgpools.iter().flat_map(|(_, status)| ids(status).into_keys()).collect();
    let mut findings = Vec::new();
    for address in addresses {
        let found = values(pgpools, |status| {
            Some(ids(status).get(&address).map_or_else(|| "none".to_owned(), |id| format!("node {id}")))
        });
        if found.len() < 2 {
            continue;
        }
        let seen = format!("{address} is {}", list(&found));
        findings.push(match (found.contains_key("none"), has_watchdog) {
            (_, true) => {
                let why = "the watchdog passes changes on by the id: another node would be changed";
                Finding::critical("nodes", seen, why)
            }
            (true, false) => {
                let why = "a hook for this node fails on the Pgpools that do not have it, unless they know it by \
                           another address";
                Finding::warning("nodes", seen, why)
            }
            (false, false) => Finding::note("nodes", seen, "name nodes by their addresses, never by their ids"),
        });
    }
    findings
}

/// Finds Pgpools that take different nodes for the primary.
fn roles(pgpools: &[(&str, &Told)]) -> Option<Finding> {
    let mut primaries: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for &(endpoint, told) in pgpools {
        if let Some(node) = told.view.primary() {
            primaries.entry(node.address()).or_default().push(endpoint);
        }
    }
    (primaries.len() > 1).then(|| {
        let why = "sessions that write go to different nodes; pcpctl attach NODE p names the right one to all";
        Finding::critical("primary", format!("the primary is {}", list(&primaries)), why)
    })
}

fn watchdog(pgpools: &[(&str, &Told)]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut clusters = Vec::new();
    for &(endpoint, told) in pgpools {
        match &told.watchdog {
            None => {}
            Some(Err(error)) => {
                let why = "who leads, and whether changes are accepted, is not known";
                findings.push(Finding::warning("watchdog", format!("it tells nothing: {error}"), why).on(endpoint));
            }
            Some(Ok(cluster)) => clusters.push((endpoint, cluster)),
        }
    }
    findings.extend(members(&clusters));
    findings
}

/// Judges a watchdog cluster by what its members say; each lists itself first.
pub(super) fn members(clusters: &[(&str, &WatchdogCluster)]) -> Vec<Finding> {
    const ABOUT: &str = "watchdog";
    let mut findings = Vec::new();
    let mut asked: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for &(endpoint, cluster) in clusters {
        asked.entry(cluster.members.first().map(name).unwrap_or_default()).or_default().push(endpoint);
        let takes_changes = cluster.members.iter().any(|member| member.state == TAKE_PART.first().copied());
        findings.push(
            match (takes_changes, cluster.quorum_status) {
                (false, _) => {
                    let why = "without a leader changes are refused: canceled by other pgpool";
                    Finding::critical(ABOUT, "no member leads", why)
                }
                (true, Some(..=-1)) => {
                    let why = "Pgpool has no quorum: no member holds the virtual address";
                    Finding::warning(ABOUT, "the quorum is absent", why)
                }
                (true, _) => Finding::ok(
                    ABOUT,
                    format!("{} leads", cluster.leader_host_name.as_deref().unwrap_or("a member")),
                ),
            }
            .on(endpoint),
        );
    }
    for endpoints in asked.values().filter(|endpoints| endpoints.len() > 1) {
        let seen = format!("{} are the same Pgpool", endpoints.join(" and "));
        findings.push(Finding::warning(ABOUT, seen, "name each Pgpool once, and none by a virtual address"));
    }
    let all = clusters.iter().flat_map(|(_, cluster)| &cluster.members);
    let all: BTreeMap<String, &WatchdogMember> = all.map(|member| (name(member), member)).collect();
    for (name, member) in all {
        if !asked.contains_key(&name) {
            let host = member.host_name.as_deref().unwrap_or("HOST");
            let why = "what it shows is not verified: name every member";
            let finding = Finding::warning(ABOUT, format!("the member {name} was not asked"), why);
            findings.push(finding.write("pcpctl.toml", format!("pgpools = [..., \"{host}\"]")));
        }
        if !member.state.is_none_or(|state| TAKE_PART.contains(&state)) {
            let state = member.state_name.as_deref().unwrap_or("in another state");
            let why = "it does not take part, and may keep an old view of the nodes";
            findings.push(Finding::warning(ABOUT, format!("the member {name} is {state}"), why));
        }
    }
    findings
}

fn name(member: &WatchdogMember) -> String {
    member.node_name.clone().or_else(|| member.host_name.clone()).unwrap_or_default()
}

/// Sorts the Pgpools by what they have.
fn values<'a>(
    pgpools: &[(&'a str, &PoolStatus)],
    value: impl Fn(&PoolStatus) -> Option<String>,
) -> BTreeMap<String, Vec<&'a str>> {
    let mut values: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for &(endpoint, status) in pgpools {
        if let Some(value) = value(status) {
            values.entry(value).or_default().push(endpoint);
        }
    }
    values
}

fn list(values: &BTreeMap<String, Vec<&str>>) -> String {
    let shown = values.iter().map(|(value, pgpools)| {
        format!("{} on {}", if value.is_empty() { "''" } else { value }, pgpools.join(", "))
    });
    shown.collect::<Vec<_>>().join("; ")
}
