//! The planner against the pure world: no runtime, no connections, every hook a small state machine.

use std::collections::VecDeque;
use std::time::Duration;

use pcp_client::sandbox::{Age, World};
use pcp_client::{
    Answer, Change, Goal, Memory, Node, Proof, Question, Reason, Recovery, Server, Step, Time, View, Want, plan,
};
use pcp_proto::message::NodeRole;
use pcp_proto::{NodeId, ServerAge};

use super::oracle::{self, End, Judged, Run, goal, node_id};
use super::schedule::{Event, Fate, Hook, Id, Knows, Schedule};
use super::truth::{self, Truth};

/// The driver's pauses between two looks, in milliseconds.
const PAUSES: [u64; 8] = [0, 2, 5, 10, 20, 50, 100, 250];
const SETTLE: Duration = Duration::from_millis(1500);
/// How long undoing may take.
const RESTORE_LIMIT: Duration = Duration::from_secs(5);
/// After all hooks have ended; longer than any search here but the endless one.
const AFTERWARDS: Duration = Duration::from_secs(2000);

/// How long a host that swallows packets is asked.
const SILENCE: Duration = Duration::from_secs(3);
/// More than any schedule takes.
const STEPS: usize = 20_000;

/// Runs a schedule on its first Pgpool, and judges every step and the end.
pub(crate) fn run(schedule: &Schedule) -> Result<Judged, String> {
    let age = schedule.ages[0];
    if oracle::is_out_of_bounds(schedule) {
        return Ok(Judged::Untold);
    }
    let mut model = Model::new(schedule, age);
    model.play()?;
    oracle::judge(schedule, age, &model.world, &model.ended)
}

pub(crate) fn world(schedule: &Schedule, age: Age) -> World {
    let world =
        (1..=schedule.nodes).fold(World::new(age), |world, node| world.node(&format!("10.0.0.{node}"), 5432));
    world.configure(|settings| {
        settings.search_primary_node_timeout = Duration::from_secs(schedule.search);
        if oracle::follows(schedule) {
            settings.follow_primary_command = "pcpctl follow %d %P %m".to_owned();
        }
    })
}

struct Model<'a> {
    schedule: &'a Schedule,
    age: Age,
    world: World,
    truth: Truth,
    view: View,
    active: Vec<Process>,
    ended: Vec<Run>,
    /// What Pgpool's follow child has still to do.
    to_follow: VecDeque<Hook>,
    follow_runs: usize,
}

/// A hook that runs.
struct Process {
    hook: Hook,
    fate: Fate,
    goal: Goal,
    memory: Memory,
    began: Duration,
    deadline: Duration,
    next_look: Duration,
    pauses: usize,
    changes: Vec<(Duration, Change, Reason)>,
    /// Whether every view so far showed the goal.
    always_met: bool,
    met_since: Option<Duration>,
    /// Whether the last change showed in a view since it was sent.
    last_showed: bool,
    refusals: u32,
    undoing: Option<Undoing>,
}

/// A run that ends without its goal, and brings back what it set down.
struct Undoing {
    why: String,
    until: Duration,
    asked: Vec<NodeId>,
    /// Whether those were asked that can tell which nodes are standbys.
    has_asked: bool,
}

enum Looked {
    Again,
    Over(End),
}

impl<'a> Model<'a> {
    fn new(schedule: &'a Schedule, age: Age) -> Self {
        let world = world(schedule, age);
        let view = first_view(schedule, &world);
        let truth = Truth::new(schedule.nodes);
        let (active, ended, to_follow) = (Vec::new(), Vec::new(), VecDeque::new());
        Self { schedule, age, world, truth, view, active, ended, to_follow, follow_runs: 0 }
    }

    /// Lets events and looks take place in the order of their times.
    fn play(&mut self) -> Result<(), String> {
        let mut events = self.schedule.events.iter().copied().peekable();
        let mut now = Duration::ZERO;
        for _ in 0..STEPS {
            let look = self.active.iter().enumerate().map(|(at, process)| (process.wakes_at(), at)).min();
            let event = events.peek().map(|&(at, _)| at);
            match (event, look) {
                (Some(at), look) if look.is_none_or(|(look, _)| at <= look) => {
                    now = at.max(now);
                    let Some((_, event)) = events.next() else { continue };
                    self.truth.happen(now, event);
                    truth::change(&mut self.world, now, event);
                    if let Event::Call(hook, fate) = event {
                        self.active.push(Process::new(hook, fate, now));
                    }
                }
                (_, Some((at, which))) => {
                    now = at;
                    self.wake(now, which)?;
                }
                _ => {
                    self.world.advance(now + AFTERWARDS);
                    self.start_follow(now + AFTERWARDS);
                    if self.active.is_empty() {
                        return Ok(());
                    }
                    now += AFTERWARDS;
                }
            }
            self.start_follow(now);
        }
        Err(format!("endless: still at it at {now:?}: {}", oracle::shown(&self.world, &self.ended)))
    }

    fn wake(&mut self, now: Duration, which: usize) -> Result<(), String> {
        let mut process = self.active.swap_remove(which);
        self.world.advance(now);
        let end = match process.fate {
            Fate::Killed(after) if now >= process.began + Duration::from_millis(after) => Looked::Over(End::Killed),
            Fate::Stopped(after)
                if now >= process.began + Duration::from_millis(after) && process.undoing.is_none() =>
            {
                process.give_up(now, "stopped".to_owned());
                Looked::Again
            }
            _ => self.look(now, &mut process)?,
        };
        match end {
            Looked::Again => self.active.push(process),
            Looked::Over(end) => {
                let primary = self.world.primary().map(|id| self.world.nodes()[id].postgres);
                self.ended.push(Run {
                    hook: process.hook,
                    fate: process.fate,
                    ended: now,
                    end,
                    changes: process.changes.iter().map(|&(_, change, _)| change).collect(),
                    operations: self.world.operations().len(),
                    primary_answered: primary.is_some_and(|postgres| postgres.answers() && !postgres.in_recovery),
                });
            }
        }
        Ok(())
    }

    fn look(&mut self, now: Duration, process: &mut Process) -> Result<Looked, String> {
        self.refresh();
        if process.undoing.is_some() {
            return self.undo(now, process);
        }
        process.observe(now, oracle::is_met(self.age, process.hook, &self.world), &self.view);
        for _ in 0..100 {
            let time = Time {
                elapsed: now - process.began,
                remaining: process.deadline.saturating_sub(now),
                settle: SETTLE,
            };
            match plan(&process.goal, &process.memory, &self.view, time) {
                Step::Done => return self.done(now, process),
                Step::Refuse { reason } => {
                    process.give_up(now, reason);
                    return Ok(Looked::Again);
                }
                Step::Act(change, reason) => {
                    self.act(now, process, change, reason)?;
                    break;
                }
                Step::Wait { .. } => break,
                Step::Ask(question) => {
                    let (Question::Answers(node) | Question::Recovery(node)) = question;
                    let answer = self.answer(question);
                    let is_asked = !matches!(answer, Answer::Recovery(Recovery::Unknown { .. }))
                        || self.schedule.evidence == Knows::Postgres;
                    let takes = if is_asked && self.postgres(node).silent { SILENCE } else { Duration::ZERO };
                    process.memory.learn(question, answer, time.elapsed + takes);
                    if !takes.is_zero() {
                        process.restart_pauses();
                        process.pause(now + takes);
                        return Ok(Looked::Again);
                    }
                }
            }
        }
        process.pause(now);
        Ok(Looked::Again)
    }

    fn done(&self, now: Duration, process: &Process) -> Result<Looked, String> {
        if !oracle::is_met(self.age, process.hook, &self.world) {
            return Err(format!("unmet: \"hook {}\" is done at {now:?}: {}", process.hook, self.shown(process)));
        }
        let may_fall_back = process.goal.want != Want::Detached && !process.always_met;
        if may_fall_back && process.met_since.is_none_or(|since| now - since < SETTLE) {
            return Err(format!(
                "unsettled: \"hook {}\" is done at {now:?}: {}",
                process.hook,
                self.shown(process)
            ));
        }
        let is_half_done = process.changes.iter().enumerate().any(|(at, &(_, change, reason))| {
            let node = change.node();
            let is_down = self.view.node(node).is_some_and(Node::is_down);
            let comes_back = process.changes.iter().skip(at).any(|&(_, later, _)| later == Change::Attach(node));
            reason == Reason::Cycle && is_down && !comes_back
        });
        if is_half_done {
            return Err(format!(
                "half done: \"hook {}\" is done at {now:?}: {}",
                process.hook,
                self.shown(process)
            ));
        }
        let left_down = process.goal.left_down(&self.view);
        let others = self.view.nodes.iter().filter(|node| node.id != process.goal.node && node.is_down());
        let down = others.filter(|node| process.goal.failed != Some(node.id)).count();
        // One that nobody named may be the failed primary.
        let excused = usize::from(process.goal.failed.is_none());
        if process.goal.want == Want::Primary && down > excused && left_down.len() != down {
            return Err(format!("unnamed: \"hook {}\" is done at {now:?}: {}", process.hook, self.shown(process)));
        }
        Ok(Looked::Over(if left_down.is_empty() {
            End::Verified
        } else {
            End::Failed(format!("left down: {left_down:?}"))
        }))
    }

    /// Sends a change, unless that breaks a rule, and lets Pgpool refuse it as servers do.
    fn act(&mut self, now: Duration, process: &mut Process, change: Change, reason: Reason) -> Result<(), String> {
        self.check(now, process, change, reason).map_err(|why| {
            format!(
                "{why}: \"hook {}\" sends {change} ({reason:?}) at {now:?}: {}",
                process.hook,
                self.shown(process)
            )
        })?;
        process.memory.record(change, reason, &self.view, now - process.began);
        let id = usize::from(change.node().get());
        let refused = match change {
            Change::Attach(_) => false,
            Change::Detach(_) => !self.world.nodes()[id].is_attached(),
            Change::Promote(_) => self.world.primary() == Some(id),
        };
        if refused {
            process.memory.forget_last_change();
            process.refusals += 1;
            if process.refusals > 3 {
                process.give_up(now, format!("refused: {change}"));
            }
            return Ok(());
        }
        process.refusals = 0;
        process.restart_pauses();
        process.changes.push((now, change, reason));
        process.last_showed = false;
        process.met_since = None;
        if !matches!(process.fate, Fate::Loses(which) if usize::from(which) == process.changes.len()) {
            send(&mut self.world, now, change);
        }
        Ok(())
    }

    /// What no hook may ever do.
    fn check(&self, now: Duration, process: &Process, change: Change, reason: Reason) -> Result<(), &'static str> {
        let id = usize::from(change.node().get());
        let is_own = process.hook.node() == id;
        if process.always_met {
            return Err("needless");
        }
        let may_be_sent = process.goal.want == Want::Detached || reason == Reason::Restore;
        if self.view.searching().is_some() && !may_be_sent {
            return Err("during the search");
        }
        if let Some(&(at, last, _)) = process.changes.last() {
            if last == change && now - at < Duration::from_secs(5) && !process.last_showed {
                return Err("impatient");
            }
        }
        let has_cycled =
            |id| process.changes.iter().any(|&(_, sent, why)| why == Reason::Cycle && sent.node() == node_id(id));
        match change {
            Change::Attach(_) if !is_own && process.goal.failed == Some(node_id(id)) => Err("failed primary"),
            Change::Attach(_)
                if self.truth.is_superseded(id) && self.takes_writes(id) && !is_own && !has_cycled(id) =>
            {
                Err("old primary on a guess")
            }
            Change::Attach(_)
                if process.goal.want == Want::Follower(Proof::InRecovery)
                    && self.truth.is_superseded(id)
                    && self.takes_writes(id)
                    && self.is_known_by(now, id) =>
            {
                Err("old primary on a guess")
            }
            Change::Attach(_) if self.takes_writes(id) && self.is_proven_wrong(now, process) => {
                Err("old primary against the evidence")
            }
            Change::Promote(_) if process.deadline.saturating_sub(now) < Duration::from_secs(15) => Err("late"),
            Change::Promote(_) if !is_own || process.goal.want != Want::Primary => Err("unnamed"),
            Change::Promote(_) if !self.takes_writes(id) && self.tells(id) && self.is_known_by(now, id) => {
                Err("a standby")
            }
            Change::Detach(_) if reason == Reason::Displace && process.goal.want != Want::Primary => Err("unnamed"),
            _ => Ok(()),
        }
    }

    /// Tells whether a node's PostgreSQL has been as it is for longer than an answer counts.
    fn is_known_by(&self, now: Duration, id: Id) -> bool {
        now - self.truth.changed(id) > SILENCE + Duration::from_secs(1)
    }

    fn is_proven_wrong(&self, now: Duration, process: &Process) -> bool {
        let want = process.goal.want;
        let id = process.hook.node();
        matches!(want, Want::Standby | Want::Follower(_))
            && self.tells(id)
            && self.truth.is_superseded(id)
            && self.is_known_by(now, id)
    }

    fn takes_writes(&self, id: Id) -> bool {
        let postgres = self.world.nodes()[id].postgres;
        postgres.alive && !postgres.in_recovery
    }

    fn tells(&self, id: Id) -> bool {
        self.schedule.evidence == Knows::Postgres && self.world.nodes()[id].postgres.answers()
    }

    fn answer(&self, question: Question) -> Answer {
        let postgres = self.postgres(match question {
            Question::Answers(node) | Question::Recovery(node) => node,
        });
        match (question, self.schedule.evidence) {
            (Question::Answers(_), _) => Answer::Answers(postgres.answers()),
            (_, Knows::Postgres) if postgres.answers() && postgres.in_recovery => {
                Answer::Recovery(Recovery::InRecovery)
            }
            (_, Knows::Postgres) if postgres.answers() => Answer::Recovery(Recovery::NotInRecovery),
            _ => Answer::Recovery(Recovery::Unknown { reason: String::new() }),
        }
    }

    fn postgres(&self, node: NodeId) -> pcp_client::sandbox::Postgres {
        self.world.nodes()[usize::from(node.get())].postgres
    }

    /// Brings back what the run set down.
    fn undo(&mut self, now: Duration, process: &mut Process) -> Result<Looked, String> {
        if process.undoing.as_ref().is_some_and(|undoing| !undoing.has_asked) {
            for question in process.memory.doubt(&process.goal).into_iter().map(Question::Recovery) {
                process.memory.learn(question, self.answer(question), now - process.began);
            }
        }
        let left = process.memory.half_done(&process.goal, &self.view);
        let pending = process
            .changes
            .last()
            .is_some_and(|&(at, change, _)| now - at < Duration::from_secs(2) && !change.is_visible(&self.view));
        let guessed = |node: &NodeId| {
            let (id, change) = (usize::from(node.get()), Change::Attach(*node));
            let has_cycled =
                process.changes.iter().any(|&(_, sent, why)| why == Reason::Cycle && sent.node() == *node);
            let is_old = self.truth.is_superseded(id) && self.takes_writes(id) && process.hook.node() != id;
            (is_old && !has_cycled).then_some(change)
        };
        let asked = |node: &NodeId| process.undoing.as_ref().is_some_and(|undoing| undoing.asked.contains(node));
        if let Some(change) = left.iter().filter(|node| !asked(node)).find_map(guessed) {
            return Err(format!(
                "old primary on a guess: \"hook {}\" undoes by {change} at {now:?}: {}",
                process.hook,
                self.shown(process)
            ));
        }
        let Some(undoing) = &mut process.undoing else { return Ok(Looked::Again) };
        undoing.has_asked = true;
        if now >= undoing.until || (left.is_empty() && !pending) {
            return Ok(Looked::Over(End::Failed(undoing.why.clone())));
        }
        for node in left.into_iter().filter(|node| !undoing.asked.contains(node)).collect::<Vec<_>>() {
            undoing.asked.push(node);
            let change = Change::Attach(node);
            process.memory.record(change, Reason::Restore, &self.view, now - process.began);
            process.changes.push((now, change, Reason::Restore));
            send(&mut self.world, now, change);
        }
        process.next_look = now + Duration::from_millis(250);
        Ok(Looked::Again)
    }

    /// Starts what `follow_primary_command` calls: one node after the other, and only for those that are down.
    fn start_follow(&mut self, now: Duration) {
        let runs = self.world.follow_runs();
        for run in runs.get(self.follow_runs..).unwrap_or_default() {
            if run.old_primary != Some(run.detached) && run.new_primary != run.detached {
                self.to_follow.push_back(Hook::Follow(run.detached, run.old_primary));
            }
        }
        self.follow_runs = runs.len();
        if self.active.iter().any(|process| matches!(process.hook, Hook::Follow(..))) {
            return;
        }
        while let Some(hook) = self.to_follow.pop_front() {
            if !self.world.nodes()[hook.node()].is_attached() {
                self.active.push(Process::new(hook, Fate::Runs, now));
                return;
            }
        }
    }

    fn refresh(&mut self) {
        for (id, node) in self.view.nodes.iter_mut().enumerate() {
            node.status = self.world.nodes().get(id).map(|node| node.status);
            node.role = (self.age != Age::V3_5).then(|| self.world.role(id));
        }
    }

    fn shown(&self, process: &Process) -> String {
        let changes: Vec<_> =
            process.changes.iter().map(|(at, change, why)| format!("{at:?} {change} {why:?}")).collect();
        format!("[{}] {}", changes.join(", "), oracle::shown(&self.world, &self.ended))
    }
}

impl Process {
    fn new(hook: Hook, fate: Fate, now: Duration) -> Self {
        let limit = if matches!(hook, Hook::Detach(_) | Hook::Follow(..)) { 30 } else { 60 };
        Self {
            hook,
            fate,
            goal: goal(hook),
            memory: Memory::default(),
            began: now,
            deadline: now + Duration::from_secs(limit),
            next_look: now,
            pauses: 0,
            changes: Vec::new(),
            always_met: true,
            met_since: None,
            last_showed: false,
            refusals: 0,
            undoing: None,
        }
    }

    fn wakes_at(&self) -> Duration {
        match self.fate {
            Fate::Killed(after) => self.next_look.min(self.began + Duration::from_millis(after)),
            Fate::Stopped(after) if self.undoing.is_none() => {
                self.next_look.min(self.began + Duration::from_millis(after))
            }
            _ => self.next_look,
        }
    }

    fn observe(&mut self, now: Duration, met: bool, view: &View) {
        self.memory.observe(&self.goal, view, now - self.began);
        self.always_met &= met;
        self.met_since = met.then(|| self.met_since.unwrap_or(now));
        if let Some((_, last, _)) = self.changes.last() {
            self.last_showed |= last.is_visible(view);
        }
    }

    fn restart_pauses(&mut self) {
        self.pauses = self.pauses.min(1);
    }

    fn pause(&mut self, now: Duration) {
        let pause = Duration::from_millis(PAUSES.get(self.pauses).or(PAUSES.last()).copied().unwrap_or_default());
        self.pauses += 1;
        let has_set_down = self
            .changes
            .iter()
            .any(|&(_, change, reason)| reason == Reason::Cycle || matches!(change, Change::Promote(_)));
        let deadline = if has_set_down { self.deadline.saturating_sub(RESTORE_LIMIT) } else { self.deadline };
        if self.undoing.is_none() && now + pause >= deadline {
            self.give_up(now, "not verified in time".to_owned());
        } else {
            self.next_look = now + pause;
        }
    }

    fn give_up(&mut self, now: Duration, why: String) {
        let asked = self.changes.iter().filter(|(at, ..)| now - *at < Duration::from_secs(5));
        let asked = asked.filter_map(|&(_, change, _)| match change {
            Change::Attach(node) => Some(node),
            _ => None,
        });
        self.undoing = Some(Undoing { why, until: now + RESTORE_LIMIT, asked: asked.collect(), has_asked: false });
        self.next_look = now;
    }
}

fn send(world: &mut World, now: Duration, change: Change) {
    let id = usize::from(change.node().get());
    match change {
        Change::Attach(_) => world.attach(now, id),
        Change::Detach(_) => world.detach(now, id),
        Change::Promote(_) => world.promote(now, id),
    }
}

fn first_view(schedule: &Schedule, world: &World) -> View {
    let nodes = world.nodes().iter().enumerate().map(|(id, node)| Node {
        id: node_id(id),
        host: node.host.as_str().into(),
        port: node.port,
        status: Some(node.status),
        quarantine: false,
        role: Some(NodeRole::Standby),
        failover_disallowed: false,
    });
    let server = Server {
        age: ServerAge::since(world.age().release()),
        search_primary_node_timeout: Some(Duration::from_secs(schedule.search)),
        follow_primary_command: oracle::follows(schedule),
        watchdog: false,
        node_info_dials_backends: false,
    };
    View { server, nodes: nodes.collect() }
}
