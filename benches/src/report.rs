//! docs/performance.md.

use std::fmt::Write as _;

use anyhow::Result;

use crate::machine;
use crate::row::{Row, Target};

const HEAD: &str = "\
# Performance

Written by `benches/run`, which measures everything anew; nothing here is edited by hand. Ours and the peer's run in turns in the
same container, beside a real Pgpool. The peer is Pgpool's own tool from Debian's package of the same release, unless the
row says otherwise; the ratio is ours to the peer's.

";

const TAIL: &str = include_str!("notes.md");

pub(crate) fn markdown(rows: &[Row]) -> Result<String> {
    let mut text = HEAD.to_owned();
    writeln!(text, "The machine: {}.\n", machine::describe()?)?;
    text.push_str(&table(rows)?);
    text.push_str(TAIL);
    Ok(text)
}

pub(crate) fn table(rows: &[Row]) -> Result<String> {
    let mut text = "| what | ours | peer | limit | ratio | target | |\n|---|---:|---:|---:|---:|---:|---|\n".to_owned();
    for row in rows {
        let or_none = |amount: Option<String>| amount.unwrap_or_default();
        let ratio = row.peer.map(|_| format!("{:.3}", row.judged()));
        let verdict = match (row.target, row.is_met()) {
            (Target::None, _) => "",
            (_, true) => "met",
            (_, false) => "**not met**",
        };
        writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {verdict} |",
            row.what,
            row.ours,
            or_none(row.peer.map(|amount| amount.to_string())),
            or_none(row.limit.map(|amount| amount.to_string())),
            or_none(ratio),
            row.target,
        )?;
    }
    Ok(text)
}
