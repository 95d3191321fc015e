//! What happened, as people and programs read it.

use jiff::Timestamp;
use pcp_client::{Node, View};
use serde::{Serialize, Serializer};

use super::look::{Seen, Watchdog};
use crate::output;
use crate::page::instant;

/// Something that a look at one Pgpool found.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Event {
    schema_version: u32,
    #[serde(serialize_with = "utc")]
    pub(super) at: Timestamp,
    pub(super) endpoint: String,
    #[serde(flatten)]
    pub(super) what: What,
}

#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(super) enum What {
    /// The whole state: at the beginning, and where the nodes are others than before.
    State { server_age: String, nodes: Vec<Listed>, watchdog: Option<Watchdog> },
    /// A node has changed.
    Node { node: Place, before: Condition, after: Condition },
    /// The watchdog has changed, or tells something for the first time, or nothing any more.
    Watchdog { before: Option<Watchdog>, after: Option<Watchdog> },
    /// The Pgpool cannot be read.
    Gone { error: String },
    /// It can be read again.
    Back,
}

/// A node with its state.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Listed {
    #[serde(flatten)]
    place: Place,
    #[serde(flatten)]
    condition: Condition,
}

/// Which node it is.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Place {
    pub(super) id: u8,
    host: String,
    port: u16,
}

/// What Pgpool does with it.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Condition {
    status: Option<String>,
    role: Option<String>,
    attached: bool,
    #[serde(skip)]
    shown: String,
}

impl Event {
    pub(super) fn new(at: Timestamp, endpoint: &str, what: What) -> Self {
        Self { schema_version: output::SCHEMA_VERSION, at, endpoint: endpoint.to_owned(), what }
    }

    /// Shows it as lines, with its whole time and the Pgpool.
    pub(super) fn lines(&self) -> Vec<String> {
        self.lines_at(&instant(self.at))
    }

    /// Shows it as lines, with its time as written and the Pgpool.
    pub(super) fn lines_at(&self, time: &str) -> Vec<String> {
        let head = format!("{time} {}", self.endpoint);
        self.what.words().into_iter().map(|words| format!("{head} {words}")).collect()
    }
}

impl What {
    pub(super) fn state(seen: &Seen) -> Self {
        let View { server, nodes } = &seen.view;
        let listed = |node| Listed { place: Place::of(node), condition: Condition::of(node) };
        Self::State {
            server_age: server.age.to_string(),
            nodes: nodes.iter().map(listed).collect(),
            watchdog: seen.watchdog.clone(),
        }
    }

    pub(super) fn node(before: &Node, after: &Node) -> Self {
        Self::Node { node: Place::of(after), before: Condition::of(before), after: Condition::of(after) }
    }

    /// Shows it in words, for each node of a state in words of its own.
    pub(super) fn words(&self) -> Vec<String> {
        let watchdog =
            |watchdog: &Option<Watchdog>| watchdog.as_ref().map_or_else(|| "no answer".to_owned(), Watchdog::state);
        match self {
            Self::State { nodes, watchdog: seen, .. } => {
                let node =
                    |Listed { place, condition }: &Listed| format!("{} is {}", place.shown(), condition.shown);
                let seen = seen.as_ref().map(|seen| format!("watchdog: {}", seen.state()));
                nodes.iter().map(node).chain(seen).collect()
            }
            Self::Node { node, before, after } => {
                vec![format!("{}: {} -> {}", node.shown(), before.shown, after.shown)]
            }
            Self::Watchdog { before, after } => {
                vec![format!("watchdog: {} -> {}", watchdog(before), watchdog(after))]
            }
            Self::Gone { error } => vec![format!("is gone: {error}")],
            Self::Back => vec!["is back".to_owned()],
        }
    }
}

impl Place {
    fn of(node: &Node) -> Self {
        Self { id: node.id.get(), host: node.host.to_string(), port: node.port }
    }

    fn shown(&self) -> String {
        format!("node {} ({}:{})", self.id, self.host, self.port)
    }
}

impl Condition {
    fn of(node: &Node) -> Self {
        Self {
            status: node.status_word(),
            role: node.role.map(|role| role.to_string()),
            attached: node.is_attached(),
            shown: state_words(node),
        }
    }
}

/// Shows the state of a node; one that waits for its first session is up.
pub(super) fn state_words(node: &Node) -> String {
    let state = node.state();
    match state.strip_prefix("waiting") {
        Some(rest) => format!("up (waiting){rest}"),
        None => state,
    }
}

/// Writes a time with milliseconds, in UTC.
fn utc<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{at:.3}"))
}
