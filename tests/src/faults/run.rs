//! Every place of every fault, and what came of it.

use std::collections::BTreeMap;
use std::iter;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use pcp_cli::Exit;
use pcp_client::Deadline;
use tokio::runtime::Builder;
use tokio::time::Instant;

use super::fault::{Fault, Kind, Meets, Places, Way};
use super::net::Net;
use super::pipe::Passed;
use super::verb::{Ended, Verb};

/// How late a run may end. The clock is the runtime's, so that nothing but a wait takes time.
const GRACE: Duration = Duration::from_secs(1);

/// What came of one fault at all its places.
#[derive(Clone, Debug, Default)]
pub struct Cell {
    /// How often each exit code came.
    pub exits: BTreeMap<i32, usize>,
    /// How often a lie of the server was believed, which told of its state.
    pub believed: usize,
    /// What must not be: which place, and what came.
    pub defects: Vec<String>,
    /// The longest run, by its own clock.
    pub longest: Duration,
}

/// Which places are tried.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Extent {
    /// All of them on one connection; of a fault that meets all later ones as well, which takes many looks, the bytes around
    /// the frames' borders, and each frame, on those connections that are not like the one before.
    Every,
    /// The bytes around the frames' borders, and each frame, but of a list the first and the last rows.
    Borders,
    /// So many of those, evenly spread, the first and the last one among them.
    Few(usize),
}

/// Tries a fault at its places of every connection that the verb makes, and returns what came of it.
///
/// # Errors
///
/// When the verb fails without a fault: nothing would be proven then.
pub fn try_everywhere(verb: &Verb, kind: Kind, extent: Extent) -> Result<Cell> {
    let (ended, passed, _) = once(verb, None);
    ensure!(ended.exit == Exit::Done && ended.said.is_empty(), "{} without a fault: {ended:?}", verb.name);
    let faults = faults(kind, &passed, extent);
    let (next, cell) = (AtomicUsize::new(0), Mutex::new(Cell::default()));
    let workers = thread::available_parallelism().context("how many processors are there?")?;
    thread::scope(|scope| {
        for _ in 0..workers.get() {
            scope.spawn(|| {
                while let Some(&fault) = faults.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let tried = catch_unwind(AssertUnwindSafe(|| judged(verb, fault)));
                    let mut cell = cell.lock().unwrap_or_else(PoisonError::into_inner);
                    match tried {
                        Ok(tried) => cell.add(tried),
                        Err(_) => cell.defects.push(format!("{}, {fault:?}: a panic", verb.name)),
                    }
                }
            });
        }
    });
    Ok(cell.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// Returns the fault at every place that there is, for each connection alone and for it and all that come after.
pub(super) fn faults(kind: Kind, passed: &[Passed], extent: Extent) -> Vec<Fault> {
    let (mut faults, connections) = (Vec::new(), passed.len());
    let mut before = None;
    for (number, passed) in passed.iter().enumerate() {
        // What lasts is the same, whichever it begins with of looks at something that takes its time.
        let is_like_before = before.replace(passed).is_some_and(|before| passed.is_like(before));
        let lasting = (!is_like_before).then_some(Meets::From(number));
        for meets in iter::once(Meets::Only(number)).chain(lasting) {
            let passed = passed.way(kind.way());
            let (bytes, frames) = (passed.bytes, passed.ends.len());
            let count = match kind.places() {
                Places::Once | Places::FirstFrame => 1,
                Places::Bytes => bytes,
                Places::BytesAndEnd => bytes + 1,
                Places::Frames => frames,
                Places::Gaps => frames + 1,
                Places::Pairs => frames.saturating_sub(1),
            };
            let in_bytes = matches!(kind.places(), Places::Bytes | Places::BytesAndEnd);
            let is_wanted = |&at: &usize| match (extent, in_bytes) {
                (Extent::Every, true) => matches!(meets, Meets::Only(_)) || passed.is_at_border(at),
                (Extent::Every, false) => true,
                (_, true) => passed.is_at_border(at) && !passed.is_in_a_list(at),
                (_, false) => !passed.is_frame_in_a_list(at),
            };
            let mut places: Vec<_> = (0..count).filter(is_wanted).collect();
            let last = connections.saturating_sub(1);
            places = match (extent, meets) {
                (Extent::Few(few), Meets::Only(0 | 1)) => spread(&places, few),
                (Extent::Few(few), Meets::Only(number)) if number == last => spread(&places, few),
                // What lasts until the deadline takes many looks.
                (Extent::Few(_), Meets::From(number)) if [0, last].contains(&number) => spread(&places, 1),
                (Extent::Few(_), _) => Vec::new(),
                _ => places,
            };
            faults.extend(places.into_iter().map(|at| Fault { kind, at, meets }));
        }
    }
    faults
}

fn spread(places: &[usize], few: usize) -> Vec<usize> {
    let last = places.len().saturating_sub(1);
    let mut chosen: Vec<_> = (0..few).map(|at| (at * last).checked_div(few - 1).unwrap_or(last)).collect();
    chosen.dedup();
    chosen.into_iter().filter_map(|at| places.get(at)).copied().collect()
}

/// What came of one fault at one place.
struct Tried {
    exit: Exit,
    elapsed: Duration,
    believed: bool,
    defect: Option<String>,
}

impl Cell {
    fn add(&mut self, tried: Tried) {
        *self.exits.entry(tried.exit.code()).or_default() += 1;
        self.believed += usize::from(tried.believed);
        self.defects.extend(tried.defect);
        self.longest = self.longest.max(tried.elapsed);
    }

    /// Says that something must not be, and no exit code.
    pub(super) fn defect(what: String) -> Self {
        Self { defects: vec![what], ..Self::default() }
    }

    /// Returns how many places were tried.
    #[must_use]
    pub fn places(&self) -> usize {
        self.exits.values().sum()
    }

    /// Adds what came of another fault.
    pub fn merge(&mut self, other: Self) {
        for (exit, count) in other.exits {
            *self.exits.entry(exit).or_default() += count;
        }
        self.believed += other.believed;
        self.defects.extend(other.defects);
        self.longest = self.longest.max(other.longest);
    }
}

fn judged(verb: &Verb, fault: Fault) -> Tried {
    let (ended, _, seen) = once(verb, Some(fault));
    let verdict = judge(verb, fault, &ended, &seen);
    let is_false = ended.exit == Exit::Done && !(seen.is_true && ended.said.is_empty());
    Tried {
        exit: ended.exit,
        elapsed: seen.elapsed,
        believed: verdict.is_none() && is_false,
        defect: verdict
            .map(|why| format!("{} on {}, {fault:?}: {why}: {:?}; {}", verb.name, verb.age, ended, seen.shown)),
    }
}

/// What is seen beside what a run says.
struct Seen {
    elapsed: Duration,
    is_true: bool,
    was_asked_to_change: bool,
    shown: String,
}

/// Runs the verb in a world of its own, in a time of its own.
#[expect(clippy::expect_used, reason = "a process without a descriptor can test nothing")]
fn once(verb: &Verb, fault: Option<Fault>) -> (Ended, Vec<Passed>, Seen) {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime");
    runtime.block_on(async {
        let net = Net::new((verb.world)(verb.age), fault);
        let started = Instant::now();
        let ended = (verb.run)(&net, Deadline::after(verb.limit)).await;
        let elapsed = started.elapsed();
        let seen = Seen {
            elapsed,
            is_true: (verb.is_true)(&net),
            was_asked_to_change: net.was_asked_to_change(),
            shown: net.shown(),
        };
        (ended, net.passed(), seen)
    })
}

/// Says what is wrong with how a run ended, if anything.
fn judge(verb: &Verb, fault: Fault, ended: &Ended, seen: &Seen) -> Option<String> {
    if seen.elapsed > verb.limit + GRACE {
        return Some(format!("it took {:?} of {:?}", seen.elapsed, verb.limit));
    }
    if ended.exit == Exit::Done && !ended.said.is_empty() {
        return (!verb.is_lied_to(fault.kind)).then(|| "it took one answer for another".to_owned());
    }
    if ended.exit == Exit::Done && !seen.is_true && !verb.is_lied_to(fault.kind) {
        return Some("success, and it is not so".to_owned());
    }
    if ended.exit == Exit::Done {
        return None;
    }
    if ended.said.trim().is_empty() {
        return Some("no reason is given".to_owned());
    }
    if ended.claims_nothing && (seen.was_asked_to_change || !ended.changes.is_empty()) {
        return Some("it says that nothing was changed, and Pgpool was asked to".to_owned());
    }
    let is_harmless = fault.kind.is_harmless(verb.patience);
    let is_single = matches!(fault.meets, Meets::Only(_));
    if is_single && verb.goes_on && (is_harmless || is_of_the_transport(fault.kind)) {
        return Some("one connection failed, and it gave up".to_owned());
    }
    if is_harmless {
        return Some("it failed for a pause".to_owned());
    }
    let names = |words: &[&str]| words.iter().any(|word| ended.said.contains(word));
    let words: &[&str] = match fault.kind {
        Kind::Reset(_) => &["reset", "in time"],
        Kind::Cut(_) | Kind::HalfClose(Way::FromServer) => &["closed the connection", "in time"],
        Kind::Stall(_) | Kind::Delay(..) | Kind::HalfClose(Way::ToServer) => {
            &["in time", "too long", "closed the connection"]
        }
        _ => &[""],
    };
    (!names(words)).then(|| "what happened is not named".to_owned())
}

fn is_of_the_transport(kind: Kind) -> bool {
    matches!(kind, Kind::Cut(_) | Kind::Reset(_) | Kind::HalfClose(_) | Kind::Stall(_) | Kind::Delay(..))
}
