//! The live view.

use std::time::Duration;

use jiff::Timestamp;
use pcp_client::Node;

use super::event::state_words;
use super::state::{State, Watched};
use super::terminal::Terminal;
use crate::page::{Cell, Column, Fit, Page, Shown, Style, Table, instant, time_of_day};

/// How long a change is marked.
const MARKED: Duration = Duration::from_secs(10);
const MARK: &str = "*";

/// The second screen of the terminal.
pub(super) struct Screen {
    terminal: Terminal,
    page: Page,
    interval: Duration,
}

impl Screen {
    pub(super) fn open(page: Page, interval: Duration) -> Self {
        Self { terminal: Terminal::enter(), page, interval }
    }

    /// Draws what is known.
    pub(super) fn draw(&mut self, state: &State) {
        let (page, height) = self.page.again();
        self.page = page;
        let now = Timestamp::now();
        let every = humantime::format_duration(self.interval);
        let mut lines = vec![
            page.paint(Style::Bold, format_args!("pcpctl watch, every {every}   {}   q quits", instant(now))),
            Shown::default(),
        ];
        lines.extend(nodes(state, page, now).lines());
        lines.push(Shown::default());
        lines.extend(state.pgpools.iter().map(|pgpool| standing(pgpool, page)));
        lines.push(Shown::default());
        lines.extend(changes(state, page, now, height.saturating_sub(lines.len())));
        lines.truncate(height);
        self.terminal.draw(&lines);
    }
}

/// Pgpools that show the same.
struct Group<'a> {
    members: Vec<&'a Watched>,
    nodes: &'a [Node],
}

impl Group<'_> {
    /// Returns the node at an address.
    fn node(&self, address: &str) -> Option<&Node> {
        self.nodes.iter().find(|node| node.address() == address)
    }

    fn title(&self, all: usize) -> String {
        match self.members.len() {
            count if count == all && count > 2 => format!("ALL {count} PGPOOLS"),
            _ => self.members.iter().map(|pgpool| pgpool.endpoint.as_str()).collect::<Vec<_>>().join(", "),
        }
    }
}

/// Puts Pgpools that can be read and show the same together, in their order.
fn groups(state: &State) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    for pgpool in state.pgpools.iter().filter(|pgpool| pgpool.gone.is_none()) {
        let Some(seen) = &pgpool.seen else { continue };
        let nodes = &seen.view.nodes;
        match groups.iter_mut().find(|group| group.nodes.iter().map(essence).eq(nodes.iter().map(essence))) {
            Some(group) => group.members.push(pgpool),
            None => groups.push(Group { members: vec![pgpool], nodes }),
        }
    }
    groups
}

/// What has to be the same for two Pgpools to agree on a node: whether a session has used it yet is each one's own.
fn essence(node: &Node) -> (u8, String, bool, String) {
    let state = if node.is_attached() { String::new() } else { node.status_word().unwrap_or_default() };
    let role = node.role.map(|role| role.to_string()).unwrap_or_default();
    (node.id.get(), node.address(), node.is_attached(), format!("{state} {role}"))
}

/// Shows the nodes, and side by side what Pgpools make of them that do not agree.
fn nodes(state: &State, page: Page, now: Timestamp) -> Shown {
    let groups = groups(state);
    if groups.is_empty() {
        let all_gone = state.pgpools.iter().all(|pgpool| pgpool.gone.is_some());
        return Shown::new(if all_gone { "no Pgpool can be read" } else { "looking" });
    }
    let columns = groups.iter().map(|group| {
        let title = group.title(state.pgpools.len());
        Column::that(title, Fit::Shorten { rank: 1, least: 18 })
    });
    let first = [Column::new(" "), Column::new("ID"), Column::that("ADDRESS", Fit::Shorten { rank: 0, least: 12 })];
    let mut table = Table::new(first.into_iter().chain(columns));
    let mut addresses: Vec<_> =
        groups.iter().flat_map(|group| group.nodes).map(|node| (node.id, node.address())).collect();
    addresses.sort();
    let mut seen = std::collections::HashSet::new();
    addresses.retain(|(_, address)| seen.insert(address.clone()));
    for (_, address) in addresses {
        let of: Vec<_> = groups.iter().map(|group| group.node(&address)).collect();
        let ids: Vec<_> = of.iter().map(|node| node.map_or("-".to_owned(), |node| node.id.to_string())).collect();
        let same_id = ids.windows(2).all(|pair| matches!(pair, [one, other] if one == other));
        let id = if same_id { ids.first().cloned().unwrap_or_default() } else { ids.join("/") };
        let agreed =
            of.windows(2).all(|pair| matches!(pair, [one, other] if one.map(essence) == other.map(essence)));
        let marked =
            groups.iter().zip(&of).any(|(group, node)| node.is_some_and(|node| is_marked(group, node, now)));
        let states = groups.iter().zip(&of).map(|(group, node)| cell(group, *node, agreed, now));
        let head = [
            Cell::new(if marked { MARK } else { " " }),
            Cell::new(id),
            Cell::new(&address).in_style(if agreed { Style::Plain } else { Style::Yellow }),
        ];
        table.row(head.into_iter().chain(states));
    }
    let mut shown = table.show(page);
    if groups.len() > 1 {
        shown.push_line(page.paint(Style::Yellow, "The Pgpools disagree."));
    }
    shown
}

fn cell(group: &Group<'_>, node: Option<&Node>, agreed: bool, now: Timestamp) -> Cell {
    let Some(node) = node else { return Cell::new("(unknown)").in_style(Style::Yellow) };
    let mut text = state_words(node);
    if node.is_primary() && !node.is_attached() {
        text.push_str(", searching another");
    }
    let style = match () {
        () if is_marked(group, node, now) => Style::Reverse,
        () if node.quarantine => Style::Yellow,
        () if !node.is_attached() => Style::Red,
        () if !agreed => Style::Yellow,
        () if node.is_primary() => Style::Bold,
        () => Style::Plain,
    };
    Cell::new(text).in_style(style)
}

fn is_marked(group: &Group<'_>, node: &Node, now: Timestamp) -> bool {
    let changed = group.members.iter().filter_map(|pgpool| pgpool.changed.get(&node.id.get())).max();
    changed.is_some_and(|&changed| is_recent(changed, now))
}

fn is_recent(then: Timestamp, now: Timestamp) -> bool {
    now.duration_since(then).unsigned_abs() < MARKED
}

/// Shows how it stands with one Pgpool.
fn standing(pgpool: &Watched, page: Page) -> Shown {
    let mut shown = Shown::new(format_args!("{}  ", pgpool.endpoint));
    match (&pgpool.gone, &pgpool.seen) {
        (Some((since, gone)), _) => {
            shown.push(page.paint(Style::Red, format_args!("gone since {}: {}", instant(*since), gone.reason)));
        }
        (None, Some(seen)) => {
            shown.push(Shown::new(format_args!("Pgpool {}", seen.view.server.age)));
            if let Some(watchdog) = &seen.watchdog {
                let style = if watchdog.has_quorum() { Style::Plain } else { Style::Red };
                shown.push(Shown::new("; watchdog: "));
                shown.push(page.paint(style, watchdog.state()));
            }
        }
        (None, None) => shown.push(Shown::new("looking for it")),
    }
    shown
}

/// Shows the last changes, the newest at the bottom.
fn changes(state: &State, page: Page, now: Timestamp, room: usize) -> Vec<Shown> {
    let mut lines: Vec<_> = state
        .events
        .iter()
        .rev()
        .flat_map(|event| {
            event.lines_at(&time_of_day(event.at, now)).into_iter().rev().map(move |line| (event, line))
        })
        .take(room.saturating_sub(1))
        .map(|(event, line)| match is_recent(event.at, now) {
            true => page.paint(Style::Bold, format_args!("{MARK} {line}")),
            false => Shown::new(format_args!("  {line}")),
        })
        .collect();
    lines.reverse();
    let title = if lines.is_empty() { "No changes yet" } else { "Last changes" };
    lines.insert(0, page.paint(Style::Bold, title));
    lines
}
