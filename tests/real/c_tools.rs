//! Pgpool's own programs print of a sandbox what they print of a real server in the same state.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use pcp_client::sandbox::{Age, FailoverCommand, Sandbox, Watchdog, WatchdogPeer, WatchdogState, World};
use pcp_client::{Client, Connector, Deadline, Endpoint};
use pcp_proto::message::{ReadWatchdogInfo, WatchdogCluster};
use pcp_proto::{Credentials, RequestKind};
use pcp_tests::{
    CTools, Cluster, Output, PCP_PASSWORD, PCP_USER, Session, Settings, Version, parameters, shown, wait_until,
};
use tokio::runtime::Runtime;

use crate::support::{add_recovery_functions, pcp_process};

for_each_version!(
    the_c_tools_cannot_tell_a_sandbox_from_a_server,
    nor_can_they_when_it_is_at_work,
    nor_can_they_with_a_watchdog,
);

/// A server and a sandbox in the same state, and the programs.
struct Pair {
    tools: CTools,
    cluster: Cluster,
    sandbox: Sandbox,
    // The sandbox runs in it.
    _runtime: Runtime,
}

fn the_c_tools_cannot_tell_a_sandbox_from_a_server(version: Version) -> Result<()> {
    let mut world = World::new(age(version));
    world.settings_mut().recovery_time = None;
    let pair = Pair::start(version, Settings::default(), world)?;
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
        pair.changes("pcp_reload_config", &["-s", "cluster"])?;
    }
    if version >= Version::V4_6 {
        pair.refuses("pcp_log_rotate", &[])?;
        pair.refuses("pcp_log_rotate", &["-s", "cluster"])?;
        pair.refuses("pcp_invalidate_query_cache", &[])?;
    }
    if is_new {
        // Nothing promotes PostgreSQL, so that no node is the primary afterwards.
        pair.changes("pcp_promote_node", &["-s", "1"])?;
        pair.nodes_are_alike()?;
        pair.changes("pcp_attach_node", &["0"])?;
        pair.nodes_are_alike()?;
    }
    pair.changes("pcp_promote_node", &["1"])?;
    pair.nodes_are_alike()?;
    pair.changes("pcp_attach_node", &["99"])?;
    pair.stops(if is_new { &["-m", "f", "-s", "cluster"] } else { &["-m", "f"] })
}

/// Clients, health checks, recovery, and a command that promotes.
fn nor_can_they_when_it_is_at_work(version: Version) -> Result<()> {
    let promote = "psql -X -h %H -p 5433 -U postgres -c \"SELECT pg_promote()\"";
    let mut settings = Settings::default()
        .set("failover_command", format!("test ! -e {PROMOTES} || {promote}"))
        .set("health_check_period", 1)
        .set("recovery_1st_stage_command", RECOVERY_SCRIPTS[0])
        // Every session reads from node 2.
        .set("backend_weight0", 0)
        .set("backend_weight1", 0);
    let has_log_and_cache = version >= Version::V4_6;
    if has_log_and_cache {
        settings = settings.set("logging_collector", "on").set("log_directory", "/var/lib/pcp-tests/log");
        settings = settings.set("memory_cache_enabled", "on");
    }
    let mut world = World::new(age(version));
    world.settings_mut().logging_collector = has_log_and_cache;
    world.settings_mut().memory_cache_enabled = has_log_and_cache;
    world.settings_mut().health_check_period = Duration::from_secs(1);
    world.settings_mut().recovery_time = Some(Duration::from_millis(100));
    let pair = Pair::start(version, settings, world)?;
    pair.sandbox.with(|world| {
        for id in 0..2 {
            world.node_mut(id).into_iter().for_each(|node| node.weight = 0.0);
        }
    });

    pair.nodes_are_alike()?;
    pair.checks_are_alike(version)?;
    pair.serves_a_session()?;
    pair.nodes_are_alike()?;
    pair.checks_are_alike(version)?;

    if has_log_and_cache {
        pair.changes("pcp_log_rotate", &[])?;
        pair.changes("pcp_log_rotate", &["-s", "cluster"])?;
        pair.changes("pcp_invalidate_query_cache", &[])?;
    }
    pair.prepare_recovery()?;
    pair.changes("pcp_recovery_node", &["2"])?;
    pair.nodes_are_alike()?;
    pair.refuses("pcp_recovery_node", &["2"])?;
    if version != Version::V4_1 {
        pair.cluster.pgpool().host().exec(["touch", PROMOTES])?;
        pair.sandbox.with(|world| world.settings_mut().failover_command = FailoverCommand::Promotes);
        pair.changes("pcp_promote_node", &["-s", "1"])?;
        wait_until("node 1 to be promoted", Duration::from_secs(15), || {
            ensure!(!pair.cluster.node(1)?.is_in_recovery()?);
            Ok(())
        })?;
        pair.cluster.follow(2, 1)?;
        pair.nodes_are_alike()?;
    }
    pair.stops(&["-m", "i"])
}

/// Three members; the sandbox's have the names of the real ones, which hold the names of containers.
fn nor_can_they_with_a_watchdog(version: Version) -> Result<()> {
    let cluster = Cluster::start(version, Settings::default().watchdog())?;
    let runtime = Runtime::new()?;
    let real = runtime.block_on(watchdog(&cluster))?;
    let members = real.members.iter().map(|member| {
        let state = if member.is_leader() { WatchdogState::Leader } else { WatchdogState::Standby };
        let of = |text: &Option<String>| text.clone().context("a member without a name");
        Ok(WatchdogPeer { name: of(&member.node_name)?, host: of(&member.host_name)?, state })
    });
    let members = members.collect::<Result<Vec<_>>>()?;
    // Without a virtual address it is the leader that says that it holds it.
    let escalated = members.first().is_some_and(|this| this.state == WatchdogState::Leader);
    let mut world = World::new(age(version));
    world.settings_mut().watchdog = Some(Watchdog { quorum: 1, escalated, members });
    let sandbox = runtime.block_on(Sandbox::start(like(&cluster, world)))?;
    let pair = Pair { tools: CTools::start(version)?, cluster, sandbox, _runtime: runtime };
    for args in [&[][..], &["-v"], &["-n", "0"], &["-n", "1"], &["-v", "-n", "2"], &["-n", "9"], &["-v", "-n", "9"]]
    {
        pair.alike("pcp_watchdog_info", args)?;
    }
    Ok(())
}

/// Reads the watchdog's view of the first member.
async fn watchdog(cluster: &Cluster) -> Result<WatchdogCluster> {
    let endpoint = Endpoint::Tcp { host: "127.0.0.1".to_owned(), port: cluster.pcp_port() };
    let connector = Connector { endpoint, connect_timeout: Duration::from_secs(5) };
    let credentials = Credentials::new(PCP_USER, PCP_PASSWORD.as_bytes())?;
    let deadline = Deadline::after(Duration::from_secs(60));
    let mut client = Client::connect(&connector, &credentials, deadline).await?;
    let info = client.send(ReadWatchdogInfo::All).await?;
    client.close().await;
    Ok(info.cluster()?)
}

/// Where there is this file, Pgpool's failover_command promotes.
const PROMOTES: &str = "/var/lib/pcp-tests/promotes";

/// What the extension runs in the primary's data directory.
const RECOVERY_SCRIPTS: [&str; 2] = ["recovery_1st_stage", "pgpool_remote_start"];

impl Pair {
    /// Starts both; the world is without nodes yet.
    fn start(version: Version, settings: Settings, world: World) -> Result<Self> {
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
    fn is_read_alike(&self, is_new: bool) -> Result<()> {
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

    fn checks_are_alike(&self, version: Version) -> Result<()> {
        if version == Version::V4_1 {
            return Ok(());
        }
        for args in [&["0"][..], &["-v", "0"], &["2"], &["-v", "2"]] {
            self.alike("pcp_health_check_stats", args)?;
        }
        Ok(())
    }

    /// Has a client connect, and a node detached that may only be when the client is gone.
    fn serves_a_session(&self) -> Result<()> {
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
    fn prepare_recovery(&self) -> Result<()> {
        let primary = self.cluster.node(0)?;
        let script = "cd /var/lib/pcp-tests/data && printf '#!/bin/sh\n' | tee \"$@\" && chmod 755 \"$@\"";
        let argv = ["bash", "-c", script, "bash"].into_iter().chain(RECOVERY_SCRIPTS);
        let written = primary.host().exec(argv)?;
        ensure!(written.success(), "{written:?}");
        add_recovery_functions(&self.cluster)
    }

    /// Stops both.
    fn stops(&self, args: &[&str]) -> Result<()> {
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

    fn nodes_are_alike(&self) -> Result<()> {
        for node in ["0", "1", "2"] {
            self.alike("pcp_node_info", &[node])?;
            self.alike("pcp_node_info", &["-v", node])?;
        }
        Ok(())
    }

    /// Compares the parameters that the sandbox lists, about half of the server's: those that clients read, that an
    /// age is told by, or that change with its settings. The others say how a server was configured for something
    /// else than PCP, so that a list of them would only repeat this test's own pgpool.conf.
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

fn age(version: Version) -> Age {
    match version {
        Version::V4_1 => Age::V4_1,
        Version::V4_3 => Age::V4_3_1,
        Version::V4_6 => Age::V4_6,
        Version::V4_7 => Age::V4_7,
    }
}

/// Gives a world the nodes of a cluster.
fn like(cluster: &Cluster, world: World) -> World {
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
