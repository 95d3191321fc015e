//! The report: what people read in `docs/drills.md`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{Failure, Group, Outcome};
use crate::{Call, Version};

/// Write the report of these outcomes as Markdown, with `machine` to say what they were measured on.
///
/// A scenario is a row, a version a column; what was called stands in the row once, as the last version had it.
#[must_use]
pub fn report(outcomes: &[Outcome], machine: &str) -> String {
    let mut versions: Vec<Version> = outcomes.iter().map(|outcome| outcome.version).collect();
    versions.sort();
    versions.dedup();
    let passed = outcomes.iter().filter(|outcome| outcome.result.is_ok()).count();
    let mut text = format!("{INTRODUCTION}\n{machine}\n{passed} of {} drills passed.\n", outcomes.len());
    for (group, heading) in GROUPS {
        let rows = rows(outcomes, group);
        if !rows.is_empty() {
            let columns: String = versions.iter().map(|version| format!(" {} |", version.pgpool())).collect();
            // Writing to a String cannot fail.
            let _ = writeln!(text, "\n## {heading}\n\n| scenario |{columns} hooks |");
            let _ = writeln!(text, "|---|{}---|", "---|".repeat(versions.len()));
            for row in rows {
                let _ = writeln!(text, "{}", line(&row, &versions));
            }
        }
    }
    text.push_str(&told(outcomes));
    text.push_str(&failures(outcomes));
    text
}

/// Returns the outcomes of each scenario, which come from one version or several.
fn rows(outcomes: &[Outcome], group: Group) -> Vec<Vec<&Outcome>> {
    let mut rows: Vec<Vec<&Outcome>> = Vec::new();
    for outcome in outcomes.iter().filter(|outcome| outcome.scenario.pgpools == group) {
        match rows.iter_mut().find(|row| row.first().is_some_and(|one| one.scenario.name == outcome.scenario.name))
        {
            Some(row) => row.push(outcome),
            None => rows.push(vec![outcome]),
        }
    }
    rows
}

fn line(row: &[&Outcome], versions: &[Version]) -> String {
    let name = row.first().map_or("", |outcome| outcome.scenario.name);
    let cell = |version: &Version| {
        let outcome = row.iter().find(|outcome| outcome.version == *version);
        outcome.map_or_else(|| "-".to_owned(), |outcome| figures(outcome))
    };
    let cells: Vec<String> = versions.iter().map(cell).collect();
    let last = row.iter().max_by_key(|outcome| outcome.version);
    let hooks: Vec<String> = last.map(|outcome| outcome.calls.iter().map(ending).collect()).unwrap_or_default();
    format!("| {name} | {} | {} |", cells.join(" | "), hooks.join(", "))
}

fn figures(outcome: &Outcome) -> String {
    match &outcome.result {
        Err(Failure::Unable(verb)) => format!("no {verb}"),
        Err(Failure::Other(_)) => "**failed**".to_owned(),
        Ok(figures) => {
            let slowest = outcome.calls.iter().map(|call| call.elapsed).max().unwrap_or_default();
            let lost = if figures.lost > 0 { format!(", {} lost", figures.lost) } else { String::new() };
            format!("{:.1} / {:.1}{lost}", figures.without_writes.as_secs_f64(), slowest.as_secs_f64())
        }
    }
}

/// Names a hook, with its exit code unless that is 0.
fn ending(call: &Call) -> String {
    match call.code {
        Some(0) => format!("`{}`", call.line),
        Some(code) => format!("`{}` exit {code}", call.line),
        None => format!("`{}` killed", call.line),
    }
}

/// Lists what the client was told, and in how many drills.
fn told(outcomes: &[Outcome]) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for figures in outcomes.iter().filter_map(|outcome| outcome.result.as_ref().ok()) {
        for failure in &figures.failures {
            *counts.entry(failure).or_default() += 1;
        }
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let drills = |count| if count == 1 { "1 drill".to_owned() } else { format!("{count} drills") };
    let lines: String =
        counts.iter().map(|(failure, count)| format!("- {}: {failure}\n", drills(*count))).collect();
    if lines.is_empty() { lines } else { format!("{TOLD}{lines}") }
}

fn failures(outcomes: &[Outcome]) -> String {
    let mut text = String::new();
    for outcome in outcomes {
        if let Err(reason @ Failure::Other(_)) = &outcome.result {
            let reason = reason.to_string();
            let _ = writeln!(
                text,
                "- {} ({:?}), {}: {}",
                outcome.scenario.name,
                outcome.scenario.pgpools,
                outcome.version,
                // A server's log may follow.
                reason.lines().take(3).collect::<Vec<_>>().join(" ")
            );
        }
    }
    if text.is_empty() { text } else { format!("\n## Failed\n\n{text}") }
}

const GROUPS: [(Group, &str); 3] = [
    (Group::One, "One Pgpool"),
    (Group::TwoIndependent, "Two Pgpools that know nothing of each other"),
    (Group::ThreeWithWatchdog, "Three Pgpools with a watchdog"),
];

const INTRODUCTION: &str = "\
# Drills on real servers

Written by `cargo run -p pcp-tests --example drills`, which needs Docker and about an hour; with arguments
(`4.7 switchover`) it runs those drills alone. Change the drills in `tests/src/drills`, not this file.

Each drill is a sequence of failures and decisions on a primary and two standbys in streaming replication, with real
Pgpools before them. A stand-in for EFM (`tests/src/efm.rs`) decides, really promotes, repoints and rebuilds
PostgreSQL, and calls the hooks as EFM documents it. It learns of a failure at once: EFM's own time to agree on one
comes on top. Unless the row says otherwise it waits for a hook to end before it does the next thing, which EFM may
not. A client inserts a row every 50 ms through Pgpool; after an error, or five seconds of silence, it connects anew,
to the next Pgpool where there are several.

A drill passes when each hook exits as it should (0, unless a Pgpool is gone: then 4 or 10), `SHOW POOL_NODES` on every
Pgpool agrees with `pg_is_in_recovery()` of every node at once, nodes that EFM holds for failed are down, and a write
through each Pgpool is found on the real primary.

A cell says: the longest time between two writes that the client got through / how long the slowest hook took, both in
seconds. *lost* are writes that were acknowledged and are not on the primary in the end; replication is asynchronous,
so what the old primary had not sent on when it was killed or cut off is lost whatever Pgpool does. The nodes change
places from drill to drill, so that `node0` is not the primary in each.
";

const TOLD: &str = "
## What the client was told

Each error once per drill, from the longest time without writes alone.

";
