//! What came of an operation, and how it is printed.

use std::time::Duration;

use pcp_client::{Failure, Node, Operated};
use serde::Serialize;

use crate::args::OutputArgs;
use crate::exit::Exit;
use crate::output;
use crate::verdict::{NodeJson, Said, StateJson};

/// What came of an operation on every Pgpool.
#[derive(Serialize)]
pub(super) struct Outcome {
    schema_version: u32,
    command: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    dry_run: bool,
    #[serde(skip)]
    pub(super) exit: Exit,
    exit_code: i32,
    /// Whether the state was read back. Some operations only have Pgpool's word.
    verified: bool,
    verdict: String,
    /// What would be done.
    #[serde(skip_serializing_if = "Option::is_none")]
    plan: Option<Vec<String>>,
    pgpools: Vec<PgpoolOutcome>,
}

/// What came of it on one Pgpool.
#[derive(Serialize)]
pub(super) struct PgpoolOutcome {
    pub(super) endpoint: String,
    pub(super) exit_code: i32,
    /// Whether Pgpool took a request.
    pub(super) asked: bool,
    pub(super) error: Option<String>,
    pub(super) nodes: Vec<NodeChange>,
    pub(super) left_down: Vec<NodeJson>,
    pub(super) not_following: Vec<NodeJson>,
    pub(super) replication_unseen: Vec<NodeJson>,
    pub(super) changed: Vec<ParameterChange>,
    pub(super) elapsed_ms: f64,
}

/// A node before and after.
#[derive(Serialize)]
pub(super) struct NodeChange {
    node: NodeJson,
    before: StateJson,
    after: StateJson,
}

/// A parameter before and after.
#[derive(Serialize)]
pub(super) struct ParameterChange {
    pub(super) name: String,
    pub(super) before: Option<String>,
    pub(super) after: Option<String>,
}

impl Outcome {
    /// Says what came of it; `verified` tells whether a success was read back.
    pub(super) fn new(
        command: &'static str,
        exit: Exit,
        verified: bool,
        verdict: String,
        pgpools: Vec<PgpoolOutcome>,
    ) -> Self {
        Self {
            schema_version: output::SCHEMA_VERSION,
            command,
            node: None,
            dry_run: false,
            exit,
            exit_code: exit.code(),
            verified: verified && exit == Exit::Done,
            verdict,
            plan: None,
            pgpools,
        }
    }

    /// Says what would be done, and how that would end as far as can be told.
    pub(super) fn dry_run(command: &'static str, told: Result<Vec<String>, Failure>) -> Self {
        let (exit, plan, why) = match told {
            Ok(plan) => (Exit::Done, plan, String::new()),
            Err(failure) => (Exit::from(&failure), Vec::new(), format!(": {}", output::chain(&failure))),
        };
        let code = exit.code();
        let verdict = format!("DRY RUN: nothing was changed; {command} would end with exit code {code}{why}");
        let outcome = Self::new(command, exit, false, verdict, Vec::new());
        Self { dry_run: true, plan: Some(plan), ..outcome }
    }

    /// Says which node it is about.
    pub(super) fn about(self, node: String) -> Self {
        Self { node: Some(node), ..self }
    }

    pub(super) fn print(&self, verb: &str, args: &OutputArgs, elapsed: Duration) {
        let plan = self.plan.iter().flatten().map(|line| format!("  {line}"));
        let lines: Vec<_> = plan.chain(self.pgpools.iter().map(PgpoolOutcome::text)).collect();
        let said = Said { command: verb, exit: self.exit, sentence: &self.verdict, lines: &lines };
        said.publish(self, args, elapsed);
    }
}

impl PgpoolOutcome {
    /// Says what became of one Pgpool where the library tells no more than that.
    pub(super) fn of_result(endpoint: String, result: &Result<(), Failure>, elapsed: Duration) -> Self {
        Self {
            endpoint,
            exit_code: exit_of(result).code(),
            asked: result.is_ok(),
            error: result.as_ref().err().map(|failure| output::chain(failure)),
            nodes: Vec::new(),
            left_down: Vec::new(),
            not_following: Vec::new(),
            replication_unseen: Vec::new(),
            changed: Vec::new(),
            elapsed_ms: output::rounded(elapsed.as_secs_f64() * 1e3, 3),
        }
    }

    pub(super) fn of(endpoint: String, operated: &Operated) -> Self {
        let after = |before: &Node| operated.after.iter().find(|after| after.id == before.id);
        let nodes = operated.before.iter().filter_map(|before| {
            let after = after(before)?;
            (before.state() != after.state()).then(|| NodeChange {
                node: NodeJson::of(before),
                before: StateJson::of(before),
                after: StateJson::of(after),
            })
        });
        Self {
            exit_code: exit(operated).code(),
            asked: operated.asked,
            nodes: nodes.collect(),
            left_down: operated.left_down.iter().map(NodeJson::of).collect(),
            not_following: operated.not_following.iter().map(NodeJson::of).collect(),
            replication_unseen: operated.replication_unseen.iter().map(NodeJson::of).collect(),
            ..Self::of_result(endpoint, &operated.result, operated.elapsed)
        }
    }

    fn text(&self) -> String {
        let mut text = format!("  {}", self.endpoint);
        for NodeChange { node, before, after } in &self.nodes {
            text.push_str(&format!("  {node}  {} -> {}", before.text(), after.text()));
        }
        for change in &self.changed {
            text.push_str(&format!("  {change}"));
        }
        text.push_str(&format!("  {:.1} ms", self.elapsed_ms));
        if let Some(error) = &self.error {
            text.push_str(&format!("  {error}"));
        }
        text
    }
}

impl std::fmt::Display for ParameterChange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown = |value: &Option<String>| {
            value.as_ref().map_or_else(|| "(none)".to_owned(), |value| format!("'{value}'"))
        };
        write!(f, "{}: {} -> {}", self.name, shown(&self.before), shown(&self.after))
    }
}

/// Returns how a command ends of which this is the only result.
pub(super) fn exit(operated: &Operated) -> Exit {
    match exit_of(&operated.result) {
        Exit::Done if !operated.left_down.is_empty() || !operated.not_following.is_empty() => Exit::Partial,
        exit => exit,
    }
}

pub(super) fn exit_of(result: &Result<(), Failure>) -> Exit {
    result.as_ref().err().map_or(Exit::Done, Exit::from)
}

/// Names nodes in a sentence.
pub(super) fn named(nodes: &[Node]) -> String {
    let nodes: Vec<_> = nodes.iter().map(|node| format!("node {node}")).collect();
    nodes.join(", ")
}
