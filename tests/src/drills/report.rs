//! The report: what people read in `docs/drills.md`.

use std::fmt::Write as _;

use super::{Failure, Figures, Group, Outcome};
use crate::Call;

/// Write the report of these outcomes as Markdown, with `machine` to say what they were measured on.
#[must_use]
pub fn report(outcomes: &[Outcome], machine: &str) -> String {
    let passed = outcomes.iter().filter(|outcome| outcome.result.is_ok()).count();
    let mut text = format!("{INTRODUCTION}\n{machine}\n{passed} of {} drills passed.\n{TABLE}", outcomes.len());
    for outcome in outcomes {
        let (without_writes, lost) = match &outcome.result {
            Ok(figures) => (format!("{:.1}", figures.without_writes.as_secs_f64()), figures.lost.to_string()),
            Err(Failure::Unable(_)) => ("not yet".to_owned(), "-".to_owned()),
            Err(Failure::Other(_)) => ("**failed**".to_owned(), "-".to_owned()),
        };
        let hooks: Vec<String> = outcome.calls.iter().map(ending).collect();
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "| {} | {} | {} | {without_writes} | {lost} | {} |",
            outcome.scenario.name,
            pgpools(outcome.scenario.pgpools),
            outcome.version.pgpool(),
            hooks.join("<br>"),
        );
    }
    text.push_str(VERDICTS);
    for outcome in outcomes {
        let _ = writeln!(
            text,
            "{}, {}, {}:\n",
            outcome.scenario.name,
            pgpools(outcome.scenario.pgpools),
            outcome.version
        );
        for call in &outcome.calls {
            let _ = writeln!(text, "- {}: {}", ending(call), call.verdict);
        }
        if let Ok(Figures { failures, .. }) = &outcome.result
            && !failures.is_empty()
        {
            let _ = writeln!(text, "- the client was told: {}", failures.join("; "));
        }
        if let Err(reason) = &outcome.result {
            let _ = writeln!(text, "- failed: {}", reason.to_string().replace('\n', " "));
        }
        text.push('\n');
    }
    text
}

fn ending(call: &Call) -> String {
    let code = call.code.map_or_else(|| "killed".to_owned(), |code| format!("exit {code}"));
    format!("`{}` {code}, {:.1} s", call.line, call.elapsed.as_secs_f64())
}

fn pgpools(group: Group) -> &'static str {
    match group {
        Group::One => "one Pgpool",
        Group::TwoIndependent => "two independent Pgpools",
        Group::ThreeWithWatchdog => "three Pgpools with a watchdog",
    }
}

const INTRODUCTION: &str = "\
# Drills on real servers

Written by `cargo run -p pcp-tests --example drills`; change the drills, not this file.

Each drill is a sequence of failures and decisions on a primary and two standbys in streaming replication, with real Pgpools before
them. A stand-in for EFM (`tests/src/efm.rs`) decides, really promotes, repoints and rebuilds PostgreSQL, and calls the hooks as
EFM documents it. It learns of a failure at once: EFM's own time to agree on one comes on top. It waits for a hook to end before
it does the next thing, which EFM may not. A client inserts a row every 50 ms through Pgpool; after an error, or five seconds of
silence, it connects anew, to the next Pgpool where there are several.

A drill passes when each hook exits as it should (0, unless a Pgpool is gone: then 4 or 10), `SHOW POOL_NODES` on every Pgpool agrees
with `pg_is_in_recovery()` of every node at once, nodes that EFM holds for failed are down, and a write through each Pgpool is found
on the real primary.
";

const TABLE: &str = "
*no writes*: the longest time between two writes that the client got through, in seconds. *lost*: writes that were acknowledged but
are not on the primary in the end; replication is asynchronous, so what the old primary had not sent on when it was killed or cut off is lost
whatever Pgpool does.

| scenario | before the nodes | Pgpool | no writes | lost | hooks |
|---|---|---|---|---|---|
";

const VERDICTS: &str = "
## Verdicts

The first line of each hook's standard output.

";
