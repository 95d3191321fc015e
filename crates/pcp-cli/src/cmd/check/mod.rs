//! Checks for monitoring systems: the conventions of Nagios plugins.

mod finding;
mod health;
mod nodes;
mod ping;
mod pool;
mod primary;
mod range;
mod watchdog;

use std::time::Duration;

use futures_util::future::join_all;
use pcp_client::{Client, Connector, Error, ErrorKind, Stream, WithNotices};
use pcp_proto::Credentials;
use tokio::time::timeout;
use tracing::{Instrument, error_span};

use self::finding::{Finding, State, line};
pub(crate) use self::range::Range;
use super::{run_to_end, with_notices};
use crate::args::{Ask, CheckArgs, CheckCommand, CommonArgs};
use crate::exit::Exit;
use crate::guard::Guard;
use crate::settings::{Env, Layer, Settings, gather};
use crate::{log, output};

/// The whole time of a check. Monitoring systems give a plugin ten seconds or more.
const LIMIT: Duration = Duration::from_secs(8);
/// How long after its deadline a check may still say why; the guard ends the process later.
const GRACE: Duration = Duration::from_millis(500);

pub(super) fn run(args: &CheckArgs, env: Env<'_>) -> Exit {
    match &args.what {
        CheckCommand::Ping(args) => each(&args.common, env, async |pgpool| ping::check(&pgpool, args).await),
        CheckCommand::Nodes(args) => each(&args.common, env, async |pgpool| nodes::check(&pgpool, args).await),
        CheckCommand::Pool(args) => each(&args.common, env, async |pgpool| pool::check(&pgpool, args).await),
        CheckCommand::Health(args) => each(&args.common, env, async |pgpool| health::check(&pgpool, args).await),
        CheckCommand::Primary(args) => {
            let check = async |pgpool: Pgpool<'_>| primary::check(&pgpool, args).await;
            all(&args.common, env, check, primary::disagreement)
        }
        CheckCommand::Watchdog(args) => {
            let check = async |pgpool: Pgpool<'_>| watchdog::check(&pgpool, args).await;
            all(&args.common, env, check, watchdog::disagreement)
        }
    }
}

/// Says why nothing was checked, as a plugin has to.
pub(crate) fn usage(reason: &str) -> Exit {
    end(&[("pcpctl".to_owned(), Finding::bare(State::Unknown, reason))])
}

/// A Pgpool that is checked.
struct Pgpool<'a> {
    connect: WithNotices<Connector>,
    credentials: &'a Credentials,
    settings: &'a Settings,
}

impl Pgpool<'_> {
    async fn client(&self) -> Result<Client<Stream>, Error> {
        Client::connect(&self.connect, self.credentials, self.settings.deadline).await
    }
}

/// Checks every Pgpool for itself.
fn each(args: &CommonArgs, env: Env<'_>, check: impl AsyncFn(Pgpool<'_>) -> Result<Finding, Error>) -> Exit {
    let check = async |pgpool: Pgpool<'_>| check(pgpool).await.map(|finding| (finding, ()));
    all(args, env, check, |_| None)
}

/// Checks every Pgpool at the same time, and then whether they agree: `disagreement` says why not.
fn all<T>(
    args: &CommonArgs,
    env: Env<'_>,
    check: impl AsyncFn(Pgpool<'_>) -> Result<(Finding, T), Error>,
    disagreement: impl FnOnce(&[(&str, &T)]) -> Option<String>,
) -> Exit {
    log::start_stderr(&args.verbose.output());
    let flags = Layer::from_flags(&args.connection);
    let guard = Guard::start(flags.deadline.unwrap_or(LIMIT), State::Critical.into());
    let settings = gather(flags, &args.connection.config, env).and_then(|layer| {
        guard.change(layer.deadline.unwrap_or(LIMIT));
        Settings::new(layer, Ask::Never, LIMIT)
    });
    let settings = match settings {
        Ok(settings) => settings,
        Err(error) => return usage(&output::chain(&error)),
    };
    let ended = run_to_end(async {
        let checked = settings.targets.iter().map(|target| {
            let pgpool = Pgpool {
                connect: with_notices(&target.connector, &args.verbose.output()),
                credentials: &target.credentials,
                settings: &settings,
            };
            let span = error_span!("pgpool", endpoint = %target.connector.endpoint);
            // A resolver has no deadline of its own; whatever has one says more.
            timeout(settings.deadline.remaining() + GRACE, check(pgpool)).instrument(span)
        });
        let checked = join_all(checked).await;
        let endpoints: Vec<_> = settings.endpoints().map(ToString::to_string).collect();
        let told = endpoints.iter().zip(&checked).filter_map(|(endpoint, checked)| match checked {
            Ok(Ok((_, told))) => Some((endpoint.as_str(), told)),
            _ => None,
        });
        let disagreement = disagreement(&told.collect::<Vec<_>>());
        let findings = checked.into_iter().map(|checked| match checked {
            Ok(Ok((finding, _))) => finding,
            Ok(Err(error)) => unread(&error),
            Err(_) => Finding::bare(State::Critical, "no answer in time"),
        });
        let mut findings: Vec<_> = endpoints.iter().cloned().zip(findings).collect();
        if let Some(text) = disagreement {
            findings.push(("the Pgpools disagree".to_owned(), Finding::bare(State::Critical, text)));
        }
        end(&findings)
    });
    ended.unwrap_or_else(|error| usage(&format!("cannot start: {error}")))
}

/// A Pgpool that cannot be reached is an outage; one that is asked wrongly, or cannot tell, is not known.
fn unread(error: &Error) -> Finding {
    let state = match error.kind() {
        ErrorKind::Unreachable | ErrorKind::Disconnected | ErrorKind::Timeout => State::Critical,
        _ => State::Unknown,
    };
    Finding::bare(state, output::chain(error))
}

fn end(findings: &[(String, Finding)]) -> Exit {
    let (state, line) = line(findings);
    output::line(line);
    state.into()
}
