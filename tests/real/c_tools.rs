//! Pgpool's own programs print of a sandbox what they print of a real server in the same state.

mod pair;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use pcp_client::sandbox::{Age, FailoverCommand, Sandbox, Watchdog, WatchdogPeer, WatchdogState, World};
use pcp_client::{Client, Connector, Deadline, Endpoint};
use pcp_proto::Credentials;
use pcp_proto::message::{ReadWatchdogInfo, WatchdogCluster};
use pcp_tests::{CTools, Cluster, PCP_PASSWORD, PCP_USER, Settings, Version, wait_until};
use tokio::runtime::Runtime;

use self::pair::{Pair, RECOVERY_SCRIPTS, like};

for_each_version!(
    the_c_tools_cannot_tell_a_sandbox_from_a_server,
    nor_can_they_when_it_is_at_work,
    nor_can_they_with_a_watchdog,
);

fn the_c_tools_cannot_tell_a_sandbox_from_a_server(version: Version) -> Result<()> {
    let mut world = World::new(age(version));
    world.settings_mut().recovery_time = None;
    let pair = Pair::start(version, Settings::default(), world)?;
    let is_new = version != Version::V4_1;
    pair.is_read_alike(is_new)?;
    pair.lists_the_same_parameters()?;

    pair.changes_nodes("pcp_detach_node", &["2"], &["2"])?;
    pair.refuses("pcp_detach_node", &["2"])?;
    pair.refuses("pcp_detach_node", &["-g", "2"])?;
    pair.changes_nodes("pcp_attach_node", &["2"], &[])?;
    pair.changes("pcp_attach_node", &["2"])?;
    pair.changes_nodes("pcp_detach_node", &["-g", "2"], &["2"])?;
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
        pair.changes_nodes("pcp_promote_node", &["-s", "1"], &["0", "2"])?;
        pair.changes_nodes("pcp_attach_node", &["0"], &["2"])?;
    }
    pair.changes_nodes("pcp_promote_node", &["1"], &["0", "2"])?;
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
    pair.changes_nodes("pcp_recovery_node", &["2"], &[])?;
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

fn age(version: Version) -> Age {
    match version {
        Version::V4_1 => Age::V4_1,
        Version::V4_3 => Age::V4_3_1,
        Version::V4_6 => Age::V4_6,
        Version::V4_7 => Age::V4_7,
    }
}
