//! hyperfine, run on a host of a cluster.

use anyhow::{Context, Result, ensure};
use pcp_tests::Host;
use serde::Deserialize;

/// Commands are paired in several rounds, so that what else the machine does meets all of them.
const ROUNDS: usize = 10;

/// Where what prepares a command says what it did.
pub(crate) const PREPARED: &str = "/tmp/prepared";

/// What a command took: medians of wall-clock milliseconds, means of CPU milliseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    pub(crate) wall: f64,
    pub(crate) cpu: f64,
}

#[derive(Deserialize)]
struct Results {
    results: Vec<Measured>,
}

#[derive(Deserialize)]
struct Measured {
    times: Vec<f64>,
    user: f64,
    system: f64,
}

/// Runs commands without a shell, in turns, so many times each.
pub(crate) fn pair<const N: usize>(host: &Host, commands: [&str; N], runs: usize) -> Result<[Times; N]> {
    let mut walls = [const { Vec::new() }; N];
    let mut cpu = [0.0; N];
    let runs = runs.div_ceil(ROUNDS).max(2).to_string();
    for _ in 0..ROUNDS {
        let options = ["-N", "--warmup", "2", "--runs", &runs];
        for (place, measured) in run(host, &options, &commands)?.into_iter().enumerate() {
            if let (Some(wall), Some(cpu)) = (walls.get_mut(place), cpu.get_mut(place)) {
                wall.extend(measured.times);
                *cpu += measured.user + measured.system;
            }
        }
    }
    let mut walls = walls.into_iter().map(median);
    let cpu = cpu.map(|cpu| cpu / ROUNDS as f64 * 1e3);
    Ok(cpu.map(|cpu| Times { wall: walls.next().unwrap_or_default(), cpu }))
}

/// Runs commands in turns, each time behind another one that prepares it; returns the medians in milliseconds.
pub(crate) fn prepared<const N: usize>(
    host: &Host,
    prepare: &str,
    commands: [&str; N],
    runs: usize,
) -> Result<[f64; N]> {
    let mut walls = [const { Vec::new() }; N];
    for _ in 0..runs {
        let options = ["-N", "--runs", "1", "--prepare", prepare];
        let measured = run(host, &options, &commands);
        let measured = measured.with_context(|| host.exec(["cat", PREPARED]).map(|it| it.stdout).unwrap_or_default())?;
        for (wall, measured) in walls.iter_mut().zip(measured) {
            wall.extend(measured.times);
        }
    }
    Ok(walls.map(median))
}

fn run(host: &Host, options: &[&str], commands: &[&str]) -> Result<Vec<Measured>> {
    const JSON: &str = "/tmp/hyperfine.json";
    let argv = ["hyperfine", "--style", "none", "--export-json", JSON];
    let output = host.exec(argv.into_iter().chain(options.iter().copied()).chain(commands.iter().copied()))?;
    ensure!(output.success(), "hyperfine of {commands:?}: {}{}", output.stdout, output.stderr);
    let json = host.exec(["cat", JSON])?.stdout;
    let results: Results = serde_json::from_str(&json).context("hyperfine's results")?;
    ensure!(results.results.len() == commands.len(), "{json}");
    Ok(results.results)
}

/// Returns the median of seconds in milliseconds.
fn median(mut seconds: Vec<f64>) -> f64 {
    seconds.sort_by(f64::total_cmp);
    seconds.get(seconds.len() / 2).copied().unwrap_or_default() * 1e3
}
