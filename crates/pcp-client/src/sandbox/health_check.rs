//! Health checks, as far as their statistics show them: they are counted, and set no node down.

use std::time::Duration;

use pcp_proto::message::HealthCheckStats;

use super::layout::civil_time;
use super::{Node, World};

/// What the checks of a node came to.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Checks {
    success: u64,
    fail: u64,
    skip: u64,
    last_success: Option<Duration>,
    last_fail: Option<Duration>,
    last_skip: Option<Duration>,
}

impl World {
    /// Makes the checks that are due, each `health_check_period` after the one before it.
    pub(super) fn check_health(&mut self, now: Duration) {
        let period = self.settings.health_check_period;
        if period.is_zero() {
            self.next_check = None;
            return;
        }
        let first = *self.next_check.get_or_insert(now);
        let Some(passed) = now.checked_sub(first) else { return };
        let more = passed.as_nanos() / period.as_nanos();
        let last = first + period * u32::try_from(more).unwrap_or(u32::MAX);
        for node in &mut self.nodes {
            node.check(u64::try_from(more + 1).unwrap_or(u64::MAX), last);
        }
        self.next_check = Some(last + period);
    }
}

impl Node {
    fn check(&mut self, times: u64, last: Duration) {
        let checks = &mut self.checks;
        let (count, time) = match (self.status.is_attached(), self.postgres.answers()) {
            (false, _) => (&mut checks.skip, &mut checks.last_skip),
            (true, true) => (&mut checks.success, &mut checks.last_success),
            (true, false) => (&mut checks.fail, &mut checks.last_fail),
        };
        *count = count.saturating_add(times);
        *time = Some(last);
    }

    /// Adds what the checks came to; how long each took is made up.
    pub(super) fn with_checks(&self, stats: HealthCheckStats) -> HealthCheckStats {
        let checks = &self.checks;
        let text = |time: Option<Duration>| {
            time.map(|time| civil_time(World::unix_time(time)).as_str().into()).unwrap_or_default()
        };
        let (max_duration, min_duration, average_duration) =
            if checks.success > 0 { (5, 2, 2.75) } else { (0, 0, 0.0) };
        HealthCheckStats {
            total_count: checks.success.saturating_add(checks.fail).saturating_add(checks.skip),
            success_count: checks.success,
            fail_count: checks.fail,
            skip_count: checks.skip,
            max_duration,
            min_duration,
            average_duration,
            last_health_check: text(checks.last_success.max(checks.last_fail).max(checks.last_skip)),
            last_successful_health_check: text(checks.last_success),
            last_skip_health_check: text(checks.last_skip),
            last_failed_health_check: text(checks.last_fail),
            ..stats
        }
    }
}

#[cfg(test)]
mod tests {
    use pcp_proto::message::ReadHealthCheckStats;

    use super::super::Age;
    use super::super::test::Drill;
    use super::*;

    #[test]
    fn checks_are_counted_by_what_they_come_to() {
        for age in Age::ALL.into_iter().filter(|age| age.has_health_check_stats()) {
            let world = World::new(age).node("10.0.0.1", 5432).node("10.0.0.2", 5432).node("10.0.0.3", 5432);
            let period = Duration::from_secs(2);
            let mut drill = Drill::new(world.configure(|settings| settings.health_check_period = period));
            drill.wait(6.5);
            drill.world.kill_postgres(1);
            drill.detach(2).unwrap();
            drill.wait(4.0);
            let mut stats = |node: usize| {
                let stats = drill.ask(&ReadHealthCheckStats { node: node.try_into().unwrap() }).unwrap();
                let counts = [stats.total_count, stats.success_count, stats.fail_count, stats.skip_count];
                let times = [
                    stats.last_health_check,
                    stats.last_successful_health_check,
                    stats.last_failed_health_check,
                    stats.last_skip_health_check,
                ];
                // Every time has the same day and hour; the seconds are enough.
                (counts, times.map(|time| time.to_string().split_off(time.as_bytes().len().saturating_sub(2))))
            };
            let (none, six, ten) = (String::new, || "06".to_owned(), || "10".to_owned());
            assert_eq!(stats(0), ([6, 6, 0, 0], [ten(), ten(), none(), none()]), "{age}");
            assert_eq!(stats(1), ([6, 4, 2, 0], [ten(), six(), ten(), none()]), "{age}");
            assert_eq!(stats(2), ([6, 4, 0, 2], [ten(), six(), none(), ten()]), "{age}");
        }
    }

    #[test]
    fn without_checks_everything_is_zero_and_empty() {
        let mut drill = Drill::new(World::new(Age::V4_7).node("10.0.0.1", 5432));
        drill.wait(100.0);
        let stats = drill.ask(&ReadHealthCheckStats { node: "0".parse().unwrap() }).unwrap();
        assert_eq!((stats.total_count, stats.max_duration, stats.last_health_check), (0, 0, "".into()));
    }
}
