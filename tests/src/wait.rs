//! Waiting for a condition: the only way this crate lets time pass.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

/// Poll `condition` until it returns `Ok`, and return that value.
///
/// An `Err` means "not yet" and describes what was seen; [`anyhow::ensure!`] fits. The pause between two looks
/// grows from 10 to 100 ms. At least one look is taken, whatever the limit.
///
/// # Errors
///
/// After `limit`, names what was awaited and the last error that `condition` gave.
pub fn wait_until<T>(what: &str, limit: Duration, mut condition: impl FnMut() -> Result<T>) -> Result<T> {
    let start = Instant::now();
    let mut pause = Duration::from_millis(10);
    loop {
        let seen = match condition() {
            Ok(value) => return Ok(value),
            Err(seen) => seen,
        };
        if start.elapsed() >= limit {
            return Err(anyhow!("waited {limit:?} for {what}; last seen: {seen:#}"));
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(100));
    }
}

#[cfg(test)]
mod tests {
    use anyhow::ensure;

    use super::*;

    #[test]
    fn returns_what_the_condition_gives() {
        let mut looks = 0;
        let value = wait_until("the third look", Duration::from_secs(5), || {
            looks += 1;
            ensure!(looks == 3, "look {looks}");
            Ok(looks)
        });
        assert_eq!(value.unwrap(), 3);
    }

    #[test]
    fn says_what_it_waited_for_and_what_it_saw() {
        let error = wait_until::<()>("rain", Duration::from_millis(1), || Err(anyhow!("sunshine"))).unwrap_err();
        assert_eq!(error.to_string(), "waited 1ms for rain; last seen: sunshine");
    }
}
