//! The machine that measures.

use std::fs;
use std::process::Command;

use anyhow::Result;

/// Describes it in a sentence.
pub(crate) fn describe() -> Result<String> {
    let cpu = fs::read_to_string("/proc/cpuinfo")?;
    let field = |name: &str| cpu.lines().find(|line| line.starts_with(name)).and_then(|line| line.split_once(": "));
    let model = field("model name").map_or("unknown processor", |(_, model)| model.trim());
    let cores = cpu.lines().filter(|line| line.starts_with("processor")).count();
    let memory = fs::read_to_string("/proc/meminfo")?;
    let total = memory.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).unwrap_or_default() >> 20;
    let load = fs::read_to_string("/proc/loadavg")?;
    let load = load.split(' ').next().unwrap_or_default();
    Ok(format!(
        "{model}, {cores} cores, {total} GiB, Linux {}, {}; the load average was {load} at the end",
        said(&["uname", "-r"])?,
        said(&["rustc", "--version"])?,
    ))
}

fn said(command: &[&str]) -> Result<String> {
    let output =
        Command::new(command.first().copied().unwrap_or_default()).args(command.iter().skip(1)).output()?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
