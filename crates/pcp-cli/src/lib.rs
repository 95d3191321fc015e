//! `pcpctl`: makes Pgpool-II's view of its nodes what you asked for, and proves it.
//!
//! A thin shell over `pcp-client`: it reads arguments and environment, calls one function of the library, prints
//! what came of it and ends with an exit code that means something. No protocol knowledge and no decisions are
//! here.

mod args;
mod cmd;
mod compat;
mod exit;
#[cfg(feature = "__fuzz")]
#[doc(hidden)]
pub mod fuzz;
mod guard;
mod hold;
mod local_zone;
mod lock;
mod log;
mod output;
mod page;
mod prompt;
mod secret;
mod server_time;
mod settings;
mod verdict;

use std::ffi::OsString;
use std::process;

use clap::error::{ContextValue, ErrorKind};
use clap::{CommandFactory, Parser};

use args::Cli;
use compat::Tool;
pub use exit::Exit;

/// Runs the command line and ends the process.
///
/// By `exit` rather than by returning: a resolver that hangs in a thread of the runtime would hold up its shutdown.
pub fn main() -> ! {
    close_to_others();
    let env = |name: &str| std::env::var_os(name);
    let mut words = std::env::args_os();
    let program = words.next().unwrap_or_default();
    let exit = match Tool::started_as(&program) {
        Some(tool) => compat::run(tool, &program, words, &env),
        None => match Cli::try_parse() {
            Ok(cli) => cmd::run(cli, &env),
            Err(error) => usage(&tamed(error), words.next()),
        },
    };
    process::exit(exit.code())
}

/// Keeps memory and environment, where passwords are, out of core dumps and from other processes of the same user.
fn close_to_others() {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{DumpableBehavior, set_dumpable_behavior};
        // Where the kernel does not take it, everything works as well.
        let _open = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    }
}

/// Returns the whole definition of the command line, for man pages.
#[doc(hidden)]
pub fn command() -> clap::Command {
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    command
}

/// Shows help, or what is wrong with the arguments. A hook's caller reads stdout, so its verdict goes there as
/// well.
fn usage(error: &clap::Error, verb: Option<OsString>) -> Exit {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            output::out(error.render());
            Exit::Done
        }
        _ => {
            let verb = verb.unwrap_or_default();
            if let Some(verb) = verb.to_str().filter(|verb| cmd::HOOK_VERBS.contains(verb)) {
                output::line(format_args!("pcpctl {verb} did nothing: {}", reason(error)));
            }
            output::err(output::printable_lines(&error.render().to_string()));
            if verb == "check" {
                return cmd::check_usage(&reason(error));
            }
            if cmd::is_monitor(std::env::args_os()) { Exit::Done } else { Exit::Usage }
        }
    }
}

/// Escapes what was typed where it could begin a line of ours or steer a terminal.
fn tamed(mut error: clap::Error) -> clap::Error {
    let tame = |value: &ContextValue| match value {
        ContextValue::String(text) => Some(ContextValue::String(output::printable(text))),
        ContextValue::Strings(texts) => {
            Some(ContextValue::Strings(texts.iter().map(|text| output::printable(text)).collect()))
        }
        _ => None,
    };
    let tamed: Vec<_> = error.context().filter_map(|(kind, value)| Some((kind, tame(value)?))).collect();
    for (kind, value) in tamed {
        error.insert(kind, value);
    }
    error
}

/// Returns what is wrong with the arguments in one line.
fn reason(error: &clap::Error) -> String {
    let text = error.render().to_string();
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        return "an argument is missing".to_owned();
    }
    let reason = text.lines().take_while(|line| !line.is_empty()).map(str::trim);
    reason.collect::<Vec<_>>().join(" ")
}
