//! Asking somebody before something is done that cannot be taken back.

use std::io::{self, BufRead, IsTerminal};

use crate::args::{ConfirmArgs, Consent, Effect};
use crate::exit::Exit;
use crate::output;

/// Sees to it that there is somebody to ask, before anything else is done.
pub(super) fn check(verb: &str, args: &ConfirmArgs) -> Result<(), Exit> {
    if args.effect() == Effect::DryRun || args.consent() == Consent::Given || io::stdin().is_terminal() {
        return Ok(());
    }
    output::err_line(format_args!(
        "pcpctl {verb}: there is no terminal to ask on whether to go on, so nothing was done: give --yes to do it, or \
         --dry-run to see what it would do"
    ));
    Err(Exit::Usage)
}

/// Tells what will happen, and asks whether to go on.
pub(super) fn ask(verb: &str, plan: &[String]) -> Result<(), Exit> {
    plan.iter().for_each(output::err_line);
    output::err("Go on? Type yes: ");
    let mut answer = String::new();
    match io::stdin().lock().read_line(&mut answer) {
        Ok(_) if answer.trim().eq_ignore_ascii_case("yes") => Ok(()),
        _ => {
            output::err_line(format_args!("pcpctl {verb}: nothing was done"));
            Err(Exit::Refused)
        }
    }
}
