//! What `check` takes.

use clap::{Args, Subcommand};

use super::{ConnectionArgs, HelpArg, Lazy, LiveArg, NodeArg, VerboseArg, ZoneArg, ends_after};
use crate::cmd::Range;

/// What a check's exit codes and ranges mean, as a literal that can stand behind its examples.
macro_rules! nagios_codes {
    () => {
        "\
Exit codes, as those of Nagios plugins: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN. With several Pgpools the worst \
counts. A Pgpool that cannot be reached, or does not answer in time, is CRITICAL; a login that it refuses, a mistake \
in the configuration or the arguments, and what this Pgpool cannot tell are UNKNOWN.

A RANGE is one of Nagios: 10 alerts outside 0 to 10, 10: below 10, ~:10 above 10, 10:20 outside, @10:20 inside; ~: \
never alerts.

Never use a check as EFM's script.custom.monitor or in its script.fence: EFM would take an exit other than 0 for a \
failed database, and fail over a healthy one. Only \"pcpctl reconcile --monitor\" belongs there."
    };
}

const CHECK_HELP: &str = concat!(
    "Examples:\n",
    "  pcpctl check nodes -h pgpool1,pgpool2\n",
    "  pcpctl check pool -W 70 -C 90\n",
    "  command_line /usr/bin/pcpctl check primary -h $HOSTADDRESS$ --passfile /etc/nagios/.pcppass\n\n",
    nagios_codes!()
);

#[derive(Debug, Args)]
#[command(disable_help_flag = true, after_help = CHECK_HELP)]
pub(crate) struct CheckArgs {
    #[command(subcommand)]
    pub(crate) what: CheckCommand,
    #[command(flatten)]
    help: HelpArg,
}

#[derive(Debug, Subcommand)]
pub(crate) enum CheckCommand {
    /// Check that Pgpool takes a login and answers.
    ///
    /// The ranges are of the seconds that it takes.
    Ping(Lazy<PingArgs>),
    /// Check that no node is down.
    ///
    /// The ranges are of the number of nodes that are not up; WARNING is 0 unless said otherwise. A node that waits for
    /// its first session is up; one in quarantine is not.
    Nodes(Lazy<NodesArgs>),
    /// Check that exactly one node is the primary and up, the same on every Pgpool.
    ///
    /// None, several, one that is down, or different ones are CRITICAL.
    Primary(Lazy<PrimaryArgs>),
    /// Check that the watchdog has a quorum, one leader, and all its members.
    ///
    /// The ranges are of the number of members that are lost or shut down; WARNING is 0 unless said otherwise. No quorum
    /// and no leader are CRITICAL, a quorum on the edge is WARNING.
    Watchdog(Lazy<WatchdogArgs>),
    /// Check that child processes are left for further clients.
    ///
    /// The ranges are of the percentage of them that serve a client; WARNING is 80 and CRITICAL 95 unless said otherwise.
    Pool(Lazy<PoolArgs>),
    /// Check that Pgpool's own health checks of the nodes succeed.
    ///
    /// The ranges are of the seconds since the last check that succeeded, of the nodes that are up; WARNING is three
    /// health_check_periods and a health_check_timeout unless said otherwise. A node whose last check failed is CRITICAL.
    /// Since Pgpool 4.2; UNKNOWN where health checks are off.
    Health(Lazy<HealthArgs>),
}

const PING_HELP: &str =
    concat!("Examples:\n", "  pcpctl check ping -h pgpool1 -W 1 -C 3       seconds\n\n", nagios_codes!());

#[derive(Debug, Args)]
#[command(disable_help_flag = true, after_help = PING_HELP, mut_arg("deadline", |arg| ends_after(arg, "8s")))]
pub(crate) struct PingArgs {
    #[command(flatten)]
    pub(crate) thresholds: ThresholdArgs,
    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

const NODES_HELP: &str = concat!(
    "Examples:\n",
    "  pcpctl check nodes -h pgpool1,pgpool2\n",
    "  pcpctl check nodes -C 1 --min-up 2           CRITICAL with two nodes down, or fewer than two up\n\n",
    nagios_codes!()
);

#[derive(Debug, Args)]
#[command(disable_help_flag = true, after_help = NODES_HELP, mut_arg("deadline", |arg| ends_after(arg, "8s")))]
pub(crate) struct NodesArgs {
    #[command(flatten)]
    pub(crate) thresholds: ThresholdArgs,
    /// CRITICAL when fewer nodes are up: a number from 0 to 127
    #[arg(long, value_name = "NODES", default_value_t = 1, value_parser = clap::value_parser!(u8).range(..128))]
    pub(crate) min_up: u8,
    #[command(flatten)]
    pub(crate) live: LiveArg,
    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

const PRIMARY_HELP: &str = concat!(
    "Examples:\n",
    "  pcpctl check primary -h pgpool1,pgpool2      both see the same primary\n",
    "  pcpctl check primary --expect 10.0.0.1\n\n",
    nagios_codes!()
);

#[derive(Debug, Args)]
#[command(disable_help_flag = true, after_help = PRIMARY_HELP, mut_arg("deadline", |arg| ends_after(arg, "8s")))]
pub(crate) struct PrimaryArgs {
    /// CRITICAL when another node is the primary: HOST, HOST:PORT, [V6]:PORT or a node id
    #[arg(long, value_name = "NODE")]
    pub(crate) expect: Option<NodeArg>,
    #[command(flatten)]
    pub(crate) live: LiveArg,
    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

const WATCHDOG_HELP: &str = concat!(
    "Examples:\n",
    "  pcpctl check watchdog -h pgpool1,pgpool2,pgpool3\n",
    "  pcpctl check watchdog -C 1                   CRITICAL with two members lost\n\n",
    nagios_codes!()
);

#[derive(Debug, Args)]
#[command(disable_help_flag = true, after_help = WATCHDOG_HELP, mut_arg("deadline", |arg| ends_after(arg, "8s")))]
pub(crate) struct WatchdogArgs {
    #[command(flatten)]
    pub(crate) thresholds: ThresholdArgs,
    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

const POOL_HELP: &str = concat!(
    "Examples:\n",
    "  pcpctl check pool -W 70 -C 90                per cent of the child processes\n\n",
    nagios_codes!()
);

#[derive(Debug, Args)]
#[command(disable_help_flag = true, after_help = POOL_HELP, mut_arg("deadline", |arg| ends_after(arg, "8s")))]
pub(crate) struct PoolArgs {
    #[command(flatten)]
    pub(crate) thresholds: ThresholdArgs,
    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

const HEALTH_HELP: &str = concat!(
    "Examples:\n",
    "  pcpctl check health -W 60 -C 300             seconds since the last check that succeeded\n\n",
    nagios_codes!()
);

#[derive(Debug, Args)]
#[command(disable_help_flag = true, after_help = HEALTH_HELP, mut_arg("deadline", |arg| ends_after(arg, "8s")))]
pub(crate) struct HealthArgs {
    #[command(flatten)]
    pub(crate) thresholds: ThresholdArgs,
    #[command(flatten)]
    pub(crate) zone: ZoneArg,
    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

/// From where on a value is worth an alert.
#[derive(Debug, Args)]
#[command(next_help_heading = "Thresholds")]
pub(crate) struct ThresholdArgs {
    /// WARNING when the value is out of this range
    #[arg(short = 'W', long, value_name = "RANGE", allow_hyphen_values = true)]
    pub(crate) warning: Option<Range>,
    /// CRITICAL when the value is out of this range
    #[arg(short = 'C', long, value_name = "RANGE", allow_hyphen_values = true)]
    pub(crate) critical: Option<Range>,
}

/// What every check takes. Passwords are never asked for.
#[derive(Debug, Args)]
pub(crate) struct CommonArgs {
    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,
    #[command(flatten)]
    pub(crate) verbose: VerboseArg,
    #[command(flatten)]
    help: HelpArg,
}
