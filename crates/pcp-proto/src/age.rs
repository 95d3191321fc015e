//! How old a server is, as far as its replies tell, and what that allows.

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
    /// The oldest release that speaks this protocol.
    pub const OLDEST: Self = Self::new(3, 5);

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

/// Parameters of pool status with the release that first lists them, in every one of its minor releases; none was
/// removed later.
const MARKERS: &[(&str, Release)] = &[
    ("failover_on_backend_error", Release::new(4, 0)),
    ("reserved_connections", Release::new(4, 1)),
    ("follow_primary_command", Release::new(4, 2)),
    ("failover_on_backend_shutdown", Release::new(4, 3)),
    ("unix_socket_directories", Release::new(4, 4)),
    ("log_pcp_processes", Release::new(4, 5)),
    ("log_backend_messages", Release::new(4, 6)),
    ("work_dir", Release::new(4, 7)),
];

/// What is known of a server's release; the protocol has no way to ask for it.
///
/// Three replies tell something: pool status by the names of its parameters ([`of`](Self::of)), node info and
/// process info by their layouts ([`NodeInfos::age`](crate::message::NodeInfos::age),
/// [`ProcessInfos::age`](crate::message::ProcessInfos::age)). [`intersect`](Self::intersect) puts them together.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ServerAge {
    /// It is this release or a later one.
    pub at_least: Release,
    /// It is older than this release; `None` where no limit is known.
    pub before: Option<Release>,
}

impl ServerAge {
    /// The age of a server that has not said anything yet.
    pub const UNKNOWN: Self = Self::since(Release::OLDEST);

    /// A release or any later one.
    pub const fn since(at_least: Release) -> Self {
        Self { at_least, before: None }
    }

    /// A release or a later one, but older than `before`.
    pub const fn between(at_least: Release, before: Release) -> Self {
        Self { at_least, before: Some(before) }
    }

    /// Reads the age off the names of the parameters that a server lists.
    pub fn of(status: &PoolStatus) -> Self {
        let mut age = Self::UNKNOWN;
        for &(name, release) in MARKERS {
            if status.value(name).is_some() {
                age.at_least = release;
            } else {
                age.before.get_or_insert(release);
            }
        }
        age
    }

    /// Returns what holds where both are true, or `None` where they cannot be: two servers behind one address, or
    /// one that is none of the known releases.
    pub fn intersect(self, other: Self) -> Option<Self> {
        let before = match (self.before, other.before) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        let at_least = self.at_least.max(other.at_least);
        before.is_none_or(|before| at_least < before).then_some(Self { at_least, before })
    }

    /// Tells whether the server is certainly `release` or later.
    pub fn is_at_least(self, release: Release) -> bool {
        self.at_least >= release
    }

    /// Tells whether the server is certainly older than `release`.
    pub fn is_before(self, release: Release) -> bool {
        self.before.is_some_and(|before| before <= release)
    }

    /// Checks that the server certainly has what a request needs; see
    /// [`Request::requirement`](crate::message::Request::requirement).
    ///
    /// An older server drops the connection at most requests that it does not know, and takes a switchover for a
    /// plain promotion. So this belongs before sending, and an age that allows both counts as too old.
    ///
    /// # Errors
    ///
    /// [`TooOld`] names the release that is needed.
    pub fn check(self, requirement: Requirement) -> Result<(), TooOld> {
        match self.is_at_least(requirement.since) {
            true => Ok(()),
            false => Err(TooOld { requirement, age: self }),
        }
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

/// What a request asks of a server's age.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Requirement {
    /// What is asked for, in words.
    pub what: &'static str,
    /// The first release that has it.
    pub since: Release,
}

/// A server is, or may be, too old for a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{} needs Pgpool {} or later; this server is {age}", requirement.what, requirement.since)]
pub struct TooOld {
    /// What was to be asked, and what it needs.
    pub requirement: Requirement,
    /// What is known of the server.
    pub age: ServerAge,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{
        NodeInfoLayout, Parameter, ProcessInfoLayout, PromoteMode, PromoteNode, ReadHealthCheckStats,
        ReadNodeCount, ReadNodeInfo, Request,
    };

    fn age_of(names: &[&str]) -> ServerAge {
        let parameters =
            names.iter().map(|&name| Parameter { name: name.into(), ..Parameter::default() }).collect();
        ServerAge::of(&PoolStatus { parameters })
    }

    /// The age as text, of a server with the first so many markers.
    fn marked(count: usize) -> ServerAge {
        let names: Vec<_> = MARKERS.iter().take(count).map(|&(name, _)| name).collect();
        age_of(&names)
    }

    #[test]
    fn the_age_is_a_range() {
        assert_eq!(age_of(&["port"]).to_string(), "3.5 or later, before 4.0");
        assert_eq!(marked(MARKERS.len()).to_string(), "4.7 or later");
        for (known, shown, has_stats, dials, may_freeze) in [
            (2, "4.1 or later, before 4.2", false, false, true),
            (3, "4.2 or later, before 4.3", true, false, true),
            (4, "4.3 or later, before 4.4", true, true, true),
            (5, "4.4 or later, before 4.5", true, true, true),
            (6, "4.5 or later, before 4.6", true, true, false),
        ] {
            let age = marked(known);
            assert_eq!(age.to_string(), shown);
            assert_eq!(age.has_health_check_stats(), has_stats, "{shown}");
            assert_eq!(age.node_info_dials_backends(), dials, "{shown}");
            assert_eq!(age.may_freeze_on_open_connections(), may_freeze, "{shown}");
        }
        let age = marked(4);
        assert!(age.is_before(Release::new(4, 4)) && age.is_before(Release::new(4, 6)));
        assert!(!age.is_before(Release::new(4, 3)) && !ServerAge::UNKNOWN.is_before(Release::new(9, 9)));
    }

    #[test]
    fn what_several_replies_tell_is_put_together() {
        let node = |fields| NodeInfoLayout::with_fields(fields).unwrap().age();
        let process = |fields| ProcessInfoLayout::with_fields(fields).unwrap().age();
        let shown = |one: ServerAge, other| one.intersect(other).map(|age| age.to_string());
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(shown(marked(0), node(4)), text("3.5 or later, before 3.7"));
        assert_eq!(shown(node(6), marked(0)), text("3.7 or later, before 4.0"));
        assert_eq!(shown(node(13), process(17)), text("4.4 or later, before 4.5"));
        assert_eq!(shown(ServerAge::UNKNOWN, process(21)), text("4.7 or later"));
        assert_eq!(shown(node(10), process(11)), text("4.1 or later, before 4.3"));
        assert_eq!(shown(node(4), process(17)), None);
        assert_eq!(shown(node(13), process(11)), None);
        // One ends where the other begins.
        assert_eq!(shown(marked(0), marked(1)), None);
    }

    #[test]
    fn a_server_that_may_be_too_old_is_refused_with_the_release_that_is_needed() {
        let node = "2".parse().unwrap();
        let stats = ReadHealthCheckStats { node }.requirement();
        assert_eq!(ServerAge::UNKNOWN.check(ReadNodeCount.requirement()), Ok(()));
        assert_eq!(marked(3).check(stats), Ok(()));
        assert_eq!(
            marked(2).check(stats).unwrap_err().to_string(),
            "reading health check statistics needs Pgpool 4.2 or later; this server is 4.1 or later, before 4.2"
        );
        assert!(ServerAge::UNKNOWN.check(stats).is_err());

        let promote = |mode| PromoteNode { node, mode }.requirement();
        assert_eq!(marked(3).check(promote(PromoteMode::ViewOnly)), Ok(()));
        assert_eq!(marked(4).check(promote(PromoteMode::Switchover)), Ok(()));
        assert_eq!(
            marked(3).check(promote(PromoteMode::Switchover)).unwrap_err().to_string(),
            "a switchover needs Pgpool 4.3 or later; this server is 4.2 or later, before 4.3"
        );
        assert_eq!(marked(3).check(ReadNodeInfo::Node(node).requirement()), Ok(()));
        assert!(marked(3).check(ReadNodeInfo::All.requirement()).is_err());
    }
}
