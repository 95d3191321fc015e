//! Metrics for Prometheus.

mod http;
mod metrics;
mod page;
mod reader;
mod request;
mod scrape;
mod tell;
mod textfile;

use std::io::{self, IsTerminal};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::time::{MissedTickBehavior, interval};

use self::reader::Reader;
use self::scrape::Pgpools;
use super::{block_on, ended_by_signal, with_notices};
use crate::args::{Ask, ExporterArgs, Sink};
use crate::exit::Exit;
use crate::settings::{Env, Layer, Settings, gather};
use crate::{log, output};

/// The whole time of a scrape: Prometheus gives it ten seconds unless told otherwise.
const LIMIT: Duration = Duration::from_secs(8);

pub(super) fn run(args: &ExporterArgs, env: Env<'_>) -> Exit {
    log::start_stderr(&args.verbose.output());
    let settings = gather(Layer::from_flags(&args.connection), &args.connection.config, env)
        .and_then(|layer| Settings::new(layer, Ask::Never, LIMIT));
    let settings = match settings {
        Ok(settings) => settings,
        Err(error) => return failed(output::chain(&error)),
    };
    let readers = settings.targets.into_iter().map(|target| {
        let connect = with_notices(&target.connector, &args.verbose.output());
        Reader::new(connect, target.credentials, args.live.dial(), settings.limit)
    });
    let pgpools = Arc::new(Pgpools { readers: readers.collect(), zone: args.zone.zone(), limit: settings.limit });
    block_on(async {
        match args.sink() {
            Sink::Http(address) => serve(address, pgpools).await,
            Sink::File { path, interval } => write_often(path, interval, &pgpools).await,
            Sink::FileOnce(path) => match write(path, &pgpools).await {
                Ok(()) => Exit::Done,
                Err(error) => failed(error),
            },
            Sink::Stdout => {
                let page = pgpools.scrape(pgpools.limit).await;
                output::out(if io::stdout().is_terminal() { output::printable_lines(&page) } else { page });
                Exit::Done
            }
        }
    })
}

async fn serve(address: SocketAddr, pgpools: Arc<Pgpools>) -> Exit {
    let listener = match TcpListener::bind(address).await {
        Ok(listener) => listener,
        Err(error) => return failed(format_args!("cannot listen on {address}: {error}")),
    };
    let address = listener.local_addr().unwrap_or(address);
    let count = pgpools.readers.len();
    output::line(format_args!(
        "metrics of {count} Pgpool{} on http://{address}/metrics",
        if count == 1 { "" } else { "s" }
    ));
    http::serve(listener, pgpools, ended_by_signal()).await;
    Exit::Done
}

/// Writes the file until a signal comes. What cannot be written is said, and tried again.
async fn write_often(path: &Path, pause: Duration, pgpools: &Arc<Pgpools>) -> Exit {
    let write_all = async {
        let mut ticks = interval(pause.max(Duration::from_secs(1)));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut complaint = None;
        loop {
            ticks.tick().await;
            let failure = write(path, pgpools).await.err();
            if let Some(text) = failure.as_ref().filter(|&text| complaint.as_ref() != Some(text)) {
                output::err_line(format_args!("pcpctl: {text}"));
            }
            complaint = failure;
        }
    };
    tokio::select! {
        _signal = ended_by_signal() => Exit::Done,
        () = write_all => Exit::Done,
    }
}

async fn write(path: &Path, pgpools: &Pgpools) -> Result<(), String> {
    let page = pgpools.scrape(pgpools.limit).await;
    textfile::replace(path, &page).map_err(|error| format!("cannot write {}: {error}", path.display()))
}

fn failed(reason: impl std::fmt::Display) -> Exit {
    output::err_line(format_args!("pcpctl: {reason}"));
    Exit::Config
}
