//! Printing: the only place that writes to stdout and stderr.

use std::fmt::{Display, Write as _};
use std::io::{self, IsTerminal, Write};

use pcp_proto::RequestKind;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde::Serialize;

use crate::page::{Cell, Column, Page, Shown, Table};

/// The version of every JSON shape. It grows only when a field changes its meaning or goes away.
pub(crate) const SCHEMA_VERSION: u32 = 1;

/// Prints to stdout as it is.
pub(crate) fn out(text: impl Display) {
    print(io::stdout(), text);
}

/// Prints a line to stdout, made safe for a terminal. What is in it cannot pass for another line.
pub(crate) fn line(text: impl Display) {
    out(format_args!("{}\n", printable(&text.to_string())));
}

/// Prints several lines that we have put below each other, made safe for a terminal.
pub(crate) fn lines(text: impl Display) {
    out(format_args!("{}\n", printable_lines(&text.to_string())));
}

/// Prints text that is ready for a terminal, and a line break.
pub(crate) fn shown(text: &Shown) {
    out(format_args!("{text}\n"));
}

/// Tells whether somebody may still read stdout: not once the other end of a pipe is closed, or a terminal is gone.
pub(crate) fn has_reader() -> bool {
    let stdout = io::stdout();
    let mut polled = [PollFd::new(&stdout, PollFlags::empty())];
    let gone = PollFlags::ERR | PollFlags::HUP;
    !(poll(&mut polled, Some(&Timespec::default())).is_ok()
        && polled.iter().any(|fd| fd.revents().intersects(gone)))
}

/// Tells whether stdout and stderr are shown on a terminal side by side.
pub(crate) fn is_one_terminal() -> bool {
    io::stdout().is_terminal() && io::stderr().is_terminal()
}

/// Prints to stderr as it is.
pub(crate) fn err(text: impl Display) {
    print(io::stderr(), text);
}

/// Prints a line to stderr, as [`line`] does to stdout.
pub(crate) fn err_line(text: impl Display) {
    err(format_args!("{}\n", printable(&text.to_string())));
}

/// Prints to stdout what may be in any encoding: as it is for programs, made safe for a terminal.
pub(crate) fn bytes(text: &[u8]) {
    print_bytes(io::stdout(), text);
}

/// Prints the same to stderr.
pub(crate) fn err_bytes(text: &[u8]) {
    print_bytes(io::stderr(), text);
}

/// Prints a value as one line of JSON, with escapes for what could steer a terminal.
pub(crate) fn json(value: &impl Serialize) {
    match serde_json::to_string(value) {
        Ok(text) => out(format_args!("{}\n", escaped_json(&text))),
        Err(error) => err_line(format_args!("cannot write JSON: {error}")),
    }
}

/// Shows what was asked on one connection, a letter a request.
pub(crate) fn letters(kinds: &[RequestKind]) -> String {
    kinds.iter().map(ToString::to_string).collect()
}

/// Lays out rows under titles, without lines around them.
pub(crate) fn table(titles: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let mut table = Table::new(titles.iter().copied().map(Column::new));
    rows.for_each(|row| table.row(row.into_iter().map(Cell::new)));
    table.show(Page::PLAIN).to_string()
}

/// Shows an error with its causes on one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// Rounds for JSON, where more digits than were measured only cost reading.
pub(crate) fn rounded(value: f64, digits: i32) -> f64 {
    let scale = 10_f64.powi(digits);
    (value * scale).round() / scale
}

/// Escapes what could steer a terminal, reorder its text or begin a line: servers choose host names and error messages.
pub(crate) fn printable(text: &str) -> String {
    escaped(text, steers)
}

/// As [`printable`], but for line feeds.
pub(crate) fn printable_lines(text: &str) -> String {
    escaped(text, |c| c != '\n' && steers(c))
}

fn escaped(text: &str, is_escaped: impl Fn(char) -> bool) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if is_escaped(c) {
            safe.extend(c.escape_default());
        } else {
            safe.push(c);
        }
    }
    safe
}

/// Escapes the same in JSON, where it can stand in strings only, and which means the same then.
fn escaped_json(json: &str) -> String {
    let mut safe = String::with_capacity(json.len());
    for c in json.chars() {
        if steers(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _infallible = write!(safe, "\\u{unit:04x}");
            }
        } else {
            safe.push(c);
        }
    }
    safe
}

/// Tells whether a character is a control character, one that orders text or breaks lines, or one that nobody sees.
fn steers(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{feff}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// The log on stderr: each write is one event, and what is in it cannot pass for another.
pub(crate) struct Log;

impl Write for Log {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        err_line(one_line(event));
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Returns an event of the log without the line break at its end.
fn one_line(event: &[u8]) -> String {
    let text = String::from_utf8_lossy(event);
    text.strip_suffix('\n').unwrap_or(&text).to_owned()
}

fn print_bytes(mut stream: impl Write + IsTerminal, text: &[u8]) {
    if text.is_empty() {
        return;
    }
    if stream.is_terminal() {
        print(stream, printable_lines(&String::from_utf8_lossy(text)));
    } else {
        let _gone = stream.write_all(text).and_then(|()| stream.flush());
    }
}

/// Writes and flushes; a reader that has gone is no reason to fail.
fn print(mut stream: impl Write, text: impl Display) {
    let _gone = write!(stream, "{text}").and_then(|()| stream.flush());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_a_terminal_is_escaped() {
        assert_eq!(printable("pg\u{1b}[2J\u{202e}x\r"), "pg\\u{1b}[2J\\u{202e}x\\r");
        assert_eq!(printable("Zürich 日本"), "Zürich 日本");
        for c in ['\u{9b}', '\u{7f}', '\u{61c}', '\u{2028}', '\u{2029}', '\u{200b}', '\u{2064}', '\u{e0041}', '\n']
        {
            assert!(!printable(&format!("a{c}b")).contains(c), "{c:?}");
        }
        assert_eq!(printable_lines("a\nb\u{85}c"), "a\nb\\u{85}c");
    }

    #[test]
    fn json_means_the_same_with_its_escapes() {
        let text = "pg\u{1b}\u{9b}\u{202e}\u{e0041}\"\\日本\n";
        let json = escaped_json(&serde_json::to_string(text).unwrap());
        assert!(json.chars().all(|c| !steers(c)), "{json}");
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
    }

    #[test]
    fn an_event_of_the_log_is_one_line() {
        let event = one_line(b"DEBUG Pgpool says: LOG: a\n2026-01-01 INFO forged\x1b[2J\n");
        assert_eq!(printable(&event), "DEBUG Pgpool says: LOG: a\\n2026-01-01 INFO forged\\u{1b}[2J");
    }
}
