//! What `hold` and `release` take.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::values::{NodeArg, duration};
use super::{ConnectionArgs, HelpArg, OutputArgs, ends_after};

const HOLD_HELP: &str = concat!(
    "Examples:\n",
    "  pcpctl hold 10.0.0.3 --reason 'new disks, ticket 4711' --for 4h\n",
    "  pcpctl hold                                  what is held on this host\n\n",
    exit_codes!()
);

#[derive(Debug, Args)]
#[command(disable_help_flag = true, after_help = HOLD_HELP, mut_arg("deadline", |arg| ends_after(arg, "8s")))]
pub(crate) struct HoldArgs {
    /// The node: HOST, HOST:PORT, [V6]:PORT or a node id
    #[arg(value_name = "NODE")]
    pub(crate) node: Option<NodeArg>,
    /// Why; every verdict that passes over the node says it
    #[arg(long, value_name = "TEXT", requires = "node")]
    pub(crate) reason: Option<String>,
    /// After how long the mark ends by itself, ten years at most [default: when it is released]
    #[arg(long = "for", value_name = "TIME", value_parser = at_most_ten_years, requires = "node")]
    pub(crate) limit: Option<Duration>,
    #[command(flatten)]
    pub(crate) marks: MarkArgs,
}

const RELEASE_HELP: &str = concat!("Examples:\n", "  pcpctl release 10.0.0.3\n\n", exit_codes!());

#[derive(Debug, Args)]
#[command(disable_help_flag = true, after_help = RELEASE_HELP, mut_arg("deadline", |arg| ends_after(arg, "8s")))]
pub(crate) struct ReleaseArgs {
    /// The node: HOST, HOST:PORT, [V6]:PORT or a node id
    #[arg(value_name = "NODE")]
    pub(crate) node: NodeArg,
    #[command(flatten)]
    pub(crate) marks: MarkArgs,
}

/// What both share.
#[derive(Debug, Args)]
pub(crate) struct MarkArgs {
    /// The directory of this host's marks [env: PCPCTL_STATE_DIR] [default: /var/lib/pcpctl]
    #[arg(long, value_name = "DIR")]
    pub(crate) state_dir: Option<PathBuf>,
    /// The port of NODE, where it has none [default: any]
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) backend_port: Option<u16>,
    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
    #[command(flatten)]
    pub(crate) help: HelpArg,
}

fn at_most_ten_years(text: &str) -> Result<Duration, String> {
    const TEN_YEARS: Duration = Duration::from_secs(10 * 366 * 86_400);
    match duration(text)? {
        Duration::ZERO => Err("it is no time at all".to_owned()),
        limit if limit > TEN_YEARS => Err("it is more than ten years".to_owned()),
        limit => Ok(limit),
    }
}
