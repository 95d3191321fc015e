use std::time::Duration;

use futures_util::future::join_all;
use pcp_client::{Reload, Reloaded, reload};

use super::outcome::{Outcome, ParameterChange, PgpoolOutcome, exit_of, named};
use super::start::{Operation, Ran};
use super::told;
use crate::args::{ReloadArgs, ScopeArg};
use crate::exit::Exit;
use crate::settings::{Env, Layer};

const VERB: &str = "reload";
const LIMIT: Duration = Duration::from_secs(8);

pub(in crate::cmd) fn run(args: &ReloadArgs, env: Env<'_>) -> Result<Exit, Exit> {
    let mut flags = Layer::from_flags(&args.read.connection);
    flags.settle = args.settle;
    let operation = Operation::start(VERB, flags, &args.read, LIMIT, env)?;
    let settings = &operation.settings;
    if args.scope == ScopeArg::Cluster {
        operation.only_target(told::ONE_MEMBER)?;
    }
    let ran = operation.act(async |deadline| {
        let order = Reload {
            scope: args.scope.into(),
            expect: &args.expect,
            options: pcp_client::Options { deadline, settle: settings.settle },
        };
        join_all(
            settings
                .targets
                .iter()
                .map(async |target| reload(&operation.connect(target), &target.credentials, &order).await),
        )
        .await
    })?;
    let reloaded = match ran {
        Ran::Until(signal) => return Ok(operation.finish(told::ended(VERB, signal))),
        Ran::ToItsEnd(reloaded) => reloaded,
    };
    let endpoints: Vec<_> = settings.endpoints().map(ToString::to_string).collect();
    let pgpools = endpoints.iter().zip(&reloaded).map(|(endpoint, reloaded)| pgpool(endpoint, reloaded)).collect();
    let exit = Exit::combine(reloaded.iter().map(|reloaded| exit_of(&reloaded.result)));
    let verdict = sentence(args, exit, &endpoints, &reloaded);
    Ok(operation.finish(Outcome::new(VERB, exit, !args.expect.is_empty(), verdict, pgpools)))
}

fn pgpool(endpoint: &str, reloaded: &Reloaded) -> PgpoolOutcome {
    let changed = reloaded.changed.iter().map(|change| ParameterChange {
        name: change.name.to_string(),
        before: change.before.as_ref().map(ToString::to_string),
        after: change.after.as_ref().map(ToString::to_string),
    });
    PgpoolOutcome {
        changed: changed.collect(),
        ..PgpoolOutcome::of_result(endpoint.to_owned(), &reloaded.result, reloaded.elapsed)
    }
}

fn sentence(args: &ReloadArgs, exit: Exit, endpoints: &[String], reloaded: &[Reloaded]) -> String {
    let results = reloaded.iter().map(|reloaded| &reloaded.result);
    if let Some(failures) = told::failures(endpoints, results) {
        return format!("{} reloaded: {failures}", told::not(exit));
    }
    let changed: usize = reloaded.iter().map(|reloaded| reloaded.changed.len()).sum();
    let changes = match changed {
        0 => "no parameter that it shows has changed".to_owned(),
        1 => "1 parameter changed".to_owned(),
        _ => format!("{changed} parameters changed"),
    };
    let mut sentence = match args.expect.is_empty() {
        false => format!("reloaded: what was expected was read back, {changes}"),
        true => format!(
            "Pgpool accepted the reload: {changes}; what it made of its files, mistakes among them, is in its log only"
        ),
    };
    let new: Vec<_> = reloaded.iter().flat_map(|reloaded| reloaded.new_nodes.iter().cloned()).collect();
    if !new.is_empty() {
        sentence.push_str(&format!("; new and down, to be attached: {}", named(&new)));
    }
    sentence
}
