//! How old a server is, as far as its replies tell.

use std::fmt;

use crate::message::PoolStatus;

/// A release series of Pgpool-II, such as 4.3.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Release {
    /// The first number.
    pub major: u8,
    /// The second number.
    pub minor: u8,
}

impl Release {
    /// Makes a release.
    pub const fn new(major: u8, minor: u8) -> Self {
        Self { major, minor }
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// The oldest release that speaks this protocol.
const OLDEST: Release = Release::new(3, 5);

/// Parameters of pool status with the release that first lists them, in every one of its minor releases; none was
/// removed later.
const MARKERS: &[(&str, Release)] = &[
    ("failover_on_backend_error", Release::new(4, 0)),
    ("reserved_connections", Release::new(4, 1)),
    ("follow_primary_command", Release::new(4, 2)),
    ("failover_on_backend_shutdown", Release::new(4, 3)),
    ("unix_socket_directories", Release::new(4, 4)),
    ("log_backend_messages", Release::new(4, 6)),
];

/// What is known of a server's release; the protocol has no way to ask for it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ServerAge {
    /// It is this release or a later one.
    pub at_least: Release,
    /// It is older than this release; `None` where no limit is known.
    pub before: Option<Release>,
}

impl ServerAge {
    /// Reads the age off the names of the parameters that a server lists.
    pub fn of(status: &PoolStatus) -> Self {
        let mut age = Self { at_least: OLDEST, before: None };
        for &(name, release) in MARKERS {
            if status.value(name).is_some() {
                age.at_least = release;
            } else {
                age.before.get_or_insert(release);
            }
        }
        age
    }

    /// Tells whether the server is certainly `release` or later.
    pub fn is_at_least(self, release: Release) -> bool {
        self.at_least >= release
    }

    /// Tells whether the server answers health check statistics; an older one drops the connection instead.
    pub fn has_health_check_stats(self) -> bool {
        self.is_at_least(Release::new(4, 2))
    }

    /// Tells whether node info makes the server connect to the node asked for, where health checks are on.
    pub fn node_info_dials_backends(self) -> bool {
        self.is_at_least(Release::new(4, 3))
    }

    /// Tells whether one open PCP connection may freeze the server after a change, until it closes.
    ///
    /// Fixed in 4.5.0; a server that may be either counts as one that freezes.
    pub fn may_freeze_on_open_connections(self) -> bool {
        !self.is_at_least(Release::new(4, 5))
    }
}

impl fmt::Display for ServerAge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.before {
            None => write!(f, "{} or later", self.at_least),
            Some(before) => write!(f, "{} or later, before {before}", self.at_least),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Parameter;

    fn age_of(names: &[&str]) -> ServerAge {
        let parameters =
            names.iter().map(|&name| Parameter { name: name.into(), ..Parameter::default() }).collect();
        ServerAge::of(&PoolStatus { parameters })
    }

    #[test]
    fn the_age_is_a_range() {
        assert_eq!(age_of(&["port"]).to_string(), "3.5 or later, before 4.0");
        let names: Vec<_> = MARKERS.iter().map(|&(name, _)| name).collect();
        assert_eq!(age_of(&names).to_string(), "4.6 or later");
        for (known, shown, has_stats, dials, may_freeze) in [
            (2, "4.1 or later, before 4.2", false, false, true),
            (3, "4.2 or later, before 4.3", true, false, true),
            (4, "4.3 or later, before 4.4", true, true, true),
            (5, "4.4 or later, before 4.6", true, true, true),
            (6, "4.6 or later", true, true, false),
        ] {
            let age = age_of(&names[..known]);
            assert_eq!(age.to_string(), shown);
            assert_eq!(age.has_health_check_stats(), has_stats, "{shown}");
            assert_eq!(age.node_info_dials_backends(), dials, "{shown}");
            assert_eq!(age.may_freeze_on_open_connections(), may_freeze, "{shown}");
        }
    }
}
