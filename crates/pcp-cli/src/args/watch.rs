//! What `watch` takes.

use std::time::Duration;

use clap::Args;

use super::values::duration;
use super::{HelpArg, ReadArgs, ends_after};

const EXAMPLES: &str = "\
Examples:
  pcpctl watch -h pgpool1,pgpool2
  pcpctl watch --interval 500ms | tee failover.log       one line for each change
  pcpctl watch -o json | while read -r event; do notify \"$event\"; done

Exit codes: 0 when it is ended by q, Ctrl-C, --deadline or a reader that has gone;
3 configuration or password file; 5 every Pgpool refuses the login; 143 by SIGTERM";

/// Watch the nodes of one or several Pgpools, and what changes.
///
/// On a terminal the view is redrawn in place, with what has changed marked by * for 10 s, the Pgpools side by side
/// where they disagree, and the last changes with their times below. q or Ctrl-C ends it. Elsewhere each change is a
/// line, and with -o json an event of docs/json.md, after the present state.
///
/// Each look is a connection of its own, closed at once, and asks Pgpool's memory only: no node is connected to, and
/// no change of others is held up. A Pgpool that goes away is said to be gone and looked for until it is back.
#[derive(Debug, Args)]
#[command(disable_help_flag = true, after_help = EXAMPLES, mut_arg("deadline", |arg| ends_after(arg, "none")))]
pub(crate) struct WatchArgs {
    /// How long to wait between two looks, 100ms at least
    #[arg(long, value_name = "TIME", value_parser = interval, default_value = "2s")]
    pub(crate) interval: Duration,
    #[command(flatten)]
    pub(crate) read: ReadArgs,
    #[command(flatten)]
    pub(crate) help: HelpArg,
}

fn interval(text: &str) -> Result<Duration, String> {
    const LEAST: Duration = Duration::from_millis(100);
    match duration(text)? {
        interval if interval < LEAST => Err("it is less than 100ms".to_owned()),
        interval => Ok(interval),
    }
}
