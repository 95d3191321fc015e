//! What `exporter` takes.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

use super::values::duration;
use super::{ConnectionArgs, HelpArg, LiveArg, VerboseArg, ZoneArg, ends_after};

const AFTER: &str = "\
Examples:
  pcpctl exporter -h pgpool1,pgpool2 --passfile /etc/pcpctl/.pcppass
  pcpctl exporter --listen 0.0.0.0:9719
  pcpctl exporter --textfile /var/lib/node_exporter/pgpool.prom --interval 30s
  pcpctl exporter --once                     print the metrics

A scrape reads every Pgpool at the same time, each on one short connection, and ends by --deadline or half a second \
before the time that Prometheus gives it, whichever comes first. A Pgpool that does not answer is told as such beside \
those that do. Scrapes that come together share one reading. Nothing is read between scrapes, and no connection is \
kept open. docs/exporter.md lists every metric.

Exit codes: 0 ended by SIGTERM or SIGINT, or --once is done; 2 usage; 3 the configuration, the password file, the \
address or the file cannot be used.";

#[derive(Debug, Args)]
#[command(disable_help_flag = true, after_help = AFTER, mut_arg("deadline", |arg| ends_after(arg, "8s for each scrape")))]
pub(crate) struct ExporterArgs {
    /// Where to serve /metrics, /healthz and a landing page
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:9719", conflicts_with = "textfile")]
    listen: SocketAddr,
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
    #[command(flatten)]
    pub(crate) live: LiveArg,
    #[command(flatten)]
    pub(crate) zone: ZoneArg,
    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,
    #[command(flatten)]
    pub(crate) verbose: VerboseArg,
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
}
