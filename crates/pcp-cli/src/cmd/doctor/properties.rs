//! Judging EFM's properties.

use std::time::Duration;

use super::finding::Finding;
use super::hook_line::{self, Expected, Host};
use super::propose::Lines;
use crate::settings::Property;

const FILE: &str = "efm.properties";
const ATTACH: &str = "script.load.balancer.attach";
const DETACH: &str = "script.load.balancer.detach";

/// Judges the properties, of which each line that calls a hook should be as in `lines`, by what `host` can tell; the
/// databases that Pgpool knows listen on `ports`.
pub(super) fn judge(properties: &[Property], lines: &Lines, host: &Host<'_>, ports: &[u16]) -> Vec<Finding> {
    // Of a key that comes twice Java takes the last.
    let value = |key: &str| {
        let last = properties.iter().rev().find(|property| property.key == key);
        last.map(|property| property.value.trim()).filter(|value| !value.is_empty())
    };
    let is_true = |key| value(key).is_some_and(|value| value.eq_ignore_ascii_case("true"));
    let mut findings = load_balancer(&value, is_true("pgpool.enable"), lines, host);
    if let Some(line) = value("script.post.promotion").filter(|line| calls_us(line, host)) {
        let mended = format!("script.post.promotion={} promote {}%p %f", lines.program, lines.options());
        let key = "script.post.promotion";
        let expected = Expected { key, verb: "promote", node: "%p", optional: "%f", line: &mended };
        findings.extend(hook_line::judge(line, &expected, host));
    }
    findings.extend(detach_on_agent_failure(value("detach.on.agent.failure")));
    findings.extend(fence(&value, host));
    findings.extend(custom_monitor(&value, lines, host));
    findings.extend(db_port(value("db.port"), ports));
    findings.extend(repeated(properties));
    findings
}

fn calls_us(line: &str, host: &Host<'_>) -> bool {
    host.find_ours(&line.split_whitespace().collect::<Vec<_>>()).is_some()
}

fn load_balancer<'a>(
    value: &impl Fn(&str) -> Option<&'a str>,
    has_own_integration: bool,
    lines: &Lines,
    host: &Host<'_>,
) -> Vec<Finding> {
    let hooks = [(ATTACH, "attach", &lines.attach), (DETACH, "detach", &lines.detach)];
    let mut findings = Vec::new();
    for (key, verb, line) in hooks {
        match value(key) {
            Some(value) => {
                let expected = Expected { key, verb, node: "%h", optional: "%t", line };
                findings.extend(hook_line::judge(value, &expected, host));
            }
            None => {
                let why = "EFM does not tell Pgpool; it has to be set on every node, witnesses too";
                findings.push(Finding::critical(key, format!("{key} is not set"), why).write(FILE, line));
            }
        }
    }
    let has_hook = value(ATTACH).or_else(|| value(DETACH)).is_some();
    let write = |finding: Finding| finding.write(FILE, "pgpool.enable=false");
    match (has_own_integration, has_hook) {
        (true, true) => {
            let why = "EFM's own integration and the hooks both work on Pgpool, each behind the other's back";
            findings.push(write(Finding::critical("pgpool.enable", "pgpool.enable is true beside the hooks", why)));
        }
        (true, false) => {
            let why = "EFM's own integration believes what Pgpool answers, without reading it back";
            findings.push(write(Finding::warning("pgpool.enable", "pgpool.enable is true", why)));
        }
        (false, _) => {}
    }
    findings
}

fn detach_on_agent_failure(value: Option<&str>) -> Option<Finding> {
    const KEY: &str = "detach.on.agent.failure";
    let line = "detach.on.agent.failure=false";
    Some(match value {
        Some(value) if value.eq_ignore_ascii_case("false") => Finding::ok(KEY, format!("{KEY} is false")),
        Some(value) => {
            let why = "a primary that works is detached when its agent dies: writes end";
            Finding::warning(KEY, format!("{KEY} is {value}"), why).write(FILE, line)
        }
        None => {
            let why = "from EFM 4.2 to 4.10 that is true: a primary that works is detached when its agent dies";
            Finding::note(KEY, format!("{KEY} is not set"), why).write(FILE, line)
        }
    })
}

/// Finds hooks in places where they run too early, or where their exit codes decide over the cluster.
fn fence<'a>(value: &impl Fn(&str) -> Option<&'a str>, host: &Host<'_>) -> Vec<Finding> {
    let ours = |key: &str| value(key).is_some_and(|line| calls_us(line, host));
    let mut findings = Vec::new();
    if ours("script.fence") {
        let why = "its exit code stops the promotion: a Pgpool that is down keeps a new primary away";
        findings
            .push(Finding::critical("script.fence", "script.fence runs pcpctl", why).write(FILE, "script.fence="));
    }
    if ours("script.resumed") {
        let why = "it runs while the node is still idle: too early; the attach hook and reconcile do it";
        findings.push(
            Finding::warning("script.resumed", "script.resumed runs pcpctl", why).write(FILE, "script.resumed="),
        );
    }
    findings
}

fn custom_monitor<'a>(value: &impl Fn(&str) -> Option<&'a str>, lines: &Lines, host: &Host<'_>) -> Vec<Finding> {
    const KEY: &str = "script.custom.monitor";
    let Some(line) = value(KEY).filter(|line| calls_us(line, host)) else { return Vec::new() };
    let words: Vec<_> = line.split_whitespace().collect();
    let at = host.find_ours(&words).unwrap_or_default();
    let verb = words.get(at.saturating_add(1)).copied().unwrap_or_default();
    let mended = format!("{KEY}={} reconcile {}--efm --monitor", lines.program, lines.options());
    if verb != "reconcile" || !words.contains(&"--monitor") {
        let why = "EFM takes every exit code but 0 for a failed database, and fails over a healthy one";
        let shown = if verb == "reconcile" { "reconcile without --monitor" } else { verb };
        return vec![Finding::critical(KEY, format!("{KEY} runs pcpctl {shown}"), why).write(FILE, mended)];
    }
    let mut findings = Vec::new();
    if !value("custom.monitor.safe.mode").is_some_and(|safe| safe.eq_ignore_ascii_case("true")) {
        let why = "should pcpctl not even start, EFM takes that for a failed database";
        findings.push(
            Finding::warning(KEY, "custom.monitor.safe.mode is not true", why)
                .write(FILE, "custom.monitor.safe.mode=true"),
        );
    }
    let after = |flag: &str| {
        let at = words.iter().position(|word| *word == flag)?;
        words.get(at.saturating_add(1)).copied()
    };
    let joined = words.iter().find_map(|word| word.strip_prefix("--deadline="));
    let deadline = joined.or_else(|| after("--deadline"));
    let deadline = deadline.and_then(|time| crate::args::duration(time).ok()).unwrap_or(lines.monitor_limit);
    let timeout = value("custom.monitor.timeout").and_then(|seconds| seconds.parse().ok()).map(Duration::from_secs);
    if timeout.is_some_and(|timeout| deadline >= timeout) {
        let seen = format!("custom.monitor.timeout is not longer than {}", humantime::format_duration(deadline));
        let why = "EFM stops a run that is about to end by itself";
        findings.push(Finding::warning(KEY, seen, why).write(FILE, mended));
    }
    if findings.is_empty() {
        findings.push(Finding::ok(KEY, format!("{KEY} runs pcpctl reconcile --monitor, in safe mode")));
    }
    findings
}

fn db_port(value: Option<&str>, ports: &[u16]) -> Option<Finding> {
    let port: u16 = value?.parse().ok()?;
    if ports.is_empty() {
        return None;
    }
    let seen = format!("db.port is {port}");
    if ports.contains(&port) {
        return Some(Finding::ok("db.port", seen));
    }
    let known: Vec<_> = ports.iter().map(ToString::to_string).collect();
    let why = "EFM watches another PostgreSQL than those that Pgpool sends sessions to";
    Some(Finding::warning("db.port", format!("{seen}; Pgpool's nodes have {}", known.join(", ")), why))
}

fn repeated(properties: &[Property]) -> Vec<Finding> {
    let twice = [ATTACH, DETACH].into_iter().filter_map(|key| {
        let lines: Vec<_> = properties.iter().filter(|property| property.key == key).collect();
        let numbers: Vec<_> = lines.iter().map(|property| property.line.to_string()).collect();
        (lines.len() > 1).then(|| {
            let seen = format!("{key} is set in lines {}", numbers.join(", "));
            Finding::note(key, seen, "the last one counts")
        })
    });
    twice.collect()
}
