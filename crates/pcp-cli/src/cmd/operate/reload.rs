use std::time::Duration;

use futures_util::future::join_all;
use pcp_client::{ChangedParameter, Reload, Reloaded, reload};
use pcp_proto::Text;

use super::outcome::{Outcome, ParameterChange, PgpoolOutcome, exit_of, named};
use super::start::{Operation, Ran};
use super::told;
use crate::args::{ReloadArgs, ScopeArg};
use crate::cmd::show_config::{HIDDEN, is_secret};
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
    PgpoolOutcome {
        changed: reloaded.changed.iter().map(shown).collect(),
        ..PgpoolOutcome::of_result(endpoint.to_owned(), &reloaded.result, reloaded.elapsed)
    }
}

/// Shows that a secret has changed, and not what it is.
fn shown(change: &ChangedParameter) -> ParameterChange {
    let name = change.name.to_string();
    let value = |value: &Option<Text>| {
        let value = value.as_ref()?.to_string();
        Some(if !value.is_empty() && is_secret(&name, &value) { HIDDEN.to_owned() } else { value })
    };
    ParameterChange { before: value(&change.before), after: value(&change.after), name }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_that_changed_is_not_shown() {
        let change = |name: &str, before: Option<&str>, after: Option<&str>| {
            let [before, after] = [before, after].map(|value| value.map(Text::from));
            let shown = shown(&ChangedParameter { name: name.into(), before, after });
            (shown.before.unwrap_or_default(), shown.after.unwrap_or_default())
        };
        let pair = |before: &str, after: &str| (before.to_owned(), after.to_owned());
        assert_eq!(change("sr_check_password", Some("old"), Some("new")), pair(HIDDEN, HIDDEN));
        assert_eq!(change("wd_authkey", Some(""), Some("new")), pair("", HIDDEN));
        assert_eq!(change("failover_command", Some("PGPASSWORD=old x"), None), pair(HIDDEN, ""));
        assert_eq!(change("port", Some("9999"), Some("9998")), pair("9999", "9998"));
    }
}
