//! The pauses between two looks.

use std::time::Duration;

use tokio::time::sleep;

use crate::Deadline;

/// In milliseconds; the last one repeats.
const PAUSES: [u64; 7] = [2, 5, 10, 20, 50, 100, 250];

/// The pauses between two looks.
#[derive(Default)]
pub(crate) struct Pauses(usize);

impl Pauses {
    pub(crate) fn next(&mut self) -> Duration {
        let pause = PAUSES.get(self.0).or(PAUSES.last()).copied().unwrap_or_default();
        self.0 += 1;
        Duration::from_millis(pause)
    }

    /// Pauses, unless that would outlast the deadline.
    pub(crate) async fn pause_within(&mut self, deadline: Deadline) -> bool {
        let pause = self.next();
        let in_time = pause < deadline.remaining();
        if in_time {
            sleep(pause).await;
        }
        in_time
    }
}
