//! What came of a reconcile, in full.

use std::time::Duration;

use serde::Serialize;

use super::look::{History, Pgpool, Standing};
use super::{Halt, Run, Wanted, sentence};
use crate::args::ReconcileArgs;
use crate::exit::Exit;
use crate::output;
use crate::verdict::{NodeJson, Said, StateJson};

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

    /// Judges what came of it; `halt` is why it ended before it was through, `ended` the signal for that where it was one.
    pub(super) fn of(run: &Run<'_>, halt: Option<&Halt>, ended: Option<Exit>) -> Self {
        let exits: Vec<_> = run.pgpools.iter().map(exit_of).collect();
        let verified = exits.iter().filter(|exit| **exit == Exit::Done).count();
        let enough = run.settings.require.is_met(verified, exits.len());
        let exit = match halt {
            Some(halt) => ended.unwrap_or(halt.exit),
            None if enough => Exit::Done,
            None => Exit::combine(exits),
        };
        let sentence = match halt {
            Some(halt) => sentence::halted(run, halt),
            None if enough => sentence::reconciled(run, verified),
            None => sentence::failed(run),
        };
        Self {
            truth: Some(run.source.name().to_owned()),
            exit,
            exit_code: exit.code(),
            verified: exit == Exit::Done,
            verdict: sentence + &sentence::held(run) + &sentence::remarks(run),
            pgpools: run.pgpools.iter().map(|pgpool| PgpoolVerdict::of(pgpool, &run.wanted)).collect(),
            ..Self::nothing_done(&Halt::new(exit, ""))
        }
    }

    /// Prints it, a failure on stderr as well, and returns how the process ends.
    pub(super) fn print(mut self, args: &ReconcileArgs, elapsed: Duration) -> Exit {
        let exit = args.caller().exit(self.exit);
        self.exit_code = exit.code();
        let lines: Vec<_> = self.pgpools.iter().flat_map(PgpoolVerdict::lines).collect();
        let said = Said { command: self.command, exit: self.exit, sentence: &self.verdict, lines: &lines };
        said.publish(&self, &args.hook.output, elapsed);
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
            (Some(node), _) => text.push_str(&node.to_string()),
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
pub(super) fn error_of(standing: &Standing, history: &History) -> Option<String> {
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
