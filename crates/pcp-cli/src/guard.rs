//! The last resort: ends the process after its deadline.

use std::process;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::exit::Exit;

/// How long after its deadline a process may end by itself.
const GRACE: Duration = Duration::from_secs(1);

/// Ends the process a second after the deadline, whatever hangs: a resolver, a full pipe, a disk.
#[derive(Debug)]
pub(crate) struct Guard {
    limits: Sender<Duration>,
}

impl Guard {
    /// Starts the thread that ends the process, with that exit. It says nothing: what hangs may be just that.
    pub(crate) fn start(limit: Duration, exit: Exit) -> Self {
        let (limits, changed) = channel();
        thread::spawn(move || {
            let mut end = end(limit);
            loop {
                match changed.recv_timeout(end.saturating_duration_since(Instant::now())) {
                    Ok(limit) => end = self::end(limit),
                    Err(RecvTimeoutError::Timeout) => process::exit(exit.code()),
                    Err(RecvTimeoutError::Disconnected) => {
                        thread::sleep(end.saturating_duration_since(Instant::now()));
                        process::exit(exit.code());
                    }
                }
            }
        });
        Self { limits }
    }

    /// Moves the deadline to `limit` from now, once the settings say it.
    pub(crate) fn change(&self, limit: Duration) {
        let _gone = self.limits.send(limit);
    }
}

fn end(limit: Duration) -> Instant {
    const FAR: Duration = Duration::from_secs(86_400 * 365);
    Instant::now() + limit.min(FAR) + GRACE
}
