//! Faults of the network and lies of the server. Here some of the places are tried; `examples/faults.rs` tries all.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test may fail so")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use pcp_client::sandbox::Age;
use pcp_tests::faults::{
    Extent, Kind, Ports, Verb, WITHOUT_PGPOOL, Way, commands, names, try_everywhere, try_program, verbs,
};

/// What no fault may end in is said by the judges in `pcp_tests::faults`.
#[test]
fn no_fault_of_a_connection_ends_in_a_hang_a_panic_a_lie_or_a_lost_error() -> Result<()> {
    const VERBS: [&str; 7] =
        ["attach s", "detach", "pcp_detach_node", "promote", "show nodes", "show processes", "switchover"];
    let is_wanted = |verb: &Verb| VERBS.contains(&verb.name) && verb.age() == Age::V4_7;
    let verbs: Vec<Verb> = verbs().into_iter().filter(is_wanted).collect();
    assert_eq!(verbs.len(), VERBS.len());
    let mut defects = Vec::new();
    let mut places = 0;
    for verb in &verbs {
        for kind in Kind::ALL {
            let cell = try_everywhere(verb, kind, Extent::Few(3))?;
            places += cell.places();
            defects.extend(cell.defects);
        }
    }
    assert!(places > 1000, "{places} places");
    assert_none(&defects);
    Ok(())
}

/// A verb with little to say, at every byte.
#[test]
fn no_byte_is_left_out() -> Result<()> {
    let verbs = verbs();
    let verb = verbs.iter().find(|verb| verb.name == "show node").expect("there is one");
    let mut defects = Vec::new();
    for kind in Kind::ALL {
        let cell = try_everywhere(verb, kind, Extent::Every)?;
        assert!(cell.places() > 1, "{kind}");
        defects.extend(cell.defects);
    }
    assert_none(&defects);
    Ok(())
}

#[test]
fn no_fault_makes_the_program_hang_panic_lie_or_lose_an_error() -> Result<()> {
    const KINDS: [(Kind, usize); 4] = [
        (Kind::Cut(Way::FromServer), 2),
        (Kind::Reset(Way::ToServer), 2),
        (Kind::Swap, 2),
        // Waits for the deadline.
        (Kind::Stall(Way::FromServer), 1),
    ];
    let kinds = KINDS.map(|(kind, few)| (kind, Extent::Few(few)));
    let program = Path::new(env!("CARGO_BIN_EXE_pcpctl-under-test"));
    let table = try_program(program, &Ports::start()?, &commands(), &kinds)?;
    assert_none(&table.defects().map(str::to_owned).collect::<Vec<_>>());
    Ok(())
}

/// The clock of the day may jump. Every limit is a span of the monotonic clock, which tokio and `Instant` read.
#[test]
fn no_wait_depends_on_the_clock_of_the_day() -> Result<()> {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates");
    let mut files = 0;
    for source in ["pcp-proto/src", "pcp-client/src", "pcp-cli/src/guard.rs", "pcp-cli/src/lock.rs"] {
        for file in sources(&crates.join(source))? {
            let text = fs::read_to_string(&file)?;
            assert!(!text.contains("SystemTime") && !text.contains("Timestamp::now"), "{}", file.display());
            files += 1;
        }
    }
    assert!(files > 100, "{files} files");
    Ok(())
}

fn sources(path: &Path) -> Result<Vec<PathBuf>> {
    if path.is_file() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(path)? {
        files.extend(sources(&entry?.path())?);
    }
    Ok(files)
}

#[test]
fn every_command_is_tried() {
    let tried: BTreeSet<_> = commands().iter().map(|command| command.name.to_owned()).collect();
    let known: BTreeSet<_> = tried.iter().cloned().chain(WITHOUT_PGPOOL.map(str::to_owned)).collect();
    let missing: Vec<_> = names().into_iter().filter(|name| !known.contains(name)).collect();
    assert!(missing.is_empty(), "nothing goes wrong with {missing:?}");
    assert_eq!(tried.iter().filter(|name| name.starts_with("pcp_")).count(), 15);
}

#[track_caller]
fn assert_none(defects: &[String]) {
    let shown: Vec<_> = defects.iter().take(20).map(String::as_str).collect();
    assert!(defects.is_empty(), "{} defects, such as:\n{}", defects.len(), shown.join("\n"));
}
