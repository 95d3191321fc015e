//! What only has Pgpool's word.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use pcp_client::{Connector, Deadline, Failure, WithNotices};
use pcp_proto::Credentials;

use super::outcome::{Outcome, PgpoolOutcome, exit_of};
use super::start::{Operation, Ran};
use crate::args::{ReadArgs, ScopeArg};
use crate::exit::Exit;
use crate::output;
use crate::settings::{Env, Layer};

/// Why a cluster is told by one member.
pub(super) const ONE_MEMBER: &str = "with --scope cluster one member is asked, which passes it on: name it with -h";

const LIMIT: Duration = Duration::from_secs(8);

/// Something that Pgpools are told to do, and of which nothing can be read back.
pub(super) struct Told {
    pub(super) verb: &'static str,
    pub(super) scope: ScopeArg,
    /// What success means.
    pub(super) accepted: &'static str,
}

impl Told {
    /// Tells every Pgpool at the same time.
    pub(super) fn run(
        &self,
        args: &ReadArgs,
        env: Env<'_>,
        tell: impl AsyncFn(&WithNotices<Connector>, &Credentials, Deadline) -> Result<(), Failure>,
    ) -> Result<Exit, Exit> {
        let operation = Operation::start(self.verb, Layer::from_flags(&args.connection), args, LIMIT, env)?;
        if self.scope == ScopeArg::Cluster {
            operation.only_target(ONE_MEMBER)?;
        }
        let settings = &operation.settings;
        let ran = operation.act(async |deadline| {
            join_all(settings.targets.iter().map(async |target| {
                let started = Instant::now();
                let result = tell(&operation.connect(target), &target.credentials, deadline).await;
                (result, started.elapsed())
            }))
            .await
        })?;
        let results = match ran {
            Ran::Until(signal) => return Ok(operation.finish(ended(self.verb, signal))),
            Ran::ToItsEnd(results) => results,
        };
        let endpoints: Vec<_> = settings.endpoints().map(ToString::to_string).collect();
        let exit = Exit::combine(results.iter().map(|(result, _)| exit_of(result)));
        let verdict = match failures(&endpoints, results.iter().map(|(result, _)| result)) {
            None => self.accepted.to_owned(),
            Some(failures) => format!("{} accepted: {failures}", not(exit)),
        };
        let pgpools = endpoints.into_iter().zip(&results);
        let pgpools =
            pgpools.map(|(endpoint, (result, elapsed))| PgpoolOutcome::of_result(endpoint, result, *elapsed));
        Ok(operation.finish(Outcome::new(self.verb, exit, false, verdict, pgpools.collect())))
    }
}

/// Says no as firmly as is known.
pub(super) fn not(exit: Exit) -> &'static str {
    if exit == Exit::NotVerified { "NOT known to be" } else { "NOT" }
}

/// Says that a signal came first.
pub(super) fn ended(verb: &'static str, signal: Exit) -> Outcome {
    Outcome::new(verb, signal, false, "ended before Pgpool had answered".to_owned(), Vec::new())
}

/// Lists what failed where; `None` where nothing did.
pub(super) fn failures<'a>(
    endpoints: &[String],
    results: impl Iterator<Item = &'a Result<(), Failure>>,
) -> Option<String> {
    let failures = endpoints.iter().zip(results);
    let failures = failures
        .filter_map(|(endpoint, result)| Some(format!("{endpoint}: {}", output::chain(result.as_ref().err()?))));
    let failures: Vec<_> = failures.collect();
    (!failures.is_empty()).then(|| failures.join("; "))
}
