//! What `pcp-conf` takes.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::HelpArg;

#[derive(Debug, Args)]
#[command(
    disable_help_flag = true,
    after_help = "Examples:\n  pcpctl pcp-conf hash pcpadmin\n  pcpctl pcp-conf verify pcpadmin"
)]
pub(crate) struct PcpConfArgs {
    #[command(subcommand)]
    pub(crate) what: PcpConfCommand,
    #[command(flatten)]
    help: HelpArg,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PcpConfCommand {
    Hash(PcpConfHashArgs),
    Verify(PcpConfVerifyArgs),
}

const PCP_CONF_HASH_HELP: &str = concat!(
    "Examples:\n",
    "  pcpctl pcp-conf hash pcpadmin                asks for the password twice\n",
    "  pcpctl pcp-conf hash pcpadmin --stdin <password >>/etc/pgpool2/pcp.conf"
);

/// Print the line of pcp.conf for a user and a password.
///
/// Whoever reads the line can log in: keep it as secret as the password. Pgpool reads pcp.conf at each login, so that
/// nothing has to be reloaded.
#[derive(Debug, Args)]
#[command(disable_help_flag = true, after_help = PCP_CONF_HASH_HELP)]
pub(crate) struct PcpConfHashArgs {
    /// The PCP user
    #[arg(value_name = "USER")]
    pub(crate) user: String,
    #[command(flatten)]
    pub(crate) password: PasswordArgs,
    #[command(flatten)]
    pub(crate) help: HelpArg,
}

const PCP_CONF_VERIFY_HELP: &str = concat!(
    "Examples:\n",
    "  pcpctl pcp-conf verify pcpadmin              asks for the password\n",
    "  pcpctl pcp-conf verify pcpadmin --stdin --file /etc/pgpool2/pcp.conf <password"
);

/// Tell whether pcp.conf lets a user in with a password, and why not: exit 0 for yes, 1 for no.
#[derive(Debug, Args)]
#[command(disable_help_flag = true, after_help = PCP_CONF_VERIFY_HELP)]
pub(crate) struct PcpConfVerifyArgs {
    /// The PCP user
    #[arg(value_name = "USER")]
    pub(crate) user: String,
    /// The file [default: the first there is of /etc/pgpool2/pcp.conf, /etc/pgpool-II/pcp.conf and
    /// /usr/local/etc/pcp.conf]
    #[arg(long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) password: PasswordArgs,
    #[command(flatten)]
    pub(crate) help: HelpArg,
}

/// Where the password comes from; without any of it, from the terminal.
#[derive(Debug, Args)]
pub(crate) struct PasswordArgs {
    /// Read the password from standard input; a line break at its end is no part of it
    #[arg(long, conflicts_with = "password_file")]
    pub(crate) stdin: bool,
    /// A file that holds nothing but the password
    #[arg(long, value_name = "FILE")]
    pub(crate) password_file: Option<PathBuf>,
}
