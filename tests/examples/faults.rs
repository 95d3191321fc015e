//! Tries every fault at every place, and writes `docs/reliability.md`.
//!
//! `cargo run --profile exhaustive -p pcp-tests --example faults` runs all. With arguments only what one of them is a
//! part of the name of (`library`, `program`, `real`, `detach`, `4.3`), and writes to standard output. `FAULTS_FEW=8` tries
//! so many places of each fault instead of all of them: minutes instead of hours.

use std::env;
use std::fs;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use pcp_client::sandbox::Age;
use pcp_tests::Version;
use pcp_tests::faults::{self, Extent, Kind, Ports, Table};

const REPORT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/reliability.md");
const VERSIONS: [Version; 2] = [Version::V4_3, Version::V4_7];

fn main() -> Result<()> {
    let mut args = env::args();
    // The commands are processes, and no other program is sure to be built: this one is pcpctl under that name.
    let name = args.next().unwrap_or_default();
    if name == "pcpctl" || name.starts_with("pcp_") {
        pcp_cli::main();
    }
    let wanted: Vec<String> = args.collect();
    let is_wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|word| name.contains(&**word));
    let few = match env::var("FAULTS_FEW") {
        Ok(few) => Some(few.parse().context("FAULTS_FEW")?),
        Err(_) => None,
    };
    let started = Instant::now();
    // What is about time comes first, and before the processors are busy.
    let program = program(is_wanted, few.map_or(Extent::Borders, Extent::Few))?;
    let real = real(is_wanted)?;
    let library = library(is_wanted, few)?;
    let seconds = started.elapsed().as_secs();
    let page = faults::page(&library, &program, &real, few, seconds);
    match wanted.is_empty() {
        true => fs::write(REPORT, page).with_context(|| format!("cannot write {REPORT}"))?,
        false => print(&page),
    }
    let failed = real.iter().filter(|outcome| outcome.result.is_err()).map(|outcome| outcome.name.to_owned());
    let defects: Vec<_> = library.defects().chain(program.defects()).map(str::to_owned).chain(failed).collect();
    ensure!(defects.is_empty(), "{} defects:\n{}", defects.len(), defects.join("\n"));
    Ok(())
}

/// Every byte on the newest age. What is between the borders of frames is the same on the others.
fn library(is_wanted: impl Fn(&str) -> bool, few: Option<usize>) -> Result<Table> {
    let mut table = Table::default();
    for verb in faults::verbs() {
        let every = if verb.age() == Age::V4_7 { Extent::Every } else { Extent::Borders };
        let extent = few.map_or(every, Extent::Few);
        let name = format!("{} on {}", verb.name, verb.age());
        if is_wanted(&format!("library {name}")) {
            for kind in Kind::ALL {
                table.add(&name, kind, faults::try_everywhere(&verb, kind, extent)?);
            }
            tell_of(&format!("library: {name}"), &table);
        }
    }
    Ok(table)
}

fn program(is_wanted: impl Fn(&str) -> bool, extent: Extent) -> Result<Table> {
    let program = env::current_exe().context("this program does not find itself")?;
    let mut commands = faults::commands();
    commands.retain(|command| is_wanted(&format!("program {}", command.name)));
    let table = faults::try_program(&program, &Ports::start()?, &commands, &Kind::ALL.map(|kind| (kind, extent)))?;
    tell_of("program", &table);
    Ok(table)
}

fn real(is_wanted: impl Fn(&str) -> bool) -> Result<Vec<faults::RealOutcome>> {
    let program = env::current_exe().context("this program does not find itself")?;
    let mut outcomes = Vec::new();
    for version in VERSIONS {
        let scenarios: Vec<_> = faults::on_real_servers()
            .into_iter()
            .filter(|scenario| is_wanted(&format!("real {} {}", version.series(), scenario.name)))
            .collect();
        for outcome in faults::run_on_real_server(&scenarios, version, &program)? {
            tell(&format!("{version}: {}: {:?}", outcome.name, outcome.result));
            outcomes.push(outcome);
        }
    }
    Ok(outcomes)
}

/// Says what was found so far, which can be enough to stop.
fn tell_of(what: &str, table: &Table) {
    tell(&format!("{what}: {} places so far, {} defects", table.places(), table.defects().count()));
    table.defects().for_each(tell);
}

#[expect(clippy::print_stderr, reason = "progress, for whoever waits")]
fn tell(what: &str) {
    eprintln!("{what}");
}

#[expect(clippy::print_stdout, reason = "this is what it is for")]
fn print(page: &str) {
    println!("{page}");
}
