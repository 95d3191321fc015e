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
mod lazy;
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
use pcp_client::sandbox::Age;

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
pub(crate) use lazy::Lazy;
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
    /// Attach a node, and verify that it is up.
    ///
    /// A hook in efm.properties:
    ///
    /// script.load.balancer.attach=/usr/bin/pcpctl attach -h PGPOOL -U USER --passfile FILE %h %t
    Attach(Lazy<AttachArgs>),
    /// Detach a node, and verify that it is down.
    ///
    /// A hook in efm.properties:
    ///
    /// script.load.balancer.detach=/usr/bin/pcpctl detach -h PGPOOL -U USER --passfile FILE %h %t
    Detach(Lazy<DetachArgs>),
    /// Make a promotion that PostgreSQL has already done known to Pgpool, and verify that it shows the new primary.
    ///
    /// No PostgreSQL is promoted: this comes after the promotion. Before it, Pgpool's present primary would be taken out of
    /// service and no other found, so that nobody could write until "attach" brings it back; [postgres] in the configuration
    /// has PostgreSQL asked first. The other nodes stay as they are, the failed one included.
    Promote(Lazy<PromoteArgs>),
    /// Attach a node that Pgpool set down in a change of primary, if it is a standby of the new one.
    ///
    /// For pgpool.conf: follow_primary_command = '/usr/bin/pcpctl follow -U USER --passfile FILE %d %P %m'
    /// (follow_master_command up to 4.1). It speaks to the Pgpool that called it, over its local socket or localhost,
    /// and to no other that the configuration names.
    ///
    /// The old and the new primary are left alone. The node is attached when its PostgreSQL answers, and, where it may be
    /// the old primary itself (%P is -1, or is the new primary), only when it is proven to be in recovery: by [postgres]
    /// in the configuration, by EFM on this host where [efm] names its cluster, or by Pgpool since 4.3 with health checks
    /// on.
    Follow(Lazy<FollowArgs>),
    /// Make every Pgpool show each node as EFM, or a file, says, and verify it. Nodes that neither names are left alone.
    ///
    /// Where all is well, each Pgpool is asked once and nothing else is done. For lost hook calls, rebooted nodes, and a
    /// Pgpool that started with a stale pgpool_status; by a timer, after Pgpool's start, or as EFM's custom monitor:
    /// script.custom.monitor=/usr/bin/pcpctl reconcile --efm CLUSTER --monitor
    ///
    /// EFM is asked twice, at least 2 s apart, and believed only where an isolated host could not see the same: one
    /// primary with its database UP, nobody promoting, a majority of the members there, and the same both times. Else
    /// nothing is done, exit 7. Nodes that `pcpctl hold` holds on this host are passed over, and the verdict names them.
    Reconcile(Lazy<ReconcileArgs>),
    /// Tell whether Pgpool takes a node for the primary: exit 0 for yes, 1 for no.
    IsPrimary(Lazy<IsPrimaryArgs>),
    /// Show what Pgpool knows.
    ///
    /// Nothing is changed. Several Pgpools (-h a,b) are asked at the same time. With -o json the shapes are those of
    /// docs/json.md.
    Show(Lazy<ShowArgs>),
    /// Look for what would make hooks fail, and for settings that work against them. Changes nothing.
    ///
    /// Reads the password file, logs in to every Pgpool, judges its settings by docs/efm.md, compares the Pgpools, and
    /// looks for the node behind every address that EFM uses: those given here, those of [nodes] in the configuration,
    /// and those that `efm cluster-status-json` shows where its cluster is known. With --efm-properties it checks that
    /// file too, and tries each hook's line as far as that can be done without calling Pgpool.
    ///
    /// Run it as the user that runs the hooks, on each EFM node: sudo -u efm pcpctl doctor
    Doctor(Lazy<DoctorArgs>),
    /// Check a Pgpool as a Nagios plugin does: one line of status, performance data, and an exit code.
    ///
    /// For Nagios, Icinga and their kin, and as an exec probe of Kubernetes. None makes Pgpool connect to a backend,
    /// unless --live asks for it, and none needs a slot of its pool: they answer while SQL cannot.
    Check(Lazy<CheckArgs>),
    /// Serve metrics of one or several Pgpools to Prometheus, from PCP alone: they are there while SQL is dead.
    ///
    /// Names of pgpool2_exporter are kept where the meaning is the same. Needs no database user and takes no slot of the
    /// pool. Pgpool is never made to connect to a backend, unless --live asks for it.
    Exporter(Lazy<ExporterArgs>),
    /// Watch the nodes of one or several Pgpools, and what changes.
    ///
    /// On a terminal the view is redrawn in place, with what has changed marked by * for 10 s, the Pgpools side by side
    /// where they disagree, and the last changes with their times below. q or Ctrl-C ends it. Elsewhere each change is a
    /// line, and with -o json an event of docs/json.md, after the present state.
    ///
    /// Each look is a connection of its own, closed at once, and asks Pgpool's memory only: no node is connected to, and
    /// no change of others is held up. A Pgpool that goes away is said to be gone and looked for until it is back.
    Watch(Lazy<WatchArgs>),
    /// Mark a node as under maintenance: reconcile on this host leaves it alone. Without NODE, list the marks.
    ///
    /// The mark is kept on this host only. attach, detach and promote do what they are told all the same.
    Hold(Lazy<HoldArgs>),
    /// Take away the mark that `hold` has set.
    Release(Lazy<ReleaseArgs>),
    /// Have Pgpool rebuild a node from the primary, start it and attach it; follow that to its end.
    ///
    /// Pgpool runs its recovery_1st_stage_command, which replaces the node's data, and pgpool_remote_start; success is a node
    /// that was read back as up. One Pgpool does it: several are refused. A node that is up, or whose PostgreSQL answers, is
    /// refused. It takes as long as a base backup; --deadline is 2h unless set. Ended early, Pgpool goes on with it.
    Recover(Lazy<RecoverArgs>),
    /// Have Pgpool detach its primary and promote another node by its failover_command, and verify that it is the primary.
    ///
    /// Since Pgpool 4.3. For clusters that Pgpool itself leads: where failover_command is empty, as under a failover
    /// manager, it is refused, for it would leave no primary. One Pgpool does it: several are refused. Nodes that were up and
    /// did not come back are named, with exit code 10. The old primary stays detached; pcpctl recover rebuilds it.
    Switchover(Lazy<SwitchoverArgs>),
    /// Stop Pgpool, and verify that its PCP port is closed.
    ///
    /// Of several Pgpools none is stopped unless --scope cluster says that they are one watchdog cluster: a member is asked
    /// then, and every one that is named has to be gone.
    StopPgpool(Lazy<StopPgpoolArgs>),
    /// Have Pgpool read its configuration files again, and tell which parameters changed by it.
    ///
    /// Since Pgpool 4.2. Pgpool answers before it has read anything, and a file with a mistake changes nothing. So name what
    /// has to be shown afterwards: with --expect, success is a value that was read back. Without it, success means that Pgpool
    /// took the request. Several Pgpools reload at the same time.
    Reload(Lazy<ReloadArgs>),
    /// Have Pgpool begin a new log file.
    ///
    /// Since Pgpool 4.6, with logging_collector. Success means that Pgpool took the request: only its log directory shows the
    /// file. Several Pgpools are asked at the same time.
    RotateLog(Lazy<RotateLogArgs>),
    /// Have Pgpool drop everything in its query cache.
    ///
    /// Since Pgpool 4.6, with memory_cache_enabled. Success means that Pgpool took the request: each of its children drops its
    /// part before its next query, and nothing shows it over PCP. Several Pgpools are asked at the same time.
    InvalidateCache(Lazy<InvalidateCacheArgs>),
    /// Make and check lines of pcp.conf, the file of PCP's users. No Pgpool is asked.
    PcpConf(Lazy<PcpConfArgs>),
    /// Print a script that completes this command's arguments in a shell.
    ///
    /// bash: pcpctl completions bash >/etc/bash_completion.d/pcpctl; the packages bring those of bash, zsh and fish.
    Completions(Lazy<CompletionsArgs>),
    /// Install, or remove, links to this program under the names of Pgpool's pcp_* tools.
    ///
    /// A link behaves as the tool whose name it has: same options, same output, but its exit code tells the truth, and attach,
    /// detach and promote are read back. EFM takes the directory as its pgpool.bin.
    Links(Lazy<LinksArgs>),
    /// A Pgpool that speaks only PCP, for tests and rehearsals.
    Sandbox(Lazy<SandboxArgs>),
}

const ATTACH_HELP: &str = concat!(
    "Examples:\n",
    "  pcpctl attach 10.0.0.3                        up; some node has to be the primary\n",
    "  pcpctl attach 10.0.0.3 s                      up as a standby, with another node as the primary\n",
    "  pcpctl attach 10.0.0.2 p -h pgpool1,pgpool2   the primary, after its PostgreSQL was promoted\n",
    "  pcpctl attach 2 --dry-run                     what would be done to node 2\n\n",
    exit_codes!()
);

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

#[derive(Debug, Args)]
#[command(disable_help_flag = true, after_help = COMPLETIONS_HELP)]
pub(crate) struct CompletionsArgs {
    /// The shell
    #[arg(value_name = "SHELL")]
    pub(crate) shell: clap_complete::Shell,
    #[command(flatten)]
    pub(crate) help: HelpArg,
}

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
    #[arg(long, value_name = "VERSION", default_value = "4.7", help = age_help())]
    pub(crate) age: Age,
    #[command(flatten)]
    pub(crate) help: HelpArg,
}

fn age_help() -> String {
    let names = Age::ALL.map(Age::name).join(", ");
    format!("Which Pgpool to be, each standing for the releases up to the next: {names}")
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
    #[arg(long, value_name = "VERSION", default_value = "4.7", help = age_help())]
    pub(crate) age: Age,
    #[command(flatten)]
    pub(crate) help: HelpArg,
}
