//! What people look at: as wide as their terminal, coloured where that is wanted, and nothing that steers it.

mod human;
mod table;

use std::fmt::{self, Display};
use std::io::{self, IsTerminal};

pub(crate) use self::human::{ago, bytes, instant, local_time, microseconds, time_of_day};
pub(crate) use self::table::{Cell, Column, Fit, Table};
use crate::args::ColorArg;
use crate::output::printable;
use crate::settings::Env;

/// Where text is shown.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Page {
    /// Columns of the terminal; `None` is no terminal, where nothing is left out.
    pub(crate) width: Option<usize>,
    pub(crate) ink: Ink,
}

/// Whether styles are shown.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Ink {
    Plain,
    Colored,
}

/// How a piece of text looks. There are few, and each has one meaning.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Style {
    #[default]
    Plain,
    /// The primary, and headings.
    Bold,
    /// Down, failed, unreachable.
    Red,
    /// Quarantine, and what disagrees.
    Yellow,
    /// What has just changed.
    Reverse,
}

impl Page {
    /// Neither a terminal nor colours.
    pub(crate) const PLAIN: Self = Self { width: None, ink: Ink::Plain };

    /// Finds out what stdout is. Colours are for terminals, unless NO_COLOR is set, or the flag says otherwise.
    pub(crate) fn stdout(color: ColorArg, env: Env<'_>) -> Self {
        let stdout = io::stdout();
        let is_terminal = stdout.is_terminal();
        let is_set = |name| env(name).is_some_and(|value| !value.is_empty());
        let is_dumb = env("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
        let ink = match color {
            ColorArg::Always => Ink::Colored,
            ColorArg::Auto if is_terminal && !is_dumb && !is_set("NO_COLOR") => Ink::Colored,
            ColorArg::Auto | ColorArg::Never => Ink::Plain,
        };
        let size = is_terminal.then(size).flatten();
        Self { width: size.map(|(width, _)| width), ink }
    }

    /// Returns the page as it is now, when its terminal may have another size, and its height.
    pub(crate) fn again(self) -> (Self, usize) {
        const USUAL: (usize, usize) = (80, 24);
        let (width, height) = size().unwrap_or(USUAL);
        (Self { width: Some(width), ..self }, height)
    }

    /// Shows text in a style.
    pub(crate) fn paint(self, style: Style, text: impl Display) -> Shown {
        let text = printable(&text.to_string());
        match (self.ink, style.code()) {
            (Ink::Colored, Some(code)) => Shown(format!("\u{1b}[{code}m{text}\u{1b}[0m")),
            _ => Shown(text),
        }
    }
}

/// Returns columns and rows of the terminal, where it tells.
fn size() -> Option<(usize, usize)> {
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
    (size.ws_col > 0 && size.ws_row > 0).then(|| (size.ws_col.into(), size.ws_row.into()))
}

impl Style {
    /// Returns the number that selects it.
    fn code(self) -> Option<u8> {
        match self {
            Self::Plain => None,
            Self::Bold => Some(1),
            Self::Reverse => Some(7),
            Self::Red => Some(31),
            Self::Yellow => Some(33),
        }
    }
}

/// Text in which nothing but our own styles steers a terminal.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Shown(String);

impl Shown {
    /// Takes text from anywhere, and makes it safe.
    pub(crate) fn new(text: impl Display) -> Self {
        Self(printable(&text.to_string()))
    }

    /// Adds a line below.
    pub(crate) fn push_line(&mut self, line: Self) {
        if !self.0.is_empty() {
            self.0.push('\n');
        }
        self.0.push_str(&line.0);
    }

    /// Adds text behind.
    pub(crate) fn push(&mut self, text: Self) {
        self.0.push_str(&text.0);
    }

    /// Returns the lines.
    pub(crate) fn lines(&self) -> impl Iterator<Item = Self> {
        self.0.lines().map(|line| Self(line.to_owned()))
    }
}

impl Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_styles_reach_a_terminal() {
        let hostile = "pg\u{1b}[2J";
        let colored = Page { width: None, ink: Ink::Colored };
        assert_eq!(Page::PLAIN.paint(Style::Red, hostile).to_string(), "pg\\u{1b}[2J");
        assert_eq!(colored.paint(Style::Red, hostile).to_string(), "\u{1b}[31mpg\\u{1b}[2J\u{1b}[0m");
        assert_eq!(colored.paint(Style::Plain, "pg").to_string(), "pg");
    }

    #[test]
    fn lines_are_put_below_each_other() {
        let mut shown = Shown::default();
        shown.push_line(Shown::new("a"));
        shown.push_line(Shown::new("b"));
        shown.push(Shown::new("c"));
        assert_eq!(shown.to_string(), "a\nbc");
        assert_eq!(shown.lines().count(), 2);
    }

    #[test]
    fn colours_are_for_those_who_want_them() {
        // The test's stdout may be a terminal: only what does not depend on it.
        let set = |name: &str| (name == "NO_COLOR").then(|| "1".into());
        assert_eq!(Page::stdout(ColorArg::Auto, &set).ink, Ink::Plain);
        assert_eq!(Page::stdout(ColorArg::Always, &set).ink, Ink::Colored);
        assert_eq!(Page::stdout(ColorArg::Never, &|_| None).ink, Ink::Plain);
    }
}
