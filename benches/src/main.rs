//! Measures pcpctl against Pgpool's own tools, and writes what came of it to docs/performance.md. `run` starts it.

mod hyperfine;
mod machine;
mod parts;
mod place;
mod report;
mod row;

use std::env;
use std::process::ExitCode;

use anyhow::{Context, Result};

use parts::Part;
use row::Row;

fn main() -> Result<ExitCode> {
    let named: Vec<String> = env::args().skip(1).collect();
    let parts = match named.is_empty() {
        true => Part::ALL.to_vec(),
        false => named.iter().map(|name| name.parse()).collect::<Result<_>>()?,
    };
    let mut rows: Vec<Row> = Vec::new();
    for part in parts {
        eprintln!("{part} ..");
        let measured = part.measure().with_context(|| format!("measuring {part}"))?;
        eprint!("{}", report::table(&measured)?);
        rows.extend(measured);
    }
    let text = report::markdown(&rows)?;
    if named.is_empty() {
        std::fs::write("docs/performance.md", text).context("docs/performance.md")?;
    } else {
        print!("{text}");
    }
    Ok(if rows.iter().all(Row::is_met) { ExitCode::SUCCESS } else { ExitCode::from(1) })
}
