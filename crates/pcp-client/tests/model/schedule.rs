//! What happens in one run of the model, as a value and as a script.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use pcp_client::sandbox::Age;

/// The ids of nodes, in the order in which they are configured.
pub(crate) type Id = usize;

/// What happens, and where.
///
/// As a script it is a line about the cluster and one line per event, with the milliseconds first; `;` is as good as
/// a new line.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Schedule {
    /// One age per Pgpool.
    pub(crate) ages: Vec<Age>,
    pub(crate) nodes: usize,
    /// `search_primary_node_timeout` in seconds.
    pub(crate) search: u64,
    pub(crate) follow: Follow,
    pub(crate) evidence: Knows,
    /// In the order of their times.
    pub(crate) events: Vec<(Duration, Event)>,
}

/// Whether `follow_primary_command` is set.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Follow {
    Unset,
    Set,
}

/// What hooks can find out beside Pgpool. Whether a port answers they can always find out.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Knows {
    Nothing,
    Postgres,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Event {
    /// A PostgreSQL dies, and EFM knows.
    Fail(Id),
    /// EFM gives a node up that goes on.
    Cut(Id),
    /// EFM promotes a node.
    Promote(Id),
    /// A node starts as a standby of the primary.
    Rebuild(Id),
    /// A dead node starts as what it was.
    Return(Id),
    /// A node's host swallows packets.
    Silence(Id),
    /// It answers again.
    Unsilence(Id),
    /// Somebody else attaches a node.
    AdminAttach(Id),
    /// Somebody else detaches a node.
    AdminDetach(Id),
    /// Something goes wrong with a connection, in the order of the connections; only where there are any.
    Fault(Trouble),
    /// EFM calls a hook.
    Call(Hook, Fate),
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Hook {
    Detach(Id),
    /// Without a type.
    Attach(Id),
    AttachStandby(Id),
    AttachPrimary(Id),
    /// With the failed primary.
    Promote(Id, Option<Id>),
    /// By Pgpool's `follow_primary_command`, behind an old primary that is known or not.
    Follow(Id, Option<Id>),
}

/// What becomes of a hook's process.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Fate {
    Runs,
    /// A change of it is lost on the way, the first one being 1, and it goes on.
    Loses(u8),
    /// It is killed so many milliseconds after its start.
    Killed(u64),
    /// It is told to end then.
    Stopped(u64),
}

/// What goes wrong with a connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Trouble {
    Reset,
    Close,
    NeverSalt,
    /// After so many bytes.
    Cut(usize),
    /// After so many bytes.
    Stall(usize),
    /// By so many milliseconds.
    Delay(u64),
    LoseReply,
}

impl Hook {
    /// Returns the node that the hook is about.
    pub(crate) fn node(self) -> Id {
        match self {
            Self::Detach(node) | Self::Attach(node) | Self::AttachStandby(node) | Self::AttachPrimary(node) => node,
            Self::Promote(node, _) | Self::Follow(node, _) => node,
        }
    }
}

impl Hook {
    /// Tells whether it makes its node the primary.
    pub(crate) fn is_for_primary(self) -> bool {
        matches!(self, Self::AttachPrimary(_) | Self::Promote(..))
    }
}

impl Fate {
    /// Tells whether the hook comes to an end of its own.
    pub(crate) fn ends_itself(self) -> bool {
        matches!(self, Self::Runs | Self::Loses(_))
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ages: Vec<_> = self.ages.iter().map(|age| age.name()).collect();
        let follow = if self.follow == Follow::Set { "set" } else { "unset" };
        let evidence = if self.evidence == Knows::Postgres { "postgres" } else { "nothing" };
        let (ages, nodes, search) = (ages.join(","), self.nodes, self.search);
        write!(f, "pgpool {ages} nodes {nodes} search {search} follow {follow} knows {evidence}")?;
        self.events.iter().try_for_each(|(at, event)| write!(f, "; {} {event}", at.as_millis()))
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fail(node) => write!(f, "fail {node}"),
            Self::Cut(node) => write!(f, "cut {node}"),
            Self::Promote(node) => write!(f, "promote {node}"),
            Self::Rebuild(node) => write!(f, "rebuild {node}"),
            Self::Return(node) => write!(f, "return {node}"),
            Self::Silence(node) => write!(f, "silence {node}"),
            Self::Unsilence(node) => write!(f, "unsilence {node}"),
            Self::AdminAttach(node) => write!(f, "admin-attach {node}"),
            Self::AdminDetach(node) => write!(f, "admin-detach {node}"),
            Self::Fault(trouble) => write!(f, "fault {trouble}"),
            Self::Call(hook, fate) => write!(f, "hook {hook}{fate}"),
        }
    }
}

impl fmt::Display for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let or_nobody = |id: &Option<Id>| id.map_or("-".to_owned(), |id| id.to_string());
        match self {
            Self::Detach(node) => write!(f, "detach {node}"),
            Self::Attach(node) => write!(f, "attach {node}"),
            Self::AttachStandby(node) => write!(f, "attach-standby {node}"),
            Self::AttachPrimary(node) => write!(f, "attach-primary {node}"),
            Self::Promote(node, failed) => write!(f, "promote {node} {}", or_nobody(failed)),
            Self::Follow(node, old) => write!(f, "follow {node} {}", or_nobody(old)),
        }
    }
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Runs => Ok(()),
            Self::Loses(change) => write!(f, " loses {change}"),
            Self::Killed(after) => write!(f, " killed {after}"),
            Self::Stopped(after) => write!(f, " stopped {after}"),
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reset => f.write_str("reset"),
            Self::Close => f.write_str("close"),
            Self::NeverSalt => f.write_str("never-salt"),
            Self::Cut(bytes) => write!(f, "cut {bytes}"),
            Self::Stall(bytes) => write!(f, "stall {bytes}"),
            Self::Delay(millis) => write!(f, "delay {millis}"),
            Self::LoseReply => f.write_str("lose-reply"),
        }
    }
}

impl FromStr for Schedule {
    type Err = String;

    fn from_str(script: &str) -> Result<Self, String> {
        let mut lines = script.split([';', '\n']).map(str::trim).filter(|line| !line.is_empty());
        let head = lines.next().ok_or("an empty script")?;
        let words: Vec<_> = head.split_whitespace().collect();
        let ["pgpool", ages, "nodes", nodes, "search", search, "follow", follow, "knows", evidence] = words[..]
        else {
            return Err(format!("no line about the cluster: {head}"));
        };
        Ok(Self {
            ages: ages.split(',').map(str::parse).collect::<Result<_, _>>().map_err(|error| format!("{error}"))?,
            nodes: number(nodes)?,
            search: number(search)?,
            follow: if follow == "set" { Follow::Set } else { Follow::Unset },
            evidence: if evidence == "postgres" { Knows::Postgres } else { Knows::Nothing },
            events: lines.map(event).collect::<Result<_, _>>()?,
        })
    }
}

fn event(line: &str) -> Result<(Duration, Event), String> {
    let words: Vec<_> = line.split_whitespace().collect();
    let [at, words @ ..] = &words[..] else { return Err("an empty line".to_owned()) };
    let event = match *words {
        ["fail", node] => Event::Fail(number(node)?),
        ["cut", node] => Event::Cut(number(node)?),
        ["promote", node] => Event::Promote(number(node)?),
        ["rebuild", node] => Event::Rebuild(number(node)?),
        ["return", node] => Event::Return(number(node)?),
        ["silence", node] => Event::Silence(number(node)?),
        ["unsilence", node] => Event::Unsilence(number(node)?),
        ["admin-attach", node] => Event::AdminAttach(number(node)?),
        ["admin-detach", node] => Event::AdminDetach(number(node)?),
        ["fault", "reset"] => Event::Fault(Trouble::Reset),
        ["fault", "close"] => Event::Fault(Trouble::Close),
        ["fault", "never-salt"] => Event::Fault(Trouble::NeverSalt),
        ["fault", "cut", bytes] => Event::Fault(Trouble::Cut(number(bytes)?)),
        ["fault", "stall", bytes] => Event::Fault(Trouble::Stall(number(bytes)?)),
        ["fault", "delay", millis] => Event::Fault(Trouble::Delay(number(millis)?)),
        ["fault", "lose-reply"] => Event::Fault(Trouble::LoseReply),
        ["hook", "promote", node, failed, ref fate @ ..] => {
            Event::Call(Hook::Promote(number(node)?, number(failed).ok()), read_fate(fate)?)
        }
        ["hook", verb, node, ref fate @ ..] => {
            let node = number(node)?;
            let hook = match verb {
                "detach" => Hook::Detach(node),
                "attach" => Hook::Attach(node),
                "attach-standby" => Hook::AttachStandby(node),
                "attach-primary" => Hook::AttachPrimary(node),
                _ => return Err(format!("no such hook: {line}")),
            };
            Event::Call(hook, read_fate(fate)?)
        }
        _ => return Err(format!("no event: {line}")),
    };
    Ok((Duration::from_millis(number(at)?), event))
}

fn read_fate(words: &[&str]) -> Result<Fate, String> {
    match words {
        [] => Ok(Fate::Runs),
        ["loses", change] => Ok(Fate::Loses(number(change)?)),
        ["killed", after] => Ok(Fate::Killed(number(after)?)),
        ["stopped", after] => Ok(Fate::Stopped(number(after)?)),
        _ => Err(format!("no fate: {}", words.join(" "))),
    }
}

fn number<T: FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("no number: {text}"))
}
