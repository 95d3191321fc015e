//! What the hook verbs share: reach a goal on every Pgpool, print the verdict.

use std::pin::pin;
use std::time::{Duration, Instant, SystemTime};

use pcp_client::{Evidence, FirstThatKnows, NodeName, Order, Report, Want, converge_all};
use tracing::warn;

use super::dry_run::dry_run;
use super::efm::AskedEfm;
use super::start::{Pgpools, start};
use super::{block_on, ended_by_signal, run_to_end, with_notices};
use crate::args::{Effect, HookArgs};
use crate::exit::Exit;
use crate::hold::Holds;
use crate::lock::Lock;
use crate::output;
use crate::settings::{Env, Settings, Witness};
use crate::verdict::{Matter, Verdict};

/// The whole time of a detach.
pub(super) const DETACH_LIMIT: Duration = Duration::from_secs(30);
/// The whole time of an attach or a promote: Pgpool may search a primary meanwhile.
pub(super) const ATTACH_LIMIT: Duration = Duration::from_secs(60);
/// The whole time of a follow: Pgpool calls it for one node after the other.
pub(super) const FOLLOW_LIMIT: Duration = Duration::from_secs(30);

/// What a hook verb wants.
pub(super) struct Hook<'a> {
    pub(super) matter: Matter<'a>,
    pub(super) default_limit: Duration,
    /// Which Pgpools it is about.
    pub(super) pgpools: Pgpools,
    /// Why nothing is to be done.
    pub(super) left_alone: Option<&'static str>,
}

impl<'a> Hook<'a> {
    /// Makes a hook that is about every Pgpool.
    pub(super) fn new(matter: Matter<'a>, default_limit: Duration) -> Self {
        Self { matter, default_limit, pgpools: Pgpools::All, left_alone: None }
    }
}

pub(super) fn run(hook: Hook<'_>, args: &HookArgs, env: Env<'_>) -> Exit {
    let started = Instant::now();
    let start = start(args, hook.default_limit, hook.pgpools, Exit::NotVerified, env);
    let verdict = match (&start.settings, hook.left_alone) {
        (_, Some(reason)) => Verdict::left_alone(&hook.matter, reason),
        (Err(error), None) => Verdict::without_reports(&hook.matter, Exit::Config, &output::chain(error)),
        (Ok(settings), None) => {
            if let Witness::Unusable(reason) = &settings.postgres {
                warn!(reason, "PostgreSQL cannot be asked");
            }
            match carry_out(&hook.matter, args, settings) {
                Ended::Forecast(exit) => return exit,
                Ended::Run(verdict) => verdict,
            }
        }
    };
    verdict.print(&args.output, started.elapsed());
    verdict.exit
}

/// What came of a hook.
enum Ended {
    Run(Verdict),
    /// It was printed.
    Forecast(Exit),
}

fn carry_out(matter: &Matter<'_>, args: &HookArgs, settings: &Settings) -> Ended {
    let node = settings.node(matter.node.clone());
    let failed = matter.failed.map(|failed| settings.node(failed.clone()));
    let held = held(settings);
    let order = Order {
        failed: failed.as_ref(),
        held: &held,
        last_node: args.last_node(),
        ..Order::new(&node, matter.want, settings.options())
    };
    // EFM waits for the hooks that it calls, and may not answer meanwhile: only Pgpool's own is to ask it.
    let efm = AskedEfm::of(settings).filter(|_| matches!(matter.want, Want::Follower(_)));
    let evidence = FirstThatKnows(settings.postgres.clone(), efm);
    let order = order.with_evidence(&evidence);
    match args.effect() {
        Effect::DryRun => Ended::Forecast(block_on(dry_run(matter, &order, args, settings))),
        Effect::Change => Ended::Run(match run_to_end(reach(&order, args, settings)) {
            Ok((reports, signal)) => {
                let endpoints: Vec<_> = settings.endpoints().collect();
                Verdict::of(matter, &endpoints, &reports, settings.require, signal)
            }
            Err(error) => Verdict::without_reports(matter, Exit::Unreachable, &format!("it cannot start: {error}")),
        }),
    }
}

/// Returns the nodes that somebody holds. Marks that cannot be read are no reason to do nothing.
fn held(settings: &Settings) -> Vec<NodeName> {
    match Holds::load(&settings.state_dir) {
        Ok(holds) => holds.names(SystemTime::now()),
        Err(error) => {
            warn!(error = output::chain(&error), "going on as if no node were held");
            Vec::new()
        }
    }
}

/// Reaches the goal on every Pgpool. A signal ends it early, after what is half done was undone.
async fn reach<E: Evidence>(
    order: &Order<'_, E>,
    args: &HookArgs,
    settings: &Settings,
) -> (Vec<Report>, Option<Exit>) {
    let pgpools: Vec<_> =
        settings.targets.iter().map(|target| with_notices(&target.connector, &args.output)).collect();
    let credentials = settings.targets.iter().map(|target| &target.credentials);
    let mut reached = pin!(async {
        let _lock = match order.want {
            // An attach on this host may wait for just this, with the lock in its hands.
            Want::Follower(_) => None,
            _ => tokio::select! {
                lock = Lock::acquire(settings.endpoints(), settings.limit) => Some(lock),
                () = order.stop.requested() => None,
            },
        };
        converge_all(pgpools.iter().zip(credentials), order).await
    });
    tokio::select! {
        reports = &mut reached => (reports, None),
        signal = ended_by_signal() => {
            order.stop.request();
            (reached.await, Some(signal))
        }
    }
}
