//! What `recover`, `switchover`, `stop-pgpool`, `reload`, `rotate-log` and `invalidate-cache` take.

use std::time::Duration;

use clap::{Args, ValueEnum};
use pcp_client::{Caution, Expectation};
use pcp_proto::message::{Scope, StopMode};

use super::values::{Effect, NodeArg, duration};
use super::{HelpArg, ReadArgs, ends_after_alone};

const RECOVER_HELP: &str = concat!(
    "Examples:\n",
    "  pcpctl recover 10.0.0.3 --dry-run            what would be run, and where\n",
    "  pcpctl recover 10.0.0.3                      asks first\n",
    "  pcpctl recover 2 -h pgpool1 --yes --deadline 6h\n\n",
    exit_codes!()
);

#[derive(Debug, Args)]
#[command(disable_help_flag = true, after_help = RECOVER_HELP, mut_arg("deadline", |arg| ends_after_alone(arg, "2h")))]
pub(crate) struct RecoverArgs {
    /// The node: HOST, HOST:PORT, [V6]:PORT or a node id
    #[arg(value_name = "NODE")]
    pub(crate) node: NodeArg,
    #[command(flatten)]
    pub(crate) change: NodeChangeArgs,
    #[command(flatten)]
    pub(crate) confirm: ConfirmArgs,
    #[command(flatten)]
    pub(crate) read: ReadArgs,
    #[command(flatten)]
    pub(crate) help: HelpArg,
}

const SWITCHOVER_HELP: &str = concat!(
    "Examples:\n",
    "  pcpctl switchover 10.0.0.2 --dry-run\n",
    "  pcpctl switchover 10.0.0.2 -h pgpool1        asks first\n\n",
    exit_codes!()
);

#[derive(Debug, Args)]
#[command(disable_help_flag = true, after_help = SWITCHOVER_HELP, mut_arg("deadline", |arg| ends_after_alone(arg, "2m")))]
pub(crate) struct SwitchoverArgs {
    /// The new primary: HOST, HOST:PORT, [V6]:PORT or a node id
    #[arg(value_name = "NODE")]
    pub(crate) node: NodeArg,
    #[command(flatten)]
    pub(crate) change: NodeChangeArgs,
    #[command(flatten)]
    pub(crate) confirm: ConfirmArgs,
    #[command(flatten)]
    pub(crate) read: ReadArgs,
    #[command(flatten)]
    pub(crate) help: HelpArg,
}

const STOP_PGPOOL_HELP: &str = concat!(
    "Examples:\n",
    "  pcpctl stop-pgpool -h pgpool1 --dry-run      how many clients are connected\n",
    "  pcpctl stop-pgpool -h pgpool1 --mode fast --yes\n",
    "  pcpctl stop-pgpool --scope cluster --mode fast -h pgpool1,pgpool2,pgpool3\n\n",
    exit_codes!()
);

#[derive(Debug, Args)]
#[command(disable_help_flag = true, after_help = STOP_PGPOOL_HELP, mut_arg("deadline", |arg| ends_after_alone(arg, "60s")))]
pub(crate) struct StopPgpoolArgs {
    /// How sessions of clients end
    #[arg(short, long, value_enum, value_name = "MODE", default_value_t = ModeArg::Smart)]
    pub(crate) mode: ModeArg,
    /// Which Pgpools are stopped
    #[arg(short, long, value_enum, value_name = "SCOPE", default_value_t = ScopeArg::Local)]
    pub(crate) scope: ScopeArg,
    #[command(flatten)]
    pub(crate) confirm: ConfirmArgs,
    #[command(flatten)]
    pub(crate) read: ReadArgs,
    #[command(flatten)]
    pub(crate) help: HelpArg,
}

const RELOAD_HELP: &str = concat!(
    "Examples:\n",
    "  pcpctl reload --expect log_connections=on\n",
    "  pcpctl reload -h pgpool1,pgpool2 --expect health_check_period=5 --expect health_check_timeout=3\n",
    "  pcpctl reload --scope cluster -h pgpool1\n\n",
    exit_codes!()
);

#[derive(Debug, Args)]
#[command(disable_help_flag = true, after_help = RELOAD_HELP, mut_arg("deadline", |arg| ends_after_alone(arg, "8s")))]
pub(crate) struct ReloadArgs {
    /// Which Pgpools do it: the ones named, or all members of the watchdog cluster of the one named
    #[arg(short, long, value_enum, value_name = "SCOPE", default_value_t = ScopeArg::Local)]
    pub(crate) scope: ScopeArg,
    /// A parameter and the value that has to be shown of it afterwards, as pcpctl show config shows it; may be repeated
    #[arg(long, value_name = "NAME=VALUE")]
    pub(crate) expect: Vec<Expectation>,
    /// How long changes are looked for without --expect [default: 1500ms]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) settle: Option<Duration>,
    #[command(flatten)]
    pub(crate) read: ReadArgs,
    #[command(flatten)]
    pub(crate) help: HelpArg,
}

const ROTATE_LOG_HELP: &str = concat!(
    "Examples:\n",
    "  pcpctl rotate-log -h pgpool1,pgpool2\n",
    "  pcpctl rotate-log --scope cluster -h pgpool1\n\n",
    exit_codes!()
);

#[derive(Debug, Args)]
#[command(disable_help_flag = true, after_help = ROTATE_LOG_HELP, mut_arg("deadline", |arg| ends_after_alone(arg, "8s")))]
pub(crate) struct RotateLogArgs {
    /// Which Pgpools do it: the ones named, or all members of the watchdog cluster of the one named
    #[arg(short, long, value_enum, value_name = "SCOPE", default_value_t = ScopeArg::Local)]
    pub(crate) scope: ScopeArg,
    #[command(flatten)]
    pub(crate) read: ReadArgs,
    #[command(flatten)]
    pub(crate) help: HelpArg,
}

const INVALIDATE_CACHE_HELP: &str =
    concat!("Examples:\n", "  pcpctl invalidate-cache -h pgpool1,pgpool2\n\n", exit_codes!());

#[derive(Debug, Args)]
#[command(disable_help_flag = true, after_help = INVALIDATE_CACHE_HELP, mut_arg("deadline", |arg| ends_after_alone(arg, "8s")))]
pub(crate) struct InvalidateCacheArgs {
    #[command(flatten)]
    pub(crate) read: ReadArgs,
    #[command(flatten)]
    pub(crate) help: HelpArg,
}

/// What a change of one node takes.
#[derive(Debug, Args)]
pub(crate) struct NodeChangeArgs {
    /// The port of NODE, where it has none [default: any]
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) backend_port: Option<u16>,
    /// How long a state has to last before it counts [default: 1500ms]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) settle: Option<Duration>,
    /// Do what is refused for safety, by what the node's PostgreSQL says
    #[arg(long)]
    force: bool,
}

impl NodeChangeArgs {
    /// Returns whether to do what looks wrong.
    pub(crate) fn caution(&self) -> Caution {
        if self.force { Caution::GivenUp } else { Caution::Kept }
    }
}

/// Whether somebody has to agree first.
#[derive(Debug, Args)]
pub(crate) struct ConfirmArgs {
    /// Do not ask. Needed where there is no terminal to ask on
    #[arg(short, long)]
    yes: bool,
    /// Change nothing: print what would be done, and the exit code to expect
    #[arg(long)]
    dry_run: bool,
}

/// Who agrees to a change.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Consent {
    /// Whoever sits at the terminal is asked.
    Ask,
    /// It was given on the command line.
    Given,
}

impl ConfirmArgs {
    /// Returns who agrees.
    pub(crate) fn consent(&self) -> Consent {
        if self.yes { Consent::Given } else { Consent::Ask }
    }

    /// Returns whether anything is to be changed.
    pub(crate) fn effect(&self) -> Effect {
        if self.dry_run { Effect::DryRun } else { Effect::Change }
    }
}

/// Which Pgpools carry it out.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum ScopeArg {
    /// Those that are named
    Local,
    /// Every member of a watchdog cluster
    Cluster,
}

impl From<ScopeArg> for Scope {
    fn from(scope: ScopeArg) -> Self {
        match scope {
            ScopeArg::Local => Self::Local,
            ScopeArg::Cluster => Self::Cluster,
        }
    }
}

/// How sessions end.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum ModeArg {
    /// When their clients leave; no new ones are taken meanwhile
    #[value(alias = "s")]
    Smart,
    /// At once
    #[value(alias = "f")]
    Fast,
    /// At once, and Pgpool does not clean up behind itself
    #[value(alias = "i")]
    Immediate,
}

impl From<ModeArg> for StopMode {
    fn from(mode: ModeArg) -> Self {
        match mode {
            ModeArg::Smart => Self::Smart,
            ModeArg::Fast => Self::Fast,
            ModeArg::Immediate => Self::Immediate,
        }
    }
}
