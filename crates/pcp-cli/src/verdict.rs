//! The verdict of a hook verb.

use std::fmt;
use std::time::Duration;

use pcp_client::{Endpoint, Node, NodeName, Report, Require, Want};
use serde::Serialize;

use crate::args::{OutputArgs, OutputFormat};
use crate::exit::Exit;
use crate::output;

/// What a verdict is about.
pub(crate) struct Matter<'a> {
    pub(crate) verb: &'static str,
    pub(crate) node: &'a NodeName,
    pub(crate) want: Want,
    /// The failed primary, where it was named.
    pub(crate) failed: Option<&'a NodeName>,
}

/// How a hook ended. Its first line is what an operator reads in a mail.
#[derive(Serialize)]
pub(crate) struct Verdict {
    schema_version: u32,
    command: &'static str,
    node: String,
    #[serde(skip)]
    pub(crate) exit: Exit,
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
    left_down: Vec<NodeJson>,
    held: Vec<NodeJson>,
    remarks: Vec<String>,
    /// What was asked, a letter a request, one string a connection.
    asked: Vec<String>,
    elapsed_ms: f64,
}

#[derive(Serialize)]
pub(crate) struct NodeJson {
    pub(crate) id: u8,
    host: String,
    port: u16,
}

#[derive(Serialize)]
pub(crate) struct StateJson {
    status: Option<String>,
    role: Option<String>,
}

impl Verdict {
    /// Judges what came of it on every Pgpool; `ended` is the signal that ended it early.
    pub(crate) fn of(
        matter: &Matter<'_>,
        endpoints: &[&Endpoint],
        reports: &[Report],
        require: Require,
        ended: Option<Exit>,
    ) -> Self {
        let verified = reports.iter().filter(|report| report.result.is_ok()).count();
        let enough = require.is_met(verified, reports.len());
        let exits: Vec<_> = reports.iter().map(exit_of).collect();
        let exit = match ended {
            Some(signal) if !enough => signal,
            _ => Exit::of_several(&exits, require),
        };
        Self {
            verdict: sentence(matter, endpoints, reports),
            pgpools: endpoints
                .iter()
                .zip(reports)
                .map(|(endpoint, report)| PgpoolVerdict::of(endpoint.to_string(), report))
                .collect(),
            ..Self::without_reports(matter, exit, "")
        }
    }

    /// Says why nothing was tried.
    pub(crate) fn without_reports(matter: &Matter<'_>, exit: Exit, reason: &str) -> Self {
        Self {
            schema_version: output::SCHEMA_VERSION,
            command: matter.verb,
            node: matter.node.to_string(),
            exit,
            exit_code: exit.code(),
            verified: exit == Exit::Done,
            verdict: format!("{} is NOT known to be {}: {reason}", matter.node, matter.want),
            pgpools: Vec::new(),
        }
    }

    /// Says why nothing had to be tried.
    pub(crate) fn left_alone(matter: &Matter<'_>, reason: &str) -> Self {
        let verdict = format!("{} is left alone: {reason}", matter.node);
        Self { verdict, ..Self::without_reports(matter, Exit::Done, "") }
    }

    /// Prints it: a failure on stderr as well.
    pub(crate) fn print(&self, args: &OutputArgs, elapsed: Duration) {
        let lines: Vec<_> = self.pgpools.iter().map(PgpoolVerdict::text).collect();
        let said = Said { command: self.command, exit: self.exit, sentence: &self.verdict, lines: &lines };
        said.publish(self, args, elapsed);
    }
}

/// A verdict as people read it.
pub(crate) struct Said<'a> {
    pub(crate) command: &'a str,
    pub(crate) exit: Exit,
    /// The first line.
    pub(crate) sentence: &'a str,
    /// What comes behind it.
    pub(crate) lines: &'a [String],
}

impl Said<'_> {
    /// Logs it, and prints it, or the document that says the same; a failure on stderr as well.
    pub(crate) fn publish(&self, document: &impl Serialize, args: &OutputArgs, elapsed: Duration) {
        self.lines.iter().for_each(|line| tracing::info!("{}", line.trim_start()));
        let failed = self.exit != Exit::Done;
        match failed {
            true => tracing::error!(exit = self.exit.code(), ?elapsed, "{}", self.sentence),
            false => tracing::info!(exit = self.exit.code(), ?elapsed, "{}", self.sentence),
        }
        // One terminal shows it once.
        let once = args.output == OutputFormat::Table && output::is_one_terminal();
        if failed && !once {
            output::err_line(format_args!("pcpctl {}: {}", self.command, self.sentence));
        }
        if args.quiet && !failed {
            return;
        }
        match args.output {
            OutputFormat::Json => output::json(document),
            OutputFormat::Table => {
                output::line(self.sentence);
                self.lines.iter().for_each(output::line);
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
            left_down: report.left_down.iter().map(NodeJson::of).collect(),
            held: report.held.iter().map(NodeJson::of).collect(),
            remarks: report.remarks.iter().map(ToString::to_string).collect(),
            asked: report.asked.iter().map(|kinds| output::letters(kinds)).collect(),
            elapsed_ms: output::rounded(report.elapsed.as_secs_f64() * 1e3, 3),
        }
    }

    fn text(&self) -> String {
        let mut text = format!("  {}", self.endpoint);
        if let Some(node) = &self.node {
            text.push_str(&format!("  {node}"));
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
    pub(crate) fn of(node: &Node) -> Self {
        Self { id: node.id.get(), host: node.host.to_string(), port: node.port }
    }
}

/// Shows the node as lines name it: `node 2 (10.0.0.3:5432)`.
impl fmt::Display for NodeJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "node {} ({}:{})", self.id, self.host, self.port)
    }
}

impl StateJson {
    pub(crate) fn of(node: &Node) -> Self {
        Self { status: node.status_word(), role: node.role.map(|role| role.to_string()) }
    }

    pub(crate) fn text(&self) -> String {
        let words: Vec<_> = [&self.status, &self.role].into_iter().flatten().map(String::as_str).collect();
        words.join(" ")
    }
}

/// Says in one sentence what came of it.
fn sentence(matter: &Matter<'_>, endpoints: &[&Endpoint], reports: &[Report]) -> String {
    let failures: Vec<_> = endpoints
        .iter()
        .zip(reports)
        .filter_map(|(endpoint, report)| {
            Some(format!("{endpoint}: {}", output::chain(report.result.as_ref().err()?)))
        })
        .collect();
    let (all, failed) = (reports.len(), failures.len());
    let mut sentence = match (all - failed, &failures[..]) {
        (done, []) => {
            let changed = reports.iter().any(|report| !report.changes.is_empty());
            let already = if changed { "" } else { " already" };
            format!("{} is {}{already}: verified on {}", matter.node, matter.want, pgpools(done))
        }
        (0, [only]) => format!("{} is NOT {}: {only}", matter.node, matter.want),
        (_, failures) => format!(
            "{} is NOT {} on {failed} of {}: {}; {}",
            matter.node,
            matter.want,
            pgpools(all),
            failures.join("; "),
            danger(matter.want, reports)
        ),
    };
    if matter.want == Want::Primary {
        sentence.push_str(&named(" down: ", reports.iter().flat_map(|report| &report.others_down)));
        sentence.push_str(&named(
            " attach them when they are standbys: ",
            reports.iter().flat_map(|report| &report.left_down),
        ));
        sentence.push_str(&named(
            " held on this host, and left as they are: ",
            reports.iter().flat_map(|report| &report.held),
        ));
    }
    let mut remarks: Vec<_> =
        reports.iter().flat_map(|report| &report.remarks).map(|remark| format!("; {remark}")).collect();
    remarks.dedup();
    sentence.extend(remarks);
    if let Some(failed) = matter.failed {
        sentence.push_str(&format!("; the failed primary {failed} was left as it is"));
    }
    sentence
}

/// Says what a Pgpool that was not verified may still do.
fn danger(want: Want, reports: &[Report]) -> &'static str {
    let was_primary = |report: &Report| report.before.as_ref().is_some_and(Node::is_primary);
    match want {
        Want::Detached if reports.iter().any(was_primary) => {
            "a Pgpool that is not verified may still write to the node"
        }
        Want::Detached => "a Pgpool that is not verified may still send sessions to the node",
        Want::Primary => "a Pgpool that is not verified may still write to the old primary",
        _ => "a Pgpool that is not verified may not use the node",
    }
}

/// Names nodes behind a text, each once; nothing where there are none.
fn named<'a>(text: &str, nodes: impl Iterator<Item = &'a Node>) -> String {
    let mut nodes: Vec<_> = nodes.map(|node| format!("node {node}")).collect();
    nodes.sort_unstable();
    nodes.dedup();
    if nodes.is_empty() { String::new() } else { format!(";{text}{}", nodes.join(", ")) }
}

fn exit_of(report: &Report) -> Exit {
    match &report.result {
        Ok(()) if report.left_down.is_empty() => Exit::Done,
        Ok(()) => Exit::Partial,
        Err(failure) => failure.into(),
    }
}

pub(crate) fn pgpools(count: usize) -> String {
    if count == 1 { "1 Pgpool".to_owned() } else { format!("{count} Pgpools") }
}
