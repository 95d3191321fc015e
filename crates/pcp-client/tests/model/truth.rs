//! What EFM has decided, and what happens to the PostgreSQL servers.

use std::time::Duration;

use pcp_client::sandbox::World;

use super::oracle::Run;
use super::schedule::{Event, Hook, Id, Schedule};

/// What a node is for EFM.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Part {
    Primary,
    Standby,
    Gone,
}

/// The cluster as EFM sees it.
#[derive(Clone, Debug)]
pub(crate) struct Truth {
    pub(crate) parts: Vec<Part>,
    /// Since when; `None` is the beginning.
    since: Vec<Option<Duration>>,
    /// Old primaries that may take writes.
    superseded: Vec<bool>,
    was_primary: Vec<bool>,
    /// The primaries before, and since when each was none any more.
    predecessors: Vec<(Id, Option<Duration>)>,
    /// When its PostgreSQL changed last.
    changed: Vec<Duration>,
    /// Primaries of before that may take writes together, at most.
    pub(crate) rivals: usize,
    /// Somebody beside EFM changed Pgpool.
    pub(crate) interfered: bool,
}

impl Truth {
    pub(crate) fn new(nodes: usize) -> Self {
        let parts = (0..nodes).map(|id| if id == 0 { Part::Primary } else { Part::Standby });
        Self {
            parts: parts.collect(),
            since: vec![None; nodes],
            superseded: vec![false; nodes],
            was_primary: (0..nodes).map(|id| id == 0).collect(),
            predecessors: Vec::new(),
            changed: vec![Duration::ZERO; nodes],
            rivals: 0,
            interfered: false,
        }
    }

    pub(crate) fn after(schedule: &Schedule) -> Self {
        let mut truth = Self::new(schedule.nodes);
        schedule.events.iter().for_each(|&(at, event)| truth.happen(at, event));
        truth
    }

    pub(crate) fn happen(&mut self, at: Duration, event: Event) {
        if let Event::Fail(id)
        | Event::Promote(id)
        | Event::Rebuild(id)
        | Event::Return(id)
        | Event::Silence(id)
        | Event::Unsilence(id) = event
        {
            self.changed[id] = at;
        }
        match event {
            Event::Fail(id) | Event::Cut(id) => self.become_gone(at, id),
            Event::Promote(id) => {
                let olds: Vec<_> =
                    (0..self.parts.len()).filter(|&old| old != id && self.was_primary[old]).collect();
                for old in olds {
                    self.become_gone(at, old);
                    if !self.superseded[old] {
                        self.predecessors.push((old, self.since[old]));
                    }
                    self.superseded[old] = true;
                }
                self.become_part(at, id, Part::Primary);
                self.was_primary[id] = true;
                self.superseded[id] = false;
            }
            Event::Rebuild(id) => {
                if self.parts[id] == Part::Primary {
                    self.predecessors.push((id, Some(at)));
                }
                self.become_part(at, id, Part::Standby);
                (self.was_primary[id], self.superseded[id]) = (false, false);
            }
            Event::Return(id) if self.superseded[id] => {}
            Event::Return(id) if self.was_primary[id] => self.become_part(at, id, Part::Primary),
            Event::Return(id) => self.become_part(at, id, Part::Standby),
            Event::AdminAttach(_) | Event::AdminDetach(_) => self.interfered = true,
            Event::Silence(_) | Event::Unsilence(_) | Event::Fault(_) | Event::Call(..) => {}
        }
        self.rivals = self.rivals.max(self.superseded.iter().filter(|&&superseded| superseded).count());
    }

    /// Tells whether a node was the primary and another one is by now, unless it was rebuilt.
    pub(crate) fn is_superseded(&self, id: Id) -> bool {
        self.superseded[id]
    }

    /// Tells when a node's PostgreSQL changed last.
    pub(crate) fn changed(&self, id: Id) -> Duration {
        self.changed[id]
    }

    pub(crate) fn primary(&self) -> Option<Id> {
        self.parts.iter().position(|&part| part == Part::Primary)
    }

    /// Tells whether the last call about the node tells Pgpool what became of it, and comes to its end, and nobody
    /// says otherwise any more by then.
    ///
    /// Nothing has to be told of a node that nothing happened to.
    pub(crate) fn is_told(&self, schedule: &Schedule, world: &World, runs: &[Run], id: Id) -> bool {
        let calls = schedule.events.iter().filter_map(|&(at, event)| match event {
            Event::Call(hook, fate) if hook.node() == id => Some((at, hook, fate)),
            _ => None,
        });
        let Some((told, hook, fate)) = calls.last() else { return self.since[id].is_none() };
        let gainsays = |run: &Run| {
            let is_late = run.has_effect_after(told, world) || Some(run.ended) >= self.since[id];
            let for_another = self.parts[id] == Part::Primary && run.hook.node() != id && run.hook.is_for_primary();
            is_late && (for_another || run.hook.node() == id && !self.fits(run.hook))
        };
        // Without a type it says nothing of the role: the end of the one before has to be known, or its beginning.
        let is_clear = match (self.parts[id], hook) {
            (Part::Primary, Hook::Attach(_)) => self.are_ends_told(schedule),
            (Part::Standby, Hook::Attach(_)) => {
                !runs.iter().any(|run| run.hook.is_for_primary() && run.has_effect_after(told, world))
            }
            _ => true,
        };
        is_clear
            && Some(told) >= self.since[id]
            && fate.ends_itself()
            && self.fits(hook)
            && !runs.iter().any(gainsays)
    }

    /// Tells whether Pgpool was told of every primary before that it is none any more.
    fn are_ends_told(&self, schedule: &Schedule) -> bool {
        self.predecessors.iter().all(|&(old, since)| {
            schedule.events.iter().any(|&(at, event)| {
                let is_end =
                    matches!(event, Event::Call(Hook::Detach(id), fate) if id == old && fate.ends_itself());
                is_end && Some(at) >= since
            })
        })
    }

    /// Tells whether a hook says of its node what is true.
    fn fits(&self, hook: Hook) -> bool {
        match self.parts[hook.node()] {
            Part::Primary => hook.is_for_primary() || matches!(hook, Hook::Attach(_)),
            Part::Standby => matches!(hook, Hook::AttachStandby(_) | Hook::Attach(_) | Hook::Follow(..)),
            Part::Gone => matches!(hook, Hook::Detach(_)),
        }
    }

    fn become_gone(&mut self, at: Duration, id: Id) {
        if self.parts[id] != Part::Gone {
            self.become_part(at, id, Part::Gone);
        }
    }

    fn become_part(&mut self, at: Duration, id: Id, part: Part) {
        self.parts[id] = part;
        self.since[id] = Some(at);
    }
}

/// Lets an event happen to a world; calls and faults are not its business.
pub(crate) fn change(world: &mut World, now: Duration, event: Event) {
    world.advance(now);
    match event {
        Event::Fail(id) => world.kill_postgres(id),
        Event::Promote(id) => world.promote_postgres(id),
        Event::Rebuild(id) => world.start_postgres(id, true),
        Event::Return(id) => {
            let in_recovery = world.nodes()[id].postgres.in_recovery;
            world.start_postgres(id, in_recovery);
        }
        Event::Silence(id) => world.silence_postgres(id, true),
        Event::Unsilence(id) => world.silence_postgres(id, false),
        Event::AdminAttach(id) => world.attach(now, id),
        Event::AdminDetach(id) if world.nodes()[id].is_attached() => world.detach(now, id),
        Event::AdminDetach(_) | Event::Cut(_) | Event::Fault(_) | Event::Call(..) => {}
    }
}
