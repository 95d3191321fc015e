//! Amounts and times as people read them.

use jiff::Timestamp;

use crate::local_zone::local_zone;

/// Shows an amount of bytes.
pub(crate) fn bytes(bytes: u64) -> String {
    scaled(bytes, 1024, &["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"])
}

/// Shows a length of time.
pub(crate) fn microseconds(microseconds: u64) -> String {
    const MINUTE: u64 = 60_000_000;
    match microseconds {
        0..MINUTE => scaled(microseconds, 1000, &["µs", "ms", "s"]),
        _ => seconds(microseconds / 1_000_000),
    }
}

/// Shows a moment in the zone of this host, with its offset.
pub(crate) fn local_time(unix_seconds: i64) -> String {
    Timestamp::from_second(unix_seconds).map_or_else(|_| format!("@{unix_seconds}"), instant)
}

/// As [`local_time`].
pub(crate) fn instant(time: Timestamp) -> String {
    time.to_zoned(local_zone()).strftime("%Y-%m-%d %H:%M:%S%:z").to_string()
}

/// As [`local_time`], without what it shares with a moment that is shown whole beside it: zone, and date.
pub(crate) fn time_of_day(time: Timestamp, now: Timestamp) -> String {
    let [time, now] = [time, now].map(|time| time.to_zoned(local_zone()));
    let format = if time.date() == now.date() { "%H:%M:%S" } else { "%Y-%m-%d %H:%M:%S" };
    time.strftime(format).to_string()
}

/// Shows how long ago a moment was.
pub(crate) fn ago(unix_seconds: i64, now: Timestamp) -> String {
    match u64::try_from(now.as_second().saturating_sub(unix_seconds)) {
        Ok(passed) => format!("{} ago", seconds(passed)),
        Err(_) => "in the future".to_owned(),
    }
}

/// Shows seconds in the two largest units that they fill.
fn seconds(seconds: u64) -> String {
    let parts =
        [("d", seconds / 86_400), ("h", seconds / 3600 % 24), ("min", seconds / 60 % 60), ("s", seconds % 60)];
    let filled: Vec<_> = parts.iter().skip_while(|(_, count)| *count == 0).take(2).collect();
    let shown = filled.iter().filter(|(_, count)| *count > 0).map(|(unit, count)| format!("{count} {unit}"));
    let shown = shown.collect::<Vec<_>>().join(" ");
    if shown.is_empty() { "0 s".to_owned() } else { shown }
}

/// Shows an amount in the largest unit that it fills, with one digit behind the point.
fn scaled(amount: u64, step: u64, units: &[&str]) -> String {
    let mut size = 1_u64;
    let mut units = units.iter();
    let mut unit = units.next().copied().unwrap_or_default();
    while let Some(larger) = size.checked_mul(step).filter(|&larger| amount >= larger) {
        let Some(next) = units.next() else { break };
        (size, unit) = (larger, next);
    }
    let (whole, tenths) = (amount / size, amount % size * 10 / size);
    if size == 1 { format!("{whole} {unit}") } else { format!("{whole}.{tenths} {unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_have_a_unit_that_suits_them() {
        for (amount, shown) in
            [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (16_777_216, "16.0 MiB"), (u64::MAX, "15.9 EiB")]
        {
            assert_eq!(bytes(amount), shown);
        }
        for (amount, shown) in [
            (0, "0 µs"),
            (950, "950 µs"),
            (12_345, "12.3 ms"),
            (59_999_999, "59.9 s"),
            (60_000_000, "1 min"),
            (3_725_000_000, "1 h 2 min"),
            (90_000_000_000, "1 d 1 h"),
        ] {
            assert_eq!(microseconds(amount), shown);
        }
    }

    #[test]
    fn moments_have_their_zone_and_their_distance() {
        let shown = local_time(1_767_225_600);
        assert!(shown.contains(":00") && shown.len() == "2026-01-01 00:00:00+00:00".len(), "{shown}");
        assert_eq!(local_time(i64::MAX), format!("@{}", i64::MAX));
        let now = Timestamp::from_second(1_767_225_600).unwrap();
        assert_eq!(time_of_day(now, now).len(), "00:00:00".len());
        let yesterday = Timestamp::from_second(1_767_225_600 - 86_400).unwrap();
        assert_eq!(time_of_day(yesterday, now).len(), "2026-01-01 00:00:00".len());
        assert_eq!(ago(1_767_225_600, now), "0 s ago");
        assert_eq!(ago(1_767_225_600 - 7262, now), "2 h 1 min ago");
        assert_eq!(ago(1_767_225_601, now), "in the future");
    }
}
