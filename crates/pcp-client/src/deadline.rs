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

    /// Returns the deadline `limit` from now, or this one where that comes first.
    pub(crate) fn at_most(self, limit: Duration) -> Self {
        Self(self.cut(limit))
    }

    /// Returns a deadline that comes `by` earlier, but not before now.
    pub(crate) fn earlier(self, by: Duration) -> Self {
        let now = Instant::now();
        Self(self.0.checked_sub(by).map_or(now, |earlier| earlier.max(now)))
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

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn what_is_left_ends_at_zero() {
        let deadline = Deadline::after(2 * SECOND);
        assert_eq!((deadline.remaining(), deadline.has_passed()), (2 * SECOND, false));
        advance(SECOND).await;
        assert_eq!((deadline.remaining(), deadline.has_passed()), (SECOND, false));
        advance(SECOND).await;
        assert_eq!((deadline.remaining(), deadline.has_passed()), (Duration::ZERO, true));
        advance(SECOND).await;
        assert_eq!((deadline.remaining(), deadline.has_passed()), (Duration::ZERO, true));
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_ends_with_the_deadline_or_before() {
        let deadline = Deadline::after(2 * SECOND);
        assert_eq!(deadline.instant(), Instant::now() + 2 * SECOND);
        assert_eq!(deadline.cut(SECOND), Instant::now() + SECOND);
        assert_eq!(deadline.cut(Duration::MAX), deadline.instant());
    }

    #[tokio::test(start_paused = true)]
    async fn no_limit_is_too_long() {
        assert_eq!(Deadline::after(Duration::MAX).remaining(), 365 * 24 * 3600 * SECOND);
    }
}
