//! `reconcile`: every node on every Pgpool as EFM, or a file, says.

mod act;
mod dry_run;
mod last_change;
mod look;
mod sentence;
mod source;
mod verdict;

use std::hash::{BuildHasher, RandomState};
use std::pin::pin;
use std::time::{Duration, Instant};

use pcp_client::{NodeName, Stop, Want};
use tokio::time::sleep;
use tracing::{debug, warn};

use super::start::{Pgpools, start};
use super::{ended_by_signal, run_to_end};
use crate::args::{Caller, Effect, ReconcileArgs};
use crate::exit::Exit;
use crate::hold::Holds;
use crate::lock::Lock;
use crate::output;
use crate::settings::{Env, Settings};
use look::{Patience, Pgpool};
use source::{Confirmed, Source};
use verdict::Verdict;

/// How often what is not as it should be is gone through: a step for one node may undo what another had.
const MAX_PASSES: usize = 3;
/// With less time left another pass is not begun: EFM has to be asked once more for it.
const SHORTEST_PASS: Duration = Duration::from_secs(5);

/// A node and what it should be.
struct Wanted {
    /// As the source of truth names it.
    shown: NodeName,
    /// As it is looked for.
    name: NodeName,
    want: Want,
}

/// Why a run ended before it was through.
#[derive(Debug)]
struct Halt {
    exit: Exit,
    reason: String,
}

pub(super) fn run(args: &ReconcileArgs, env: Env<'_>) -> Exit {
    let started = Instant::now();
    let late = args.caller().exit(Exit::NotVerified);
    let start = start(&args.hook, args.limit(), Pgpools::All, late, env);
    let verdict = match start.settings {
        Err(error) => Verdict::nothing_done(&Halt::new(Exit::Config, output::chain(&error))),
        Ok(mut settings) => {
            settings.state_dir = args.state_dir.clone().unwrap_or(settings.state_dir);
            match run_to_end(reconcile(args, &settings)) {
                Ok(Ended::Forecast(exit)) => return args.caller().exit(exit),
                Ok(Ended::Run(verdict)) => verdict,
                Err(error) => {
                    Verdict::nothing_done(&Halt::new(Exit::Unreachable, format!("it cannot start: {error}")))
                }
            }
        }
    };
    verdict.print(args, started.elapsed())
}

/// What came of it.
enum Ended {
    Run(Verdict),
    /// It was printed.
    Forecast(Exit),
}

async fn reconcile(args: &ReconcileArgs, settings: &Settings) -> Ended {
    let stop = Stop::new();
    let mut run = match Run::begin(args, settings, &stop) {
        Ok(run) => run,
        Err(halt) => return Ended::Run(Verdict::nothing_done(&halt)),
    };
    let (result, signal) = {
        let mut running = pin!(run.go());
        tokio::select! {
            result = &mut running => (result, None),
            signal = ended_by_signal() => {
                stop.request();
                (running.await, Some(signal))
            }
        }
    };
    match (args.hook.effect(), result) {
        (Effect::DryRun, Ok(())) => Ended::Forecast(run.forecast().await),
        (_, result) => Ended::Run(Verdict::of(&run, result.err().as_ref(), signal)),
    }
}

/// One run.
struct Run<'a> {
    args: &'a ReconcileArgs,
    settings: &'a Settings,
    stop: &'a Stop,
    source: Source<'a>,
    holds: Holds,
    wanted: Vec<Wanted>,
    pgpools: Vec<Pgpool<'a>>,
    confirmed: Option<Confirmed>,
    lock: Option<Lock>,
}

impl<'a> Run<'a> {
    fn begin(args: &'a ReconcileArgs, settings: &'a Settings, stop: &'a Stop) -> Result<Self, Halt> {
        let holds =
            Holds::load(&settings.state_dir).map_err(|error| Halt::new(Exit::Config, output::chain(&error)))?;
        let pgpools = settings.targets.iter().map(|target| Pgpool::new(target, &args.hook.output)).collect();
        let source = Source::open(args.truth(), settings)?;
        Ok(Self { args, settings, stop, source, holds, wanted: Vec::new(), pgpools, confirmed: None, lock: None })
    }

    /// Looks, and acts where what it sees is not as it should be.
    async fn go(&mut self) -> Result<(), Halt> {
        self.wait_a_while().await?;
        let truth = or_stop(self.stop, self.source.truth()).await??;
        self.wanted = truth
            .goals()
            .iter()
            .map(|(name, want)| Wanted { shown: name.clone(), name: self.settings.node(name.clone()), want: *want })
            .collect();
        let all: Vec<_> = (0..self.pgpools.len()).collect();
        self.look(&all, Patience::UntilOneAnswers).await?;
        let first = self.seen();
        self.bring_about(&first).await?;
        if !first.is_empty() {
            let rest: Vec<_> = all.into_iter().filter(|at| !first.contains(at)).collect();
            self.look(&rest, Patience::UntilAllAnswer).await?;
            self.bring_about(&rest).await?;
        }
        if self.confirmed.is_none() {
            self.confirm().await?;
        }
        Ok(())
    }

    /// Several hosts look at the same moment otherwise.
    async fn wait_a_while(&self) -> Result<(), Halt> {
        let most = self.args.jitter().min(self.settings.limit / 2);
        let share = u32::try_from(RandomState::new().hash_one(0) >> 48).unwrap_or_default();
        or_stop(self.stop, sleep(most * share / (1 << 16))).await
    }

    async fn look(&mut self, chosen: &[usize], patience: Patience) -> Result<(), Halt> {
        let Self { stop, pgpools, wanted, holds, settings, .. } = self;
        or_stop(stop, look::at_unseen(pgpools, chosen, settings.deadline, patience)).await?;
        or_stop(stop, look::judge(pgpools, wanted, holds)).await
    }

    /// Returns the Pgpools that answered.
    fn seen(&self) -> Vec<usize> {
        self.pgpools.iter().enumerate().filter(|(_, pgpool)| pgpool.view().is_some()).map(|(at, _)| at).collect()
    }

    /// Makes these Pgpools what they should be, as far as it goes: the last look tells.
    async fn bring_about(&mut self, pgpools: &[usize]) -> Result<(), Halt> {
        if self.args.hook.effect() == Effect::DryRun {
            return Ok(());
        }
        for pass in 0..MAX_PASSES {
            let is_too_late = pass > 0 && self.settings.deadline.remaining() < SHORTEST_PASS;
            if is_too_late || self.unmet(pgpools).is_empty() {
                break;
            }
            if !self.has_changed_anything() {
                self.is_due()?;
            }
            if self.lock.is_none() {
                let lock = Lock::acquire(self.settings.endpoints(), self.settings.limit);
                self.lock = Some(or_stop(self.stop, lock).await?);
            }
            // Behind the lock: what a hook has just done is newer than what EFM said before.
            self.confirm().await?;
            debug!(pass, "acting");
            let has_changed = self.act(pgpools).await;
            if has_changed && let Err(error) = last_change::keep(&self.settings.state_dir) {
                warn!(dir = %self.settings.state_dir.display(), %error, "cannot keep when this changed something");
            }
            for (_, pgpool) in self.pgpools.iter_mut().enumerate().filter(|(at, _)| pgpools.contains(at)) {
                pgpool.forget_view();
            }
            self.look(pgpools, Patience::UntilAllAnswer).await?;
            if !has_changed {
                break;
            }
        }
        Ok(())
    }

    async fn confirm(&mut self) -> Result<(), Halt> {
        self.confirmed = Some(or_stop(self.stop, self.source.confirm()).await??);
        Ok(())
    }

    fn is_due(&self) -> Result<(), Halt> {
        match last_change::since(&self.settings.state_dir).filter(|since| *since < self.args.min_interval()) {
            None => Ok(()),
            Some(since) => Err(Halt::new(
                Exit::NotVerified,
                format!(
                    "put off: a reconcile on this host changed something {} s ago, and --min-interval is {}",
                    since.as_secs(),
                    humantime::format_duration(self.args.min_interval())
                ),
            )),
        }
    }

    fn has_changed_anything(&self) -> bool {
        self.pgpools.iter().any(Pgpool::was_changed)
    }
}

impl Halt {
    fn new(exit: Exit, reason: impl Into<String>) -> Self {
        Self { exit, reason: reason.into() }
    }
}

impl Caller {
    /// Returns how the process ends.
    fn exit(self, exit: Exit) -> Exit {
        match self {
            Self::Any => exit,
            Self::Monitor => Exit::Done,
        }
    }
}

/// Waits for what can be dropped where it is, until somebody ends the run.
async fn or_stop<T>(stop: &Stop, future: impl Future<Output = T>) -> Result<T, Halt> {
    tokio::select! {
        biased;
        () = stop.requested() => Err(Halt::new(Exit::NotVerified, "ended before it was verified")),
        result = future => Ok(result),
    }
}
