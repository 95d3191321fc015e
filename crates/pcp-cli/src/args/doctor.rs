//! What `doctor` takes.

use std::path::PathBuf;

use clap::Args;

use super::{HelpArg, NodeArg, ReadArgs, ends_after};

const DOCTOR_HELP: &str = concat!(
    "Examples:\n",
    "  sudo -u efm pcpctl doctor 10.0.0.1 10.0.0.2 10.0.0.3\n",
    "  sudo -u efm pcpctl doctor --efm-properties /etc/edb/efm-5.0/efm.properties\n",
    "  pcpctl doctor -o json | jq -r '.findings[].severity'\n\n",
    "Exit codes:\n",
    "  0    nothing to mend: no WARNING, nothing CRITICAL\n",
    "  1    something to mend\n",
    "  2    usage\n",
    "  3    configuration or password file; no Pgpool was asked\n",
    "  4    Pgpool is unreachable\n",
    "  5    authentication failed\n",
    "  7    Pgpool refused to tell its state\n",
    "  10   some Pgpools were read, and others were not"
);

#[derive(Debug, Args)]
#[command(disable_help_flag = true, after_help = DOCTOR_HELP, mut_arg("deadline", |arg| ends_after(arg, "8s")))]
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
