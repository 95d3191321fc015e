//! Judging the settings of one Pgpool by docs/efm.md.

use std::time::Duration;

use pcp_proto::Release;
use pcp_proto::message::PoolStatus;

use super::finding::{Finding, Severity};
use super::look::Told;
use crate::cmd::show_config::is_secret;

const FILE: &str = "pgpool.conf";
/// Longer than this a search for a primary blocks Pgpool for nothing.
const LONG_SEARCH: Duration = Duration::from_secs(10);
/// A promotion often takes longer than this.
const SHORT_SEARCH: Duration = Duration::from_secs(3);

/// Judges what one Pgpool told, where hooks have `hook_limit` for an attach.
pub(super) fn judge(told: &Told, hook_limit: Duration) -> Vec<Finding> {
    let mut findings = flags(told);
    findings.push(clustering_mode(told));
    findings.extend(primary(told));
    findings.extend(search_primary_node_timeout(&told.status, hook_limit));
    findings.extend(RULES.iter().filter_map(|rule| rule.judge(told)));
    findings.extend(follow_primary_command(&told.status));
    findings.push(health_checks(&told.status));
    findings.extend(auto_failback(&told.status));
    findings.extend(pcp_listen_addresses(&told.status));
    findings.extend(age(told));
    findings
}

/// A setting that has one right value, whatever the others are.
struct Rule {
    name: &'static str,
    right: Right,
    severity: Severity,
    why: &'static str,
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Right {
    On,
    Off,
    Unset,
}

const OWN_FAILOVER: &str = "Pgpool fails over by itself as soon as a session meets an error, beside EFM";

const RULES: &[Rule] = &[
    Rule { name: "failover_on_backend_error", right: Right::Off, severity: Severity::Warning, why: OWN_FAILOVER },
    // Up to 3.7.
    Rule { name: "fail_over_on_backend_error", right: Right::Off, severity: Severity::Warning, why: OWN_FAILOVER },
    Rule {
        name: "failover_on_backend_shutdown",
        right: Right::Off,
        severity: Severity::Warning,
        why: "Pgpool detaches a node by itself when its PostgreSQL is shut down, beside EFM",
    },
    Rule {
        name: "failover_command",
        right: Right::Unset,
        severity: Severity::Critical,
        why: "it runs at each detach, also at that of a hook, and commonly promotes a standby: EFM promotes, and two \
              nodes would take writes",
    },
    Rule {
        name: "failback_command",
        right: Right::Unset,
        severity: Severity::Warning,
        why: "it runs at each attach, also at that of a hook",
    },
    Rule {
        name: "detach_false_primary",
        right: Right::Off,
        severity: Severity::Warning,
        why: "Pgpool detaches nodes by itself, after comparing host names as text",
    },
    Rule {
        name: "load_balance_mode",
        right: Right::On,
        severity: Severity::Note,
        why: "all sessions go to the primary, none to the standbys",
    },
];

impl Rule {
    /// Judges the setting, where this Pgpool has it.
    fn judge(&self, told: &Told) -> Option<Finding> {
        let name = self.name;
        let value = told.status.value(name)?.to_string();
        let (is_right, seen) = match self.right {
            Right::Unset if value.is_empty() => (true, format!("{name} is not set")),
            Right::Unset if is_secret(name, &value) => (false, format!("{name} is set")),
            Right::Unset => (false, format!("{name} is '{value}'")),
            Right::On => (value != "0", format!("{name} is {}", on_or_off(&value))),
            Right::Off => (value == "0", format!("{name} is {}", on_or_off(&value))),
        };
        if is_right {
            return Some(Finding::ok(name, seen));
        }
        let line = match self.right {
            Right::Unset => format!("{name} = ''"),
            Right::On => format!("{name} = on"),
            Right::Off => format!("{name} = off"),
        };
        let mut finding = Finding::warning(name, seen, self.why).write(FILE, line);
        finding.severity = self.severity;
        if name == "failover_on_backend_error" && takes_old_spelling_for_nothing(told) {
            finding
                .why
                .push_str("; a line with fail_over_on_backend_error is taken by this release without effect");
        }
        if name == "failover_on_backend_shutdown" && told.view.server.age.is_before(Release::new(4, 6)) {
            finding
                .why
                .push_str("; early releases of 4.3 to 4.5 have it on unless set, although their sample says off");
        }
        Some(finding)
    }
}

/// 4.0 to 4.3 read the old spelling and do nothing with it.
fn takes_old_spelling_for_nothing(told: &Told) -> bool {
    let age = told.view.server.age;
    age.is_at_least(Release::new(4, 0)) && age.is_before(Release::new(4, 4))
}

fn flags(told: &Told) -> Vec<Finding> {
    let mut findings = Vec::new();
    for node in told.status.nodes().unwrap_or_default() {
        let name = format!("backend_flag{}", node.id);
        let flag = node.flag.to_string_lossy();
        let seen = || format!("{name} is {flag} (node {}, {}:{})", node.id, node.host, node.port);
        let line = format!("{name} = 'ALLOW_TO_FAILOVER'");
        if flag.contains("DISALLOW_TO_FAILOVER") {
            let why = "a detach is refused (exit 7): EFM cannot take the node out";
            findings.push(Finding::critical("backend_flag", seen(), why).write(FILE, line));
        } else if flag.contains("ALWAYS_") {
            let why = "the role of the primary never moves away from this node, whatever EFM promotes";
            findings.push(Finding::critical("backend_flag", seen(), why).write(FILE, line));
        }
    }
    if findings.is_empty() {
        findings.push(Finding::ok("backend_flag", "every node may be detached, and the role of the primary moves"));
    }
    findings
}

fn clustering_mode(told: &Told) -> Finding {
    let status = &told.status;
    let why = "only in streaming replication is there a primary whose role moves";
    let critical = |about: &str, seen: String| Finding::critical(about, seen, why);
    if let Some(mode) = status.value("backend_clustering_mode") {
        let about = "backend_clustering_mode";
        return match mode.to_string().as_str() {
            "1" | "streaming_replication" => Finding::ok(about, "the nodes are in streaming replication"),
            other => critical(about, format!("{about} has the code {other}, which is not streaming_replication"))
                .write(FILE, "backend_clustering_mode = 'streaming_replication'"),
        };
    }
    if let Some(mode) = status.number("master_slave_mode") {
        let sub_mode = status.value("master_slave_sub_mode").map(ToString::to_string).unwrap_or_default();
        // Up to 3.6 it is the word, later a code.
        return if mode != 0 && matches!(sub_mode.as_str(), "stream" | "2") {
            Finding::ok("master_slave_mode", "the nodes are in streaming replication")
        } else {
            let seen = format!(
                "master_slave_mode is {}, master_slave_sub_mode is {sub_mode}",
                on_or_off(&mode.to_string())
            );
            critical("master_slave_mode", seen)
                .write(FILE, "master_slave_mode = on")
                .write(FILE, "master_slave_sub_mode = 'stream'")
        };
    }
    // 4.2 does not list the mode, but its words for the roles tell it.
    match told.view.has_primary_role() {
        true => Finding::ok("backend_clustering_mode", "the nodes are in streaming replication"),
        false => critical("backend_clustering_mode", "the nodes are no primary and standbys".to_owned())
            .write(FILE, "backend_clustering_mode = 'streaming_replication'"),
    }
}

/// Tells what the nodes are at this moment.
fn primary(told: &Told) -> Vec<Finding> {
    let view = &told.view;
    let mut findings = Vec::new();
    let not_up: Vec<_> = view.nodes.iter().filter(|node| !node.is_attached()).collect();
    for node in &not_up {
        let why = "after a failover that is how it should be; pcpctl attach brings it back when it is a standby";
        findings.push(Finding::note("nodes", format!("node {node} is {}", node.state()), why));
    }
    if not_up.is_empty() {
        findings.push(Finding::ok("nodes", format!("all {} nodes are up", view.nodes.len())));
    }
    if let Some(node) = view.searching() {
        let seen = format!("Pgpool searches for a primary: node {node}, which has the role, is down");
        findings.push(Finding::warning(
            "primary",
            seen,
            "no session can write, and no other change is carried out",
        ));
    } else if let Some(node) = view.primary() {
        findings.push(Finding::ok("primary", format!("the primary is node {node}")));
    } else if view.has_primary_role() {
        let user = told.status.value("sr_check_user").map(ToString::to_string).unwrap_or_default();
        let seen = "no node is the primary";
        let why = format!(
            "no session can write; if PostgreSQL has a primary, then sr_check_user '{user}' cannot log in to it, or it \
             was promoted after Pgpool's search had ended: pcpctl attach NODE p makes it known"
        );
        findings.push(Finding::warning("primary", seen, why));
    } else if !told.view.nodes.iter().any(|node| node.role.is_some()) {
        let why = "only up and down can be verified";
        findings.push(Finding::note("primary", "this Pgpool tells no roles: 3.5 and 3.6 do not", why));
    }
    findings
}

fn search_primary_node_timeout(status: &PoolStatus, hook_limit: Duration) -> Option<Finding> {
    const NAME: &str = "search_primary_node_timeout";
    let seconds = u64::try_from(status.number(NAME)?).ok()?;
    let (seen, timeout) = (format!("{NAME} is {seconds}"), Duration::from_secs(seconds));
    let finding = if timeout.is_zero() {
        Finding::critical(
            NAME,
            seen,
            "without a promotion the search has no end: Pgpool carries out nothing any more",
        )
    } else if timeout > hook_limit {
        let limit = humantime::format_duration(hook_limit);
        let why = format!(
            "where nobody is promoted Pgpool carries out nothing for so long; an attach gives up after {limit} (exit 8)"
        );
        Finding::warning(NAME, seen, why)
    } else if timeout > LONG_SEARCH {
        Finding::warning(NAME, seen, "where nobody is promoted Pgpool carries out no change for so long")
    } else if timeout < SHORT_SEARCH {
        let why = "a promotion that takes longer is made known by the attach hook only, some seconds later";
        Finding::note(NAME, seen, why)
    } else {
        return Some(Finding::ok(NAME, seen));
    };
    Some(finding.write(FILE, format!("{NAME} = 3")))
}

fn follow_primary_command(status: &PoolStatus) -> Option<Finding> {
    let listed = |name| Some((name, status.value(name)?.to_string()));
    let (name, command) = listed("follow_primary_command").or_else(|| listed("follow_master_command"))?;
    if command.is_empty() {
        return Some(Finding::ok(name, format!("{name} is not set")));
    }
    let seen = format!("{name} is '{command}'");
    let why = "at each change of primary Pgpool sets every other node down and ends its sessions";
    let words: Vec<_> = command.split_whitespace().collect();
    let is_ours =
        words.first().is_some_and(|program| program.ends_with("pcpctl")) && words.get(1) == Some(&"follow");
    let has_placeholders = ["%d", "%P", "%m"].iter().all(|wanted| words.contains(wanted));
    Some(match (is_ours, has_placeholders) {
        (true, true) => Finding::note(name, seen, format!("{why}; pcpctl follow attaches them again")),
        (true, false) => Finding::warning(name, seen, "pcpctl follow has to be told %d %P %m")
            .write(FILE, format!("{name} = ''")),
        (false, _) => {
            let why = format!("{why}, and what this command attaches again is not verified");
            Finding::warning(name, seen, why).write(FILE, format!("{name} = ''"))
        }
    })
}

/// Names each `health_check_period` that is not zero: there is one for all, and one for each node.
fn health_checks(status: &PoolStatus) -> Finding {
    const NAME: &str = "health_check_period";
    let on = status.parameters.iter().filter_map(|parameter| {
        let name = parameter.name.as_str()?;
        let node = name.strip_prefix(NAME)?;
        let is_on = node.bytes().all(|byte| byte.is_ascii_digit()) && parameter.value != "0";
        is_on.then(|| (name.to_owned(), parameter.value.to_string()))
    });
    let on: Vec<_> = on.collect();
    if on.is_empty() {
        return Finding::ok(NAME, format!("{NAME} is 0"));
    }
    let seen: Vec<_> = on.iter().map(|(name, value)| format!("{name} is {value}")).collect();
    let why = "Pgpool detaches what it cannot reach itself, before EFM has decided, and does not attach it again";
    let finding = Finding::warning(NAME, seen.join(", "), why);
    on.iter().fold(finding, |finding, (name, _)| finding.write(FILE, format!("{name} = 0")))
}

fn auto_failback(status: &PoolStatus) -> Option<Finding> {
    const NAME: &str = "auto_failback";
    let value = status.value(NAME)?.to_string();
    let seen = format!("{NAME} is {}", on_or_off(&value));
    Some(match (value.as_str(), health_checks(status).severity) {
        ("0", _) => Finding::ok(NAME, seen),
        (_, Severity::Ok) => {
            Finding::note(NAME, seen, "without health checks it does nothing").write(FILE, format!("{NAME} = off"))
        }
        _ => Finding::warning(NAME, seen, "it attaches again what a hook has detached")
            .write(FILE, format!("{NAME} = off")),
    })
}

fn pcp_listen_addresses(status: &PoolStatus) -> Option<Finding> {
    const NAME: &str = "pcp_listen_addresses";
    let value = status.value(NAME)?.to_string();
    let is_local = |address: &str| matches!(address, "" | "localhost" | "::1") || address.starts_with("127.");
    if !value.split(',').all(|address| is_local(address.trim())) {
        return Some(Finding::ok(NAME, format!("{NAME} is '{value}'")));
    }
    let why = "hooks that run on other hosts cannot connect (exit 4)";
    Some(Finding::warning(NAME, format!("{NAME} is '{value}'"), why).write(FILE, format!("{NAME} = '*'")))
}

fn age(told: &Told) -> Option<Finding> {
    let age = told.view.server.age;
    let finding = age.may_freeze_on_open_connections().then(|| {
        let why = "before 4.5 a PCP connection that anybody leaves open after a change freezes Pgpool; pcpctl leaves none";
        Finding::note("release", format!("this Pgpool is {age}"), why)
    });
    Some(finding.unwrap_or_else(|| Finding::ok("release", format!("this Pgpool is {age}"))))
}

fn on_or_off(value: &str) -> &'static str {
    if value == "0" { "off" } else { "on" }
}
