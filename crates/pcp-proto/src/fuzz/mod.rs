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

pub use frames::frames;
pub use replies::{
    accepted, health_check_stats, node_count, node_info, pool_status, process_count, process_info, watchdog_info,
};
pub use requests::requests;
pub use server_message::server_message;
pub use session::session;

/// Panics where it does not hold for the bytes.
pub type Property = fn(&[u8]);

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
