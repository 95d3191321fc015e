//! A server and a sandbox in the same state, and Pgpool's own programs to ask both.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use anyhow::{Result, anyhow, ensure};
use pcp_client::sandbox::{Sandbox, World};
use pcp_proto::RequestKind;
use pcp_tests::{CTools, Cluster, Output, Session, Settings, Version, parameters, shown, wait_until};
use tokio::runtime::Runtime;

use crate::support::{add_recovery_functions, pcp_process};

/// What the extension runs in the primary's data directory.
pub(super) const RECOVERY_SCRIPTS: [&str; 2] = ["recovery_1st_stage", "pgpool_remote_start"];

/// A server and a sandbox in the same state, and the programs.
pub(super) struct Pair {
    pub(super) tools: CTools,
    pub(super) cluster: Cluster,
    pub(super) sandbox: Sandbox,
    // The sandbox runs in it.
    pub(super) _runtime: Runtime,
}

impl Pair {
    /// Starts both; the world is without nodes yet.
    pub(super) fn start(version: Version, settings: Settings, world: World) -> Result<Self> {
        let cluster = Cluster::start(version, settings.set("recovery_user", "postgres"))?;
        cluster.node(0)?.sql("CREATE DATABASE app")?;
        // Without the sessions that looked whether it is up.
        cluster.stop_pgpool()?;
        cluster.start_pgpool()?;
        let runtime = Runtime::new()?;
        let sandbox = runtime.block_on(Sandbox::start(like(&cluster, world)))?;
        let tools = CTools::start(version)?;
        Ok(Self { tools, cluster, sandbox, _runtime: runtime })
    }

    /// Runs every program that only reads, with every option.
    pub(super) fn is_read_alike(&self, is_new: bool) -> Result<()> {
        self.alike("pcp_node_count", &[])?;
        self.alike("pcp_node_count", &["-v"])?;
        // There is no password for it, and no user of that name.
        self.refuses("pcp_node_count", &["-U", "nobody"])?;
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

    pub(super) fn checks_are_alike(&self, version: Version) -> Result<()> {
        if version == Version::V4_1 {
            return Ok(());
        }
        for args in [&["0"][..], &["-v", "0"], &["2"], &["-v", "2"]] {
            self.alike("pcp_health_check_stats", args)?;
        }
        Ok(())
    }

    /// Has a client connect, and a node detached that may only be when the client is gone.
    pub(super) fn serves_a_session(&self) -> Result<()> {
        let session = Session::open(self.cluster.pgpool().sql_address(), "app")?;
        self.sandbox.with(|world| world.open_session(self.sandbox.now()));
        for args in [&[][..], &["-v"], &["-a"], &["-a", "-v"]] {
            self.alike("pcp_proc_info", args)?;
        }
        let before = pcp_process(&self.cluster)?;
        let [real, sandbox] = thread::scope(|scope| {
            let detach = |address| scope.spawn(move || self.tools.run(address, "pcp_detach_node", &["-g", "2"]));
            let runs = [self.cluster.pgpool().pcp_address(), self.sandbox.address()].map(detach);
            self.await_graceful_detach()?;
            let [real, sandbox] = self.run("pcp_node_info", &["2"])?;
            assert!(real.stdout.contains(" up ") && sandbox.stdout.contains(" up "), "{real:?} {sandbox:?}");
            drop(session);
            self.sandbox.with(|world| world.close_session(self.sandbox.now()));
            let [real, sandbox] = runs.map(|run| run.join().map_err(|_| anyhow!("running pcp_detach_node"))?);
            anyhow::Ok([real?, sandbox?])
        })?;
        ensure!(real.stdout.contains("Command Successful"), "{real:?}");
        assert_eq!(shown("pcp_detach_node", &real), shown("pcp_detach_node", &sandbox));
        self.await_replacement(&before)
    }

    /// Waits until both work on a graceful detach.
    fn await_graceful_detach(&self) -> Result<()> {
        wait_until("both to take up the request", Duration::from_secs(15), || {
            let working = ["pgrep", "--full", "pgpool: PCP: processing detach node request"];
            ensure!(self.cluster.pgpool().host().exec(working)?.success(), "the server does not");
            let mut kinds = self.sandbox.requests().into_iter().map(|(_, kind)| kind);
            ensure!(kinds.next_back() == Some(RequestKind::DETACH_NODE_GRACEFULLY), "the sandbox does not");
            Ok(())
        })
    }

    /// Gives the primary all that recovery needs; node 2 still lives, so that there is nothing to rebuild.
    pub(super) fn prepare_recovery(&self) -> Result<()> {
        let primary = self.cluster.node(0)?;
        RECOVERY_SCRIPTS.iter().try_for_each(|name| primary.add_script(name, "true"))?;
        add_recovery_functions(&self.cluster)
    }

    /// Stops both.
    pub(super) fn stops(&self, args: &[&str]) -> Result<()> {
        self.changes("pcp_stop_pgpool", args)?;
        wait_until("both to be gone", Duration::from_secs(15), || {
            for output in self.run("pcp_node_count", &[])? {
                ensure!(output.code == Some(1) && output.stderr.contains("Connection refused"), "{output:?}");
            }
            Ok(())
        })
    }

    /// Waits until Pgpool has replaced its PCP process, which it does behind every change: a graceful one must not
    /// come before that, up to 4.4.
    fn await_replacement(&self, before: &str) -> Result<()> {
        wait_until("the PCP process to be replaced", Duration::from_secs(30), || {
            let now = pcp_process(&self.cluster)?;
            ensure!(now != before && !now.is_empty(), "it is {now:?}");
            Ok(())
        })
    }

    pub(super) fn nodes_are_alike(&self) -> Result<()> {
        for node in ["0", "1", "2"] {
            self.alike("pcp_node_info", &[node])?;
            self.alike("pcp_node_info", &["-v", node])?;
        }
        Ok(())
    }

    /// Compares the parameters that the sandbox lists, about half of the server's: those that clients read, that an
    /// age is told by, or that change with its settings. The others say how a server was configured for something
    /// else than PCP, so that a list of them would only repeat this test's own pgpool.conf.
    pub(super) fn lists_the_same_parameters(&self) -> Result<()> {
        let [real, sandbox] = self.run("pcp_pool_status", &[])?.map(|output| parameters(&output));
        let (real, sandbox) = (real?, sandbox?);
        let names = sandbox.keys().filter(|name| !is_a_matter_of_place(name));
        let differing: Vec<_> = names.filter(|&name| real.get(name) != sandbox.get(name)).collect();
        let values = |of: &BTreeMap<_, _>| differing.iter().map(|&name| of.get(name).cloned()).collect::<Vec<_>>();
        assert_eq!(values(&real), values(&sandbox), "{differing:?}");
        Ok(())
    }

    /// Runs a program that changes something on both: it prints the same, and no refusal.
    pub(super) fn changes(&self, tool: &str, args: &[&str]) -> Result<()> {
        let [real, sandbox] = self.run(tool, args)?;
        ensure!(real.stdout.contains("Command Successful"), "{tool} {args:?}: {real:?}");
        assert_eq!(shown(tool, &real), shown(tool, &sandbox), "{tool} {args:?}");
        Ok(())
    }

    /// The same for what changes nodes: waits until both have carried it out, which they do behind their answers and in
    /// their own time, and those that are `down` then are alike. A graceful change must not come before Pgpool has
    /// replaced its PCP process, up to 4.4.
    pub(super) fn changes_nodes(&self, tool: &str, args: &[&str], down: &[&str]) -> Result<()> {
        let before = pcp_process(&self.cluster)?;
        self.changes(tool, args)?;
        wait_until(&format!("{down:?} to be down on both"), Duration::from_secs(15), || {
            for node in ["0", "1", "2"] {
                let outputs = self.run("pcp_node_info", &[node])?;
                let is_carried_out = |output: &Output| output.stdout.contains(" down ") == down.contains(&node);
                ensure!(outputs.iter().all(is_carried_out), "{outputs:?}");
            }
            Ok(())
        })?;
        self.await_replacement(&before)?;
        self.nodes_are_alike()
    }

    /// Runs a program that is refused by both, in the same words.
    pub(super) fn refuses(&self, tool: &str, args: &[&str]) -> Result<()> {
        let [real, sandbox] = self.run(tool, args)?;
        // 4.7's ask for a password first, though they are told not to.
        let is_refusal = |line: &str| line.starts_with("ERROR:") || line.starts_with("FATAL:");
        ensure!(real.stderr.lines().any(is_refusal), "{tool} {args:?}: {real:?}");
        assert_eq!(shown(tool, &real), shown(tool, &sandbox), "{tool} {args:?}");
        Ok(())
    }

    /// Runs a program that only reads until it prints the same of both.
    pub(super) fn alike(&self, tool: &str, args: &[&str]) -> Result<()> {
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

/// Gives a world the nodes of a cluster.
pub(super) fn like(cluster: &Cluster, world: World) -> World {
    let mut world = world.configure(|settings| settings.num_init_children = 8);
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
