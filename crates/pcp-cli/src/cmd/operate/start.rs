//! What every operation begins with.

use std::time::{Duration, Instant};

use pcp_client::{Connector, Deadline, Endpoint, Failure, WithNotices};

use super::super::{ended_by_signal, run_to_end, with_notices};
use super::confirm;
use super::outcome::{Outcome, PgpoolOutcome};
use crate::args::{ConfirmArgs, Consent, Effect, OutputArgs, ReadArgs};
use crate::exit::Exit;
use crate::guard::Guard;
use crate::settings::{Env, Layer, Settings, Target, gather};
use crate::{log, output};

/// How long Pgpool is looked at before somebody is asked.
const LOOK_LIMIT: Duration = Duration::from_secs(20);

/// An operation that has begun.
pub(super) struct Operation<'a> {
    pub(super) verb: &'static str,
    pub(super) output: &'a OutputArgs,
    pub(super) settings: Settings,
    started: Instant,
}

/// What is to be said of a run that was ended early.
pub(super) enum Ran<T> {
    ToItsEnd(T),
    /// By this signal.
    Until(Exit),
}

impl<'a> Operation<'a> {
    /// Works out the settings; a mistake in them is printed. The deadline of a configuration or of the environment is
    /// meant for hooks, and would cut a recovery short: only the flag counts here.
    pub(super) fn start(
        verb: &'static str,
        flags: Layer,
        args: &'a ReadArgs,
        default_limit: Duration,
        env: Env<'_>,
    ) -> Result<Self, Exit> {
        log::start_stderr(&args.output);
        let started = Instant::now();
        let deadline = flags.deadline;
        let settings = gather(flags, &args.connection.config, env)
            .and_then(|layer| Settings::new(layer.with_deadline(deadline), args.ask(), default_limit));
        match settings {
            Ok(settings) => Ok(Self { verb, output: &args.output, settings, started }),
            Err(error) => {
                output::err_line(format_args!("pcpctl {verb}: {}", output::chain(&error)));
                Err(Exit::Config)
            }
        }
    }

    /// Returns the Pgpool that was named first.
    pub(super) fn first_target(&self) -> Result<&Target, Exit> {
        self.settings.targets.first().ok_or(Exit::Config)
    }

    /// Returns the only Pgpool; of several none is chosen.
    pub(super) fn only_target(&self, why: &str) -> Result<&Target, Exit> {
        match &self.settings.targets[..] {
            [target] => Ok(target),
            targets => {
                let reason = format!("{} Pgpools are named, and {why}", targets.len());
                output::err_line(format_args!("pcpctl {}: {reason}", self.verb));
                Err(Exit::Usage)
            }
        }
    }

    pub(super) fn connect(&self, target: &Target) -> WithNotices<Connector> {
        with_notices(&target.connector, self.output)
    }

    /// Has somebody agree to what will be done, who is told what that is; with a dry run only tells it. Nothing at all
    /// needs no consent.
    ///
    /// `done` is what a success would say. Anything but consent ends the command, with that exit.
    pub(super) fn consent<F>(
        &self,
        args: &ConfirmArgs,
        done: &str,
        endpoint: &Endpoint,
        look: impl FnOnce(Deadline) -> F,
    ) -> Result<(), Exit>
    where
        F: Future<Output = Result<Vec<String>, Failure>>,
    {
        if args.effect() == Effect::Change && args.consent() == Consent::Given {
            return Ok(());
        }
        let told = self.run(look(Deadline::after(self.settings.limit.min(LOOK_LIMIT))))?;
        match (args.effect(), told) {
            (Effect::DryRun, told) => Err(self.finish(Outcome::dry_run(self.verb, told))),
            (Effect::Change, Ok(plan)) if plan.is_empty() => Ok(()),
            (Effect::Change, Ok(plan)) => confirm::ask(self.verb, &plan),
            (Effect::Change, Err(failure)) => Err(self.fail(done, endpoint, failure)),
        }
    }

    /// Prints that it failed before Pgpool was asked for anything.
    fn fail(&self, done: &str, endpoint: &Endpoint, failure: Failure) -> Exit {
        let exit = Exit::from(&failure);
        let verdict = format!("NOT {done}: {}", output::chain(&failure));
        let pgpool = PgpoolOutcome::of_result(endpoint.to_string(), &Err(failure), self.started.elapsed());
        self.finish(Outcome::new(self.verb, exit, false, verdict, vec![pgpool]))
    }

    fn run<F: Future>(&self, future: F) -> Result<F::Output, Exit> {
        run_to_end(future).map_err(|error| {
            output::err_line(format_args!("pcpctl {}: cannot start: {error}", self.verb));
            Exit::Unreachable
        })
    }

    /// Runs what changes something to its end, to a signal, or to a second after its deadline, whatever hangs. The time
    /// begins now: nobody knows how long a question was thought about.
    pub(super) fn act<F: Future>(&self, act: impl FnOnce(Deadline) -> F) -> Result<Ran<F::Output>, Exit> {
        let _guard = Guard::start(self.settings.limit, Exit::NotVerified);
        let deadline = Deadline::after(self.settings.limit);
        let run = async {
            tokio::select! {
                output = act(deadline) => Ran::ToItsEnd(output),
                signal = ended_by_signal() => Ran::Until(signal),
            }
        };
        self.run(run)
    }

    /// Prints what came of it.
    pub(super) fn finish(&self, outcome: Outcome) -> Exit {
        outcome.print(self.verb, self.output, self.started.elapsed());
        outcome.exit
    }
}
