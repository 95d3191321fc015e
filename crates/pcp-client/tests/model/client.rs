//! The whole client against sandboxes, over pipes that fail, with a clock that jumps.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::LocalBoxFuture;
use futures_util::stream::FuturesUnordered;
use pcp_client::sandbox::{Fault, Sandbox};
use pcp_client::{
    Change, Deadline, Evidence, Node, NodeName, Options, Order, Recovery, Remark, Report, Stop, converge_all,
};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::oracle::{self, End, Judged, Run};
use super::planner;
use super::schedule::{Event, Fate, Hook, Id, Knows, Schedule, Trouble};
use super::support::{Pgpool, credentials};
use super::truth::{self, Truth};

const SETTLE: Duration = Duration::from_millis(1500);
/// How often it is looked whether `follow_primary_command` is to run.
const TICK: Duration = Duration::from_millis(200);
/// After all hooks have ended; longer than any search here but the endless one.
const AFTERWARDS: Duration = Duration::from_secs(2000);

/// Runs a schedule, and judges every report and the end of each Pgpool.
pub(crate) fn run(schedule: &Schedule) -> Result<Judged, String> {
    if oracle::is_out_of_bounds(schedule) {
        return Ok(Judged::Untold);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    runtime.block_on(play(schedule))
}

/// What a hook's process came to: a report for each Pgpool, none where it was killed.
struct Process {
    pgpools: Vec<usize>,
    hook: Hook,
    fate: Fate,
    began: Duration,
    superseded: Vec<Id>,
    reports: Option<Vec<Report>>,
}

type Processes<'a> = FuturesUnordered<LocalBoxFuture<'a, Vec<Process>>>;

async fn play(schedule: &Schedule) -> Result<Judged, String> {
    let start = Instant::now();
    let pgpools: Vec<_> = schedule.ages.iter().map(|&age| Pgpool::new(planner::world(schedule, age))).collect();
    let mut cluster = Cluster {
        schedule,
        start,
        pgpools: &pgpools,
        truth: Truth::new(schedule.nodes),
        runs: vec![Vec::new(); pgpools.len()],
        follow_runs: vec![0; pgpools.len()],
    };
    let mut active = Processes::new();
    for &(at, event) in &schedule.events {
        cluster.wait(&mut active, at).await?;
        cluster.truth.happen(at, event);
        match event {
            Event::Call(hook, fate) => active.push(cluster.start(hook, fate)),
            Event::Fault(trouble) => {
                let which = usize::try_from(at.as_millis()).unwrap_or_default() % pgpools.len();
                pgpools[which].0.fault(fault(trouble));
            }
            event => pgpools.iter().for_each(|pgpool| pgpool.0.with(|world| truth::change(world, at, event))),
        }
    }
    loop {
        while !active.is_empty() {
            cluster.wait(&mut active, start.elapsed() + TICK).await?;
        }
        sleep(AFTERWARDS).await;
        cluster.start_follow(&mut active);
        if active.is_empty() {
            break;
        }
    }
    let mut all = Judged::True;
    for ((age, pgpool), runs) in schedule.ages.iter().zip(&pgpools).zip(&cluster.runs) {
        let world = pgpool.0.with(|world| world.clone());
        let judged = oracle::judge(schedule, *age, &world, runs)?;
        all = if all == Judged::True { judged } else { all };
    }
    Ok(all)
}

struct Cluster<'a> {
    schedule: &'a Schedule,
    start: Instant,
    pgpools: &'a [Pgpool],
    truth: Truth,
    /// By Pgpool.
    runs: Vec<Vec<Run>>,
    follow_runs: Vec<usize>,
}

impl<'a> Cluster<'a> {
    /// Lets the hooks go on until then.
    async fn wait(&mut self, active: &mut Processes<'a>, until: Duration) -> Result<(), String> {
        let until = self.start + until;
        while Instant::now() < until {
            let tick = until.min(Instant::now() + TICK);
            tokio::select! {
                biased;
                Some(processes) = active.next() => {
                    let is_alone = active.is_empty() && processes.len() == 1;
                    for process in processes {
                        self.end(process, is_alone)?;
                    }
                }
                () = sleep_until(tick) => {}
            }
            self.start_follow(active);
        }
        Ok(())
    }

    fn start(&self, hook: Hook, fate: Fate) -> LocalBoxFuture<'a, Vec<Process>> {
        let all = (0..self.pgpools.len()).collect();
        let process = self.process(hook, fate, all);
        let (schedule, pgpools) = (self.schedule, self.pgpools);
        Box::pin(async move { vec![process.run(schedule, pgpools).await] })
    }

    fn process(&self, hook: Hook, fate: Fate, pgpools: Vec<usize>) -> Process {
        let began = self.start.elapsed();
        let superseded = (0..self.schedule.nodes).filter(|&id| self.truth.is_superseded(id)).collect();
        Process { pgpools, hook, fate, began, superseded, reports: None }
    }

    /// Starts what `follow_primary_command` calls: one node after the other, and only for those that are down.
    fn start_follow(&mut self, active: &mut Processes<'a>) {
        for which in 0..self.pgpools.len() {
            let runs = self.pgpools[which].0.with(|world| world.follow_runs().to_vec());
            let new = runs.get(self.follow_runs[which]..).unwrap_or_default().iter();
            let new = new.filter(|run| run.old_primary != Some(run.detached) && run.new_primary != run.detached);
            let hooks: Vec<_> = new
                .map(|run| self.process(Hook::Follow(run.detached, run.old_primary), Fate::Runs, vec![which]))
                .collect();
            self.follow_runs[which] = runs.len();
            let (schedule, pgpools) = (self.schedule, self.pgpools);
            if !hooks.is_empty() {
                active.push(Box::pin(async move {
                    let mut done = Vec::new();
                    for process in hooks {
                        if !pgpools[which].0.with(|world| world.nodes()[process.hook.node()].is_attached()) {
                            done.push(process.run(schedule, pgpools).await);
                        }
                    }
                    done
                }));
            }
        }
    }

    /// Judges the reports of a hook.
    fn end(&mut self, process: Process, is_alone: bool) -> Result<(), String> {
        let now = self.start.elapsed();
        for (at, &which) in process.pgpools.iter().enumerate() {
            let report = process.reports.as_ref().and_then(|reports| reports.get(at));
            let ended = report.map_or(now, |report| process.began + report.elapsed);
            let (operations, primary) = self.pgpools[which].0.with(|world| {
                let operations = world.operations().iter().filter(|operation| operation.at < process.began).count();
                (operations, world.primary().map(|id| world.nodes()[id].postgres))
            });
            self.runs[which].push(Run {
                hook: process.hook,
                fate: process.fate,
                ended,
                end: report.map_or(End::Killed, end_of),
                changes: report.map(|report| report.changes.clone()).unwrap_or_default(),
                operations,
                primary_answered: primary.is_some_and(|postgres| postgres.answers() && !postgres.in_recovery),
            });
            if let Some(report) = report {
                self.judge(&process, report, which, is_alone && ended == now)?;
            }
        }
        Ok(())
    }

    fn judge(&self, process: &Process, report: &Report, which: usize, is_alone: bool) -> Result<(), String> {
        let hook = process.hook;
        let said = |why: &str| {
            let mut report = report.clone();
            report.asked.clear();
            Err(format!("{why}: \"hook {hook}\" on Pgpool {which}: {report:?}"))
        };
        if report.elapsed > limit(hook) + Duration::from_millis(100) {
            return said("too long");
        }
        let may_fall_back = !matches!(hook, Hook::Detach(_)) && !report.changes.is_empty();
        if report.result.is_ok() && may_fall_back && report.elapsed < SETTLE {
            return said("unsettled");
        }
        let nodes = self.pgpools[which].0.with(|world| world.nodes().to_vec());
        for (at, change) in report.changes.iter().enumerate() {
            let Change::Attach(node) = *change else { continue };
            let node_at = usize::from(node.get());
            let postgres = nodes[node_at].postgres;
            let was_set_down = report.changes[..at].contains(&Change::Detach(node));
            let is_old = process.superseded.contains(&node_at) && self.truth.is_superseded(node_at);
            if node_at != hook.node() && !was_set_down && is_old && postgres.alive && !postgres.in_recovery {
                return said("old primary on a guess");
            }
        }
        let is_wrong = |remark: &Remark| match remark {
            Remark::Restored(node) => !nodes[usize::from(node.id.get())].is_attached(),
            _ => false,
        };
        if is_alone && report.remarks.iter().any(is_wrong) {
            return said("not restored");
        }
        Ok(())
    }
}

impl Process {
    async fn run(mut self, schedule: &Schedule, pgpools: &[Pgpool]) -> Self {
        let credentials = credentials();
        let goal = oracle::goal(self.hook);
        let name = |id: Id| -> NodeName { format!("10.0.0.{}", id + 1).parse().unwrap() };
        let node = name(self.hook.node());
        let failed = goal.failed.map(|id| name(usize::from(id.get())));
        let options = Options { deadline: Deadline::after(limit(self.hook)), settle: SETTLE };
        let stop = Stop::new();
        let order = Order { failed: failed.as_ref(), stop: stop.clone(), ..Order::new(&node, goal.want, options) };
        let evidence = Told { sandbox: &pgpools[0].0, knows: schedule.evidence };
        let order = order.with_evidence(&evidence);
        let reports = converge_all(self.pgpools.iter().map(|&which| (&pgpools[which], &credentials)), &order);
        self.reports = match self.fate {
            Fate::Killed(after) => timeout(Duration::from_millis(after), reports).await.ok(),
            Fate::Stopped(after) => {
                let tell = async {
                    sleep(Duration::from_millis(after)).await;
                    stop.request();
                    std::future::pending().await
                };
                tokio::select! {
                    reports = reports => Some(reports),
                    () = tell => None,
                }
            }
            Fate::Runs | Fate::Loses(_) => Some(reports.await),
        };
        self
    }
}

/// What a hook can find out of the PostgreSQL servers.
struct Told<'a> {
    sandbox: &'a Sandbox,
    knows: Knows,
}

impl Told<'_> {
    async fn postgres(&self, node: &Node) -> pcp_client::sandbox::Postgres {
        let ask = || self.sandbox.with(|world| world.nodes()[usize::from(node.id.get())].postgres);
        if ask().silent {
            sleep(Duration::from_secs(3)).await;
        }
        ask()
    }
}

impl Evidence for Told<'_> {
    async fn answers(&self, node: &Node) -> bool {
        self.postgres(node).await.answers()
    }

    async fn recovery(&self, node: &Node) -> Recovery {
        let postgres = self.postgres(node).await;
        match (postgres.answers(), postgres.in_recovery) {
            (true, true) => Recovery::InRecovery,
            (true, false) => Recovery::NotInRecovery,
            (false, _) => Recovery::Unknown { reason: "it does not answer".to_owned() },
        }
    }

    fn recovery_at_once(&self, _: &Node) -> Option<Recovery> {
        (self.knows == Knows::Nothing).then(|| Recovery::Unknown { reason: "nobody was asked".to_owned() })
    }
}

fn end_of(report: &Report) -> End {
    match &report.result {
        Ok(()) if report.left_down.is_empty() => End::Verified,
        Ok(()) => End::Failed("left down".to_owned()),
        Err(failure) => End::Failed(failure.to_string()),
    }
}

fn limit(hook: Hook) -> Duration {
    Duration::from_secs(if matches!(hook, Hook::Detach(_) | Hook::Follow(..)) { 30 } else { 60 })
}

fn fault(trouble: Trouble) -> Fault {
    match trouble {
        Trouble::Reset => Fault::ResetBeforeSalt,
        Trouble::Close => Fault::CloseBeforeSalt,
        Trouble::NeverSalt => Fault::NeverSalt,
        Trouble::Cut(bytes) => Fault::CloseAfter(bytes),
        Trouble::Stall(bytes) => Fault::StallAfter(bytes),
        Trouble::Delay(millis) => Fault::Delay(Duration::from_millis(millis)),
        Trouble::LoseReply => Fault::LoseReplyToChange,
    }
}
