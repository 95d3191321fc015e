//! What `exporter` takes.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{ArgAction, Args};
use pcp_client::Dial;

use super::values::duration;
use super::{ConnectionArgs, HelpArg, OutputArgs, OutputFormat};
use crate::server_time::ServerZone;

const AFTER: &str = "\
A scrape reads every Pgpool at the same time, each on one short connection, and ends by --deadline or half a second \
before the time that Prometheus gives it, whichever comes first. A Pgpool that does not answer is told as such beside \
those that do. Scrapes that come together share one reading. Nothing is read between scrapes, and no connection is \
kept open. docs/exporter.md lists every metric.

Exit codes: 0 ended by SIGTERM or SIGINT, or --once is done; 2 usage; 3 the configuration, the password file, the \
address or the file cannot be used.";

/// Serve metrics of one or several Pgpools to Prometheus, from PCP alone: they are there while SQL is dead.
///
/// Names of pgpool2_exporter are kept where the meaning is the same. Needs no database user and takes no slot of the
/// pool. Pgpool is never made to connect to a backend, unless --live asks for it.
#[derive(Debug, Args)]
#[command(disable_help_flag = true, after_help = AFTER)]
pub(crate) struct ExporterArgs {
    /// Where to serve /metrics, /healthz and a landing page
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:9719", conflicts_with = "textfile")]
    pub(crate) listen: SocketAddr,
    /// Write the metrics to this file, for node_exporter's textfile collector, and serve nothing. The file is
    /// replaced as a whole
    #[arg(long, value_name = "FILE.prom")]
    textfile: Option<PathBuf>,
    /// How often to write the file
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "15s", requires = "textfile")]
    interval: Duration,
    /// Read once and end: write the file, or print the metrics without --textfile
    #[arg(long, conflicts_with_all = ["listen", "interval"])]
    once: bool,
    /// Have Pgpool ask every PostgreSQL for its state as well: since 4.3, and with health checks on. A host that
    /// swallows packets costs Pgpool's connect_timeout (10 s by default), and then only its own metrics are missing
    #[arg(long)]
    live: bool,
    /// The time zone of Pgpool's host, such as Europe/Berlin [default: the one of this host]
    #[arg(long, value_name = "ZONE")]
    pub(crate) server_timezone: Option<ServerZone>,
    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,
    /// Log to stderr what is done; twice and three times for more
    #[arg(short, long, action = ArgAction::Count)]
    verbose: u8,
    #[command(flatten)]
    help: HelpArg,
}

/// Where the metrics go.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Sink<'a> {
    Http(SocketAddr),
    File { path: &'a Path, interval: Duration },
    FileOnce(&'a Path),
    Stdout,
}

impl ExporterArgs {
    pub(crate) fn sink(&self) -> Sink<'_> {
        match (&self.textfile, self.once) {
            (Some(path), true) => Sink::FileOnce(path),
            (Some(path), false) => Sink::File { path, interval: self.interval },
            (None, true) => Sink::Stdout,
            (None, false) => Sink::Http(self.listen),
        }
    }

    pub(crate) fn dial(&self) -> Dial {
        if self.live { Dial::Allowed } else { Dial::Never }
    }

    /// Returns how to log.
    pub(crate) fn output(&self) -> OutputArgs {
        OutputArgs { output: OutputFormat::Table, quiet: false, verbose: self.verbose }
    }
}
