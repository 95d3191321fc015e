use clap::CommandFactory;
use clap_complete::{Shell, generate};

use crate::args::Cli;
use crate::exit::Exit;
use crate::output;

pub(super) fn run(shell: Shell) -> Exit {
    let mut script = Vec::new();
    generate(shell, &mut Cli::command(), "pcpctl", &mut script);
    output::out(String::from_utf8_lossy(&script));
    Exit::Done
}
