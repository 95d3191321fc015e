//! What came of the faults, as a page.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::fault::Kind;
use super::run::Cell;

/// What came of every fault in one layer, by the names of the verbs.
#[derive(Debug, Default)]
pub struct Table {
    rows: Vec<(String, BTreeMap<usize, Cell>)>,
    /// How many runs were late beside others, and were tried again alone.
    pub(super) again: usize,
}

impl Table {
    /// Adds a cell; the rows stay in the order in which they came.
    pub fn add(&mut self, verb: &str, kind: Kind, cell: Cell) {
        let place = Kind::ALL.iter().position(|one| *one == kind).unwrap_or_default();
        let row = match self.rows.iter().position(|(name, _)| name == verb) {
            Some(row) => row,
            None => {
                self.rows.push((verb.to_owned(), BTreeMap::new()));
                self.rows.len() - 1
            }
        };
        if let Some((_, cells)) = self.rows.get_mut(row) {
            cells.entry(place).or_default().merge(cell);
        }
    }

    /// Returns everything that must not be.
    pub fn defects(&self) -> impl Iterator<Item = &str> {
        self.rows.iter().flat_map(|(_, cells)| cells.values()).flat_map(|cell| &cell.defects).map(String::as_str)
    }

    /// Returns how many places were tried.
    #[must_use]
    pub fn places(&self) -> usize {
        self.rows.iter().flat_map(|(_, cells)| cells.values()).map(Cell::places).sum()
    }

    /// Shows a row for each fault, of all verbs together.
    #[must_use]
    pub fn by_fault(&self) -> String {
        let mut text = "| fault | places | exit code × how often | longest |\n|---|---|---|---|\n".to_owned();
        for (place, kind) in Kind::ALL.iter().enumerate() {
            let mut all = Cell::default();
            self.rows.iter().filter_map(|(_, cells)| cells.get(&place)).for_each(|cell| all.merge(cell.clone()));
            if all.places() > 0 {
                // Writing to a String cannot fail.
                let _ = writeln!(text, "| {kind} | {} |", outcome(&all));
            }
        }
        text
    }

    /// Shows a row for each fault and verb, with how often each exit code came.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text =
            "| fault | verb | places | exit code × how often | longest |\n|---|---|---|---|---|\n".to_owned();
        for (place, kind) in Kind::ALL.iter().enumerate() {
            for (verb, cells) in &self.rows {
                let Some(cell) = cells.get(&place).filter(|cell| cell.places() > 0) else { continue };
                // Writing to a String cannot fail.
                let _ = writeln!(text, "| {kind} | `{verb}` | {} |", outcome(cell));
            }
        }
        text
    }
}

/// Shows how many places were tried, what came of them, and the longest run.
fn outcome(cell: &Cell) -> String {
    let exits: Vec<String> = cell.exits.iter().map(|(exit, count)| format!("{exit} × {count}")).collect();
    let believed = match cell.believed {
        0 => String::new(),
        count => format!("; {count} lies believed"),
    };
    format!("{} | {}{believed} | {:.1} s", cell.places(), exits.join(", "), cell.longest.as_secs_f64())
}
