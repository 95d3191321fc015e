//! Pgpool's own `pcp_*` programs, run from the image that holds them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Result, ensure};

use crate::docker::Docker;
use crate::process::Output;
use crate::shell::Shells;
use crate::{PCP_PASSWORD, PCP_USER, Version, docker, image, owner};

/// The names of all programs that there are in the newest release.
pub const C_TOOLS: [&str; 15] = [
    "pcp_attach_node",
    "pcp_detach_node",
    "pcp_health_check_stats",
    "pcp_invalidate_query_cache",
    "pcp_log_rotate",
    "pcp_node_count",
    "pcp_node_info",
    "pcp_pool_status",
    "pcp_proc_count",
    "pcp_proc_info",
    "pcp_promote_node",
    "pcp_recovery_node",
    "pcp_reload_config",
    "pcp_stop_pgpool",
    "pcp_watchdog_info",
];

const LIMIT: Duration = Duration::from_secs(60);

/// A container with the programs of one version, in this machine's network: they reach what listens on 127.0.0.1.
///
/// Removed on drop.
#[derive(Debug)]
pub struct CTools {
    id: String,
    shells: Shells,
}

impl CTools {
    /// Start one; the first call for a version on a machine builds the image.
    ///
    /// # Errors
    ///
    /// When Docker does not answer or the image cannot be built.
    pub fn start(version: Version) -> Result<Self> {
        docker::require()?;
        let image = image::ensure(version)?;
        let id = Docker::new(["run", "--detach", "--label", owner::label()?, "--network", "host", &image]).run()?;
        let tools = Self { shells: Shells::of(&id), id };
        let line = format!("*:*:{PCP_USER}:{PCP_PASSWORD}\n");
        let saved = tools.shells.run(&["sh", "-c", "umask 077 && cat >/root/.pcppass"], &line, LIMIT)?;
        ensure!(saved.success(), "{saved:?}");
        Ok(tools)
    }

    /// Return the names of the programs that this version has.
    ///
    /// # Errors
    ///
    /// When Docker refuses.
    pub fn names(&self) -> Result<Vec<String>> {
        let list = "ls /usr/bin /usr/sbin | grep '^pcp_' | sort --unique";
        let names = self.run_bare("sh", &["-c", list])?;
        ensure!(names.success(), "{names:?}");
        Ok(names.stdout.lines().map(str::to_owned).collect())
    }

    /// Run one with these words only: no host, no user.
    ///
    /// # Errors
    ///
    /// When it takes longer than a minute.
    pub fn run_bare(&self, tool: &str, args: &[&str]) -> Result<Output> {
        self.shells.run(&[&[tool], args].concat(), "", LIMIT)
    }

    /// Run `pcp_node_info` or another one on the Pgpool at `address`, as the user that `pcp.conf` knows.
    ///
    /// # Errors
    ///
    /// When it takes longer than a minute. A refusal is none: look at the output.
    pub fn run(&self, address: SocketAddr, tool: &str, args: &[&str]) -> Result<Output> {
        let (host, port) = (address.ip().to_string(), address.port().to_string());
        self.run_bare(tool, &[&["-h", &host, "-p", &port, "-U", PCP_USER, "-w"], args].concat())
    }
}

impl Drop for CTools {
    fn drop(&mut self) {
        // What cannot be removed now is removed by the reaper.
        Docker::new(["rm", "--force", "--volumes", &self.id]).output().ok();
    }
}

/// Read what `pcp_pool_status` prints: the value and the description of each parameter.
///
/// # Errors
///
/// When these are not all parameters.
pub fn parameters(output: &Output) -> Result<BTreeMap<String, (String, String)>> {
    let mut parameters = BTreeMap::new();
    // A value may hold a line break.
    let mut name = "";
    for line in output.stdout.lines() {
        let (kind, text) = line.split_at_checked(7).unwrap_or((line, ""));
        let (value, description): &mut (String, String) = match kind {
            "name : " => {
                name = text;
                continue;
            }
            _ => parameters.entry(name.to_owned()).or_default(),
        };
        match kind {
            "value: " => text.clone_into(value),
            "desc : " => text.clone_into(description),
            _ => {}
        }
    }
    ensure!(parameters.len() > 40, "{output:?}");
    Ok(parameters)
}

/// Return the exit code and all that was printed, with a word for what differs from one server to another: times,
/// process ids, and what PostgreSQL says of a command. What replicates to a node that is down is left out: servers
/// find that out, and forget it, every ten seconds.
#[must_use]
pub fn shown(tool: &str, output: &Output) -> (Option<i32>, String) {
    let text = format!("{}{}", output.stdout, output.stderr);
    let of_processes = tool.starts_with("pcp_proc_");
    let of_checks = tool == "pcp_health_check_stats";
    let of_down_node = tool == "pcp_node_info" && text.split_whitespace().any(|word| word == "down");
    let lines = text
        .lines()
        .take_while(|line| !line.starts_with("LINE 1"))
        .filter(|line| !of_down_node || !line.starts_with("Replication"))
        .map(|line| {
            let mut words: Vec<_> = line.split(' ').map(|word| if_variable(word, of_processes)).collect();
            // Checks go on, and each takes its own time.
            let is_of_checks =
                of_checks && (!line.contains(" : ") || line.contains("Count") || line.contains("Duration"));
            let numbers =
                words.iter_mut().skip(5).filter(|word| word.starts_with(|digit| ('1'..='9').contains(&digit)));
            numbers.filter(|_| is_of_checks).for_each(|word| *word = "SOME");
            // The delay is the first number behind the weight.
            let delay = words.iter().skip(4).position(|word| word.parse::<u64>().is_ok()).map(|place| place + 4);
            let end = delay.filter(|_| of_down_node && !line.contains(" : ")).unwrap_or(words.len());
            words.iter().take(end).copied().collect::<Vec<_>>().join(" ")
        });
    let mut lines: Vec<_> = lines.collect();
    if of_processes {
        lines = sorted(&lines);
    }
    (output.code, lines.join("\n"))
}

/// Sorts the rows, of one line or of one from `Database` on: which process serves a client is up to the system.
fn sorted(lines: &[String]) -> Vec<String> {
    let is_verbose = lines.iter().any(|line| line.starts_with("Database"));
    let mut rows: Vec<_> = lines.chunk_by(|_, next| is_verbose && !next.starts_with("Database")).collect();
    rows.sort();
    rows.concat()
}

fn if_variable(word: &str, of_processes: bool) -> &str {
    let form: String = word.chars().map(|c| if c.is_ascii_digit() { '9' } else { c }).collect();
    match &*form {
        "9999-99-99" => "DATE",
        "99:99:99" => "TIME",
        _ if of_processes && form.split('.').count() == 4 => "ADDRESS",
        _ if of_processes && form.len() > 1 && form.bytes().all(|byte| byte == b'9') => "PROCESS",
        _ => word,
    }
}
