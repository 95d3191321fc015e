//! What came of a reconcile, in a sentence and in full.

use std::time::Duration;

use pcp_client::{Remark, Want};
use serde::Serialize;

use super::look::{History, Pgpool, Standing};
use super::{Halt, Run, Wanted};
use crate::args::{OutputFormat, ReconcileArgs};
use crate::exit::Exit;
use crate::output;
use crate::verdict::{NodeJson, StateJson, pgpools};

/// How a reconcile ended. Its first line is what an operator reads.
#[derive(Serialize)]
pub(super) struct Verdict {
    schema_version: u32,
    command: &'static str,
    /// `EFM`, or the file.
    truth: Option<String>,
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
    nodes: Vec<NodeVerdict>,
    /// What was asked, a letter a request, one string a connection.
    asked: Vec<String>,
}

#[derive(Serialize)]
struct NodeVerdict {
    name: String,
    want: String,
    verified: bool,
    held: Option<String>,
    error: Option<String>,
    node: Option<NodeJson>,
    before: Option<StateJson>,
    after: Option<StateJson>,
    changes: Vec<String>,
    remarks: Vec<String>,
}

impl Verdict {
    /// Says why nothing was tried.
    pub(super) fn nothing_done(halt: &Halt) -> Self {
        Self {
            schema_version: output::SCHEMA_VERSION,
            command: "reconcile",
            truth: None,
            exit: halt.exit,
            exit_code: halt.exit.code(),
            verified: false,
            verdict: format!("NOT reconciled, nothing was done: {}", halt.reason),
            pgpools: Vec::new(),
        }
    }

    /// Judges what came of it; `halt` is why it ended before it was through, `ended` the signal that ended it.
    pub(super) fn of(run: &Run<'_>, halt: Option<&Halt>, ended: Option<Exit>) -> Self {
        let exits: Vec<_> = run.pgpools.iter().map(exit_of).collect();
        let verified = exits.iter().filter(|exit| **exit == Exit::Done).count();
        let enough = run.settings.require.is_met(verified, exits.len());
        let exit = match (halt, ended) {
            (Some(_), Some(signal)) => signal,
            (Some(halt), None) => halt.exit,
            (None, Some(signal)) if !enough => signal,
            (None, _) if enough => Exit::Done,
            (None, _) => Exit::combine(exits),
        };
        let sentence = match halt {
            Some(halt) => halted(run, halt),
            None if enough => reconciled(run, verified),
            None => failed(run),
        };
        Self {
            truth: Some(run.source.name().to_owned()),
            exit,
            exit_code: exit.code(),
            verified: exit == Exit::Done,
            verdict: sentence + &held(run) + &remarks(run),
            pgpools: run.pgpools.iter().map(|pgpool| PgpoolVerdict::of(pgpool, &run.wanted)).collect(),
            ..Self::nothing_done(&Halt::new(exit, ""))
        }
    }

    /// Prints it, a failure on stderr as well, and returns how the process ends.
    pub(super) fn print(mut self, args: &ReconcileArgs, elapsed: Duration) -> Exit {
        let failed = self.exit != Exit::Done;
        let exit = args.caller().exit(self.exit);
        let lines: Vec<_> = self.pgpools.iter().flat_map(PgpoolVerdict::lines).collect();
        lines.iter().for_each(|line| tracing::info!("{}", line.trim_start()));
        match failed {
            true => tracing::error!(exit = self.exit_code, ?elapsed, "{}", self.verdict),
            false => tracing::info!(exit = self.exit_code, ?elapsed, "{}", self.verdict),
        }
        self.exit_code = exit.code();
        if failed {
            output::err_line(format_args!("pcpctl reconcile: {}", self.verdict));
        }
        if args.hook.output.quiet && !failed {
            return exit;
        }
        match args.hook.output.output {
            OutputFormat::Json => output::json(&self),
            OutputFormat::Table => {
                output::line(&self.verdict);
                lines.iter().for_each(output::line);
            }
        }
        exit
    }
}

impl PgpoolVerdict {
    fn of(pgpool: &Pgpool<'_>, wanted: &[Wanted]) -> Self {
        let exit = exit_of(pgpool);
        let nodes = wanted.iter().zip(&pgpool.histories).enumerate();
        let nodes = nodes.map(|(at, (wanted, history))| NodeVerdict::of(pgpool, wanted, history, at));
        Self {
            endpoint: pgpool.endpoint(),
            exit_code: exit.code(),
            verified: exit == Exit::Done,
            error: pgpool.error().map(|error| output::chain(error)),
            nodes: nodes.collect(),
            asked: pgpool
                .asked
                .iter()
                .chain(pgpool.histories.iter().flat_map(|done| &done.asked))
                .cloned()
                .collect(),
        }
    }

    fn lines(&self) -> Vec<String> {
        let mut lines: Vec<_> = self.nodes.iter().filter_map(|node| node.line(&self.endpoint)).collect();
        lines.extend(self.error.as_ref().map(|error| format!("  {}  {error}", self.endpoint)));
        lines
    }
}

impl NodeVerdict {
    fn of(pgpool: &Pgpool<'_>, wanted: &Wanted, history: &History, at: usize) -> Self {
        let standing = pgpool.standings.get(at).filter(|_| pgpool.view().is_some());
        let held = match standing {
            Some(Standing::Held(_, reason)) => Some(reason.clone()),
            _ => None,
        };
        let after = standing.and_then(Standing::node);
        Self {
            name: wanted.shown.to_string(),
            want: wanted.want.to_string(),
            verified: matches!(standing, Some(Standing::Met(_) | Standing::Absent)),
            held,
            error: standing.and_then(|standing| error_of(standing, history)),
            node: after.or(history.before.as_ref()).map(NodeJson::of),
            before: history.before.as_ref().map(StateJson::of),
            after: after.map(StateJson::of),
            changes: history.changes.iter().map(ToString::to_string).collect(),
            remarks: history.remarks.iter().map(ToString::to_string).collect(),
        }
    }

    /// Shows it as the hooks do; nothing where this Pgpool was never seen.
    fn line(&self, endpoint: &str) -> Option<String> {
        let mut text = format!("  {endpoint}  ");
        match (&self.node, &self.error) {
            (Some(node), _) => text.push_str(&format!("node {} ({}:{})", node.id, node.host, node.port)),
            (None, Some(_)) => text.push_str(&self.name),
            (None, None) => return None,
        }
        if let Some(before) = &self.before {
            let after = self.after.as_ref().unwrap_or(before);
            text.push_str(&format!("  {} -> {}", before.text(), after.text()));
        }
        if !self.changes.is_empty() {
            text.push_str(&format!("  [{}]", self.changes.join(", ")));
        }
        for more in [&self.held, &self.error].into_iter().flatten() {
            text.push_str(&format!("  {more}"));
        }
        Some(text)
    }
}

/// Returns what is wrong with a node, in the words of the run that tried to mend it where there was one.
fn error_of(standing: &Standing, history: &History) -> Option<String> {
    match (standing, &history.failure) {
        (standing, _) if standing.is_fine() => None,
        (Standing::Unmet(_), Some(failure)) => Some(output::chain(failure)),
        _ => Some(standing.to_string()),
    }
}

/// Returns how a run with this Pgpool alone would have ended: in part where one node was brought about and another was
/// not.
fn exit_of(pgpool: &Pgpool<'_>) -> Exit {
    if pgpool.view().is_none() {
        return match pgpool.error() {
            _ if pgpool.was_changed() => Exit::NotVerified,
            Some(error) => Exit::from(error),
            None => Exit::NotVerified,
        };
    }
    let nodes = pgpool.standings.iter().zip(&pgpool.histories);
    Exit::combine(nodes.filter_map(|(standing, history)| match (standing, &history.failure) {
        (Standing::Met(_), _) if !history.changes.is_empty() => Some(Exit::Done),
        (standing, _) if standing.is_fine() => None,
        (Standing::Unknown(_), _) => Some(Exit::Node),
        (Standing::Shared(..), _) => Some(Exit::Refused),
        (_, Some(failure)) => Some(Exit::from(failure)),
        (_, None) => Some(Exit::NotVerified),
    }))
}

fn reconciled(run: &Run<'_>, verified: usize) -> String {
    let is_compared = |at: &usize| {
        let mut standings = run.pgpools.iter().filter_map(|pgpool| pgpool.standings.get(*at));
        standings.any(|standing| !matches!(standing, Standing::Held(..)))
    };
    let nodes = match (0..run.wanted.len()).filter(is_compared).count() {
        1 => "1 node is".to_owned(),
        count => format!("{count} nodes are"),
    };
    let mut sentence = format!("reconciled: {nodes} as {} says, verified on ", run.source.name());
    match run.pgpools.len() {
        all if all == verified => sentence.push_str(&pgpools(verified)),
        all => sentence.push_str(&format!("{verified} of {}", pgpools(all))),
    }
    let changed: Vec<_> = changed(run).collect();
    if !changed.is_empty() {
        sentence.push_str(&format!(" ({} changed: {})", changed.len(), changed.join(", ")));
    }
    let left = troubles(run);
    if !left.is_empty() {
        sentence.push_str(&format!("; NOT on {}", left.join("; ")));
    }
    sentence
}

fn failed(run: &Run<'_>) -> String {
    let troubles = troubles(run);
    let mut sentence = match (run.pgpools.len(), troubles.len()) {
        (1, _) => format!("NOT reconciled: {}", troubles.join("; ")),
        (all, failed) => format!(
            "NOT reconciled on {failed} of {}: {}; a Pgpool that is not verified may still use the wrong nodes",
            pgpools(all),
            troubles.join("; ")
        ),
    };
    let changed: Vec<_> = changed(run).collect();
    if !changed.is_empty() {
        sentence.push_str(&format!("; done: {}", changed.join(", ")));
    }
    sentence
}

fn halted(run: &Run<'_>, halt: &Halt) -> String {
    let done = run.pgpools.iter().flat_map(|pgpool| &pgpool.histories).flat_map(|done| &done.changes);
    let done: Vec<_> = done.map(ToString::to_string).collect();
    let mut sentence = match &done[..] {
        [] => format!("NOT reconciled, nothing was done: {}", halt.reason),
        done => format!("NOT reconciled, stopped after {}: {}", done.join(", "), halt.reason),
    };
    let is_wrong = |at: usize| {
        let mut standings = run.pgpools.iter().filter_map(|pgpool| pgpool.standings.get(at));
        standings.any(|standing| !standing.is_fine())
    };
    let wrong = run.wanted.iter().enumerate().filter(|(at, _)| is_wrong(*at));
    let wrong: Vec<_> = wrong.map(|(_, wanted)| format!("{} is NOT {}", wanted.shown, wanted.want)).collect();
    if halt.exit == Exit::NotVerified && !wrong.is_empty() {
        sentence.push_str(&format!("; {}", wrong.join("; ")));
    }
    sentence
}

/// Names the nodes that were brought about by this run, each once.
fn changed<'a>(run: &'a Run<'_>) -> impl Iterator<Item = String> + 'a {
    let is_changed = |at: usize| {
        run.pgpools.iter().any(|pgpool| {
            let met = matches!(pgpool.standings.get(at), Some(Standing::Met(_)));
            met && pgpool.histories.get(at).is_some_and(|history| !history.changes.is_empty())
        })
    };
    let changed = run.wanted.iter().enumerate().filter(move |(at, _)| is_changed(*at));
    changed.map(|(_, wanted)| format!("{} {}", wanted.shown, wanted.want))
}

/// Says of each Pgpool that is not as it should be what is wrong with it.
fn troubles(run: &Run<'_>) -> Vec<String> {
    let trouble = |pgpool: &Pgpool<'_>| {
        if pgpool.view().is_none() {
            let reason =
                pgpool.error().map_or_else(|| "it was not looked at".to_owned(), |error| output::chain(error));
            return Some(format!("{}: {reason}", pgpool.endpoint()));
        }
        let nodes = run.wanted.iter().zip(&pgpool.standings).zip(&pgpool.histories);
        let wrong: Vec<_> = nodes
            .filter_map(|((wanted, standing), history)| {
                Some(format!("{} is NOT {}: {}", wanted.shown, wanted.want, error_of(standing, history)?))
            })
            .collect();
        (!wrong.is_empty()).then(|| format!("{}: {}", pgpool.endpoint(), wrong.join("; ")))
    };
    run.pgpools.iter().filter_map(trouble).collect()
}

/// Names the nodes that were passed over, each once.
fn held(run: &Run<'_>) -> String {
    let mut held: Vec<_> = run
        .pgpools
        .iter()
        .flat_map(|pgpool| run.wanted.iter().zip(&pgpool.standings))
        .filter_map(|(wanted, standing)| match standing {
            Standing::Held(_, reason) => Some(format!("; {}: {reason}", wanted.shown)),
            _ => None,
        })
        .collect();
    held.sort_unstable();
    held.dedup();
    held.concat()
}

fn remarks(run: &Run<'_>) -> String {
    let mut remarks: Vec<Remark> = Vec::new();
    let tells_no_role = run.pgpools.iter().any(|pgpool| {
        let mut nodes = run.wanted.iter().zip(&pgpool.standings);
        nodes.any(|(wanted, standing)| match standing {
            Standing::Met(node) => wanted.want != Want::Detached && node.role.is_none(),
            _ => false,
        })
    });
    remarks.extend(tells_no_role.then_some(Remark::RolesUnknown));
    for remark in run.pgpools.iter().flat_map(|pgpool| &pgpool.histories).flat_map(|done| &done.remarks) {
        if !remarks.contains(remark) {
            remarks.push(remark.clone());
        }
    }
    remarks.iter().map(|remark| format!("; {remark}")).collect()
}
