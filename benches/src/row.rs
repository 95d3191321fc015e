//! One measurement.

use std::fmt;

/// A line of the table.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) what: String,
    pub(crate) ours: Amount,
    /// What it is compared with.
    pub(crate) peer: Option<Amount>,
    /// What nobody could go below.
    pub(crate) limit: Option<Amount>,
    pub(crate) target: Target,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Amount {
    Milliseconds(f64),
    Kibibytes(f64),
    Megabytes(f64),
    Seconds(f64),
    /// Of system calls, instructions, round trips, requests in a second.
    Count(f64),
}

/// What the ratio of ours to the peer's is to be, or ours itself where there is no peer.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Target {
    AtMost(f64),
    Below(f64),
    AtLeast(f64),
    /// It is told for its own sake.
    None,
}

impl Row {
    pub(crate) fn new(what: impl Into<String>, ours: Amount, peer: Amount, target: Target) -> Self {
        Self { what: what.into(), ours, peer: Some(peer), limit: None, target }
    }

    /// Makes a row whose target is no ratio.
    pub(crate) fn alone(what: impl Into<String>, ours: Amount, target: Target) -> Self {
        Self { what: what.into(), ours, peer: None, limit: None, target }
    }

    pub(crate) fn with_limit(self, limit: Amount) -> Self {
        Self { limit: Some(limit), ..self }
    }

    /// Returns what the target is about.
    pub(crate) fn judged(&self) -> f64 {
        match self.peer {
            Some(peer) => self.ours.value() / peer.value(),
            None => self.ours.value(),
        }
    }

    pub(crate) fn is_met(&self) -> bool {
        match self.target {
            Target::AtMost(most) => self.judged() <= most,
            Target::Below(most) => self.judged() < most,
            Target::AtLeast(least) => self.judged() >= least,
            Target::None => true,
        }
    }
}

impl Amount {
    pub(crate) fn value(self) -> f64 {
        match self {
            Self::Milliseconds(value)
            | Self::Kibibytes(value)
            | Self::Megabytes(value)
            | Self::Seconds(value)
            | Self::Count(value) => value,
        }
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Milliseconds(value) if *value < 100.0 => write!(f, "{value:.2} ms"),
            Self::Milliseconds(value) => write!(f, "{value:.0} ms"),
            Self::Kibibytes(value) => write!(f, "{value:.0} KiB"),
            Self::Megabytes(value) => write!(f, "{value:.2} MB"),
            Self::Seconds(value) => write!(f, "{value:.0} s"),
            Self::Count(value) if value.fract() == 0.0 => write!(f, "{value:.0}"),
            Self::Count(value) => write!(f, "{value:.2}"),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtMost(most) => write!(f, "≤ {most}"),
            Self::Below(most) => write!(f, "< {most}"),
            Self::AtLeast(least) => write!(f, "≥ {least}"),
            Self::None => Ok(()),
        }
    }
}
