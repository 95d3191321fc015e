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
