//! What can be typed.

mod connection;
mod values;

use std::net::SocketAddr;

use clap::{ArgAction, Args, Parser, Subcommand};

pub(crate) use connection::{ConnectionArgs, HookArgs, OutputArgs, OutputFormat, PromptArgs, ShowArgs};
pub(crate) use values::{NodeArg, OptionalNode, TypeArg};

/// Makes Pgpool-II's view of its nodes what you asked for, and proves it by reading it back.
///
/// Exit codes: 0 verified, or yes; 1 no; 2 usage; 3 configuration or password file; 4 unreachable; 5 authentication failed;
/// 6 node unknown or ambiguous; 7 refused; 8 not verified before the deadline, or outcome unknown; 10 done in part;
/// 130, 143 ended by a signal.
#[derive(Debug, Parser)]
#[command(name = "pcpctl", version, disable_help_flag = true, arg_required_else_help = false, max_term_width = 100)]
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
    /// Attach a node, and verify that it is up
    #[command(disable_help_flag = true)]
    Attach(AttachArgs),
    /// Detach a node, and verify that it is down
    #[command(disable_help_flag = true)]
    Detach(DetachArgs),
    /// Make a promotion that PostgreSQL has already done known to Pgpool, and verify that it shows the new primary
    #[command(disable_help_flag = true)]
    Promote(PromoteArgs),
    /// Tell whether Pgpool takes a node for the primary: exit 0 for yes, 1 for no
    #[command(disable_help_flag = true)]
    IsPrimary(IsPrimaryArgs),
    /// Show what Pgpool knows
    #[command(subcommand, disable_help_flag = true)]
    Show(ShowCommand),
    /// A Pgpool that speaks only PCP, for tests and rehearsals
    #[command(subcommand, disable_help_flag = true)]
    Sandbox(SandboxCommand),
}

/// Attach a node, and verify that it is up.
///
/// An EFM hook: script.load.balancer.attach=/usr/bin/pcpctl attach -h PGPOOL -U USER --passfile FILE %h %t
#[derive(Debug, Args)]
pub(crate) struct AttachArgs {
    /// The node: HOST, HOST:PORT, [V6]:PORT or a node id
    #[arg(value_name = "NODE")]
    pub(crate) node: NodeArg,
    /// What the node is: p, m, primary, master; s, standby; or nothing
    ///
    /// With p, Pgpool is made to show the node as its primary; with s, another node must be the primary; with nothing, some node
    /// must be.
    #[arg(value_name = "TYPE", default_value = "")]
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
pub(crate) struct DetachArgs {
    /// The node: HOST, HOST:PORT, [V6]:PORT or a node id
    #[arg(value_name = "NODE")]
    pub(crate) node: NodeArg,
    /// What the node is: p, m, primary, master; s, standby; or nothing. Makes no difference
    #[arg(value_name = "TYPE", default_value = "")]
    pub(crate) node_type: TypeArg,
    #[command(flatten)]
    pub(crate) hook: HookArgs,
    #[command(flatten)]
    pub(crate) help: HelpArg,
}

/// Make a promotion that PostgreSQL has already done known to Pgpool, and verify that it shows the new primary.
///
/// No PostgreSQL is promoted. The other nodes stay as they are, the failed one included.
#[derive(Debug, Args)]
pub(crate) struct PromoteArgs {
    /// The new primary: HOST, HOST:PORT, [V6]:PORT or a node id
    #[arg(value_name = "NODE")]
    pub(crate) node: NodeArg,
    /// The failed primary, where there is one. It is never attached
    #[arg(value_name = "FAILED", default_value = "")]
    pub(crate) failed: OptionalNode,
    #[command(flatten)]
    pub(crate) hook: HookArgs,
    #[command(flatten)]
    pub(crate) help: HelpArg,
}

#[derive(Debug, Args)]
pub(crate) struct IsPrimaryArgs {
    /// The node: HOST, HOST:PORT, [V6]:PORT or a node id
    #[arg(value_name = "NODE")]
    pub(crate) node: NodeArg,
    /// The port of NODE, where it has none
    #[arg(long, value_name = "PORT")]
    pub(crate) backend_port: Option<u16>,
    #[command(flatten)]
    pub(crate) show: ShowArgs,
    #[command(flatten)]
    pub(crate) help: HelpArg,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ShowCommand {
    /// Show the nodes: Pgpool's view, and PostgreSQL's own state where Pgpool asks for it
    #[command(disable_help_flag = true)]
    Nodes(ShowNodesArgs),
    /// Show the members of the watchdog's cluster
    #[command(disable_help_flag = true)]
    Watchdog(ShowWatchdogArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ShowNodesArgs {
    #[command(flatten)]
    pub(crate) show: ShowArgs,
    #[command(flatten)]
    pub(crate) help: HelpArg,
}

#[derive(Debug, Args)]
pub(crate) struct ShowWatchdogArgs {
    /// Only this member: 0 is the Pgpool that is asked
    #[arg(value_name = "ID")]
    pub(crate) member: Option<u8>,
    #[command(flatten)]
    pub(crate) show: ShowArgs,
    #[command(flatten)]
    pub(crate) help: HelpArg,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SandboxCommand {
    /// Serve a sandbox with a primary and two standbys until interrupted; user pcpadmin, password secret
    #[command(disable_help_flag = true)]
    Serve(SandboxServeArgs),
    /// Rehearse a failover against a sandbox: the primary dies, is detached, its successor attached, and it comes back
    #[command(disable_help_flag = true)]
    Drill(SandboxDrillArgs),
}

#[derive(Debug, Args)]
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

#[derive(Debug, Args)]
pub(crate) struct SandboxDrillArgs {
    /// Which Pgpool to be
    #[arg(long, value_name = "VERSION", default_value = "4.7")]
    pub(crate) age: pcp_client::sandbox::Age,
    #[command(flatten)]
    pub(crate) help: HelpArg,
}
