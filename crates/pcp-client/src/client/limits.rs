//! How long a connection waits.

use std::time::Duration;

use crate::Deadline;

/// How long a connection waits for what.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// For the salt and the login together.
    pub login: Duration,
    /// For the next frame of a reply to a query.
    pub query: Duration,
    /// For the reply to a change: a watchdog in transition holds it back for up to 20 s. A graceful detach or
    /// promotion is answered within recovery_timeout (90 s by default), a recovery when it ended, which may take
    /// hours: raise it for those.
    pub change: Duration,
    /// For everything; wins over the others.
    pub deadline: Deadline,
}

impl Limits {
    /// Makes the default limits: 5 s for login and queries, 25 s for changes.
    pub fn new(deadline: Deadline) -> Self {
        Self {
            login: Duration::from_secs(5),
            query: Duration::from_secs(5),
            change: Duration::from_secs(25),
            deadline,
        }
    }
}
