//! Random schedules: what happens to a cluster, and the hooks that EFM calls for it, each on its own way.

use std::time::Duration;

use pcp_client::sandbox::Age;
use proptest::collection::vec;
use proptest::prelude::*;

use super::schedule::{Event, Fate, Follow, Hook, Id, Knows, Schedule, Trouble};

const SEARCHES: [u64; 5] = [3, 10, 60, 300, 0];

/// Schedules on one Pgpool, which nothing is wrong with.
pub(crate) fn on_one_pgpool(evidence: Knows) -> impl Strategy<Value = Schedule> {
    let ages = (0..Age::ALL.len()).prop_map(|age| vec![Age::ALL[age]]);
    schedules(ages, Just(evidence), vec(Just((0, Trouble::Close)), 0..1))
}

/// Schedules on one or two Pgpools with troubled connections.
pub(crate) fn with_faults() -> impl Strategy<Value = Schedule> {
    let ages = vec((0..Age::ALL.len()).prop_map(|age| Age::ALL[age]), 1..3);
    let evidence = prop_oneof![Just(Knows::Nothing), Just(Knows::Postgres)];
    schedules(ages, evidence, vec((0..20_000_u64, trouble()), 0..4))
}

fn schedules(
    ages: impl Strategy<Value = Vec<Age>>,
    evidence: impl Strategy<Value = Knows>,
    faults: impl Strategy<Value = Vec<(u64, Trouble)>>,
) -> impl Strategy<Value = Schedule> {
    let search = prop_oneof![6 => Just(0_usize), 2 => Just(1), 1 => Just(2), 1 => Just(3), 1 => Just(4)];
    let follow = prop_oneof![4 => Just(Follow::Unset), 1 => Just(Follow::Set)];
    let cluster = (ages, prop_oneof![1 => Just(2_usize), 8 => Just(3), 2 => Just(4)], search, follow, evidence);
    (cluster, vec(scene(), 1..5), faults).prop_map(|((ages, nodes, search, follow, evidence), scenes, faults)| {
        let mut story = Story::new(nodes);
        scenes.iter().for_each(|scene| story.play(scene));
        let faults = faults.into_iter().map(|(at, trouble)| (at, Event::Fault(trouble)));
        story.events.extend(faults);
        story.events.sort_by_key(|&(at, _)| at);
        let events = story.events.into_iter().map(|(at, event)| (Duration::from_millis(at), event));
        Schedule { ages, nodes, search: SEARCHES[search], follow, evidence, events: events.collect() }
    })
}

/// One thing that happens.
#[derive(Clone, Debug)]
struct Scene {
    /// Milliseconds after the one before it.
    after: u64,
    kind: Kind,
    /// Which of the nodes in question.
    pick: usize,
    /// How long EFM takes from one step to the next, in milliseconds.
    steps: [u64; 2],
    ways: [Way; 3],
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Failover,
    /// The old primary goes on.
    CutOff,
    StandbyFails,
    Rebuild,
    Return,
    Switchover,
    Silence,
    Admin,
}

/// How a call gets from EFM to its end: each entry is a run, so many milliseconds later; none is a lost call.
#[derive(Clone, Debug)]
struct Way {
    runs: Vec<(u64, Fate)>,
    /// Which of the hooks that are documented for it.
    style: usize,
}

fn millis() -> impl Strategy<Value = u64> + Clone {
    prop_oneof![3 => 0..50_u64, 3 => 0..2000_u64, 2 => 0..12_000_u64, 1 => 0..70_000_u64]
}

fn scene() -> impl Strategy<Value = Scene> {
    let kind = prop_oneof![
        6 => Just(Kind::Failover),
        3 => Just(Kind::CutOff),
        3 => Just(Kind::StandbyFails),
        4 => Just(Kind::Rebuild),
        2 => Just(Kind::Return),
        2 => Just(Kind::Switchover),
        1 => Just(Kind::Silence),
        1 => Just(Kind::Admin),
    ];
    let ways = [way(), way(), way()];
    (millis(), kind, 0..4_usize, [millis(), millis()], ways).prop_map(|(after, kind, pick, steps, ways)| Scene {
        after,
        kind,
        pick,
        steps,
        ways,
    })
}

fn way() -> impl Strategy<Value = Way> {
    let fate = prop_oneof![
        20 => Just(Fate::Runs),
        2 => (1..4_u8).prop_map(Fate::Loses),
        2 => millis().prop_map(Fate::Killed),
        1 => millis().prop_map(Fate::Stopped),
    ];
    let run = (millis(), fate);
    let runs = prop_oneof![
        12 => vec(run.clone(), 1..2),
        4 => vec(run.clone(), 2..4),
        1 => vec(run, 0..1),
    ];
    (runs, 0..4_usize).prop_map(|(runs, style)| Way { runs, style })
}

fn trouble() -> impl Strategy<Value = Trouble> {
    prop_oneof![
        Just(Trouble::Reset),
        Just(Trouble::Close),
        Just(Trouble::NeverSalt),
        (0..600_usize).prop_map(Trouble::Cut),
        (0..600_usize).prop_map(Trouble::Stall),
        (0..4000_u64).prop_map(Trouble::Delay),
        Just(Trouble::LoseReply),
    ]
}

/// A cluster as EFM sees it.
struct Story {
    now: u64,
    events: Vec<(u64, Event)>,
    primary: Id,
    nodes: usize,
    down: Vec<Id>,
    old_primaries: Vec<Id>,
    silent: Option<Id>,
}

impl Story {
    fn new(nodes: usize) -> Self {
        Self {
            now: 0,
            events: Vec::new(),
            primary: 0,
            nodes,
            down: Vec::new(),
            old_primaries: Vec::new(),
            silent: None,
        }
    }

    fn play(&mut self, scene: &Scene) {
        self.now += scene.after;
        let standbys: Vec<_> =
            (0..self.nodes).filter(|id| *id != self.primary && !self.down.contains(id)).collect();
        let standby = standbys.get(scene.pick % standbys.len().max(1)).copied();
        let down = self.down.get(scene.pick % self.down.len().max(1)).copied();
        let [first, second, third] = &scene.ways;
        match (scene.kind, standby, down) {
            (Kind::Failover | Kind::CutOff, Some(promoted), _) => {
                let old = self.primary;
                let end = if matches!(scene.kind, Kind::CutOff) { Event::Cut(old) } else { Event::Fail(old) };
                self.happen(end);
                self.call(Hook::Detach(old), first);
                self.now += scene.steps[0];
                self.promote(promoted, old, second, third);
                self.down.push(old);
                self.old_primaries.push(old);
            }
            (Kind::StandbyFails, Some(standby), _) => {
                self.happen(Event::Fail(standby));
                self.call(Hook::Detach(standby), first);
                self.down.push(standby);
            }
            (Kind::Rebuild, _, Some(node)) => {
                self.happen(Event::Rebuild(node));
                self.down.retain(|&id| id != node);
                self.old_primaries.retain(|&id| id != node);
                self.call_standby(node, first);
            }
            (Kind::Return, _, Some(node)) => {
                self.happen(Event::Return(node));
                if !self.old_primaries.contains(&node) {
                    self.down.retain(|&id| id != node);
                    self.call_standby(node, first);
                }
            }
            (Kind::Switchover, Some(promoted), _) => {
                let old = self.primary;
                self.call(Hook::Detach(old), first);
                self.now += scene.steps[0];
                self.happen(Event::Fail(old));
                self.promote(promoted, old, second, second);
                self.now += scene.steps[1];
                self.happen(Event::Rebuild(old));
                self.call_standby(old, third);
            }
            (Kind::Silence, ..) => match self.silent.take() {
                Some(node) => self.happen(Event::Unsilence(node)),
                None => {
                    let node = scene.pick % self.nodes;
                    self.happen(Event::Silence(node));
                    self.silent = Some(node);
                }
            },
            (Kind::Admin, ..) => {
                let node = scene.pick % self.nodes;
                self.happen(if first.style < 2 { Event::AdminAttach(node) } else { Event::AdminDetach(node) });
            }
            _ => {}
        }
    }

    fn promote(&mut self, promoted: Id, old: Id, attach: &Way, post_promotion: &Way) {
        self.happen(Event::Promote(promoted));
        self.primary = promoted;
        let hook = if attach.style == 3 { Hook::Attach(promoted) } else { Hook::AttachPrimary(promoted) };
        self.call(hook, attach);
        if post_promotion.style == 0 {
            self.call(Hook::Promote(promoted, Some(old).filter(|_| attach.style != 2)), post_promotion);
        }
    }

    fn call_standby(&mut self, node: Id, way: &Way) {
        self.call(if way.style == 3 { Hook::Attach(node) } else { Hook::AttachStandby(node) }, way);
    }

    fn happen(&mut self, event: Event) {
        self.events.push((self.now, event));
    }

    fn call(&mut self, hook: Hook, way: &Way) {
        self.events.extend(way.runs.iter().map(|&(after, fate)| (self.now + after, Event::Call(hook, fate))));
    }
}
