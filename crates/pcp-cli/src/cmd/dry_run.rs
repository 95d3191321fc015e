//! `--dry-run`: what a hook verb would do.

use pcp_client::{Change, Evidence, Failure, Forecast, Order, Reason, Sessions, Step, forecast_all};
use serde::Serialize;

use super::with_notices;
use crate::args::{HookArgs, OutputFormat};
use crate::exit::Exit;
use crate::output;
use crate::settings::Settings;
use crate::verdict::{Matter, NodeJson, StateJson};

/// What would be done, and the exit code to expect.
#[derive(Serialize)]
struct DryRun {
    schema_version: u32,
    command: &'static str,
    node: String,
    dry_run: bool,
    exit_code: i32,
    verdict: String,
    pgpools: Vec<PgpoolDryRun>,
}

/// What would be done about a node on one Pgpool.
#[derive(Serialize)]
pub(super) struct PgpoolDryRun {
    endpoint: String,
    exit_code: i32,
    error: Option<String>,
    node: Option<NodeJson>,
    before: Option<StateJson>,
    /// What is done first; the rest depends on what Pgpool makes of it.
    step: Option<String>,
    change: Option<String>,
    sessions: Option<&'static str>,
    set_down: Vec<NodeJson>,
    left_down: Vec<NodeJson>,
}

/// Asks every Pgpool and prints what would be done there. Nothing is changed.
pub(super) async fn dry_run<E: Evidence>(
    matter: &Matter<'_>,
    order: &Order<'_, E>,
    args: &HookArgs,
    settings: &Settings,
) -> Exit {
    let connects: Vec<_> =
        settings.targets.iter().map(|target| with_notices(&target.connector, &args.output)).collect();
    let credentials = settings.targets.iter().map(|target| &target.credentials);
    let told = forecast_all(connects.iter().zip(credentials), order).await;
    let told = settings.endpoints().zip(told).map(|(endpoint, told)| PgpoolDryRun::of(endpoint.to_string(), told));
    let (exits, pgpools): (Vec<_>, Vec<_>) = told.unzip();
    let exit = Exit::of_several(&exits, settings.require);
    let document = DryRun {
        schema_version: output::SCHEMA_VERSION,
        command: matter.verb,
        node: matter.node.to_string(),
        dry_run: true,
        exit_code: exit.code(),
        verdict: format!(
            "DRY RUN: nothing was changed; {} {} {}, exit code {}",
            matter.node,
            match exit {
                Exit::Done => "would be",
                Exit::Partial => "would in part be",
                _ => "would NOT be",
            },
            matter.want,
            exit.code()
        ),
        pgpools,
    };
    tracing::info!(exit = exit.code(), "{}", document.verdict);
    match args.output.output {
        OutputFormat::Json => output::json(&document),
        OutputFormat::Table => {
            output::line(&document.verdict);
            document.pgpools.iter().for_each(|pgpool| output::line(pgpool.text()));
        }
    }
    exit
}

impl PgpoolDryRun {
    pub(super) fn of(endpoint: String, told: Result<Forecast, Failure>) -> (Exit, Self) {
        let nothing = Self {
            endpoint,
            exit_code: 0,
            error: None,
            node: None,
            before: None,
            step: None,
            change: None,
            sessions: None,
            set_down: Vec::new(),
            left_down: Vec::new(),
        };
        match told {
            Err(failure) => {
                let exit = Exit::from(&failure);
                (exit, Self { exit_code: exit.code(), error: Some(output::chain(&failure)), ..nothing })
            }
            Ok(told) => {
                let exit = match told.step {
                    Step::Refuse { .. } => Exit::Refused,
                    _ if told.left_down.is_empty() => Exit::Done,
                    _ => Exit::Partial,
                };
                let forecast = Self {
                    exit_code: exit.code(),
                    node: Some(NodeJson::of(&told.node)),
                    before: Some(StateJson::of(&told.node)),
                    step: Some(words(&told.step)),
                    change: match &told.step {
                        Step::Act(change, _) => Some(change.to_string()),
                        _ => None,
                    },
                    sessions: Some(match told.sessions {
                        Sessions::None => "none",
                        Sessions::OnTheNode => "those on the node",
                        Sessions::All => "all",
                    }),
                    set_down: told.set_down.iter().map(NodeJson::of).collect(),
                    left_down: told.left_down.iter().map(NodeJson::of).collect(),
                    ..nothing
                };
                (exit, forecast)
            }
        }
    }

    pub(super) fn text(&self) -> String {
        let mut text = format!("  {}", self.endpoint);
        if let (Some(node), Some(before)) = (&self.node, &self.before) {
            text.push_str(&format!("  {node} is {}", before.text()));
        }
        if let Some(step) = &self.step {
            text.push_str(&format!("; {step}"));
        }
        if let Some(sessions) = self.sessions.filter(|_| self.change.is_some()) {
            text.push_str(&format!("; sessions dropped: {sessions}"));
        }
        for (what, nodes) in [("sets down", &self.set_down), ("would leave down", &self.left_down)] {
            if !nodes.is_empty() {
                let nodes: Vec<_> = nodes.iter().map(|node| node.id.to_string()).collect();
                text.push_str(&format!("; {what} node {}", nodes.join(", ")));
            }
        }
        if let Some(error) = &self.error {
            text.push_str(&format!("  {error}"));
        }
        text
    }
}

fn words(step: &Step) -> String {
    match step {
        Step::Done => "nothing to do".to_owned(),
        Step::Wait { reason } => format!("first: wait for {reason} (exit code 8 if that takes too long)"),
        Step::Refuse { reason } => format!("refused: {reason}"),
        Step::Ask(_) => "first: ask PostgreSQL".to_owned(),
        Step::Act(change, reason) => format!("first: {change}{}", purpose(*change, *reason)),
    }
}

fn purpose(change: Change, reason: Reason) -> &'static str {
    match (change, reason) {
        (Change::Detach(_), Reason::Displace) => {
            ", which holds the role of the primary (if PostgreSQL was not promoted, there is none then)"
        }
        (Change::Detach(_), Reason::Cycle) => " and attach it again, so that Pgpool looks for a primary",
        _ => "",
    }
}
