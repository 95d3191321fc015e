//! A line that shows that something goes on, for whoever waits at a terminal.

use std::convert::Infallible;
use std::io::{self, IsTerminal};
use std::time::Duration;

use tokio::time::{Instant, interval};

use crate::args::{OutputArgs, OutputFormat};
use crate::output;

/// Runs something, and shows how long it has run already where somebody can see it.
pub(super) async fn with_elapsed<F: Future>(what: &str, args: &OutputArgs, run: F) -> F::Output {
    let is_seen =
        io::stderr().is_terminal() && !args.quiet && args.output == OutputFormat::Table && args.verbose == 0;
    if !is_seen {
        return run.await;
    }
    let output = tokio::select! {
        output = run => output,
        never = show_elapsed(what) => match never {},
    };
    output::err("\r\x1b[K");
    output
}

async fn show_elapsed(what: &str) -> Infallible {
    let started = Instant::now();
    let mut seconds = interval(Duration::from_secs(1));
    loop {
        seconds.tick().await;
        output::err(format_args!("\r{}: {}\x1b[K", output::printable(what), clock(started.elapsed())));
    }
}

/// Shows a time as `1:02:03`.
pub(super) fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match hours {
        0 => format!("{minutes}:{seconds:02}"),
        _ => format!("{hours}:{minutes:02}:{seconds:02}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_like_a_clock() {
        let shown = [0, 59, 60, 3599, 3600, 7384].map(|seconds| clock(Duration::from_secs(seconds)));
        assert_eq!(shown, ["0:00", "0:59", "1:00", "59:59", "1:00:00", "2:03:04"]);
    }
}
