//! What fuzzing checks: functions that take any bytes and panic where a property does not hold.
//!
//! No part of the interface: the feature `__fuzz` is for this repository's `fuzz/` and for the tests that replay
//! its corpus.

pub use crate::settings::fuzz::{config_file, efm_properties};

/// Panics where it does not hold for the bytes.
pub type Property = fn(&[u8]);

/// The functions with the names of their fuzz targets and corpus directories.
pub const TARGETS: &[(&str, Property)] = &[("config_file", config_file), ("efm_properties", efm_properties)];
