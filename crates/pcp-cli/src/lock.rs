//! Queues the hooks of one host, so that two of them do not undo each other's steps.
//!
//! Their goals are right without it: it saves needless fights, and nothing else depends on it. So a hook waits for
//! it a while and then goes on without. Hooks on other hosts know nothing of it.

use std::collections::BTreeSet;
use std::io;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use pcp_client::Endpoint;
use tokio::time::{Instant, sleep};
use tracing::{info, warn};

/// The longest wait for another hook.
const MAX_WAIT: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(25);

/// Keeps other hooks of this host from the same Pgpools until it is dropped, or the process ends in any way.
#[derive(Debug)]
pub(crate) struct Lock {
    _held: Vec<UnixDatagram>,
}

impl Lock {
    /// Waits until no other hook of this host works on one of these Pgpools: for a quarter of the whole time of the
    /// command, at most 5 s. What cannot be locked is logged.
    pub(crate) async fn acquire(endpoints: impl Iterator<Item = &Endpoint>, limit: Duration) -> Self {
        let end = Instant::now() + MAX_WAIT.min(limit / 4);
        let mut held = Vec::new();
        // In the same order everywhere: so two hooks with several Pgpools do not wait for each other.
        let names: BTreeSet<_> = endpoints.map(Endpoint::to_string).collect();
        for endpoint in names {
            match lock_until(&endpoint, end).await {
                Ok(socket) => held.push(socket),
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                    warn!(endpoint, "another pcpctl on this host still works on this Pgpool: going on beside it");
                }
                Err(error) => warn!(endpoint, %error, "cannot lock out other pcpctl processes on this host"),
            }
        }
        Self { _held: held }
    }
}

async fn lock_until(endpoint: &str, end: Instant) -> io::Result<UnixDatagram> {
    let mut waits = false;
    loop {
        match lock(endpoint) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && Instant::now() < end => {
                if !waits {
                    info!(endpoint, "waiting for another pcpctl on this host");
                    waits = true;
                }
                sleep(POLL).await;
            }
            result => return result,
        }
    }
}

/// Binds an abstract socket, which is on no disk, is shared by all users and ends with its process.
#[cfg(target_os = "linux")]
fn lock(endpoint: &str) -> io::Result<UnixDatagram> {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::SocketAddr;

    /// The kernel takes 107 bytes. Where names differ only behind them, their hooks queue as well.
    const MAX_LEN: usize = 107;
    let name = format!("pcpctl/{}", endpoint.to_lowercase());
    let name = name.as_bytes();
    UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(name.get(..MAX_LEN).unwrap_or(name))?)
}

#[cfg(not(target_os = "linux"))]
fn lock(_: &str) -> io::Result<UnixDatagram> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(8);

    /// Makes endpoints that no other test has.
    fn endpoints(test: &str, names: &[&str]) -> Vec<Endpoint> {
        let pid = std::process::id();
        names.iter().map(|name| Endpoint::parse(&format!("{name}.{test}-{pid}"), 9898).unwrap()).collect()
    }

    async fn waited(endpoints: &[Endpoint], limit: Duration) -> (Lock, Duration) {
        let started = Instant::now();
        let lock = Lock::acquire(endpoints.iter(), limit).await;
        (lock, started.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn a_lock_is_waited_for_a_quarter_of_the_time_and_at_most_five_seconds() {
        let pgpools = endpoints("wait", &["a", "b"]);
        let (first, time) = waited(&pgpools, LIMIT).await;
        assert_eq!(time, Duration::ZERO);
        for (limit, least) in [(LIMIT, LIMIT / 4), (Duration::MAX, MAX_WAIT), (Duration::ZERO, Duration::ZERO)] {
            // Both are taken: they share the time.
            let (_second, time) = waited(&pgpools, limit).await;
            assert!(least <= time && time < least + 2 * POLL, "{limit:?}: {time:?}");
        }
        drop(first);
        assert_eq!(waited(&pgpools, LIMIT).await.1, Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn hooks_with_a_pgpool_in_common_queue_in_whatever_order_it_is_given() {
        let pgpools = endpoints("common", &["a", "b", "c"]);
        let (held, time) = waited(&endpoints("common", &["b", "a", "b"]), LIMIT).await;
        assert_eq!(time, Duration::ZERO);
        assert_eq!(waited(&endpoints("common", &["c"]), LIMIT).await.1, Duration::ZERO);
        assert!(waited(&endpoints("common", &["A"]), LIMIT).await.1 >= LIMIT / 4);
        let release = async {
            sleep(Duration::from_secs(1)).await;
            drop(held);
        };
        let ((_, time), ()) = tokio::join!(waited(&pgpools, LIMIT), release);
        assert!(Duration::from_secs(1) <= time && time < Duration::from_secs(1) + 2 * POLL, "{time:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_name_of_any_length_can_be_locked() {
        let long = endpoints("long", &[&"x".repeat(200)]);
        let (_held, time) = waited(&long, LIMIT).await;
        assert_eq!(time, Duration::ZERO);
        assert!(waited(&long, LIMIT).await.1 >= LIMIT / 4);
    }
}
