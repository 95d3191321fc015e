//! What `doctor` takes.

use std::path::PathBuf;

use clap::Args;

use super::{HelpArg, NodeArg, ReadArgs};

#[derive(Debug, Args)]
#[command(disable_help_flag = true, after_help = EXIT_CODES)]
pub(crate) struct DoctorArgs {
    /// Addresses by which EFM may name the nodes: HOST, HOST:PORT or [V6]:PORT
    #[arg(value_name = "ADDRESS")]
    pub(crate) addresses: Vec<NodeArg>,
    /// Also look in this pgpool.conf for names that this Pgpool ignores
    #[arg(long, value_name = "FILE")]
    pub(crate) pgpool_conf: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) read: ReadArgs,
    #[command(flatten)]
    pub(crate) help: HelpArg,
}

const EXIT_CODES: &str = "\
Exit codes:
  0    nothing to mend: no WARNING, nothing CRITICAL
  1    something to mend
  2    usage
  3    configuration or password file; no Pgpool was asked
  4    Pgpool is unreachable
  5    authentication failed
  7    Pgpool refused to tell its state
  10   some Pgpools were read, and others were not";
