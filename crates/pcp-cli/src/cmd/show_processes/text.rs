//! Shows children and their summary to people.

use super::super::read::Answer;
use super::Processes;
use super::census::{OfName, Summary};
use super::child::{Child, Status};
use crate::page::{Cell, Column, Fit, Page, Shown, Style, Table};

impl Answer for Processes {
    fn text(&self, page: Page) -> Shown {
        let mut text = Shown::default();
        let children = self.processes.as_deref().unwrap_or_default();
        if self.with_slots {
            children.iter().for_each(|child| text.push_line(slots(child, page)));
        } else if !children.is_empty() {
            text.push_line(list(children, page));
        }
        if self.not_listed > 0 {
            let more = self.not_listed;
            text.push_line(Shown::new(format_args!("(and {more} more, beyond --limit)")));
        }
        if children.iter().any(Child::has_local_times) {
            text.push_line(Shown::new("Times are those of Pgpool's host."));
        }
        if let Some(summary) = &self.summary {
            if !children.is_empty() {
                text.push_line(Shown::default());
            }
            text.push_line(summary.show(page));
        }
        text
    }
}

fn list(children: &[Child], page: Page) -> Shown {
    let drop = |rank| Fit::Drop { rank };
    let shorten = |rank, least| Fit::Shorten { rank, least };
    let mut table = Table::new([
        Column::new("PID"),
        Column::new("STATUS"),
        Column::that("DATABASE", shorten(6, 8)),
        Column::that("USER", shorten(7, 8)),
        Column::that("CLIENT", shorten(8, 12)),
        Column::that("IDLE", drop(5)),
        Column::that("SINCE", drop(4)),
        Column::that("NODE", drop(3)),
        Column::that("POOLS", drop(1)),
        Column::that("SERVED", drop(2)),
        Column::that("STATEMENT", shorten(0, 16)),
    ]);
    for child in children {
        let session = child.session();
        let style = if child.status == Status::IdleInTransaction { Style::Yellow } else { Style::Plain };
        table.row([
            Cell::new(child.pid),
            Cell::new(child.status.word()).in_style(style),
            Cell::some(session.and_then(|session| session.database.as_ref())),
            Cell::some(session.and_then(|session| session.user.as_ref())),
            Cell::some(child.client()),
            Cell::some(session.and_then(|session| session.client_idle_seconds).map(|idle| format!("{idle} s"))),
            Cell::some(child.since()),
            Cell::some(session.and_then(|session| session.load_balance_node())),
            Cell::new(child.pools.len()),
            Cell::some(child.client_connection_count),
            Cell::some(child.statement().filter(|_| child.has_client())),
        ]);
    }
    table.show(page)
}

/// Shows one child with every slot of its pools.
fn slots(child: &Child, page: Page) -> Shown {
    let mut text = Shown::new(format_args!("child {}: {}", child.pid, child.status.word()));
    if let Some(client) = child.client() {
        text.push(Shown::new(format_args!(", client {client}")));
    }
    if let Some(started) = child.started() {
        text.push(Shown::new(format_args!(", started {started}")));
    }
    let mut table = Table::new([
        Column::new("POOL"),
        Column::new("NODE"),
        Column::new("DATABASE"),
        Column::new("USER"),
        Column::new("IN USE"),
        Column::that("READS", Fit::Drop { rank: 2 }),
        Column::that("BACKEND PID", Fit::Drop { rank: 4 }),
        Column::that("CONNECTED SINCE", Fit::Drop { rank: 3 }),
        Column::that("USES", Fit::Drop { rank: 1 }),
        Column::that("STATEMENT", Fit::Shorten { rank: 0, least: 16 }),
    ]);
    let yes = |is: bool| if is { "yes" } else { "no" };
    for pool in &child.pools {
        for backend in &pool.backends {
            table.row([
                Cell::new(pool.pool_id),
                Cell::new(backend.node_id),
                Cell::some(pool.database.as_ref()),
                Cell::some(pool.user.as_ref()),
                Cell::new(yes(pool.connected)),
                Cell::some(backend.load_balance_node.map(yes)),
                Cell::new(backend.backend_pid),
                Cell::some(backend.since()),
                Cell::new(pool.pool_counter),
                Cell::some(backend.statement.as_ref()),
            ]);
        }
        if !pool.is_used() {
            table.row(
                [Cell::new(pool.pool_id), Cell::default(), Cell::new("(free)")]
                    .into_iter()
                    .chain(std::iter::repeat_n(Cell::default(), 7)),
            );
        }
    }
    text.push_line(table.show(page));
    text
}

impl Summary {
    fn show(&self, page: Page) -> Shown {
        let states = [
            (self.busy, "busy"),
            (self.idle, "idle"),
            (self.idle_in_transaction, "idle in transaction"),
            (self.connecting, "connecting"),
        ];
        let states: Vec<_> =
            states.iter().filter_map(|(count, word)| Some(format!("{} {word}", (*count)?))).collect();
        let states = if states.is_empty() { String::new() } else { format!(" ({})", states.join(", ")) };
        let mut text = Shown::new(format_args!(
            "{} of {} children have a client{states}, ",
            self.sessions,
            self.num_init_children.unwrap_or(self.children)
        ));
        let style = if self.free == 0 { Style::Red } else { Style::Plain };
        text.push(page.paint(style, format_args!("{} are free", self.free)));
        let nodes: Vec<_> = self
            .backend_connections
            .iter()
            .map(|of| format!("{} to node {}", of.connections, of.node_id))
            .collect();
        let nodes = if nodes.is_empty() { String::new() } else { format!("; connections: {}", nodes.join(", ")) };
        text.push_line(Shown::new(format_args!(
            "{} of {} pool slots are used{nodes}",
            self.pool_slots_used, self.pool_slots
        )));
        for (title, names) in [("DATABASE", &self.databases), ("USER", &self.users)] {
            if !names.is_empty() {
                text.push_line(Shown::default());
                text.push_line(by_name(title, names).show(page));
            }
        }
        text
    }
}

fn by_name(title: &str, names: &[OfName]) -> Table {
    let mut table = Table::new([
        Column::that(title, Fit::Shorten { rank: 0, least: 16 }),
        Column::new("SESSIONS"),
        Column::new("POOL SLOTS"),
    ]);
    for OfName { name, sessions, pool_slots } in names {
        table.row([Cell::new(name), Cell::new(sessions), Cell::new(pool_slots)]);
    }
    table
}
