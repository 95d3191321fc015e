//! Times that a Pgpool writes in the zone of its host, without saying which that is.

use std::str::FromStr;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use pcp_proto::Text;

use crate::local_zone::local_zone;

/// The time zone of Pgpool's host.
#[derive(Clone, Debug)]
pub(crate) struct ServerZone(TimeZone);

impl ServerZone {
    /// The zone of this host.
    pub(crate) fn local() -> Self {
        Self(local_zone())
    }

    /// Returns the Unix seconds of a time such as `2026-11-21 23:56:49`; `None` for never, and for what is no time.
    pub(crate) fn unix(&self, time: &Text) -> Option<i64> {
        let civil = DateTime::strptime("%Y-%m-%d %H:%M:%S", time.as_str()?).ok()?;
        Some(civil.to_zoned(self.0.clone()).ok()?.timestamp().as_second())
    }
}

impl FromStr for ServerZone {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        TimeZone::get(name).map(Self).map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_the_zone_of_the_server() {
        let utc: ServerZone = "UTC".parse().unwrap();
        assert_eq!(utc.unix(&"2026-01-01 00:00:10".into()), Some(1_767_225_610));
        for never in ["", "soon", "2026-13-01 00:00:00", "2026-01-01 00:00:10 x"] {
            assert_eq!(utc.unix(&never.into()), None, "{never:?}");
        }
        assert!("Nowhere/Land".parse::<ServerZone>().is_err());
    }
}
