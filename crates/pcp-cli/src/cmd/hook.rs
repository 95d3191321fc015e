//! What the hook verbs share: reach a goal on every Pgpool, print the verdict.

use std::pin::pin;
use std::time::{Duration, Instant};

use pcp_client::{LastNode, Options, Order, Report, Stop, converge_all};

use super::start::start;
use super::{block_on, ended_by_signal};
use crate::args::{Effect, Force, HookArgs};
use crate::exit::Exit;
use crate::lock::Lock;
use crate::output;
use crate::settings::{Env, Settings};
use crate::verdict::{Matter, Verdict};

/// The whole time of a detach.
pub(super) const DETACH_LIMIT: Duration = Duration::from_secs(30);
/// The whole time of an attach or a promote: Pgpool may search a primary meanwhile.
pub(super) const ATTACH_LIMIT: Duration = Duration::from_secs(60);

/// What a hook verb wants.
pub(super) struct Hook<'a> {
    pub(super) matter: Matter<'a>,
    pub(super) default_limit: Duration,
}

pub(super) fn run(hook: Hook<'_>, args: &HookArgs, env: Env<'_>) -> Exit {
    let started = Instant::now();
    let start = start(args, hook.default_limit, env);
    let matter = &hook.matter;
    let verdict = match &start.settings {
        Ok(_) if args.effect() == Effect::DryRun => {
            Verdict::without_reports(matter, Exit::Refused, "--dry-run is not there yet")
        }
        Ok(settings) => {
            let mut result = (Vec::new(), None);
            block_on(async {
                result = reach(matter, args, settings).await;
                Exit::Done
            });
            let (reports, signal) = result;
            let endpoints: Vec<_> = settings.endpoints().collect();
            Verdict::of(matter, &endpoints, &reports, settings.require, signal)
        }
        Err(error) => Verdict::without_reports(matter, Exit::Config, &output::chain(error)),
    };
    verdict.print(&args.output, started.elapsed());
    verdict.exit
}

/// Reaches the goal on every Pgpool. A signal ends it early, after what is half done was undone.
async fn reach(matter: &Matter<'_>, args: &HookArgs, settings: &Settings) -> (Vec<Report>, Option<Exit>) {
    let node = settings.node(matter.node.clone());
    let failed = matter.failed.map(|failed| settings.node(failed.clone()));
    let stop = Stop::new();
    let order = Order {
        failed: failed.as_ref(),
        last_node: match args.force() {
            Force::No => LastNode::Kept,
            Force::Yes => LastNode::GivenUp,
        },
        stop: stop.clone(),
        ..Order::new(&node, matter.want, options(settings))
    };
    let mut signal = pin!(ended_by_signal());
    let mut ended = None;
    let _lock = tokio::select! {
        lock = Lock::acquire(settings.endpoints(), settings.limit) => Some(lock),
        signal = &mut signal => {
            stop.request();
            ended = Some(signal);
            None
        }
    };
    let mut reached = pin!(converge_all(settings.pgpools(), &order));
    tokio::select! {
        reports = &mut reached => (reports, ended),
        signal = &mut signal, if ended.is_none() => {
            stop.request();
            (reached.await, Some(signal))
        }
    }
}

pub(super) fn options(settings: &Settings) -> Options {
    Options { deadline: settings.deadline, settle: settings.settle }
}
