//! Every command of the command line, each with a world that has something for it to do.

use std::time::Duration;

use pcp_client::sandbox::{Age, FailoverCommand, Watchdog, World};
use pcp_proto::message::NodeStatus;

use super::net::Net;

/// A command with its arguments. `DIR` in them is a directory of its own; nodes are 127.0.0.1 with the ports of
/// [`Ports`](super::binary::Ports), in the order of their ids.
#[derive(Clone, Debug)]
pub struct Command {
    /// The words that name it: `show nodes`, or a link such as `pcp_node_info`.
    pub name: &'static str,
    pub(crate) args: &'static [&'static str],
    pub(crate) world: fn(World) -> World,
    /// Whether what exit code 0 says is so.
    pub(crate) is_true: fn(&Net) -> bool,
    pub(crate) ends: Ends,
    /// The time that it is given.
    pub(crate) limit: Duration,
}

/// How it ends where nothing is wrong.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Ends {
    /// With 0.
    Done,
    /// With Nagios' codes.
    Check,
    /// With 0, or with 1 for findings.
    Findings,
    /// It goes on until its deadline, or until it is told to end.
    Never,
}

/// What each is given, unless it needs more.
const LIMIT: Duration = Duration::from_secs(3);

/// The commands that speak to no Pgpool, or bring their own.
pub const WITHOUT_PGPOOL: [&str; 7] = [
    "completions",
    "links install",
    "links remove",
    "pcp-conf hash",
    "pcp-conf verify",
    "sandbox drill",
    "sandbox serve",
];

/// Returns the names of all commands that there are, as the command line defines them.
#[must_use]
pub fn names() -> Vec<String> {
    let mut names = Vec::new();
    leaves(&pcp_cli::command(), "", &mut names);
    names
}

fn leaves(command: &clap::Command, path: &str, names: &mut Vec<String>) {
    let before = names.len();
    for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
        leaves(sub, format!("{path} {}", sub.get_name()).trim(), names);
    }
    if names.len() == before && !path.is_empty() {
        names.push(path.to_owned());
    }
}

/// Returns all that speak to a Pgpool.
#[must_use]
pub fn commands() -> Vec<Command> {
    let done = |name, args, world, is_true| Command { name, args, world, is_true, ends: Ends::Done, limit: LIMIT };
    let reads =
        |name, args| Command { name, args, world: watched, is_true: |_| true, ends: Ends::Done, limit: LIMIT };
    let checks =
        |name, args| Command { name, args, world: watched, is_true: |_| true, ends: Ends::Check, limit: LIMIT };
    vec![
        done("attach", &["attach", "2", "s", "--settle", "1ms"], one_down, healthy),
        done("detach", &["detach", "2"], as_it_is, detached),
        Command {
            // Five seconds of it are kept for undoing.
            limit: Duration::from_secs(8),
            ..done("promote", &["promote", "1", "0", "--settle", "1ms"], promoted, |net| {
                net.shown() == "0=down/standby 1=up/primary 2=up/standby"
            })
        },
        done("follow", &["follow", "2", "0", "1", "--settle", "1ms"], followed, |net| {
            net.shown() == "0=down/standby 1=up/primary 2=up/standby"
        }),
        done(
            "reconcile",
            &["reconcile", "--desired", "DIR/desired", "--state-dir", "DIR/state", "--settle", "1ms"],
            one_down,
            healthy,
        ),
        done("hold", &["hold", "1", "--state-dir", "DIR/state"], as_it_is, |_| true),
        done("release", &["release", "1", "--state-dir", "DIR/state"], as_it_is, |_| true),
        done("recover", &["recover", "2", "--yes", "--force", "--settle", "1ms"], one_down, healthy),
        done("switchover", &["switchover", "1", "--yes", "--force", "--settle", "1ms"], as_it_is, |net| {
            net.shown() == "0=down/standby 1=up/primary 2=up/standby"
        }),
        done("stop-pgpool", &["stop-pgpool", "--yes", "--mode", "fast"], as_it_is, Net::was_asked_to_change),
        done("reload", &["reload", "--settle", "1ms"], as_it_is, Net::was_asked_to_change),
        done("rotate-log", &["rotate-log"], as_it_is, Net::was_asked_to_change),
        done("invalidate-cache", &["invalidate-cache"], as_it_is, Net::was_asked_to_change),
        reads("is-primary", &["is-primary", "0"]),
        reads("show nodes", &["show", "nodes"]),
        reads("show node", &["show", "node", "1"]),
        reads("show health", &["show", "health"]),
        reads("show processes", &["show", "processes"]),
        reads("show config", &["show", "config"]),
        reads("show watchdog", &["show", "watchdog"]),
        checks("check nodes", &["check", "nodes"]),
        checks("check primary", &["check", "primary"]),
        checks("check watchdog", &["check", "watchdog"]),
        checks("check pool", &["check", "pool"]),
        Command { world: checked, ..checks("check health", &["check", "health"]) },
        checks("check ping", &["check", "ping"]),
        Command { ends: Ends::Findings, ..reads("doctor", &["doctor"]) },
        Command { ends: Ends::Never, ..reads("watch", &["watch", "--interval", "100ms"]) },
        Command { ends: Ends::Never, ..reads("exporter", &["exporter", "--textfile", "DIR/pgpool.prom"]) },
        done("pcp_attach_node", &["-n", "2"], one_down, healthy),
        done("pcp_detach_node", &["-n", "2"], as_it_is, detached),
        done("pcp_promote_node", &["-n", "1", "-s"], as_it_is, |net| {
            net.shown() == "0=down/standby 1=up/primary 2=up/standby"
        }),
        // These have the tool's own meaning: that the request was taken.
        done("pcp_recovery_node", &["-n", "2"], one_down, Net::was_asked_to_change),
        done("pcp_stop_pgpool", &["-m", "f"], as_it_is, Net::was_asked_to_change),
        done("pcp_reload_config", &[], as_it_is, Net::was_asked_to_change),
        done("pcp_log_rotate", &[], as_it_is, Net::was_asked_to_change),
        done("pcp_invalidate_query_cache", &[], as_it_is, Net::was_asked_to_change),
        reads("pcp_health_check_stats", &["-n", "1"]),
        reads("pcp_node_count", &[]),
        reads("pcp_node_info", &["-n", "1"]),
        reads("pcp_pool_status", &[]),
        reads("pcp_proc_count", &[]),
        reads("pcp_proc_info", &["-a"]),
        reads("pcp_watchdog_info", &[]),
    ]
}

fn as_it_is(world: World) -> World {
    world.configure(|settings| {
        settings.failover_command = FailoverCommand::Promotes;
        settings.sr_check_period = Duration::ZERO;
        settings.recovery_time = Some(Duration::from_millis(5));
        (settings.logging_collector, settings.memory_cache_enabled) = (true, true);
    })
}

fn watched(world: World) -> World {
    as_it_is(world).configure(|settings| settings.watchdog = Some(Watchdog::of(&["10.0.0.8", "10.0.0.9"])))
}

fn checked(world: World) -> World {
    as_it_is(world).configure(|settings| settings.health_check_period = Duration::from_secs(10))
}

fn one_down(world: World) -> World {
    let mut world = as_it_is(world);
    set_down(&mut world, 2);
    world
}

fn promoted(world: World) -> World {
    let mut world = as_it_is(world);
    world.kill_postgres(0);
    world.promote_postgres(1);
    world
}

/// After a failover to node 1, with node 2 down, which `follow_primary_command` is to bring back.
fn followed(world: World) -> World {
    let mut world = promoted(world);
    set_down(&mut world, 0);
    set_down(&mut world, 2);
    world.set_primary(Some(1));
    world
}

/// As somebody else has done before.
fn set_down(world: &mut World, id: usize) {
    if let Some(node) = world.node_mut(id) {
        node.status = NodeStatus::Down;
    }
}

fn healthy(net: &Net) -> bool {
    net.shown() == "0=up/primary 1=up/standby 2=up/standby"
}

fn detached(net: &Net) -> bool {
    net.shown() == "0=up/primary 1=up/standby 2=down/standby"
}

/// Makes a world whose nodes are on these ports of 127.0.0.1.
pub(crate) fn world(ports: [u16; 3]) -> World {
    let world = ports.iter().fold(World::new(Age::V4_7), |world, &port| world.node("127.0.0.1", port));
    world.configure(|settings| (settings.num_init_children, settings.max_pool) = (1, 1))
}
