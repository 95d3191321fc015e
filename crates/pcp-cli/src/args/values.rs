//! Argument values that are read leniently: what calls a hook pads, quotes and leaves things empty.

use std::str::FromStr;
use std::time::Duration;

use clap::ValueEnum;
use pcp_client::{NodeName, NodeNameError, Want};
use serde::Deserialize;

/// A node, with blanks and quotes around it dropped.
#[derive(Clone, Debug)]
pub(crate) struct NodeArg(pub(crate) NodeName);

impl FromStr for NodeArg {
    type Err = NodeNameError;

    fn from_str(text: &str) -> Result<Self, NodeNameError> {
        bare(text).parse().map(Self)
    }
}

/// A node, or nothing: EFM's `%f` is empty where no primary failed.
#[derive(Clone, Debug)]
pub(crate) struct OptionalNode(pub(crate) Option<NodeName>);

impl FromStr for OptionalNode {
    type Err = NodeNameError;

    fn from_str(text: &str) -> Result<Self, NodeNameError> {
        match bare(text) {
            "" => Ok(Self(None)),
            text => text.parse().map(Some).map(Self),
        }
    }
}

/// EFM's `%t`: `m` up to EFM 3, `p` since 4.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum TypeArg {
    Primary,
    Standby,
    Unknown,
}

impl TypeArg {
    /// Returns what an attach of such a node wants.
    pub(crate) fn want(self) -> Want {
        match self {
            Self::Primary => Want::Primary,
            Self::Standby => Want::Standby,
            Self::Unknown => Want::Attached,
        }
    }
}

impl FromStr for TypeArg {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match bare(text).to_ascii_lowercase().as_str() {
            "p" | "m" | "primary" | "master" => Ok(Self::Primary),
            "s" | "standby" => Ok(Self::Standby),
            "" => Ok(Self::Unknown),
            _ => Err("it is p, m, primary, master, s, standby or empty"),
        }
    }
}

/// On how many of several Pgpools a state has to be verified.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Require {
    /// On every one: one that was not reached may still route to the node
    #[default]
    All,
    /// On one
    Any,
    /// On more than half
    Quorum,
}

impl From<Require> for pcp_client::Require {
    fn from(require: Require) -> Self {
        match require {
            Require::All => Self::All,
            Require::Any => Self::Any,
            Require::Quorum => Self::Quorum,
        }
    }
}

/// Whether anything is changed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Effect {
    Change,
    DryRun,
}

/// When a password is asked for on the terminal.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Ask {
    Never,
    /// Where no other source has it, and there is a terminal.
    Missing,
    Always,
}

/// Reads `30s`, `1500ms`, `2m`; a bare number is seconds.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    match text.parse() {
        Ok(seconds) => Ok(Duration::from_secs(seconds)),
        Err(_) => humantime::parse_duration(text).map_err(|error| error.to_string()),
    }
}

/// Drops blanks and one pair of quotes.
pub(super) fn bare(text: &str) -> &str {
    let text = text.trim();
    text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text).trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_read_leniently_and_nothing_else_is() {
        for text in ["p", "m", " P ", "primary", "Master", "\"p\""] {
            assert_eq!(text.parse(), Ok(TypeArg::Primary), "{text:?}");
        }
        for text in ["s", "standby", " S"] {
            assert_eq!(text.parse(), Ok(TypeArg::Standby), "{text:?}");
        }
        for text in ["", " ", "\"\""] {
            assert_eq!(text.parse(), Ok(TypeArg::Unknown), "{text:?}");
        }
        assert!("w".parse::<TypeArg>().is_err());
        assert!("\"\"".parse::<NodeArg>().is_err());
        assert_eq!(" 10.0.0.1 ".parse::<NodeArg>().unwrap().0.to_string(), "10.0.0.1");
        assert!("\"\"".parse::<OptionalNode>().unwrap().0.is_none());
    }

    #[test]
    fn durations_have_a_unit_or_are_seconds() {
        assert_eq!(duration("30"), Ok(Duration::from_secs(30)));
        assert_eq!(duration("1500ms"), Ok(Duration::from_millis(1500)));
        assert!(duration("soon").is_err() && duration("-1").is_err());
    }
}
