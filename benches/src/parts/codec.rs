//! Instructions of the codec, as callgrind counts them: nearly the same on every machine with the same compiler. Where there is no peer the
//! target is what it once took, and a tenth.

use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::row::Amount::Count;
use crate::row::{Row, Target};

pub(crate) fn measure() -> Result<Vec<Row>> {
    // Without what it takes to make the list.
    let made = instructions("list", 1000)?;
    let of_list = |work| anyhow::Ok((instructions(work, 1000)? - made) / 1000.0);
    let each = |work| anyhow::Ok((instructions(work, 2000)? - instructions(work, 1000)?) / 1000.0);
    Ok(vec![
        Row::new(
            "reading a slot of a process list, in instructions; the peer is a visit to each NUL of it with memchr",
            Count(of_list("rows")?),
            Count(of_list("nuls")?),
            Target::AtMost(3.0),
        ),
        Row::alone("writing a request, in instructions", Count(each("encode")?), Target::AtMost(115.0)),
        Row::alone(
            "a request and its answer through a session, in instructions",
            Count(each("session")?),
            Target::AtMost(4250.0),
        ),
    ])
}

fn instructions(work: &str, count: u32) -> Result<f64> {
    let output = Command::new("valgrind")
        .args([
            "--tool=callgrind",
            "--callgrind-out-file=/dev/null",
            "benches/target/release/inside",
            "codec",
            work,
        ])
        .arg(count.to_string())
        .output()?;
    ensure!(output.status.success(), "valgrind: {output:?}");
    let said = String::from_utf8_lossy(&output.stderr);
    let collected = said.lines().find_map(|line| line.split_once("Collected : "));
    Ok(collected.context("a count")?.1.trim().parse()?)
}
