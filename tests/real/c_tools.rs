//! Pgpool's own programs print of a sandbox what they print of a real server in the same state.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Result, ensure};
use pcp_client::sandbox::{Age, Sandbox, World};
use pcp_tests::{CTools, Cluster, Output, Settings, Version, wait_until};
use tokio::runtime::Runtime;

for_each_version!(the_c_tools_cannot_tell_a_sandbox_from_a_server);

/// A server and a sandbox in the same state, and the programs.
struct Pair {
    tools: CTools,
    cluster: Cluster,
    sandbox: Sandbox,
    // The sandbox runs in it.
    _runtime: Runtime,
}

fn the_c_tools_cannot_tell_a_sandbox_from_a_server(version: Version) -> Result<()> {
    let pair = Pair::start(version)?;
    let is_new = version != Version::V4_1;
    pair.is_read_alike(is_new)?;
    pair.lists_the_same_parameters()?;

    pair.changes("pcp_detach_node", &["2"])?;
    pair.nodes_are_alike()?;
    pair.refuses("pcp_detach_node", &["2"])?;
    pair.refuses("pcp_detach_node", &["-g", "2"])?;
    pair.changes("pcp_attach_node", &["2"])?;
    pair.nodes_are_alike()?;
    pair.changes("pcp_attach_node", &["2"])?;
    pair.changes("pcp_detach_node", &["-g", "2"])?;
    pair.nodes_are_alike()?;
    for node in ["0", "1", "2", "99"] {
        pair.refuses("pcp_recovery_node", &[node])?;
    }
    pair.refuses("pcp_promote_node", &["0"])?;
    pair.refuses("pcp_promote_node", &["99"])?;
    if is_new {
        pair.changes("pcp_reload_config", &[])?;
    }
    if version >= Version::V4_6 {
        pair.refuses("pcp_log_rotate", &[])?;
        pair.refuses("pcp_invalidate_query_cache", &[])?;
    }
    pair.changes("pcp_promote_node", &["1"])?;
    pair.nodes_are_alike()?;
    pair.changes("pcp_attach_node", &["99"])?;
    pair.changes("pcp_stop_pgpool", &["-m", "f"])?;
    wait_until("both to be gone", Duration::from_secs(15), || {
        for output in pair.run("pcp_node_count", &[])? {
            ensure!(output.code == Some(1) && output.stderr.contains("Connection refused"), "{output:?}");
        }
        Ok(())
    })
}

impl Pair {
    fn start(version: Version) -> Result<Self> {
        let cluster = Cluster::start(version, Settings::default().set("recovery_user", "postgres"))?;
        // Without the sessions that looked whether it is up.
        cluster.stop_pgpool()?;
        cluster.start_pgpool()?;
        let runtime = Runtime::new()?;
        let sandbox = runtime.block_on(Sandbox::start(world(version, &cluster)))?;
        let tools = CTools::start(version)?;
        Ok(Self { tools, cluster, sandbox, _runtime: runtime })
    }

    /// Runs every program that only reads, with every option.
    fn is_read_alike(&self, is_new: bool) -> Result<()> {
        self.alike("pcp_node_count", &[])?;
        self.alike("pcp_node_count", &["-v"])?;
        self.nodes_are_alike()?;
        for node in ["3", "99"] {
            self.alike("pcp_node_info", &[node])?;
        }
        for args in [&[][..], &["-v"]] {
            self.alike("pcp_proc_count", args)?;
        }
        for args in [&["-a"][..], &["-a", "-v"], &[], &["-P", "1"]] {
            self.alike("pcp_proc_info", args)?;
        }
        for args in [&[][..], &["-v"], &["-n", "0"]] {
            self.alike("pcp_watchdog_info", args)?;
        }
        if is_new {
            for args in [&["-a"][..], &["-a", "-v"], &[]] {
                self.alike("pcp_node_info", args)?;
            }
            for args in [&["0"][..], &["2"], &["-v", "2"], &["3"], &["99"]] {
                self.alike("pcp_health_check_stats", args)?;
            }
        }
        Ok(())
    }

    fn nodes_are_alike(&self) -> Result<()> {
        for node in ["0", "1", "2"] {
            self.alike("pcp_node_info", &[node])?;
            self.alike("pcp_node_info", &["-v", node])?;
        }
        Ok(())
    }

    /// Compares the parameters that both list; those that the sandbox leaves out are no matter.
    fn lists_the_same_parameters(&self) -> Result<()> {
        let [real, sandbox] = self.run("pcp_pool_status", &[])?.map(|output| parameters(&output));
        let (real, sandbox) = (real?, sandbox?);
        let names = sandbox.keys().filter(|name| !is_a_matter_of_place(name));
        let differing: Vec<_> = names.filter(|&name| real.get(name) != sandbox.get(name)).collect();
        let values = |of: &BTreeMap<_, _>| differing.iter().map(|&name| of.get(name).cloned()).collect::<Vec<_>>();
        assert_eq!(values(&real), values(&sandbox), "{differing:?}");
        Ok(())
    }

    /// Runs a program that changes something on both: it prints the same, and no refusal.
    fn changes(&self, tool: &str, args: &[&str]) -> Result<()> {
        let [real, sandbox] = self.run(tool, args)?;
        ensure!(real.stdout.contains("Command Successful"), "{tool} {args:?}: {real:?}");
        assert_eq!(shown(tool, &real), shown(tool, &sandbox), "{tool} {args:?}");
        Ok(())
    }

    /// Runs a program that is refused by both, in the same words.
    fn refuses(&self, tool: &str, args: &[&str]) -> Result<()> {
        let [real, sandbox] = self.run(tool, args)?;
        ensure!(["ERROR:", "FATAL:"].iter().any(|word| real.stderr.starts_with(word)), "{tool} {args:?}: {real:?}");
        assert_eq!(shown(tool, &real), shown(tool, &sandbox), "{tool} {args:?}");
        Ok(())
    }

    /// Runs a program that only reads until it prints the same of both.
    fn alike(&self, tool: &str, args: &[&str]) -> Result<()> {
        let what = format!("{tool} {args:?} to print the same of both");
        wait_until(&what, Duration::from_secs(15), || {
            let [real, sandbox] = self.run(tool, args)?.map(|output| shown(tool, &output));
            ensure!(real == sandbox, "\nof the server:\n{}\nof the sandbox:\n{}", real.1, sandbox.1);
            Ok(())
        })
    }

    fn run(&self, tool: &str, args: &[&str]) -> Result<[Output; 2]> {
        let run = |address: SocketAddr| self.tools.run(address, tool, args);
        Ok([run(self.cluster.pgpool().pcp_address())?, run(self.sandbox.address())?])
    }
}

/// Makes a sandbox that is configured as the cluster's Pgpool.
fn world(version: Version, cluster: &Cluster) -> World {
    let age = match version {
        Version::V4_1 => Age::V4_1,
        Version::V4_3 => Age::V4_3_1,
        Version::V4_6 => Age::V4_6,
        Version::V4_7 => Age::V4_7,
    };
    let mut world = World::new(age).configure(|settings| {
        settings.num_init_children = 8;
        settings.recovery_time = None;
    });
    let port = 5433;
    for node in 0..3 {
        world = world.node(&cluster.address(node), port);
    }
    world
}

/// Tells whether a parameter's value is the affair of whoever wrote the configuration.
fn is_a_matter_of_place(name: &str) -> bool {
    let names = ["socket_dir", "unix_socket_directories", "pcp_socket_dir", "logdir", "work_dir"];
    names.contains(&name)
        || ["backend_data_directory", "backend_application_name"].iter().any(|start| name.starts_with(start))
}

/// Reads what pcp_pool_status prints: the value and the description of each parameter.
fn parameters(output: &Output) -> Result<BTreeMap<String, (String, String)>> {
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

/// Returns the exit code and all that was printed, with a word for what differs from one server to another: times,
/// process ids, and what PostgreSQL says of a command. What replicates to a node that is down is left out: servers
/// find that out, and forget it, every ten seconds.
fn shown(tool: &str, output: &Output) -> (Option<i32>, String) {
    let text = format!("{}{}", output.stdout, output.stderr);
    let of_processes = tool.starts_with("pcp_proc_");
    let of_down_node = tool == "pcp_node_info" && text.split_whitespace().any(|word| word == "down");
    let lines = text
        .lines()
        .take_while(|line| !line.starts_with("LINE 1"))
        .filter(|line| !of_down_node || !line.starts_with("Replication"))
        .map(|line| {
            let words: Vec<_> = line.split(' ').map(|word| if_variable(word, of_processes)).collect();
            // The delay is the first number behind the weight.
            let delay = words.iter().skip(4).position(|word| word.parse::<u64>().is_ok()).map(|place| place + 4);
            let end = delay.filter(|_| of_down_node && !line.contains(" : ")).unwrap_or(words.len());
            words.iter().take(end).copied().collect::<Vec<_>>().join(" ")
        });
    (output.code, lines.collect::<Vec<_>>().join("\n"))
}

fn if_variable(word: &str, of_processes: bool) -> &str {
    let form: String = word.chars().map(|c| if c.is_ascii_digit() { '9' } else { c }).collect();
    match &*form {
        "9999-99-99" => "DATE",
        "99:99:99" => "TIME",
        _ if of_processes && form.len() > 1 && form.bytes().all(|byte| byte == b'9') => "PROCESS",
        _ => word,
    }
}
