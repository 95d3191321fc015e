//! How old a sandbox is.

use std::fmt;
use std::str::FromStr;

use pcp_proto::Release;
use pcp_proto::message::{NodeInfoLayout, ProcessInfoLayout};

/// A release, or a run of releases, of Pgpool-II that differs from its neighbours on the PCP port.
///
/// Releases between two ages behave as the older one, as far as is known; where they differ in what the wire does
/// not show, an age behaves as its first release.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Age {
    /// 3.5.0 and 3.6: no role on the wire.
    V3_5,
    /// 3.7.0 to 3.7.22.
    V3_7,
    /// 3.7.23 and later 3.7.
    V3_7_23,
    /// 4.0.0 to 4.0.17.
    V4_0,
    /// 4.0.18 and later 4.0.
    V4_0_18,
    /// 4.1.0 to 4.1.10.
    V4_1,
    /// 4.1.11 and later 4.1.
    V4_1_11,
    /// 4.2.0 to 4.2.7: the first with health check statistics.
    V4_2,
    /// 4.2.8 and later 4.2.
    V4_2_8,
    /// 4.3.0: the first with rows of nodes.
    V4_3_0,
    /// 4.3.1 and later 4.3.
    V4_3_1,
    /// 4.4: the last that freezes on open connections.
    V4_4,
    /// 4.5.
    V4_5,
    /// 4.6.
    V4_6,
    /// 4.7.
    V4_7,
}

use Age::*;

impl Age {
    /// Every age, the oldest first.
    pub const ALL: [Self; 15] =
        [V3_5, V3_7, V3_7_23, V4_0, V4_0_18, V4_1, V4_1_11, V4_2, V4_2_8, V4_3_0, V4_3_1, V4_4, V4_5, V4_6, V4_7];

    /// Returns the name that [`FromStr`] reads.
    pub fn name(self) -> &'static str {
        self.row().0
    }

    /// Returns the release series.
    pub fn release(self) -> Release {
        let (_, major, minor, _) = self.row();
        Release::new(major, minor)
    }

    /// Returns how node info is written.
    pub fn node_info_layout(self) -> NodeInfoLayout {
        NodeInfoLayout::with_fields(self.row().3).unwrap_or(NodeInfoLayout::NEWEST)
    }

    /// Returns how process info is written.
    pub fn process_info_layout(self) -> ProcessInfoLayout {
        let release = self.release();
        let layout = ProcessInfoLayout::all().filter(|layout| layout.age().at_least <= release).last();
        layout.unwrap_or(ProcessInfoLayout::NEWEST)
    }

    /// Returns how many digits of a process id the process count shows; the buffer is too small for the rest.
    pub(super) fn process_id_digits(self) -> usize {
        match self {
            V3_5 => 5,
            _ if self <= V4_3_1 => 6,
            _ => 7,
        }
    }

    /// Tells whether health check statistics are answered.
    pub fn has_health_check_stats(self) -> bool {
        self >= V4_2
    }

    /// Tells whether the server waits for every connection to close before it replaces its PCP process, and does
    /// nothing else meanwhile.
    pub fn freezes_on_open_connections(self) -> bool {
        self <= V4_4
    }

    /// Tells whether nodes have a quarantine flag.
    pub(super) fn has_quarantine(self) -> bool {
        matches!(self, V3_7_23 | V4_0_18 | V4_1_11 | V4_2_8) || self >= V4_3_1
    }

    /// Tells whether a detach while there is no primary makes the server search one.
    ///
    /// It came inside the minor series, somewhat before the quarantine flag did.
    pub(super) fn searches_when_no_primary_is_lost(self) -> bool {
        self.has_quarantine() || self == V4_3_0
    }

    /// Tells whether no primary is searched where every node is down.
    pub(super) fn gives_up_when_all_are_down(self) -> bool {
        !matches!(self, V3_5 | V3_7 | V4_0)
    }

    /// Tells whether a search finds the last of several primaries where there is a standby too, and not the first.
    pub(super) fn prefers_the_last_primary(self) -> bool {
        self >= V4_0
    }

    /// Name, release series and number of strings in node info.
    fn row(self) -> (&'static str, u8, u8, usize) {
        match self {
            V3_5 => ("3.5", 3, 5, 4),
            V3_7 => ("3.7", 3, 7, 5),
            V3_7_23 => ("3.7.23", 3, 7, 6),
            V4_0 => ("4.0", 4, 0, 7),
            V4_0_18 => ("4.0.18", 4, 0, 8),
            V4_1 => ("4.1", 4, 1, 9),
            V4_1_11 => ("4.1.11", 4, 1, 10),
            V4_2 => ("4.2", 4, 2, 9),
            V4_2_8 => ("4.2.8", 4, 2, 10),
            V4_3_0 => ("4.3.0", 4, 3, 11),
            V4_3_1 => ("4.3.1", 4, 3, 12),
            V4_4 => ("4.4", 4, 4, 13),
            V4_5 => ("4.5", 4, 5, 13),
            V4_6 => ("4.6", 4, 6, 13),
            V4_7 => ("4.7", 4, 7, 13),
        }
    }
}

impl fmt::Display for Age {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Age {
    type Err = AgeError;

    fn from_str(text: &str) -> Result<Self, AgeError> {
        Self::ALL.into_iter().find(|age| age.name() == text).ok_or_else(|| AgeError { text: text.to_owned() })
    }
}

/// A text that names no [`Age`]; the message lists those that there are.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("there is no Pgpool of age \"{text}\": it is one of {}", Age::ALL.map(Age::name).join(", "))]
pub struct AgeError {
    text: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_age_reads_back_from_its_name_and_other_names_are_refused_with_a_list() {
        for age in Age::ALL {
            assert_eq!(age.to_string().parse(), Ok(age));
        }
        let error = "4.8".parse::<Age>().unwrap_err().to_string();
        assert!(
            error.contains("\"4.8\"")
                && error.ends_with(
                    "3.5, 3.7, 3.7.23, 4.0, 4.0.18, 4.1, 4.1.11, 4.2, 4.2.8, 4.3.0, 4.3.1, 4.4, 4.5, 4.6, 4.7"
                ),
            "{error}"
        );
    }

    #[test]
    fn every_layout_has_an_age() {
        let mut layouts: Vec<_> = Age::ALL.iter().map(|age| age.node_info_layout().fields()).collect();
        layouts.sort_unstable();
        layouts.dedup();
        assert_eq!(layouts, NodeInfoLayout::all().map(NodeInfoLayout::fields).collect::<Vec<_>>());
    }
}
