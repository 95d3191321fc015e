//! The pauses between two looks.

use std::time::Duration;

use tokio::time::sleep;

use crate::Deadline;

/// In milliseconds; the last one repeats. The first look comes at once: until Pgpool has forked for the connection, it has most
/// often carried out what was asked.
const PAUSES: [u64; 8] = [0, 2, 5, 10, 20, 50, 100, 250];

/// The pauses between two looks.
#[derive(Default)]
pub(crate) struct Pauses(usize);

impl Pauses {
    /// Begins again, for something has moved. Only the first look of all comes at once: what goes round in circles is not to
    /// keep Pgpool busy.
    pub(crate) fn restart(&mut self) {
        self.0 = self.0.min(1);
    }

    /// Pauses.
    pub(crate) async fn pause(&mut self) {
        pause(self.next()).await;
    }

    /// Pauses, unless that would outlast the deadline.
    pub(crate) async fn pause_within(&mut self, deadline: Deadline) -> bool {
        let next = self.next();
        let in_time = next < deadline.remaining();
        if in_time {
            pause(next).await;
        }
        in_time
    }

    fn next(&mut self) -> Duration {
        let pause = PAUSES.get(self.0).or(PAUSES.last()).copied().unwrap_or_default();
        self.0 += 1;
        Duration::from_millis(pause)
    }
}

/// A timer ends with the next millisecond: one for no time at all would not be at once.
async fn pause(pause: Duration) {
    if !pause.is_zero() {
        sleep(pause).await;
    }
}
