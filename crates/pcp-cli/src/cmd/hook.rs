//! What attach, detach and promote share: reach a goal on every Pgpool, print the verdict.

use std::time::{Duration, Instant};

use pcp_client::{Failure, Node, NodeName, Options, Report, Want, converge_all};
use serde::Serialize;

use super::start::start;
use super::{block_on, ended_by_signal};
use crate::args::{HookArgs, OutputFormat};
use crate::exit::Exit;
use crate::lock::Lock;
use crate::output;
use crate::settings::{Env, Settings};

/// The whole time of a detach.
pub(super) const DETACH_LIMIT: Duration = Duration::from_secs(30);
/// The whole time of an attach or a promote: Pgpool may search a primary meanwhile.
pub(super) const ATTACH_LIMIT: Duration = Duration::from_secs(60);

/// What a hook verb wants.
pub(super) struct Hook<'a> {
    pub(super) verb: &'static str,
    pub(super) node: &'a NodeName,
    pub(super) want: Want,
    /// The failed primary, which nothing here attaches; named where it is found attached.
    pub(super) failed: Option<&'a NodeName>,
    pub(super) default_limit: Duration,
}

pub(super) fn run(hook: Hook<'_>, args: &HookArgs, env: Env<'_>) -> Exit {
    let started = Instant::now();
    let start = start(args, hook.default_limit, env);
    let verdict = match &start.settings {
        Ok(settings) => {
            let mut verdict = None;
            let ended = block_on(async {
                tokio::select! {
                    reports = reach(&hook, settings) => {
                        verdict = Some(Verdict::of(&hook, settings, &reports));
                        Exit::Done
                    }
                    signal = ended_by_signal() => signal,
                }
            });
            verdict.unwrap_or_else(|| {
                Verdict::without_reports(&hook, ended, "ended by a signal before it was verified")
            })
        }
        Err(error) => Verdict::without_reports(&hook, Exit::Config, &output::chain(error)),
    };
    verdict.print(args, started.elapsed());
    verdict.exit
}

async fn reach(hook: &Hook<'_>, settings: &Settings) -> Vec<Report> {
    let options = Options { deadline: settings.deadline, settle: settings.settle };
    let node = settings.node(hook.node.clone());
    let _lock = Lock::acquire(settings.endpoints(), settings.limit).await;
    let pgpools = settings.targets.iter().map(|target| (&target.connector, &target.credentials));
    converge_all(pgpools, &node, hook.want, options).await
}

/// How a hook ended. Its first line is what an operator reads in a mail.
#[derive(Serialize)]
struct Verdict {
    schema_version: u32,
    command: &'static str,
    node: String,
    #[serde(skip)]
    exit: Exit,
    exit_code: i32,
    verified: bool,
    verdict: String,
    pgpools: Vec<PgpoolVerdict>,
}

#[derive(Serialize)]
struct PgpoolVerdict {
    endpoint: String,
    exit_code: i32,
    verified: bool,
    error: Option<String>,
    node: Option<NodeJson>,
    before: Option<StateJson>,
    after: Option<StateJson>,
    changes: Vec<String>,
    others_down: Vec<NodeJson>,
    /// What was asked, a letter a request, one string a connection.
    asked: Vec<String>,
    elapsed_ms: f64,
}

#[derive(Serialize)]
struct NodeJson {
    id: u8,
    host: String,
    port: u16,
}

#[derive(Serialize)]
struct StateJson {
    status: Option<String>,
    role: Option<String>,
}

impl Verdict {
    fn of(hook: &Hook<'_>, settings: &Settings, reports: &[Report]) -> Self {
        let exit = Exit::combine(reports.iter().map(exit_of));
        let endpoints = settings.endpoints();
        let failures: Vec<_> = endpoints
            .clone()
            .zip(reports)
            .filter_map(|(endpoint, report)| {
                Some(format!("{endpoint}: {}", output::chain(report.result.as_ref().err()?)))
            })
            .collect();
        let done = reports.len() - failures.len();
        let changed = reports.iter().any(|report| !report.changes.is_empty());
        let mut verdict = match (done, &failures[..]) {
            (done, []) => {
                let already = if changed { "" } else { " already" };
                format!("{} is {}{already}: verified on {}", hook.node, hook.want, pgpools(done))
            }
            (0, [only]) => format!("{} is NOT {}: {only}", hook.node, hook.want),
            (done, failures) => format!(
                "{} is NOT {} on {} of {}: {}",
                hook.node,
                hook.want,
                failures.len(),
                pgpools(done + failures.len()),
                failures.join("; ")
            ),
        };
        if hook.want == Want::Primary {
            verdict.push_str(&named_down(reports));
        }
        if let Some(failed) = hook.failed {
            verdict.push_str(&format!("; the failed primary {failed} was left as it is"));
        }
        Self {
            exit,
            verdict,
            pgpools: endpoints
                .zip(reports)
                .map(|(endpoint, report)| PgpoolVerdict::of(endpoint.to_string(), report))
                .collect(),
            ..Self::without_reports(hook, exit, "")
        }
    }

    fn without_reports(hook: &Hook<'_>, exit: Exit, reason: &str) -> Self {
        Self {
            schema_version: output::SCHEMA_VERSION,
            command: hook.verb,
            node: hook.node.to_string(),
            exit,
            exit_code: exit.code(),
            verified: exit == Exit::Done,
            verdict: format!("{} is NOT known to be {}: {reason}", hook.node, hook.want),
            pgpools: Vec::new(),
        }
    }

    fn print(&self, args: &HookArgs, elapsed: Duration) {
        for pgpool in &self.pgpools {
            tracing::info!("{}", pgpool.text().trim_start());
        }
        let failed = self.exit != Exit::Done;
        match failed {
            true => tracing::error!(exit = self.exit_code, ?elapsed, "{}", self.verdict),
            false => tracing::info!(exit = self.exit_code, ?elapsed, "{}", self.verdict),
        }
        if failed {
            output::err_line(format_args!("pcpctl {}: {}", self.command, self.verdict));
        }
        if args.output.quiet && !failed {
            return;
        }
        match args.output.output {
            OutputFormat::Json => output::json(self),
            OutputFormat::Table => {
                output::line(&self.verdict);
                for pgpool in &self.pgpools {
                    output::line(pgpool.text());
                }
            }
        }
    }
}

impl PgpoolVerdict {
    fn of(endpoint: String, report: &Report) -> Self {
        Self {
            endpoint,
            exit_code: exit_of(report).code(),
            verified: report.result.is_ok(),
            error: report.result.as_ref().err().map(|failure| output::chain(failure)),
            node: report.before.as_ref().map(NodeJson::of),
            before: report.before.as_ref().map(StateJson::of),
            after: report.after.as_ref().map(StateJson::of),
            changes: report.changes.iter().map(ToString::to_string).collect(),
            others_down: report.others_down.iter().map(NodeJson::of).collect(),
            asked: report.asked.iter().map(|kinds| kinds.iter().map(ToString::to_string).collect()).collect(),
            elapsed_ms: output::rounded(report.elapsed.as_secs_f64() * 1e3, 3),
        }
    }

    fn text(&self) -> String {
        let mut text = format!("  {}", self.endpoint);
        if let Some(node) = &self.node {
            text.push_str(&format!("  node {} ({}:{})", node.id, node.host, node.port));
        }
        if let (Some(before), Some(after)) = (&self.before, &self.after) {
            text.push_str(&format!("  {} -> {}", before.text(), after.text()));
        }
        if !self.changes.is_empty() {
            text.push_str(&format!("  [{}]", self.changes.join(", ")));
        }
        text.push_str(&format!("  {:.1} ms", self.elapsed_ms));
        if let Some(error) = &self.error {
            text.push_str(&format!("  {error}"));
        }
        text
    }
}

impl NodeJson {
    fn of(node: &Node) -> Self {
        Self { id: node.id.get(), host: node.host.to_string(), port: node.port }
    }
}

impl StateJson {
    fn of(node: &Node) -> Self {
        Self { status: node.status_word(), role: node.role.map(|role| role.to_string()) }
    }

    fn text(&self) -> String {
        let words: Vec<_> = [&self.status, &self.role].into_iter().flatten().map(String::as_str).collect();
        words.join(" ")
    }
}

fn exit_of(report: &Report) -> Exit {
    report.result.as_ref().map_or_else(|failure: &Failure| failure.into(), |()| Exit::Done)
}

fn pgpools(count: usize) -> String {
    if count == 1 { "1 Pgpool".to_owned() } else { format!("{count} Pgpools") }
}

/// Names the nodes that are down beside the new primary.
fn named_down(reports: &[Report]) -> String {
    let mut down: Vec<_> = reports.iter().flat_map(|report| &report.others_down).map(Node::to_string).collect();
    down.sort_unstable();
    down.dedup();
    if down.is_empty() { String::new() } else { format!("; down: node {}", down.join(", node ")) }
}
