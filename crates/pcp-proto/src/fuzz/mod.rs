//! What fuzzing checks: functions that take any bytes and panic where a property does not hold.
//!
//! No part of the interface: the feature `__fuzz` is for this repository's `fuzz/` and for the tests that replay
//! its corpus.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::panic,
    reason = "a panic is how a property reports that it does not hold"
)]

mod cut;
mod frames;
mod replies;
mod requests;
mod server_message;
mod session;

use std::fs;
use std::panic::catch_unwind;
use std::path::Path;

pub use frames::frames;
pub use replies::{
    accepted, health_check_stats, node_count, node_info, pool_status, process_count, process_info, watchdog_info,
};
pub use requests::requests;
pub use server_message::server_message;
pub use session::session;

/// Panics where it does not hold for the bytes.
pub type Property = fn(&[u8]);

/// Runs each function over its directory of the corpus in `fuzz/`, beside the crates.
///
/// # Panics
///
/// A property does not hold for a file, which is named, or a directory is empty.
pub fn replay(targets: &[(&str, Property)]) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
    for (name, check) in targets {
        let directory = corpus.join(name);
        let files = fs::read_dir(&directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
        let mut seen = 0;
        for file in files {
            let file = file.expect("a directory that can be read").path();
            let bytes = fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
            assert!(catch_unwind(|| check(&bytes)).is_ok(), "{}", file.display());
            seen += 1;
        }
        assert!(seen > 0, "{} is empty", directory.display());
    }
}

/// The functions with the names of their fuzz targets and corpus directories.
pub const TARGETS: &[(&str, Property)] = &[
    ("accepted", accepted),
    ("frames", frames),
    ("health_check_stats", health_check_stats),
    ("node_count", node_count),
    ("node_info", node_info),
    ("pool_status", pool_status),
    ("process_count", process_count),
    ("process_info", process_info),
    ("requests", requests),
    ("server_message", server_message),
    ("session", session),
    ("watchdog_info", watchdog_info),
];
