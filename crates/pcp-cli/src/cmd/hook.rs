//! What the hook verbs share: reach a goal on every Pgpool, print the verdict.

use std::pin::pin;
use std::time::{Duration, Instant};

use pcp_client::{LastNode, Options, Order, Report, Stop, converge_all};

use super::start::start;
use super::{block_on, ended_by_signal, with_notices};
use crate::args::{Force, HookArgs};
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
    let pgpools: Vec<_> =
        settings.targets.iter().map(|target| with_notices(&target.connector, &args.output)).collect();
    let credentials = settings.targets.iter().map(|target| &target.credentials);
    let mut reached = pin!(async {
        let _lock = Lock::acquire(settings.endpoints(), settings.limit).await;
        converge_all(pgpools.iter().zip(credentials), &order).await
    });
    tokio::select! {
        reports = &mut reached => (reports, None),
        signal = ended_by_signal() => {
            stop.request();
            (reached.await, Some(signal))
        }
    }
}

pub(super) fn options(settings: &Settings) -> Options {
    Options { deadline: settings.deadline, settle: settings.settle }
}
