//! What can be typed.

/// What the exit codes mean, as a literal that can stand behind a command's examples.
macro_rules! exit_codes {
    () => {
        "\
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
  130  ended by SIGINT; 143 by SIGTERM"
    };
}

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
use connection::{ends_after, ends_after_alone};
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

const HELP: &str = concat!(
    "Examples:\n",
    "  pcpctl show nodes -h pgpool1 -U pcpadmin         what Pgpool knows\n",
    "  pcpctl detach 10.0.0.3                           exit 0 only when Pgpool shows it down\n",
    "  pcpctl attach 10.0.0.3 s                         up as a standby\n",
    "  pcpctl help attach                               more of one command; -? and --help do it too\n\n",
    exit_codes!()
);

/// Makes Pgpool-II's view of its nodes what you asked for, and proves it by reading it back.
#[derive(Debug, Parser)]
#[command(name = "pcpctl", bin_name = "pcpctl", version, disable_help_flag = true, max_term_width = 100, after_help = HELP)]
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

const ATTACH_HELP: &str = concat!(
    "Examples:\n",
    "  pcpctl attach 10.0.0.3                        up; some node has to be the primary\n",
    "  pcpctl attach 10.0.0.3 s                      up as a standby, with another node as the primary\n",
    "  pcpctl attach 10.0.0.2 p -h pgpool1,pgpool2   the primary, after its PostgreSQL was promoted\n",
    "  pcpctl attach 2 --dry-run                     what would be done to node 2\n\n",
    exit_codes!()
);

/// Attach a node, and verify that it is up.
///
/// A hook in efm.properties:
///
/// script.load.balancer.attach=/usr/bin/pcpctl attach -h PGPOOL -U USER --passfile FILE %h %t
#[derive(Debug, Args)]
#[command(disable_help_flag = true, after_help = ATTACH_HELP, mut_arg("deadline", |arg| ends_after(arg, "60s")))]
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

const DETACH_HELP: &str = concat!(
    "Examples:\n",
    "  pcpctl detach 10.0.0.3\n",
    "  pcpctl detach 10.0.0.3:5433 -h pgpool1,pgpool2   down on both Pgpools\n",
    "  pcpctl detach 2 --dry-run                        what would be done, and whose sessions end\n",
    "  pcpctl detach 10.0.0.3 -o json                   as a program reads it\n\n",
    exit_codes!()
);

/// Detach a node, and verify that it is down.
///
/// A hook in efm.properties:
///
/// script.load.balancer.detach=/usr/bin/pcpctl detach -h PGPOOL -U USER --passfile FILE %h %t
#[derive(Debug, Args)]
#[command(disable_help_flag = true, after_help = DETACH_HELP, mut_arg("deadline", |arg| ends_after(arg, "30s")))]
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

const PROMOTE_HELP: &str = concat!(
    "Examples:\n",
    "  pcpctl promote 10.0.0.2              the primary, after its PostgreSQL was promoted\n",
    "  pcpctl promote 10.0.0.2 10.0.0.1     the same, and 10.0.0.1 is not brought back meanwhile\n",
    "  pcpctl promote 10.0.0.2 --dry-run    what would be done\n\n",
    exit_codes!()
);

/// Make a promotion that PostgreSQL has already done known to Pgpool, and verify that it shows the new primary.
///
/// No PostgreSQL is promoted: this comes after the promotion. Before it, Pgpool's present primary would be taken out of
/// service and no other found, so that nobody could write until "attach" brings it back; [postgres] in the configuration
/// has PostgreSQL asked first. The other nodes stay as they are, the failed one included.
#[derive(Debug, Args)]
#[command(disable_help_flag = true, after_help = PROMOTE_HELP, mut_arg("deadline", |arg| ends_after(arg, "60s")))]
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

const IS_PRIMARY_HELP: &str = concat!(
    "Examples:\n",
    "  pcpctl is-primary 10.0.0.2\n",
    "  if pcpctl is-primary 10.0.0.2 -q; then echo it is; fi\n",
    "  pcpctl is-primary 1 -h pgpool1,pgpool2           yes only where both say so\n\n",
    exit_codes!()
);

/// Tell whether Pgpool takes a node for the primary: exit 0 for yes, 1 for no.
#[derive(Debug, Args)]
#[command(disable_help_flag = true, after_help = IS_PRIMARY_HELP, mut_arg("deadline", |arg| ends_after(arg, "8s")))]
pub(crate) struct IsPrimaryArgs {
    /// The node: HOST, HOST:PORT, [V6]:PORT or a node id
    #[arg(value_name = "NODE")]
    pub(crate) node: NodeArg,
    /// The port of NODE, where it has none [default: any]
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) backend_port: Option<u16>,
    #[command(flatten)]
    pub(crate) read: ReadArgs,
    #[command(flatten)]
    pub(crate) help: HelpArg,
}

const COMPLETIONS_HELP: &str = concat!(
    "Examples:\n",
    "  pcpctl completions bash >/etc/bash_completion.d/pcpctl\n",
    "  pcpctl completions zsh >/usr/local/share/zsh/site-functions/_pcpctl\n",
    "  pcpctl completions fish >~/.config/fish/completions/pcpctl.fish"
);

/// Print a script that completes this command's arguments in a shell.
///
/// bash: pcpctl completions bash >/etc/bash_completion.d/pcpctl; the packages bring those of bash, zsh and fish.
#[derive(Debug, Args)]
#[command(disable_help_flag = true, after_help = COMPLETIONS_HELP)]
pub(crate) struct CompletionsArgs {
    /// The shell
    #[arg(value_name = "SHELL")]
    pub(crate) shell: clap_complete::Shell,
    #[command(flatten)]
    pub(crate) help: HelpArg,
}

/// A Pgpool that speaks only PCP, for tests and rehearsals.
#[derive(Debug, Args)]
#[command(
    disable_help_flag = true,
    after_help = "Examples:\n  pcpctl sandbox drill\n  pcpctl sandbox serve --age 4.1"
)]
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

const SANDBOX_SERVE_HELP: &str = concat!(
    "Examples:\n",
    "  pcpctl sandbox serve --age 4.1 --listen 127.0.0.1:9899\n",
    "  PCP_PASSWORD=secret pcpctl show nodes -h 127.0.0.1:9899 -U pcpadmin"
);

/// Serve a sandbox with a primary and two standbys until interrupted; user pcpadmin, password secret.
#[derive(Debug, Args)]
#[command(disable_help_flag = true, after_help = SANDBOX_SERVE_HELP)]
pub(crate) struct SandboxServeArgs {
    /// Where to listen
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:9898")]
    pub(crate) listen: SocketAddr,
    /// Which Pgpool to be: a series from 3.5 to 4.7, or a release of it
    #[arg(long, value_name = "VERSION", default_value = "4.7")]
    pub(crate) age: pcp_client::sandbox::Age,
    #[command(flatten)]
    pub(crate) help: HelpArg,
}

const SANDBOX_DRILL_HELP: &str = concat!(
    "Examples:\n",
    "  pcpctl sandbox drill\n",
    "  pcpctl sandbox drill --age 3.7               as with that Pgpool"
);

/// Rehearse a failover against a sandbox: the primary dies, is detached, its successor attached, and it comes back.
#[derive(Debug, Args)]
#[command(disable_help_flag = true, after_help = SANDBOX_DRILL_HELP)]
pub(crate) struct SandboxDrillArgs {
    /// Which Pgpool to be: a series from 3.5 to 4.7, or a release of it
    #[arg(long, value_name = "VERSION", default_value = "4.7")]
    pub(crate) age: pcp_client::sandbox::Age,
    #[command(flatten)]
    pub(crate) help: HelpArg,
}
