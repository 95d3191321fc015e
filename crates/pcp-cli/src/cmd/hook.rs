//! What attach, detach and promote share: reach a goal on every Pgpool, print the verdict.

use std::process;
use std::thread;
use std::time::{Duration, Instant};

use pcp_client::{LastNode, NodeName, Options, Order, Report, Require, Stop, Want, converge_all};

use super::{block_on, ended_by_signal, start_log};
use crate::args::HookArgs;
use crate::exit::Exit;
use crate::output;
use crate::settings::{Env, Settings};
use crate::verdict::{Matter, Verdict};

/// The whole time of a detach.
pub(super) const DETACH_LIMIT: Duration = Duration::from_secs(30);
/// The whole time of an attach or a promote: Pgpool may search a primary meanwhile.
pub(super) const ATTACH_LIMIT: Duration = Duration::from_secs(60);

/// What a hook verb wants.
pub(super) struct Hook<'a> {
    pub(super) verb: &'static str,
    pub(super) node: &'a NodeName,
    pub(super) want: Want,
    /// The failed primary, which nothing here attaches.
    pub(super) failed: Option<&'a NodeName>,
    pub(super) default_limit: Duration,
}

pub(super) fn run(hook: Hook<'_>, args: &HookArgs, env: Env<'_>) -> Exit {
    start_log(&args.output);
    let started = Instant::now();
    let matter = Matter { verb: hook.verb, node: hook.node, want: hook.want, failed: hook.failed };
    let verdict = match Settings::new(&args.connection, None, hook.default_limit, env) {
        Ok(settings) => {
            guard(settings.limit);
            let mut ended = None;
            let mut reports = Vec::new();
            block_on(async {
                (reports, ended) = reach(&hook, args, &settings).await;
                Exit::Done
            });
            let endpoints: Vec<_> = settings.targets.iter().map(|target| &target.connector.endpoint).collect();
            Verdict::of(&matter, &endpoints, &reports, Require::All, ended)
        }
        Err(error) => Verdict::without_reports(&matter, Exit::Config, &output::chain(&error)),
    };
    verdict.print(&args.output, started.elapsed());
    verdict.exit
}

/// Reaches the goal on every Pgpool; a signal ends it early, after what is half done was undone.
async fn reach(hook: &Hook<'_>, args: &HookArgs, settings: &Settings) -> (Vec<Report>, Option<Exit>) {
    let name = hook.node.clone().with_default_port(args.backend_port);
    let failed = hook.failed.map(|failed| failed.clone().with_default_port(args.backend_port));
    let options = Options { deadline: settings.deadline, settle: args.settle };
    let stop = Stop::new();
    let order = Order {
        failed: failed.as_ref(),
        last_node: LastNode::Kept,
        stop: stop.clone(),
        ..Order::new(&name, hook.want, options)
    };
    let pgpools = settings.targets.iter().map(|target| (&target.connector, &target.credentials));
    let mut reached = std::pin::pin!(converge_all(pgpools, &order));
    tokio::select! {
        reports = &mut reached => (reports, None),
        signal = ended_by_signal() => {
            stop.request();
            (reached.await, Some(signal))
        }
    }
}

/// Ends the process a second after the deadline, whatever hangs: a resolver, a full pipe, a disk.
fn guard(limit: Duration) {
    thread::spawn(move || {
        thread::sleep(limit.saturating_add(Duration::from_secs(1)));
        process::exit(Exit::NotVerified.code());
    });
}
