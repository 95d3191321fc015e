//! Runs what fuzzing checks over its corpus, so that every build knows what fuzzing once found.

#![allow(clippy::panic, clippy::unwrap_used)]

use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

use pcp_client::fuzz::TARGETS;

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz")
}

#[test]
fn every_property_holds_for_its_corpus() {
    for (name, check) in TARGETS {
        let directory = fuzz().join("corpus").join(name);
        let files = fs::read_dir(&directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
        let mut seen = 0;
        for file in files {
            let file = file.unwrap().path();
            let bytes = fs::read(&file).unwrap();
            assert!(catch_unwind(|| check(&bytes)).is_ok(), "{}", file.display());
            seen += 1;
        }
        assert!(seen > 0, "{} is empty", directory.display());
    }
}
