//! The Pgpool versions under test.

use std::fmt;

/// A Pgpool, named by its series; it comes from a Debian suite together with that suite's PostgreSQL.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Version {
    /// 4.1.4, bullseye, PostgreSQL 13: the `master`/`slave` spelling, one-packet replies.
    V4_1,
    /// 4.3.5, bookworm, PostgreSQL 15: the last layout that an open PCP connection can freeze.
    V4_3,
    /// 4.6.1, trixie, PostgreSQL 17.
    V4_6,
    /// 4.7.3, sid, PostgreSQL 18.
    V4_7,
}

impl Version {
    /// All of them, oldest first.
    pub const ALL: [Self; 4] = [Self::V4_1, Self::V4_3, Self::V4_6, Self::V4_7];

    /// Return the Debian suite that carries it.
    #[must_use]
    pub const fn suite(self) -> &'static str {
        match self {
            Self::V4_1 => "bullseye",
            Self::V4_3 => "bookworm",
            Self::V4_6 => "trixie",
            Self::V4_7 => "sid",
        }
    }

    /// Return the release seen when the tests were written; sid may have moved on within the series.
    #[must_use]
    pub const fn pgpool(self) -> &'static str {
        match self {
            Self::V4_1 => "4.1.4",
            Self::V4_3 => "4.3.5",
            Self::V4_6 => "4.6.1",
            Self::V4_7 => "4.7.3",
        }
    }

    /// Return the major version of the suite's PostgreSQL.
    #[must_use]
    pub const fn postgres(self) -> u8 {
        match self {
            Self::V4_1 => 13,
            Self::V4_3 => 15,
            Self::V4_6 => 17,
            Self::V4_7 => 18,
        }
    }

    /// Return the series, which the image build insists on.
    #[must_use]
    pub const fn series(self) -> &'static str {
        match self {
            Self::V4_1 => "4.1",
            Self::V4_3 => "4.3",
            Self::V4_6 => "4.6",
            Self::V4_7 => "4.7",
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pgpool {}", self.series())
    }
}
