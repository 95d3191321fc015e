//! Runs the drills on real servers and writes `docs/drills.md`.
//!
//! `cargo run -p pcp-tests --example drills` runs all, about an hour. With arguments only those whose version or
//! name contains one of them (`4.7 switchover`, `4.1 ThreeWithWatchdog`), and writes to standard output.

use std::env;
use std::fs;

use anyhow::{Context, Result, ensure};
use jiff::Zoned;
use pcp_tests::Version;
use pcp_tests::drills::{self, Outcome, Scenario};

const REPORT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/drills.md");
/// On which Pgpools, the newest first: what is written after each of them is then of most use.
const VERSIONS: [Version; 3] = [Version::V4_7, Version::V4_3, Version::V4_1];

fn main() -> Result<()> {
    let mut args = env::args();
    // The hooks are processes, and no other program is sure to be built: this one is pcpctl under that name.
    if args.next().as_deref() == Some("pcpctl") {
        pcp_cli::main();
    }
    let wanted: Vec<String> = args.collect();
    let program = env::current_exe().context("this program does not find itself")?;
    let (versions, words): (Vec<_>, Vec<_>) =
        wanted.iter().partition(|word| Version::ALL.iter().any(|version| version.series() == **word));
    let versions = VERSIONS
        .into_iter()
        .filter(|version| versions.is_empty() || versions.iter().any(|word| **word == version.series()));
    let scenarios: Vec<Scenario> = drills::all()
        .into_iter()
        .filter(|scenario| {
            let name = format!("{} ({:?})", scenario.name, scenario.pgpools);
            words.is_empty() || words.iter().any(|word| name.contains(&**word))
        })
        .collect();
    // By scenario, so that the versions stand side by side.
    let place = |outcome: &Outcome| {
        scenarios.iter().position(|scenario| {
            (scenario.name, scenario.pgpools) == (outcome.scenario.name, outcome.scenario.pgpools)
        })
    };
    let mut outcomes = Vec::new();
    for version in versions {
        outcomes.extend(drills::run(&scenarios, version, &program, tell)?);
        outcomes.sort_by_key(place);
        if wanted.is_empty() {
            let report = drills::report(&outcomes, &machine()?);
            fs::write(REPORT, report).with_context(|| format!("cannot write {REPORT}"))?;
        }
    }
    if !wanted.is_empty() {
        print(&drills::report(&outcomes, &machine()?));
    }
    let failed = outcomes.iter().filter(|outcome| outcome.result.is_err()).count();
    ensure!(failed == 0, "{failed} drills failed");
    Ok(())
}

#[expect(clippy::print_stderr, reason = "progress, for whoever waits")]
fn tell(outcome: &Outcome) {
    let what = format!("{}: {} ({:?})", outcome.version, outcome.scenario.name, outcome.scenario.pgpools);
    match &outcome.result {
        Ok(figures) => {
            let seconds = figures.without_writes.as_secs_f64();
            eprintln!("{what}: {seconds:.1} s without writes, {} lost; {:?}", figures.lost, figures.failures);
        }
        Err(failure) => eprintln!("{what}: {failure}"),
    }
}

#[expect(clippy::print_stdout, reason = "this is what it is for")]
fn print(report: &str) {
    println!("{report}");
}

/// Describes what the drills ran on.
fn machine() -> Result<String> {
    let cpus = fs::read_to_string("/proc/cpuinfo").context("cannot read /proc/cpuinfo")?;
    let models = cpus.lines().filter_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let models: Vec<&str> = models.map(|(_, model)| model.trim()).collect();
    let memory = fs::read_to_string("/proc/meminfo").context("cannot read /proc/meminfo")?;
    let kilobytes = memory.split_whitespace().nth(1).and_then(|word| word.parse::<u64>().ok());
    let gigabytes = kilobytes.context("/proc/meminfo does not begin with a size")? >> 20;
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").context("cannot read the kernel's release")?;
    let kernel = kernel.split('.').take(2).collect::<Vec<_>>().join(".");
    let model = models.first().copied().unwrap_or("of unknown model");
    let servers: Vec<String> = VERSIONS
        .iter()
        .map(|version| format!("{} with PostgreSQL {}", version.pgpool(), version.postgres()))
        .collect();
    Ok(format!(
        "Measured on {} on {} processors ({model}), {gigabytes} GiB of memory, Linux {}, all hosts in containers on one\n\
         machine: Pgpool {}.\n",
        Zoned::now().date(),
        models.len(),
        kernel,
        servers.join(", "),
    ))
}
