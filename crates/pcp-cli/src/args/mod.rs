//! What can be typed.

mod check;
mod connection;
mod doctor;
mod exporter;
mod follow;
mod hold;
mod links;
mod monitoring;
mod operate;
mod pcp_conf;
mod reconcile;
mod show;
mod values;
mod watch;

use std::net::SocketAddr;

use clap::{ArgAction, Args, Parser, Subcommand};

pub(crate) use check::{
    CheckArgs, CheckCommand, CommonArgs, HealthArgs, NodesArgs, PingArgs, PoolArgs, PrimaryArgs, ThresholdArgs,
    WatchdogArgs,
};
pub(crate) use connection::{ColorArg, ConfigArgs, ConnectionArgs, HookArgs, OutputArgs, OutputFormat, ReadArgs};
pub(crate) use doctor::DoctorArgs;
pub(crate) use exporter::{ExporterArgs, Sink};
pub(crate) use follow::FollowArgs;
pub(crate) use hold::{HoldArgs, MarkArgs, ReleaseArgs};
pub(crate) use links::{LinksArgs, LinksCommand};
pub(crate) use monitoring::{Dial, LiveArg, VerboseArg, ZoneArg};
pub(crate) use operate::{
    ConfirmArgs, Consent, InvalidateCacheArgs, ModeArg, NodeChangeArgs, RecoverArgs, ReloadArgs, RotateLogArgs,
    ScopeArg, StopPgpoolArgs, SwitchoverArgs,
};
pub(crate) use pcp_conf::{PasswordArgs, PcpConfArgs, PcpConfCommand, PcpConfHashArgs, PcpConfVerifyArgs};
pub(crate) use reconcile::{Caller, MONITOR_LIMIT, ReconcileArgs, TruthArg};
pub(crate) use show::{
    GlobArg, ProcessStatusArg, ShowArgs, ShowCommand, ShowConfigArgs, ShowHealthArgs, ShowNodeArgs, ShowNodesArgs,
    ShowProcessesArgs, ShowWatchdogArgs,
};
pub(crate) use values::{Ask, Effect, NodeArg, OptionalNode, Require, TypeArg, duration};
pub(crate) use watch::WatchArgs;

const EXIT_CODES: &str = "\
Exit codes:
  0    the wanted state is verified; or: yes
  1    no
  2    usage
  3    configuration or password file
  4    Pgpool is unreachable, and nothing was changed
  5    authentication failed
  6    the node is unknown or ambiguous
  7    refused, by Pgpool or by pcpctl
  8    not verified before the deadline, or the outcome is unknown
  10   done in part: on some Pgpools only, or with nodes left down
  130  ended by SIGINT; 143 by SIGTERM";

/// Makes Pgpool-II's view of its nodes what you asked for, and proves it by reading it back.
#[derive(Debug, Parser)]
#[command(name = "pcpctl", bin_name = "pcpctl", version, disable_help_flag = true, max_term_width = 100, after_help = EXIT_CODES)]
pub(crate) struct Cli {
    #[command(flatten)]
    help: HelpArg,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// `-h` is the host, as in psql and the pcp_* tools.
#[derive(Debug, Args)]
pub(crate) struct HelpArg {
    /// Print help
    #[arg(long, short = '?', action = ArgAction::Help)]
    help: Option<bool>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Attach(AttachArgs),
    Detach(DetachArgs),
    Promote(PromoteArgs),
    Follow(FollowArgs),
    Reconcile(ReconcileArgs),
    IsPrimary(IsPrimaryArgs),
    Show(ShowArgs),
    Doctor(DoctorArgs),
    Check(CheckArgs),
    Exporter(ExporterArgs),
    Watch(WatchArgs),
    Hold(HoldArgs),
    Release(ReleaseArgs),
    Recover(RecoverArgs),
    Switchover(SwitchoverArgs),
    StopPgpool(StopPgpoolArgs),
    Reload(ReloadArgs),
    RotateLog(RotateLogArgs),
    InvalidateCache(InvalidateCacheArgs),
    PcpConf(PcpConfArgs),
    Completions(CompletionsArgs),
    Links(LinksArgs),
    Sandbox(SandboxArgs),
}

/// Attach a node, and verify that it is up.
///
/// An EFM hook: script.load.balancer.attach=/usr/bin/pcpctl attach -h PGPOOL -U USER --passfile FILE %h %t
#[derive(Debug, Args)]
#[command(disable_help_flag = true, after_help = EXIT_CODES)]
pub(crate) struct AttachArgs {
    /// The node: HOST, HOST:PORT, [V6]:PORT or a node id
    #[arg(value_name = "NODE")]
    pub(crate) node: NodeArg,
    /// What the node is: p, m, primary, master; s, standby; or nothing
    ///
    /// With p, Pgpool is made to show the node as its primary; with s, another node must be the primary; with
    /// nothing, some node must be.
    #[arg(value_name = "TYPE", default_value = "", hide_default_value = true)]
    pub(crate) node_type: TypeArg,
    #[command(flatten)]
    pub(crate) hook: HookArgs,
    #[command(flatten)]
    pub(crate) help: HelpArg,
}

/// Detach a node, and verify that it is down.
///
/// An EFM hook: script.load.balancer.detach=/usr/bin/pcpctl detach -h PGPOOL -U USER --passfile FILE %h %t
#[derive(Debug, Args)]
#[command(disable_help_flag = true, after_help = EXIT_CODES)]
pub(crate) struct DetachArgs {
    /// The node: HOST, HOST:PORT, [V6]:PORT or a node id
    #[arg(value_name = "NODE")]
    pub(crate) node: NodeArg,
    /// What the node is: p, m, primary, master; s, standby; or nothing. Makes no difference
    #[arg(value_name = "TYPE", default_value = "", hide_default_value = true)]
    pub(crate) node_type: TypeArg,
    #[command(flatten)]
    pub(crate) hook: HookArgs,
    #[command(flatten)]
    pub(crate) help: HelpArg,
}

/// Make a promotion that PostgreSQL has already done known to Pgpool, and verify that it shows the new primary.
///
/// No PostgreSQL is promoted: this comes after the promotion. Before it, Pgpool's present primary would be taken out of
/// service and no other found, so that nobody could write until "attach" brings it back; [postgres] in the configuration
/// has PostgreSQL asked first. The other nodes stay as they are, the failed one included.
#[derive(Debug, Args)]
#[command(disable_help_flag = true, after_help = EXIT_CODES)]
pub(crate) struct PromoteArgs {
    /// The new primary: HOST, HOST:PORT, [V6]:PORT or a node id
    #[arg(value_name = "NODE")]
    pub(crate) node: NodeArg,
    /// The failed primary, where there is one. It is never attached
    #[arg(value_name = "FAILED", default_value = "", hide_default_value = true)]
    pub(crate) failed: OptionalNode,
    #[command(flatten)]
    pub(crate) hook: HookArgs,
    #[command(flatten)]
    pub(crate) help: HelpArg,
}

/// Tell whether Pgpool takes a node for the primary: exit 0 for yes, 1 for no.
#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
pub(crate) struct IsPrimaryArgs {
    /// The node: HOST, HOST:PORT, [V6]:PORT or a node id
    #[arg(value_name = "NODE")]
    pub(crate) node: NodeArg,
    /// The port of NODE, where it has none
    #[arg(long, value_name = "PORT")]
    pub(crate) backend_port: Option<u16>,
    #[command(flatten)]
    pub(crate) read: ReadArgs,
    #[command(flatten)]
    pub(crate) help: HelpArg,
}

/// Print a script that completes this command's arguments in a shell.
///
/// bash: pcpctl completions bash >/etc/bash_completion.d/pcpctl; the packages bring those of bash, zsh and fish.
#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
pub(crate) struct CompletionsArgs {
    /// The shell
    #[arg(value_name = "SHELL")]
    pub(crate) shell: clap_complete::Shell,
    #[command(flatten)]
    pub(crate) help: HelpArg,
}

/// A Pgpool that speaks only PCP, for tests and rehearsals.
#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
pub(crate) struct SandboxArgs {
    #[command(subcommand)]
    pub(crate) what: SandboxCommand,
    #[command(flatten)]
    help: HelpArg,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SandboxCommand {
    Serve(SandboxServeArgs),
    Drill(SandboxDrillArgs),
}

/// Serve a sandbox with a primary and two standbys until interrupted; user pcpadmin, password secret.
#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
pub(crate) struct SandboxServeArgs {
    /// Where to listen
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:9898")]
    pub(crate) listen: SocketAddr,
    /// Which Pgpool to be
    #[arg(long, value_name = "VERSION", default_value = "4.7")]
    pub(crate) age: pcp_client::sandbox::Age,
    #[command(flatten)]
    pub(crate) help: HelpArg,
}

/// Rehearse a failover against a sandbox: the primary dies, is detached, its successor attached, and it comes back.
#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
pub(crate) struct SandboxDrillArgs {
    /// Which Pgpool to be
    #[arg(long, value_name = "VERSION", default_value = "4.7")]
    pub(crate) age: pcp_client::sandbox::Age,
    #[command(flatten)]
    pub(crate) help: HelpArg,
}
