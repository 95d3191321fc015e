//! Options that checks and the exporter share.

use clap::{ArgAction, Args};

use super::{OutputArgs, OutputFormat};
use crate::server_time::ServerZone;

/// Whether PostgreSQL itself is asked.
#[derive(Debug, Args)]
pub(crate) struct LiveArg {
    /// Have Pgpool ask every PostgreSQL for its state as well: since 4.3, and with health checks on. A host that
    /// swallows packets costs Pgpool's connect_timeout (10 s by default), and hides only itself
    #[arg(long)]
    live: bool,
}

impl LiveArg {
    pub(crate) fn dial(&self) -> Dial {
        if self.live { Dial::Allowed } else { Dial::Never }
    }
}

/// Whether Pgpool may be made to connect to its backends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Dial {
    Never,
    Allowed,
}

/// In which zone Pgpool writes times.
#[derive(Debug, Args)]
pub(crate) struct ZoneArg {
    /// The time zone of Pgpool's host, such as Europe/Berlin [default: the one of this host]
    #[arg(long, value_name = "ZONE")]
    server_timezone: Option<ServerZone>,
}

impl ZoneArg {
    pub(crate) fn zone(&self) -> ServerZone {
        self.server_timezone.clone().unwrap_or_else(ServerZone::local)
    }
}

/// How much to log.
#[derive(Debug, Args)]
pub(crate) struct VerboseArg {
    /// Log to stderr what is done; twice and three times for more
    #[arg(short, long, action = ArgAction::Count)]
    verbose: u8,
}

impl VerboseArg {
    /// Returns it as the options of commands that have formats to choose from.
    pub(crate) fn output(&self) -> OutputArgs {
        OutputArgs { output: OutputFormat::Table, quiet: false, verbose: self.verbose }
    }
}
