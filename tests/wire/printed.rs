//! What Pgpool's own tools print of a reply: they read the bytes with code of their own, so what they say is what our
//! values must say.

use std::fmt::Write as _;

use jiff::Timestamp;
use pcp_proto::message::*;
use pcp_proto::{Frame, Release, ReplyKind, RequestKind, Text};
use pcp_tests::captures::Capture;

use crate::text;

/// Compare what a tool printed of a reply with what we read.
pub(crate) fn compare(capture: &Capture, kind: RequestKind, frames: &[Frame<ReplyKind>]) -> Result<(), String> {
    let has = |option| capture.argv.iter().any(|argument| argument == option);
    let release = capture.release().map_err(text)?;
    let tool = Tool { release, is_verbose: has("-v"), shows_all: has("-a") };
    if kind == RequestKind::READ_POOL_STATUS {
        return same(&tool.settings(&read(frames)?), &capture.stdout);
    }
    match tool.rows(kind, frames)? {
        None => {
            let Accepted = read(frames)?;
            same(&format!("{} -- Command Successful\n", capture.argv[0]), &capture.stdout)
        }
        Some(rows) if tool.is_verbose => same(&rows.concat().join("\n"), &values(&capture.stdout, kind)),
        Some(rows) => {
            // A blank stands behind each process id, not between them.
            let end = if kind == RequestKind::READ_PROCESS_COUNT { " " } else { "" };
            let rows: Vec<_> = rows.iter().map(|row| row.join(" ") + end).collect();
            same(&rows.join("\n"), &lines(&capture.stdout).join("\n"))
        }
    }
}

fn read<R: Reply>(frames: &[Frame<ReplyKind>]) -> Result<R, String> {
    R::decode(frames).map_err(text)
}

/// A tool of some release and two of its options.
struct Tool {
    release: Release,
    is_verbose: bool,
    shows_all: bool,
}

impl Tool {
    /// The values of a reply in the order in which the tool prints them; `None` of the reply to a change.
    fn rows(&self, kind: RequestKind, frames: &[Frame<ReplyKind>]) -> Result<Option<Vec<Vec<String>>>, String> {
        Ok(Some(match kind {
            RequestKind::READ_NODE_COUNT => vec![vec![read::<NodeCount>(frames)?.0.to_string()]],
            RequestKind::READ_NODE_INFO => {
                read::<NodeInfos>(frames)?.nodes.iter().map(|node| self.node(node)).collect()
            }
            RequestKind::READ_PROCESS_COUNT => {
                vec![read::<ProcessCount>(frames)?.pids.iter().map(u32::to_string).collect()]
            }
            RequestKind::READ_PROCESS_INFO => {
                let slots = read::<ProcessInfos>(frames)?.processes;
                let printed = slots.iter().filter(|slot| self.shows_all || !slot.is_free());
                printed.map(|slot| self.slot(slot)).collect()
            }
            RequestKind::READ_HEALTH_CHECK_STATS => vec![Self::checks(&read(frames)?)],
            RequestKind::READ_WATCHDOG_INFO => {
                self.watchdog(&read::<WatchdogInfo>(frames)?.cluster().map_err(text)?)
            }
            _ => return Ok(None),
        }))
    }

    fn node(&self, node: &NodeInfo) -> Vec<String> {
        let mut row = vec![
            node.host.to_string(),
            node.port.to_string(),
            node.status.code().to_string(),
            format!("{:.6}", node.weight_share()),
        ];
        let Some(role) = node.role else { return row };
        row.push(if node.quarantine == Some(true) { "quarantine".to_owned() } else { node.status.to_string() });
        row.extend(shown(&node.pg_status));
        row.push(match role {
            NodeRole::Main if self.release < Release::new(4, 2) => "master".to_owned(),
            NodeRole::Replica if self.release < Release::new(4, 2) => "slave".to_owned(),
            role => role.to_string(),
        });
        row.extend(shown(&node.pg_role));
        row.extend(node.replication_delay().map(|delay| match delay {
            Delay::Bytes(bytes) => bytes.to_string(),
            Delay::Microseconds(delay) => {
                let unit = if self.is_verbose { " second" } else { "" };
                format!("{}.{:06}{unit}", delay / 1_000_000, delay % 1_000_000)
            }
        }));
        let nothing = if self.release < Release::new(4, 3) { "" } else { "none" };
        let states = [&node.repl_state, &node.sync_state].into_iter().flat_map(shown);
        row.extend(states.map(|state| if state.is_empty() { nothing.to_owned() } else { state }));
        row.extend(node.changed.map(local));
        row
    }

    fn slot(&self, slot: &ProcessInfo) -> Vec<String> {
        let process = [slot.pid.to_string(), slot.backend_id.to_string()]
            .into_iter()
            .filter(|_| self.shows_all || self.release >= Release::new(4, 0));
        let connection =
            [slot.pool_counter.to_string(), slot.backend_pid.to_string(), u8::from(slot.connected).to_string()];
        let mut row = vec![slot.database.to_string(), slot.username.to_string(), time(&slot.start_time)];
        row.extend(slot.client_connection_count.map(|count| count.to_string()));
        let created = time(&slot.backend_connection_time);
        let protocol = [slot.majorversion.to_string(), slot.minorversion.to_string()];
        match slot.client_connection_count {
            None => row.extend([created].into_iter().chain(protocol)),
            Some(_) => row.extend(protocol.into_iter().chain([created])),
        }
        row.extend(shown(&slot.client_connection_time));
        row.extend(shown(&slot.client_idle_duration));
        row.extend(shown(&slot.client_disconnection_time));
        row.extend(connection.into_iter().chain(process));
        row.extend(shown(&slot.status));
        row.extend(slot.load_balance_node.map(|it| u8::from(it).to_string()));
        row.extend([&slot.client_host, &slot.client_port, &slot.statement].into_iter().flat_map(shown));
        row
    }

    fn checks(stats: &HealthCheckStats) -> Vec<String> {
        vec![
            stats.node_id.to_string(),
            stats.hostname.to_string(),
            stats.port.to_string(),
            stats.status.to_string(),
            stats.role.to_string(),
            stats.last_status_change.to_string(),
            stats.total_count.to_string(),
            stats.success_count.to_string(),
            stats.fail_count.to_string(),
            stats.skip_count.to_string(),
            stats.retry_count.to_string(),
            format!("{:.6}", stats.average_retry_count),
            stats.max_retry_count.to_string(),
            stats.max_duration.to_string(),
            stats.min_duration.to_string(),
            format!("{:.6}", stats.average_duration),
            stats.last_health_check.to_string(),
            stats.last_successful_health_check.to_string(),
            stats.last_skip_health_check.to_string(),
            stats.last_failed_health_check.to_string(),
        ]
    }

    fn watchdog(&self, cluster: &WatchdogCluster) -> Vec<Vec<String>> {
        let number = |number: Option<i64>| number.map(|number| number.to_string());
        let total = cluster.remote_node_count.map(|remote| remote + 1);
        let escalated = cluster.escalated.map(|escalated| if escalated == 1 { "YES" } else { "NO" }.to_owned());
        let quorum = cluster.quorum_status.map(|status| match status {
            1 => "QUORUM EXIST".to_owned(),
            0 => "QUORUM IS ON THE EDGE".to_owned(),
            -1 => "QUORUM ABSENT".to_owned(),
            other => format!("{other}"),
        });
        let alive = number(cluster.alive_node_count);
        let members = number(cluster.member_remote_node_count);
        let leader = [cluster.leader_node_name.clone(), cluster.leader_host_name.clone()];
        let required = number(cluster.nodes_require_for_quorum);
        let head: Vec<_> = match (self.is_verbose, &required) {
            (true, Some(_)) => {
                [number(total), number(cluster.remote_node_count), members, alive, required, quorum, escalated]
                    .into_iter()
                    .chain(leader)
                    .collect()
            }
            (true, None) => [number(total), number(cluster.remote_node_count), quorum, alive, escalated]
                .into_iter()
                .chain(leader)
                .collect(),
            (false, _) => [number(total), cluster.member_remote_node_count.and_then(|_| number(total)), escalated]
                .into_iter()
                .chain(leader)
                .collect(),
        };
        let member = |member: &WatchdogMember| -> Vec<Option<String>> {
            let names = [member.node_name.clone(), member.host_name.clone()];
            let ports = [number(member.pgpool_port), number(member.wd_port)];
            let state = [number(member.state), member.state_name.clone()];
            let membership =
                [number(member.membership).filter(|_| !self.is_verbose), member.membership_string.clone()];
            let [delegate, priority] =
                [member.delegate_ip.clone(), number(member.priority)].map(|it| it.filter(|_| self.is_verbose));
            names
                .into_iter()
                .chain([delegate])
                .chain(ports)
                .chain([priority])
                .chain(state)
                .chain(membership)
                .collect()
        };
        let rows = [head].into_iter().chain(cluster.members.iter().map(member));
        rows.map(|row| row.into_iter().flatten().collect()).collect()
    }

    fn settings(&self, status: &PoolStatus) -> String {
        let mut printed = String::new();
        for (number, Parameter { name, value, description }) in status.parameters.iter().enumerate() {
            let written = match self.is_verbose {
                true => writeln!(
                    printed,
                    "Name [{number:3}]:\t{name}\nValue:      \t{value}\nDescription:\t{description}\n"
                ),
                false => writeln!(printed, "name : {name}\nvalue: {value}\ndesc : {description}\n"),
            };
            written.unwrap();
        }
        printed
    }
}

fn same(ours: &str, printed: &str) -> Result<(), String> {
    let differs = || {
        let pairs = ours.lines().zip(printed.lines());
        let first = pairs.clone().find(|(ours, printed)| ours != printed);
        first.map_or_else(
            || format!("{} lines instead of {}", ours.lines().count(), printed.lines().count()),
            |(ours, printed)| format!("{ours:?} where the tool says {printed:?}"),
        )
    };
    if ours == printed { Ok(()) } else { Err(differs()) }
}

/// The lines that say something; with `-d` the tools tell of packets too.
fn lines(stdout: &str) -> Vec<&str> {
    let says = |line: &&str| !line.is_empty() && !line.starts_with("DEBUG: ");
    stdout.lines().filter(says).collect()
}

/// What `-v` prints behind the labels.
fn values(stdout: &str, kind: RequestKind) -> String {
    let values: Vec<_> = match kind {
        RequestKind::READ_NODE_COUNT => lines(stdout).into_iter().skip(2).map(str::trim).collect(),
        RequestKind::READ_PROCESS_COUNT => lines(stdout)
            .into_iter()
            .filter_map(|line| line.strip_prefix(|digit: char| digit.is_ascii_digit())?.split_once(" \t | \t "))
            .map(|(_, pid)| pid)
            .collect(),
        _ => stdout
            .lines()
            .filter_map(|line| line.split_once(':'))
            .map(|(_, value)| value.strip_prefix(' ').unwrap_or(value))
            .collect(),
    };
    values.join("\n")
}

fn shown(text: &Option<Text>) -> Option<String> {
    text.as_ref().map(Text::to_string)
}

/// A time as the tools print it; they ran where the time is UTC.
fn local(seconds: i64) -> String {
    Timestamp::from_second(seconds).unwrap().strftime("%F %T").to_string()
}

fn time(time: &ProcessTime) -> String {
    match time {
        ProcessTime::Local(text) => text.to_string(),
        ProcessTime::Unix(0) => String::new(),
        ProcessTime::Unix(seconds) => local(*seconds),
    }
}
