//! The pauses between two looks.

use std::time::Duration;

/// In milliseconds; the last one repeats.
const PAUSES: [u64; 7] = [2, 5, 10, 20, 50, 100, 250];

/// The pauses between two looks.
#[derive(Default)]
pub(super) struct Pauses(usize);

impl Pauses {
    pub(super) fn next(&mut self) -> Duration {
        let pause = PAUSES.get(self.0).or(PAUSES.last()).copied().unwrap_or_default();
        self.0 += 1;
        Duration::from_millis(pause)
    }
}
