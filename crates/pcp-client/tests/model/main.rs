//! The model test: random schedules of what happens to a cluster and of the hooks that EFM calls for it end with a
//! Pgpool that shows the truth, or with a hook that says that it does not.
//!
//! It has two layers: the planner against the pure [`World`](pcp_client::sandbox::World), in many schedules, and the
//! whole client over pipes that fail, with a paused clock, in fewer. Both make the same schedules each time, unless
//! `MODEL_SEED` is set to a number; `MODEL_CASES` changes how many. A schedule that fails becomes a script of a few
//! lines, and
//!
//! ```console
//! MODEL_SCRIPT='pgpool 4.7 …' cargo test -p pcp-client --features sandbox --test model replay
//! ```
//!
//! runs it again.

#![allow(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "a test may fail so")]

mod client;
mod oracle;
mod planner;
mod schedule;
mod shrink;
mod story;
#[path = "../support/mod.rs"]
mod support;
mod truth;

use std::cell::RefCell;

use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

use oracle::Judged;
use schedule::{Knows, Schedule};

/// How many schedules the planner gets for each kind of evidence.
const PLANNER_CASES: u32 = 50_000;
/// How many the whole client gets.
const CLIENT_CASES: u32 = 500;

#[test]
fn the_planner_without_evidence_ends_with_the_truth_or_says_so() {
    assert_telling(&check(PLANNER_CASES, story::on_one_pgpool(Knows::Nothing), planner::run));
}

#[test]
fn the_planner_with_evidence_ends_with_the_truth_or_says_so() {
    assert_telling(&check(PLANNER_CASES, story::on_one_pgpool(Knows::Postgres), planner::run));
}

#[test]
fn the_client_ends_with_the_truth_or_says_so() {
    assert_telling(&check(CLIENT_CASES, story::with_faults(), client::run));
}

/// Runs the script in `MODEL_SCRIPT`, if there is one.
#[test]
fn replay() {
    let Ok(script) = std::env::var("MODEL_SCRIPT") else { return };
    let schedule: Schedule = script.parse().unwrap_or_else(|error| panic!("MODEL_SCRIPT: {error}"));
    for judged in [planner::run(&schedule), client::run(&schedule)] {
        println!("{:?}", judged.unwrap_or_else(|why| panic!("{why}")));
    }
}

#[test]
fn schedules_read_back_from_their_scripts() {
    let read_back = |schedule: &Schedule| match schedule.to_string().parse::<Schedule>() {
        Ok(read) if read == *schedule => Ok(()),
        other => Err(format!("{other:?}")),
    };
    check(200, story::on_one_pgpool(Knows::Nothing), read_back);
    check(200, story::with_faults(), read_back);
}

/// Runs so many schedules, and returns how many of them came to which judgement.
fn check<T>(
    cases: u32,
    schedules: impl Strategy<Value = Schedule>,
    run: impl Fn(&Schedule) -> Result<T, String>,
) -> Vec<T> {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let cases = number("MODEL_CASES").map_or(cases, |cases| u32::try_from(cases).unwrap_or(u32::MAX));
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&number("MODEL_SEED").unwrap_or_default().to_le_bytes());
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 100, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &seed));
    let judged = RefCell::new(Vec::new());
    let failed = runner.run(&schedules, |schedule| {
        judged.borrow_mut().push(run(&schedule).map_err(TestCaseError::fail)?);
        Ok(())
    });
    match failed {
        Ok(()) => judged.into_inner(),
        Err(TestError::Fail(_, schedule)) => {
            let (schedule, why) = shrink::shrink(schedule, run);
            panic!(
                "{why}\nMODEL_SCRIPT='{schedule}' cargo test -p pcp-client --features sandbox --test model replay"
            );
        }
        Err(TestError::Abort(why)) => panic!("{why}"),
    }
}

/// Enough schedules have to tell Pgpool everything, and to end with the truth: else nothing was tested.
fn assert_telling(judged: &[Judged]) {
    let share = |wanted: &[Judged]| {
        judged.iter().filter(|judged| wanted.contains(judged)).count() * 100 / judged.len().max(1)
    };
    let shares = (share(&[Judged::True, Judged::OwnedUp]), share(&[Judged::True]));
    println!("{} schedules: {} % told all, {} % ended with the truth", judged.len(), shares.0, shares.1);
    assert!(shares.0 >= 25 && shares.1 >= 15, "{shares:?}");
}
