//! Pgpool's own `pcp_*` tools, under their names: their options, their output, but exit codes and successes that are true.
//!
//! A link to `pcpctl` named after a tool is that tool. `docs/compat.md` lists where it differs on purpose. What is printed
//! goes by the server's age ([`age`]), or by what [`choices`] says; what differs from release to release is asked of a
//! [`form::Form`]. Nothing here builds the command line parser of `pcpctl`: these are started thousands of times.

mod account;
mod age;
mod arguments;
mod change;
mod choices;
mod complaint;
mod debug;
mod end;
mod form;
mod getopt;
mod login;
mod print;
mod request;
mod run;
mod tool;
mod usage;

use std::ffi::{OsStr, OsString};

use crate::cmd::run_to_end;
use crate::exit::Exit;
use crate::guard::Guard;
use crate::output;
use crate::settings::Env;
use arguments::Arguments;
use choices::Choices;
use end::End;
use form::Form;
use login::Login;
use request::Request;
use run::Run;
pub(crate) use tool::Tool;

/// Runs as a tool, with the words behind its name.
pub(crate) fn run(tool: Tool, argv0: &OsStr, words: impl Iterator<Item = OsString>, env: Env<'_>) -> Exit {
    let choices = match Choices::from_env(env) {
        Ok(choices) => choices,
        Err(reason) => {
            output::err_line(format_args!("{}: {reason}", tool.name()));
            return Exit::Config;
        }
    };
    let form = choices.form.unwrap_or(Form::NEWEST);
    let end = match Arguments::read(tool, &argv0.to_string_lossy(), words, form, env) {
        Ok(arguments) => connected(tool, &arguments, choices, env),
        Err(end) => end,
    };
    end.exit(choices.exit_codes)
}

fn connected(tool: Tool, arguments: &Arguments, choices: Choices, env: Env<'_>) -> End {
    let login = match Login::find(arguments, env) {
        Ok(login) => login,
        Err(end) => return end,
    };
    // What only reads has nothing but the server and the resolver to wait for, and their bounds are the runtime's own: it
    // starts no thread.
    let _guard = match arguments.request {
        Request::Read(_) => None,
        Request::Change(..) | Request::Order(_) => {
            let late = End::before_login(Exit::NotVerified).exit(choices.exit_codes);
            Some(Guard::start(login.settings.limit, late))
        }
    };
    let run = Run::new(tool, arguments, choices, login);
    run_to_end(run.run()).unwrap_or_else(|error| {
        output::err_line(format_args!("{}: cannot start: {error}", tool.name()));
        End::before_login(Exit::Unreachable)
    })
}
