//! `docs/reliability.md`.

use std::fmt::Write as _;

use super::real::{Ran, RealOutcome};
use super::report::Table;

const HEAD: &str = "\
# Faults

Written by `cargo run --profile exhaustive -p pcp-tests --example faults`, which needs Docker; with arguments (`library`,
`program show`, `real 4.3`) it tries those alone. Change the faults in `tests/src/faults`, not this file.

Each cell is one fault at all its places on every connection that the verb makes. A place is a byte of the requests or the
replies, or a frame. The fault meets that connection alone, or it and all later ones, where bytes are tried around the
borders of frames only, and not of connections that are like the one before. After each run it is judged whether

- it ended by its deadline and a second, without a panic; a program that was late beside many others is tried again alone, and
  that counts;
- exit code 0 is said only of what is so, by a look at the server that is not the program's own;
- exit code 4, *nothing was changed*, is said only where Pgpool was asked for no change;
- a failure gives a reason, and the reason names what happened: that the connection was closed, reset, or silent.

*Lies believed* are bytes of the server's state that were changed on the way to another valid state: no client can know
better. Nothing else may be believed. Exit codes are those of [exit-codes.md](exit-codes.md).

No wait depends on the clock of the day, which may jump: every limit is a span of the monotonic clock.
";

/// Returns the page; what other commands measure is in `notes.md`.
#[must_use]
pub fn page(library: &Table, program: &Table, real: &[RealOutcome], few: Option<usize>, seconds: u64) -> String {
    let defects = library.defects().chain(program.defects()).count();
    let failed = real.iter().filter(|outcome| outcome.result.is_err()).count();
    let extent = match few {
        Some(few) => format!(
            "THIS RUN TRIED A PART: {few} places of each fault, evenly spread, on the first connections and the last one.\n"
        ),
        None => String::new(),
    };
    let mut page = format!(
        "{HEAD}\n{extent}\n{} runs of the library and {} of the program ({} of them again, alone) in {} minutes: {defects} defects. {} of {} \
         faults of real servers ended as they should.\n",
        library.places(),
        program.places(),
        program.again,
        seconds / 60,
        real.len() - failed,
        real.len(),
    );
    page.push_str("\n## Real servers\n\n| fault | Pgpool | verbs, their exit codes and times |\n|---|---|---|\n");
    for RealOutcome { name, version, result } in real {
        let cell = match result {
            Ok(ran) => cell(ran),
            Err(why) => format!("**{}**", why.replace('|', "/").replace('\n', " ")),
        };
        // Writing to a String cannot fail.
        let _ = writeln!(page, "| {name} | {} | {cell} |", version.pgpool());
    }
    page.push_str("\n## The program, over TCP, at the borders of frames, of a list at those of the first and the last two rows\n");
    section(&mut page, program);
    page.push_str(
        "\n## The library, in a clock that jumps: on 4.7 at every byte, on the others at the borders of frames\n\nThe verbs are what of the command line calls the \
         function; times are those of that clock.\n",
    );
    section(&mut page, library);
    page.push_str(include_str!("notes.md"));
    page
}

fn section(page: &mut String, table: &Table) {
    // Writing to a String cannot fail.
    let _ = write!(page, "\nAll verbs:\n\n{}\nEach verb:\n\n{}", table.by_fault(), table.text());
}

fn cell(ran: &[Ran]) -> String {
    let ran: Vec<String> =
        ran.iter().map(|ran| format!("`{}`: {}, {:.1} s", ran.verb, ran.code, ran.elapsed.as_secs_f64())).collect();
    ran.join("; ")
}
