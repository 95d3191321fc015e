//! Runs what fuzzing checks over its corpus, so that every build knows what fuzzing once found.

#![allow(clippy::panic, clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use pcp_cli::fuzz::TARGETS;

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz")
}

fn names(directory: &Path) -> BTreeSet<String> {
    let files = fs::read_dir(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    files.map(|file| file.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned()).collect()
}

#[test]
fn every_property_holds_for_its_corpus() {
    pcp_proto::fuzz::replay(TARGETS);
}

#[test]
fn every_function_has_a_target_and_a_corpus_and_nothing_else_has() {
    let targets = [TARGETS, pcp_client::fuzz::TARGETS, pcp_proto::fuzz::TARGETS].concat();
    let functions = targets.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names(&fuzz().join("fuzz_targets")), functions);
    assert_eq!(names(&fuzz().join("corpus")), functions);
}
