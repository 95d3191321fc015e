//! The terminal: its second screen, its keys, and that it is afterwards as it was.

use std::io::{self, IsTerminal, Read};
use std::thread;

use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::{Receiver, channel};

use crate::output;
use crate::page::Shown;

/// The second screen, without cursor and without wrapping long lines.
const ENTER: &str = "\u{1b}[?1049h\u{1b}[?25l\u{1b}[?7l";
const LEAVE: &str = "\u{1b}[?7h\u{1b}[?25h\u{1b}[?1049l";
/// To the beginning; the rest of a line; the rest of the screen.
const HOME: &str = "\u{1b}[H";
const CLEAR_LINE: &str = "\u{1b}[K";
const CLEAR_BELOW: &str = "\u{1b}[J";

/// The second screen of a terminal. Dropping it brings the first one back.
pub(super) struct Terminal {
    before: Option<Termios>,
}

/// What was pressed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Key {
    Quit,
    Other,
}

impl Terminal {
    pub(super) fn enter() -> Self {
        let before = tcgetattr(io::stdin()).ok();
        if let Some(before) = &before {
            let mut quiet = before.clone();
            // Keys come at once and are not shown. A suspended run would leave the second screen behind.
            quiet.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
            quiet.special_codes[SpecialCodeIndex::VSUSP] = 0;
            quiet.special_codes[SpecialCodeIndex::VMIN] = 1;
            quiet.special_codes[SpecialCodeIndex::VTIME] = 0;
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, &quiet);
        }
        output::out(ENTER);
        Self { before }
    }

    /// Draws lines over what is there: nothing flickers.
    pub(super) fn draw(&self, lines: &[Shown]) {
        let mut frame = String::from(HOME);
        for (at, line) in lines.iter().enumerate() {
            let line_break = if at == 0 { "" } else { "\r\n" };
            frame.push_str(&format!("{line_break}{line}{CLEAR_LINE}"));
        }
        frame.push_str(CLEAR_BELOW);
        output::out(frame);
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        output::out(LEAVE);
        if let Some(before) = &self.before {
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, before);
        }
    }
}

/// Reads keys, where there is a terminal to press them on.
pub(super) fn keys() -> Receiver<Key> {
    let (pressed, keys) = channel(1);
    if io::stdin().is_terminal() && io::stdout().is_terminal() {
        // Nobody waits for this thread: a read of a terminal has no end.
        thread::spawn(move || {
            let mut byte = [0];
            while matches!(io::stdin().read(&mut byte), Ok(1)) {
                let key = if byte.eq_ignore_ascii_case(b"q") { Key::Quit } else { Key::Other };
                if pressed.blocking_send(key).is_err() {
                    return;
                }
            }
        });
    }
    keys
}

/// Tells when the terminal's size has changed.
pub(super) fn resized() -> Resized {
    Resized(signal(SignalKind::window_change()).ok())
}

pub(super) struct Resized(Option<Signal>);

impl Resized {
    pub(super) async fn wait(&mut self) {
        let changed = match &mut self.0 {
            Some(signal) => signal.recv().await,
            None => None,
        };
        if changed.is_none() {
            std::future::pending().await
        }
    }
}
