//! Exit codes.

use pcp_client::{ErrorKind, Failure};

/// How a command ended; the same everywhere.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Exit {
    /// The wanted state is verified, or the answer is yes.
    Done = 0,
    /// The answer is no.
    No = 1,
    /// The arguments make no sense.
    Usage = 2,
    /// The configuration or the password file is unusable.
    Config = 3,
    /// Pgpool cannot be reached, and nothing was changed.
    Unreachable = 4,
    /// The login was refused.
    Authentication = 5,
    /// The name means no node, or several.
    Node = 6,
    /// Pgpool refused, or we did.
    Refused = 7,
    /// The state could not be verified before the deadline, or the outcome is unknown.
    NotVerified = 8,
    /// Done in part: on some Pgpools only.
    Partial = 10,
    /// Ended by SIGINT.
    Interrupted = 130,
    /// Ended by SIGTERM.
    Terminated = 143,
}

impl Exit {
    /// Returns the number.
    pub fn code(self) -> i32 {
        self as i32
    }

    /// Combines what several Pgpools led to: partial if anything succeeded, else the highest.
    pub fn combine(exits: impl IntoIterator<Item = Self>) -> Self {
        let mut exits: Vec<_> = exits.into_iter().collect();
        exits.sort_unstable();
        match (exits.first(), exits.last()) {
            (Some(Self::Done), Some(Self::Done)) | (None, _) | (_, None) => Self::Done,
            (Some(Self::Done), Some(_)) => Self::Partial,
            (Some(_), Some(&highest)) => highest,
        }
    }
}

impl From<&Failure> for Exit {
    fn from(failure: &Failure) -> Self {
        match failure {
            Failure::Unreachable(_) => Self::Unreachable,
            Failure::Authentication(_) => Self::Authentication,
            Failure::Node(_) => Self::Node,
            Failure::Refused { .. } => Self::Refused,
            _ => Self::NotVerified,
        }
    }
}

/// The exit of a command that only reads.
impl From<&pcp_client::Error> for Exit {
    fn from(error: &pcp_client::Error) -> Self {
        match error.kind() {
            ErrorKind::Authentication => Self::Authentication,
            ErrorKind::Refused | ErrorKind::Unsupported => Self::Refused,
            _ => Self::Unreachable,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_exits_become_one() {
        assert_eq!(Exit::combine([Exit::Done, Exit::Done]), Exit::Done);
        assert_eq!(Exit::combine([Exit::Done, Exit::Unreachable]), Exit::Partial);
        assert_eq!(Exit::combine([Exit::Authentication, Exit::Unreachable]), Exit::Authentication);
        assert_eq!(Exit::combine([Exit::Partial, Exit::Unreachable]), Exit::Partial);
    }
}
