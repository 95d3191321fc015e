//! Whose tools are imitated: their texts and columns changed with Pgpool's releases.

use std::fmt;
use std::str::FromStr;

use pcp_proto::Release;
use pcp_proto::message::NodeInfoLayout;

/// The release of Pgpool-II whose tools a link prints like.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Form {
    release: Release,
    patch: u8,
}

/// Stands for the last release of a series, whichever that is.
const LAST: u8 = u8::MAX;

/// The series that have tools of this kind.
const SERIES: [(u8, u8); 11] =
    [(3, 5), (3, 6), (3, 7), (4, 0), (4, 1), (4, 2), (4, 3), (4, 4), (4, 5), (4, 6), (4, 7)];

impl Form {
    /// What is printed where nothing tells the server's age.
    pub(super) const NEWEST: Self = Self { release: Release::new(4, 7), patch: 3 };

    /// Returns the last release of a series.
    pub(super) const fn last_of(major: u8, minor: u8) -> Self {
        Self { release: Release::new(major, minor), patch: LAST }
    }

    /// Returns the oldest release, or the last of those, that write a node so. 3.6 writes as 3.5 does, and 4.2 as 4.1.
    pub(super) fn of_layout(layout: NodeInfoLayout) -> Self {
        let (major, minor, patch) = match layout.fields() {
            4 => (3, 5, 0),
            5 => (3, 7, 0),
            6 => (3, 7, LAST),
            7 => (4, 0, 0),
            8 => (4, 0, LAST),
            9 => (4, 1, 0),
            10 => (4, 1, LAST),
            11 => (4, 3, 0),
            12 => (4, 3, LAST),
            _ => return Self::NEWEST,
        };
        Self { release: Release::new(major, minor), patch }
    }

    /// Returns the same patch level of another series.
    pub(super) fn in_series(self, major: u8, minor: u8) -> Self {
        Self { release: Release::new(major, minor), ..self }
    }

    /// Tells whether it is a release of this series or of a later one.
    pub(super) fn is_at_least(self, major: u8, minor: u8) -> bool {
        self.release >= Release::new(major, minor)
    }

    /// Tells whether the watchdog's "VIP up on local node" is already "Local node escalation": that was changed inside the
    /// series.
    pub(super) fn says_escalation(self) -> bool {
        let since = match (self.release.major, self.release.minor) {
            (3, 7) => 24,
            (4, 0) => 19,
            (4, 1) => 12,
            (4, 2) => 9,
            (4, 3) => 2,
            _ => return self.is_at_least(4, 4),
        };
        self.patch >= since
    }
}

/// Reads a series, `4.1`, or a release, `4.1.4`.
impl FromStr for Form {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut numbers = text.split('.').map(|number| match number.bytes().all(|byte| byte.is_ascii_digit()) {
            true => number.parse::<u8>().map_err(drop),
            false => Err(()),
        });
        let (major, minor) = (numbers.next().ok_or(())??, numbers.next().ok_or(())??);
        let patch = numbers.next().unwrap_or(Ok(LAST))?;
        let is_known = SERIES.contains(&(major, minor)) && numbers.next().is_none();
        is_known.then_some(Self { release: Release::new(major, minor), patch }).ok_or(())
    }
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.patch {
            LAST => self.release.fmt(f),
            patch => write!(f, "{}.{patch}", self.release),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_and_releases_are_read() {
        for (text, shown) in [("4.1", "4.1"), ("4.1.4", "4.1.4"), ("3.5.0", "3.5.0"), ("4.7", "4.7")] {
            assert_eq!(text.parse::<Form>().unwrap().to_string(), shown);
        }
        for text in ["", "4", "4.8", "3.4", "4.1.4.1", "4.1.x", "+4.1", "v4.1", "4.1.", "4.1.256"] {
            assert!(text.parse::<Form>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_word_that_changed_inside_the_series_goes_by_the_patch_level() {
        for (text, says) in [
            ("3.5", false),
            ("3.6", false),
            ("4.1.11", false),
            ("4.1.12", true),
            ("4.1", true),
            ("4.3.1", false),
            ("4.3.2", true),
            ("4.4.0", true),
            ("4.7", true),
        ] {
            assert_eq!(text.parse::<Form>().unwrap().says_escalation(), says, "{text}");
        }
    }

    #[test]
    fn every_layout_of_node_info_has_its_form() {
        let forms: Vec<_> = NodeInfoLayout::all().map(|layout| Form::of_layout(layout).to_string()).collect();
        assert_eq!(forms, ["3.5.0", "3.7.0", "3.7", "4.0.0", "4.0", "4.1.0", "4.1", "4.3.0", "4.3", "4.7.3"]);
    }
}
