//! A point in time that everything under it ends by.

use std::time::Duration;

use tokio::time::Instant;

/// When a whole command has to be over; every wait inside it is cut to what is left.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Deadline(Instant);

impl Deadline {
    /// Makes a deadline `limit` from now.
    pub fn after(limit: Duration) -> Self {
        Self(later(limit))
    }

    /// Returns what is left; zero when it has passed.
    pub fn remaining(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// Tells whether it has passed.
    pub fn has_passed(self) -> bool {
        self.remaining().is_zero()
    }

    /// Returns the end of a wait of at most `limit` that also ends by this deadline.
    pub(crate) fn cut(self, limit: Duration) -> Instant {
        self.0.min(later(limit))
    }

    pub(crate) fn instant(self) -> Instant {
        self.0
    }
}

/// Returns the time `limit` from now, or one so far away that nobody waits for it.
fn later(limit: Duration) -> Instant {
    const FAR: Duration = Duration::from_secs(86_400 * 365);
    Instant::now() + limit.min(FAR)
}
