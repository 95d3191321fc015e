//! The time zone of this host, as libc finds it.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::sync::OnceLock;

use jiff::tz::TimeZone;

/// Returns the zone that `TZ` names, or the machine's; UTC where there is none.
///
/// [`TimeZone::system`] would list every zone that this host has to learn the name of one; this reads one file.
pub(crate) fn local_zone() -> TimeZone {
    static ZONE: OnceLock<TimeZone> = OnceLock::new();
    let zone = || zone(std::env::var_os("TZ").as_deref(), Path::new("/usr/share/zoneinfo"));
    ZONE.get_or_init(zone).clone()
}

fn zone(tz: Option<&OsStr>, zones: &Path) -> TimeZone {
    let read = |path: &Path| TimeZone::tzif("", &fs::read(path).ok()?).ok();
    let found = match tz.map(|tz| tz.to_string_lossy()) {
        None => read(Path::new("/etc/localtime")),
        Some(name) if name.is_empty() => None,
        Some(name) => {
            let name = name.strip_prefix(':').unwrap_or(&name);
            read(&zones.join(name)).or_else(|| TimeZone::posix(name).ok())
        }
    };
    found.unwrap_or(TimeZone::UTC)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    #[test]
    fn a_zone_is_a_file_or_a_rule_or_utc() {
        let zones = Path::new("/usr/share/zoneinfo");
        let hours = |tz: Option<&str>| {
            let winter = Timestamp::from_second(1_767_225_600).unwrap();
            zone(tz.map(OsStr::new), zones).to_offset(winter).seconds() / 3600
        };
        for (tz, expected) in [
            (Some("UTC"), 0),
            (Some(""), 0),
            (Some("No/Where"), 0),
            (Some("XYZ-5"), 5),
            (Some("EST5EDT,M3.2.0,M11.1.0"), -5),
            (Some("/nonexistent"), 0),
        ] {
            assert_eq!(hours(tz), expected, "{tz:?}");
        }
        // Where this machine has zones.
        if zones.join("Asia/Tokyo").exists() {
            assert_eq!(
                [Some("Asia/Tokyo"), Some(":Asia/Tokyo"), Some("/usr/share/zoneinfo/Asia/Tokyo")].map(hours),
                [9; 3]
            );
        }
    }
}
