//! `links`: Pgpool's own tools, by their names.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::HelpArg;

#[derive(Debug, Args)]
#[command(
    disable_help_flag = true,
    after_help = "Examples:\n  pcpctl links install /usr/lib/pcpctl/bin\n  pcpctl links remove /usr/lib/pcpctl/bin"
)]
pub(crate) struct LinksArgs {
    #[command(subcommand)]
    pub(crate) what: LinksCommand,
    #[command(flatten)]
    help: HelpArg,
}

#[derive(Debug, Subcommand)]
pub(crate) enum LinksCommand {
    Install(LinksInstallArgs),
    Remove(LinksRemoveArgs),
}

const LINKS_INSTALL_HELP: &str = concat!(
    "Examples:\n",
    "  pcpctl links install /usr/lib/pcpctl/bin     then, for EFM: pgpool.bin=/usr/lib/pcpctl/bin"
);

/// Make the 15 links in a directory, which is made where it is missing. Nothing else that has such a name is overwritten.
#[derive(Debug, Args)]
#[command(disable_help_flag = true, after_help = LINKS_INSTALL_HELP)]
pub(crate) struct LinksInstallArgs {
    /// The directory, such as /usr/lib/pcpctl/bin; not the one that Pgpool's own tools are in
    #[arg(value_name = "DIR")]
    pub(crate) dir: PathBuf,
    #[command(flatten)]
    help: HelpArg,
}

const LINKS_REMOVE_HELP: &str = concat!("Examples:\n", "  pcpctl links remove /usr/lib/pcpctl/bin");

/// Remove the links from a directory. Nothing else is removed.
#[derive(Debug, Args)]
#[command(disable_help_flag = true, after_help = LINKS_REMOVE_HELP)]
pub(crate) struct LinksRemoveArgs {
    /// The directory
    #[arg(value_name = "DIR")]
    pub(crate) dir: PathBuf,
    #[command(flatten)]
    help: HelpArg,
}
