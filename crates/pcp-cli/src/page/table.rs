//! Rows under titles, without lines around them.

use unicode_width::UnicodeWidthStr;

use super::{Page, Shown, Style};
use crate::output::printable;

/// The blanks between two columns.
const GAP: usize = 2;
/// What stands where there is nothing to show.
const NOTHING: &str = "-";

/// A table.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<Cell>>,
}

/// A column.
#[derive(Clone, Debug)]
pub(crate) struct Column {
    title: String,
    fit: Fit,
}

/// What becomes of a column where the terminal is too narrow. Those with the lowest rank give way first.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Fit {
    /// It stays as it is.
    Keep,
    /// It is left out.
    Drop { rank: u8 },
    /// It is cut to no less than this; and left out where all others have given way and that is still too much.
    Shorten { rank: u8, least: usize },
}

/// What stands in a column of a row.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cell {
    text: Option<String>,
    style: Style,
}

impl Column {
    /// Makes one that stays as it is.
    pub(crate) fn new(title: impl Into<String>) -> Self {
        Self { title: printable(&title.into()), fit: Fit::Keep }
    }

    /// Makes one that may give way, and is left out where it is empty.
    pub(crate) fn that(title: impl Into<String>, fit: Fit) -> Self {
        Self { fit, ..Self::new(title) }
    }
}

impl Cell {
    /// Shows a value.
    pub(crate) fn new(text: impl ToString) -> Self {
        let text = printable(&text.to_string());
        Self { text: Some(text).filter(|text| !text.is_empty()), style: Style::Plain }
    }

    /// Shows a value, or that there is none.
    pub(crate) fn some(text: Option<impl ToString>) -> Self {
        text.map(Self::new).unwrap_or_default()
    }

    /// Shows it in a style.
    pub(crate) fn in_style(self, style: Style) -> Self {
        Self { style, ..self }
    }

    /// Tells whether there is something to show.
    pub(crate) fn is_some(&self) -> bool {
        self.text.is_some()
    }

    fn text(&self) -> &str {
        self.text.as_deref().unwrap_or(NOTHING)
    }
}

impl Table {
    /// Makes a table without rows.
    pub(crate) fn new(columns: impl IntoIterator<Item = Column>) -> Self {
        Self { columns: columns.into_iter().collect(), rows: Vec::new() }
    }

    /// Adds a row, with a cell for each column.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// Shows it as wide as the page is. A line below says which columns found no room.
    pub(crate) fn show(&self, page: Page) -> Shown {
        let widths = self.widths(page.width);
        let titles = self.columns.iter().map(|column| (column.title.as_str(), Style::Bold));
        let mut shown = line(page, &widths, titles);
        for row in &self.rows {
            shown.push_line(line(page, &widths, row.iter().map(|cell| (cell.text(), cell.style))));
        }
        let columns = self.columns.iter().enumerate().zip(&widths);
        let missing: Vec<_> = columns
            .filter(|&((at, _), &width)| width == 0 && !self.is_empty(at))
            .map(|((_, column), _)| column.title.as_str())
            .collect();
        if !missing.is_empty() {
            shown.push_line(Shown::new(format_args!("(no room for {}; see -o json)", missing.join(", "))));
        }
        shown
    }

    /// Returns the width of each column; 0 is left out.
    fn widths(&self, limit: Option<usize>) -> Vec<usize> {
        let natural: Vec<_> = (0..self.columns.len()).map(|at| self.natural_width(at)).collect();
        let Some(limit) = limit else { return natural };
        let mut order: Vec<_> =
            self.columns.iter().enumerate().filter_map(|(at, column)| Some((column.fit.rank()?, at))).collect();
        order.sort_unstable();
        let cut = order.iter().map(|&(_, at)| (at, self.least(at)));
        let dropped = order.iter().map(|&(_, at)| (at, 0));
        // The least that each may have, as more and more of them give way.
        let mut least = natural.clone();
        for (at, width) in cut.chain(dropped) {
            if total(&least) <= limit {
                break;
            }
            if let Some(given) = least.get_mut(at) {
                *given = width.min(*given);
            }
        }
        // What is left over goes back to those that were cut.
        let mut spare = limit.saturating_sub(total(&least));
        for (width, &natural) in least.iter_mut().zip(&natural) {
            if *width > 0 {
                let back = spare.min(natural.saturating_sub(*width));
                *width += back;
                spare -= back;
            }
        }
        least
    }

    /// Returns what a column is cut to in its turn.
    fn least(&self, at: usize) -> usize {
        match self.columns.get(at).map(|column| column.fit) {
            Some(Fit::Shorten { least, .. }) => least,
            Some(Fit::Drop { .. }) => 0,
            Some(Fit::Keep) | None => usize::MAX,
        }
    }

    fn natural_width(&self, at: usize) -> usize {
        if self.is_empty(at) {
            return 0;
        }
        let title = self.columns.get(at).map_or(0, |column| column.title.width());
        let cells = self.rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.text().width());
        cells.max().unwrap_or_default().max(title)
    }

    /// Tells whether a column that may give way has nothing to show.
    fn is_empty(&self, at: usize) -> bool {
        self.columns.get(at).is_some_and(|column| column.fit != Fit::Keep)
            && self.rows.iter().all(|row| row.get(at).is_none_or(|cell| cell.text.is_none()))
    }
}

impl Fit {
    fn rank(self) -> Option<u8> {
        match self {
            Self::Keep => None,
            Self::Drop { rank } | Self::Shorten { rank, .. } => Some(rank),
        }
    }
}

fn total(widths: &[usize]) -> usize {
    let shown = widths.iter().filter(|&&width| width > 0).count();
    widths.iter().sum::<usize>() + GAP * shown.saturating_sub(1)
}

fn line<'a>(page: Page, widths: &[usize], cells: impl Iterator<Item = (&'a str, Style)>) -> Shown {
    let mut line = Shown::default();
    let mut owed = 0;
    for ((text, style), &width) in cells.zip(widths).filter(|(_, width)| **width > 0) {
        let text = cut(text, width);
        line.push(Shown::new(" ".repeat(owed)));
        owed = width + GAP - text.width();
        line.push(page.paint(style, text));
    }
    line
}

/// Cuts text to a width, with a mark where something is missing.
fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut kept = String::new();
    for c in text.chars() {
        kept.push(c);
        if kept.width() >= width {
            kept.pop();
            break;
        }
    }
    kept.push('…');
    kept
}

#[cfg(test)]
mod tests {
    use super::super::Ink;
    use super::*;

    fn table() -> Table {
        let mut table = Table::new([
            Column::new("ID"),
            Column::that("ADDRESS", Fit::Shorten { rank: 2, least: 8 }),
            Column::that("WEIGHT", Fit::Drop { rank: 1 }),
            Column::that("ROLE", Fit::Drop { rank: 3 }),
            Column::that("EMPTY", Fit::Drop { rank: 0 }),
        ]);
        table.row(
            [0, 1]
                .map(Cell::new)
                .into_iter()
                .take(1)
                .chain(["pg1.example.org:5432", "0.5", "primary", ""].map(Cell::new)),
        );
        table.row([Cell::new(10), Cell::new("pg2:5432"), Cell::default(), Cell::new("x\ny"), Cell::default()]);
        table
    }

    fn shown(width: Option<usize>) -> String {
        table().show(Page { width, ink: Ink::Plain }).to_string()
    }

    #[test]
    fn without_a_terminal_nothing_is_left_out_and_no_blank_ends_a_line() {
        let expected = "ID  ADDRESS               WEIGHT  ROLE\n\
                        0   pg1.example.org:5432  0.5     primary\n\
                        10  pg2:5432              -       x\\ny";
        assert_eq!(shown(None), expected);
        assert_eq!(shown(Some(41)), expected, "it just fits");
    }

    #[test]
    fn what_matters_least_gives_way_first_and_the_rest_is_named() {
        let weight = "(no room for WEIGHT; see -o json)";
        assert_eq!(
            shown(Some(40)),
            format!(
                "ID  ADDRESS               ROLE\n0   pg1.example.org:5432  primary\n10  pg2:5432              x\\ny\n{weight}"
            )
        );
        let narrow = shown(Some(25));
        assert!(narrow.starts_with("ID  ADDRESS       ROLE\n0   pg1.example…  primary\n"), "{narrow}");
        let narrower = shown(Some(20));
        assert!(narrower.starts_with("ID  ADDRESS\n0   pg1.example.org…\n"), "{narrower}");
        assert!(narrower.contains("WEIGHT, ROLE;"), "{narrower}");
        let all = "ID\n0\n10\n(no room for ADDRESS, WEIGHT, ROLE; see -o json)";
        assert_eq!(shown(Some(1)), all, "ids are always there");
    }

    #[test]
    fn wide_characters_take_two_columns() {
        assert_eq!(cut("日本語", 6), "日本語");
        assert_eq!(cut("日本語", 5), "日本…");
        assert_eq!(cut("日本語", 4), "日…");
        assert_eq!(cut("ab", 1), "…");
    }

    #[test]
    fn styles_do_not_count_as_width() {
        let mut table = Table::new([Column::new("A"), Column::new("B")]);
        table.row([Cell::new("down").in_style(Style::Red), Cell::new("x")]);
        let page = Page { width: None, ink: Ink::Colored };
        assert_eq!(
            table.show(page).to_string(),
            "\u{1b}[1mA\u{1b}[0m     \u{1b}[1mB\u{1b}[0m\n\u{1b}[31mdown\u{1b}[0m  x"
        );
    }
}
