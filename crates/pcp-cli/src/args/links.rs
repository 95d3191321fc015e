//! `links`: Pgpool's own tools, by their names.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::HelpArg;

#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
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

/// Make the 15 links in a directory, which is made where it is missing. Nothing else that has such a name is overwritten.
#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
pub(crate) struct LinksInstallArgs {
    /// The directory, such as /usr/lib/pcpctl/bin; not the one that Pgpool's own tools are in
    #[arg(value_name = "DIR")]
    pub(crate) dir: PathBuf,
    #[command(flatten)]
    help: HelpArg,
}

/// Remove the links from a directory. Nothing else is removed.
#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
pub(crate) struct LinksRemoveArgs {
    /// The directory
    #[arg(value_name = "DIR")]
    pub(crate) dir: PathBuf,
    #[command(flatten)]
    help: HelpArg,
}
