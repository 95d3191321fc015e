//! What is known of every Pgpool, and what changed.

use std::collections::{HashMap, VecDeque};

use jiff::Timestamp;
use pcp_client::{ErrorKind, Node};
use pcp_proto::message::{NodeRole, NodeStatus};

use super::event::{Event, What};
use super::look::{Gone, Look, Seen};

/// How many events are kept for the screen.
const KEPT: usize = 200;

/// All Pgpools.
#[derive(Debug)]
pub(super) struct State {
    pub(super) pgpools: Vec<Watched>,
    /// The last events, the newest last. States are not among them.
    pub(super) events: VecDeque<Event>,
}

/// One Pgpool.
#[derive(Debug)]
pub(super) struct Watched {
    pub(super) endpoint: String,
    /// When it was looked at last.
    pub(super) looked: Option<Timestamp>,
    /// What it showed last.
    pub(super) seen: Option<Seen>,
    /// Why it shows nothing now, and since when.
    pub(super) gone: Option<(Timestamp, Gone)>,
    /// When nodes changed last, by their ids.
    pub(super) changed: HashMap<u8, Timestamp>,
}

impl State {
    pub(super) fn new(endpoints: impl Iterator<Item = String>) -> Self {
        Self { pgpools: endpoints.map(Watched::new).collect(), events: VecDeque::new() }
    }

    /// Takes what a look found, and returns what is new in it.
    pub(super) fn take(&mut self, at: usize, look: Look) -> Vec<Event> {
        let Some(pgpool) = self.pgpools.get_mut(at) else { return Vec::new() };
        let events = pgpool.take(look);
        let is_change = |event: &&Event| !matches!(event.what, What::State { .. });
        self.events.extend(events.iter().filter(is_change).cloned());
        self.events.drain(..self.events.len().saturating_sub(KEPT));
        events
    }

    /// Returns the errors where none of the Pgpools has ever been seen, and each refuses the login.
    pub(super) fn refused_by_all(&self) -> Option<Vec<String>> {
        let refusal = |pgpool: &Watched| {
            let (_, gone) = pgpool.gone.as_ref()?;
            let refused = pgpool.seen.is_none() && gone.kind == ErrorKind::Authentication;
            refused.then(|| format!("{}: {}", pgpool.endpoint, gone.reason))
        };
        self.pgpools.iter().map(refusal).collect()
    }
}

impl Watched {
    fn new(endpoint: String) -> Self {
        Self { endpoint, looked: None, seen: None, gone: None, changed: HashMap::new() }
    }

    fn take(&mut self, Look { at, seen }: Look) -> Vec<Event> {
        self.looked = Some(at);
        let news = match seen {
            Ok(seen) => self.see(at, seen),
            Err(gone) => self.miss(at, gone),
        };
        news.into_iter().map(|what| Event::new(at, &self.endpoint, what)).collect()
    }

    fn see(&mut self, at: Timestamp, seen: Seen) -> Vec<What> {
        let mut news = Vec::new();
        if self.gone.take().is_some() {
            news.push(What::Back);
        }
        match &self.seen {
            Some(before) if has_same_nodes(before, &seen) => {
                for (before, after) in before.view.nodes.iter().zip(&seen.view.nodes) {
                    if condition(before) != condition(after) {
                        self.changed.insert(after.id.get(), at);
                        news.push(What::node(before, after));
                    }
                }
                if before.watchdog != seen.watchdog {
                    news.push(What::Watchdog { before: before.watchdog.clone(), after: seen.watchdog.clone() });
                }
            }
            _ => news.push(What::state(&seen)),
        }
        self.seen = Some(seen);
        news
    }

    fn miss(&mut self, at: Timestamp, gone: Gone) -> Vec<What> {
        let error = gone.reason.clone();
        match &mut self.gone {
            // It may be gone in another way now, which is news only when it is of another kind.
            Some((_, before)) if before.kind == gone.kind => {
                *before = gone;
                Vec::new()
            }
            before => {
                let since = before.as_ref().map_or(at, |(since, _)| *since);
                *before = Some((since, gone));
                vec![What::Gone { error }]
            }
        }
    }
}

/// Returns what is news when it changes.
fn condition(node: &Node) -> (Option<NodeStatus>, bool, Option<NodeRole>) {
    (node.status, node.quarantine, node.role)
}

/// Tells whether it is the same Pgpool with the same nodes, whatever their states.
fn has_same_nodes(before: &Seen, after: &Seen) -> bool {
    let key = |node: &Node| (node.id, node.host.clone(), node.port);
    before.view.server.age == after.view.server.age
        && before.view.nodes.iter().map(key).eq(after.view.nodes.iter().map(key))
}
