//! EFM's status from any bytes, and from bytes that are nearly right.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use pcp_client::fuzz::efm_status;
use proptest::prelude::*;
use proptest::sample::{Index, select};

/// Pieces of which a status is made.
const PIECES: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"",
    "\\",
    "\n",
    " ",
    "\"nodes\":",
    "\"missingnodes\":",
    "\"allowednodes\":",
    "\"type\":",
    "\"db\":",
    "\"agent\":",
    "\"Primary\"",
    "\"Master\"",
    "\"Standby\"",
    "\"Idle\"",
    "\"Promoting\"",
    "\"DOWN\"",
    "\"UP\"",
    "\"UNKNOWN\"",
    "\"a\"",
    "\"b\"",
    "\"A.\"",
    "\"10.0.0.1\"",
    "\"::ffff:10.0.0.1\"",
    "\"vip : x\"",
    "null",
    "1e9",
];

fn corpus() -> Vec<Vec<u8>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/efm_status");
    let files = fs::read_dir(directory).unwrap();
    let mut files: Vec<_> = files.map(|file| fs::read(file.unwrap().path()).unwrap()).collect();
    files.sort();
    files
}

/// A status of rows that are each plausible, so that many are acted on.
fn status() -> impl Strategy<Value = String> {
    let row = (
        select(vec!["a", "b", "c", "d", "10.0.0.1", "::ffff:10.0.0.1"]),
        select(vec!["Primary", "Standby", "Standby", "Witness", "Idle", "Promoting", "DOWN", "x"]),
        select(vec!["UP", "UP", "UP", "DOWN", "UNKNOWN"]),
        select(vec!["", "", ",\"agent\":\"UP\"", ",\"agent\":\"DOWN\"", ",\"agent\":\"?\""]),
    )
        .prop_map(|(name, kind, db, agent)| format!("\"{name}\":{{\"type\":\"{kind}\",\"db\":\"{db}\"{agent}}}"));
    let names = || prop::collection::vec(select(vec!["\"a\"", "\"B\"", "\"e\"", "\"f\""]), 0..3);
    (prop::collection::vec(row, 0..5), names(), names()).prop_map(|(rows, missing, allowed)| {
        let (rows, missing, allowed) = (rows.join(","), missing.join(","), allowed.join(","));
        format!("{{\"nodes\":{{{rows}}},\"missingnodes\":[{missing}],\"allowednodes\":[{allowed}]}}")
    })
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        efm_status(&bytes);
    }

    #[test]
    fn any_pieces_are_read_without_a_panic(pieces in prop::collection::vec(select(PIECES), 0..60)) {
        efm_status(pieces.concat().as_bytes());
    }

    #[test]
    fn a_damaged_status_is_never_acted_on_by_mistake(
        file in select(corpus()), begin in any::<Index>(), end in any::<Index>(), piece in select(PIECES)
    ) {
        let (begin, end) = (begin.index(file.len() + 1), end.index(file.len() + 1));
        let damaged = [&file[..begin.min(end)], piece.as_bytes(), &file[begin.max(end)..]].concat();
        efm_status(&damaged);
        efm_status(&[&file[..begin], piece.as_bytes(), &file[begin..]].concat());
    }

    #[test]
    fn only_what_no_isolated_host_sees_is_acted_on(status in status()) {
        efm_status(status.as_bytes());
    }
}
