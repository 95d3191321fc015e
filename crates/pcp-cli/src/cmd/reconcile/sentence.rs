//! What came of a reconcile, in one sentence.

use pcp_client::{Remark, Want};

use super::look::{Pgpool, Standing};
use super::verdict::error_of;
use super::{Halt, Run};
use crate::exit::Exit;
use crate::output;
use crate::verdict::pgpools;

/// Says that it is done, and what had to be changed for it.
pub(super) fn reconciled(run: &Run<'_>, verified: usize) -> String {
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

/// Says what is not as it should be.
pub(super) fn failed(run: &Run<'_>) -> String {
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

/// Says why the run ended before it was through.
pub(super) fn halted(run: &Run<'_>, halt: &Halt) -> String {
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
pub(super) fn held(run: &Run<'_>) -> String {
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

/// Says what a reader should know besides.
pub(super) fn remarks(run: &Run<'_>) -> String {
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
