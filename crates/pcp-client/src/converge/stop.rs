//! Ending early.

use std::sync::Arc;

use tokio::sync::watch;

/// Tells runs to end before their deadline, as on a signal. What is half done is undone first, within 5 s.
///
/// Clones belong together: whichever of them is told, all runs that have one end.
#[derive(Clone, Debug)]
pub struct Stop(Arc<watch::Sender<bool>>);

impl Stop {
    /// Makes one that nobody has told yet.
    pub fn new() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }

    /// Tells the runs to end.
    pub fn request(&self) {
        self.0.send_replace(true);
    }

    /// Waits until the runs were told to end. Cancel safe.
    pub async fn requested(&self) {
        let mut told = self.0.subscribe();
        // It fails when the sender is gone, and self holds it.
        let _told = told.wait_for(|told| *told).await;
    }
}

impl Default for Stop {
    fn default() -> Self {
        Self::new()
    }
}
