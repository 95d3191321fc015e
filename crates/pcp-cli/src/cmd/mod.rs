//! One file per command.

mod attach;
mod check;
mod completions;
mod detach;
mod doctor;
mod dry_run;
mod efm;
mod exporter;
mod follow;
mod hold;
mod hook;
mod is_primary;
mod links;
mod marks;
mod operate;
mod pcp_conf;
mod promote;
mod read;
mod reconcile;
mod release;
mod sandbox_drill;
mod sandbox_serve;
mod show_config;
mod show_health;
mod show_node;
mod show_nodes;
mod show_processes;
mod show_watchdog;
mod start;
mod watch;

use std::ffi::OsString;
use std::{io, mem};

use pcp_client::{Connector, WithNotices};
use pcp_proto::message::MessageLevel;
use tokio::signal::unix::{SignalKind, signal};

use crate::args::{Cli, Command, OutputArgs, PcpConfCommand, SandboxCommand, ShowCommand};
use crate::exit::Exit;
use crate::output;
use crate::settings::Env;
pub(crate) use check::Range;
pub(crate) use check::usage as check_usage;

/// The verbs that a manager calls as hooks.
pub(crate) const HOOK_VERBS: [&str; 5] = ["attach", "detach", "promote", "follow", "reconcile"];

/// Tells whether EFM's custom monitor may be the caller, who takes every exit but 0 for a failed database.
pub(crate) fn is_monitor(mut args: impl Iterator<Item = OsString>) -> bool {
    args.nth(1).is_some_and(|verb| verb == "reconcile") && args.any(|arg| arg == "--monitor")
}

/// Runs a command.
pub(crate) fn run(cli: Cli, env: Env<'_>) -> Exit {
    match cli.command {
        Command::Attach(args) => attach::run(&args, env),
        Command::Detach(args) => detach::run(&args, env),
        Command::Promote(args) => promote::run(&args, env),
        Command::Follow(args) => follow::run(&args, env),
        Command::Reconcile(args) => reconcile::run(&args, env),
        Command::Hold(args) => hold::run(&args, env),
        Command::Release(args) => release::run(&args, env),
        Command::Recover(args) => operate::ended(operate::recover(&args, env)),
        Command::Switchover(args) => operate::ended(operate::switchover(&args, env)),
        Command::StopPgpool(args) => operate::ended(operate::stop_pgpool(&args, env)),
        Command::Reload(args) => operate::ended(operate::reload(&args, env)),
        Command::RotateLog(args) => operate::ended(operate::rotate_log(&args, env)),
        Command::InvalidateCache(args) => operate::ended(operate::invalidate_cache(&args, env)),
        Command::PcpConf(args) => match &args.what {
            PcpConfCommand::Hash(args) => pcp_conf::hash(args),
            PcpConfCommand::Verify(args) => pcp_conf::verify(args),
        },
        Command::Completions(args) => completions::run(args.shell),
        Command::Links(args) => links::run(&args),
        Command::IsPrimary(args) => is_primary::run(&args, env),
        Command::Show(args) => match &args.what {
            ShowCommand::Nodes(args) => show_nodes::run(args, env),
            ShowCommand::Node(args) => show_node::run(args, env),
            ShowCommand::Health(args) => show_health::run(args, env),
            ShowCommand::Processes(args) => show_processes::run(args, env),
            ShowCommand::Config(args) => show_config::run(args, env),
            ShowCommand::Watchdog(args) => show_watchdog::run(args, env),
        },
        Command::Doctor(args) => doctor::run(&args, env),
        Command::Check(args) => check::run(&args, env),
        Command::Exporter(args) => exporter::run(&args, env),
        Command::Watch(args) => watch::run(&args, env),
        Command::Sandbox(args) => match &args.what {
            SandboxCommand::Serve(args) => sandbox_serve::run(args),
            SandboxCommand::Drill(args) => sandbox_drill::run(args),
        },
    }
}

/// Has Pgpool itself tell what it does where so much is logged.
fn with_notices(connector: &Connector, args: &OutputArgs) -> WithNotices<Connector> {
    let level = (args.verbose >= 2).then_some(MessageLevel::Debug1);
    WithNotices { connect: connector.clone(), level }
}

/// Runs a command to its end on this thread.
fn block_on<F: Future<Output = Exit>>(future: F) -> Exit {
    run_to_end(future).unwrap_or_else(|error| {
        output::err_line(format_args!("pcpctl: cannot start: {error}"));
        Exit::Unreachable
    })
}

/// Runs a future to its end on this thread.
///
/// # Errors
///
/// The process has no descriptors left to wait with: the future did not run at all.
pub(crate) fn run_to_end<F: Future>(future: F) -> io::Result<F::Output> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let output = runtime.block_on(future);
    // The process exits soon: nothing is put away one by one, and a resolver that hangs in a thread of the runtime holds
    // nothing up.
    mem::forget(runtime);
    Ok(output)
}

/// Waits for SIGINT or SIGTERM; for ever where they cannot be listened for. It listens from the call on, and not from the
/// first poll: what is polled beside it may have connected by then.
fn ended_by_signal() -> impl Future<Output = Exit> {
    let signals = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()));
    async {
        let (Ok(mut interrupt), Ok(mut terminate)) = signals else { return std::future::pending().await };
        tokio::select! {
            _ = interrupt.recv() => Exit::Interrupted,
            _ = terminate.recv() => Exit::Terminated,
        }
    }
}
