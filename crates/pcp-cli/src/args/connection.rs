//! Options that many commands share. They are flattened into each, never global: that costs start-up time.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Arg, ArgAction, Args, ValueEnum};
use pcp_client::LastNode;

use super::values::{Ask, Effect, Require, duration};

/// Where Pgpool is and who we are there.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Connection options")]
pub(crate) struct ConnectionArgs {
    /// Pgpool's host, or a directory with its PCP socket; several by repetition or commas [env: PCP_HOST] [default:
    /// the socket in /var/run/postgresql or /tmp, else localhost]
    #[arg(short = 'h', short_alias = 'H', long, value_name = "HOST[:PORT]", value_delimiter = ',')]
    pub(crate) host: Vec<String>,
    /// Pgpool's PCP port [env: PCP_PORT] [default: 9898]
    #[arg(short, long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) port: Option<u16>,
    /// The PCP user [env: PCP_USER] [default: USER or LOGNAME of the environment]
    #[arg(short = 'U', long, value_name = "NAME", visible_alias = "username")]
    pub(crate) user: Option<String>,
    /// Never ask for a password
    #[arg(short = 'w', long)]
    pub(crate) no_password: bool,
    /// A file of host:port:user:password lines, readable by its owner only [env: PCPPASSFILE] [default: ~/.pcppass]
    #[arg(long, value_name = "FILE")]
    pub(crate) passfile: Option<PathBuf>,
    /// A file that holds nothing but the password [env: PCP_PASSWORD_FILE; PCP_PASSWORD holds the password itself]
    #[arg(long, value_name = "FILE")]
    pub(crate) password_file: Option<PathBuf>,
    /// How long to try each address of a host; a TIME as that of --deadline [default: 3s]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) connect_timeout: Option<Duration>,
    /// When the whole command ends at the latest; a command's help says when that is by default
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) deadline: Option<Duration>,
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
}

/// Has a command's help say what its own deadline is.
pub(super) fn ends_after(deadline: Arg, default: &str) -> Arg {
    deadline.help(format!("{DEADLINE} [env: PCPCTL_DEADLINE] [default: {default}]"))
}

/// The same where only the flag counts: the environment and the configuration have the deadline of hooks.
pub(super) fn ends_after_alone(deadline: Arg, default: &str) -> Arg {
    deadline
        .help(format!("{DEADLINE}; PCPCTL_DEADLINE and the configuration do not count here [default: {default}]"))
}

const DEADLINE: &str = "When the whole command ends at the latest: 500ms, 30s, 2m, 1h, or a number of seconds";

/// Which files settings come from.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Configuration options")]
pub(crate) struct ConfigArgs {
    /// The configuration file [env: PCPCTL_CONFIG] [default: /etc/pcpctl/pcpctl.toml, if there is one]
    ///
    /// Flags win over the environment, that over the file, that over EFM's properties. "/dev/null" stands for none.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Take the keys of [profile.NAME] before those of the file's top level [env: PCPCTL_PROFILE]
    #[arg(long, value_name = "NAME")]
    pub(crate) profile: Option<String>,
    /// Take from EFM's properties what is set nowhere else: pcp.user, pcp.host, pcp.port, pcp.pass.file, and db.port
    /// as the port of NODE
    #[arg(long, value_name = "FILE")]
    pub(crate) efm_properties: Option<PathBuf>,
}

/// How to print.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Output options")]
pub(crate) struct OutputArgs {
    /// What to print on stdout. JSON is a stable format, text is not
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t = OutputFormat::Table)]
    pub(crate) output: OutputFormat,
    /// Print nothing on success
    #[arg(short, long)]
    pub(crate) quiet: bool,
    /// Log to stderr what is done; twice and three times for more
    #[arg(short, long, action = ArgAction::Count)]
    pub(crate) verbose: u8,
}

/// What is printed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum OutputFormat {
    /// Text for people
    Table,
    /// One JSON document
    Json,
}

/// The options of a hook.
#[derive(Clone, Debug, Args)]
pub(crate) struct HookArgs {
    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
    /// Append a log to this file, whatever -v says: who called, each attempt, the verdict
    #[arg(long, value_name = "FILE", help_heading = "Output options")]
    pub(crate) log_file: Option<PathBuf>,
    /// The port of NODE, where it has none [default: any]
    #[arg(long, value_name = "PORT", help_heading = "Goal options",
        value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) backend_port: Option<u16>,
    /// How long a state has to last before it counts, after an attach or a change of primary [default: 1500ms]
    #[arg(long, value_name = "TIME", value_parser = duration, help_heading = "Goal options")]
    pub(crate) settle: Option<Duration>,
    /// On how many Pgpools the state has to be verified [default: all]
    #[arg(long, value_enum, value_name = "HOW MANY", help_heading = "Goal options")]
    pub(crate) require: Option<Require>,
    /// Do what is refused for safety, such as to detach the last usable node
    #[arg(long, help_heading = "Goal options")]
    force: bool,
    /// Change nothing: print what would be done, and the exit code to expect
    #[arg(long, help_heading = "Goal options")]
    dry_run: bool,
}

impl HookArgs {
    /// Returns whether the last node that is up may be detached: what is refused for safety else.
    pub(crate) fn last_node(&self) -> LastNode {
        if self.force { LastNode::GivenUp } else { LastNode::Kept }
    }

    /// Returns whether anything is to be changed.
    pub(crate) fn effect(&self) -> Effect {
        if self.dry_run { Effect::DryRun } else { Effect::Change }
    }
}

/// The options of a command for people, who may be asked for a password.
#[derive(Clone, Debug, Args)]
pub(crate) struct ReadArgs {
    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,
    #[command(flatten)]
    pub(crate) prompt: PromptArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
    /// When to use colours. With auto, on a terminal, and not where NO_COLOR is set
    #[arg(long, value_enum, value_name = "WHEN", default_value_t = ColorArg::Auto, help_heading = "Output options")]
    pub(crate) color: ColorArg,
}

/// When colours are used.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum ColorArg {
    Auto,
    Always,
    Never,
}

/// Whether to ask for a password.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Connection options")]
pub(crate) struct PromptArgs {
    /// Ask for the password on the terminal
    #[arg(short = 'W', long = "password", conflicts_with = "no_password")]
    prompt: bool,
}

impl ReadArgs {
    /// Returns when a password is asked for.
    pub(crate) fn ask(&self) -> Ask {
        match (self.prompt.prompt, self.connection.no_password) {
            (true, _) => Ask::Always,
            (false, true) => Ask::Never,
            (false, false) => Ask::Missing,
        }
    }
}
