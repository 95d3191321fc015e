//! How a link ends.

use crate::exit::Exit;

/// How a run ended, for those who want to know and for those who want what the C tools say.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct End {
    exit: Exit,
    legacy: Legacy,
}

/// The exit codes of the C tools: 1 where they got no login, 0 for all that comes after it, whatever it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Legacy {
    Zero,
    One,
}

/// Which exit codes are wanted.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum ExitCodes {
    #[default]
    Truthful,
    Legacy,
}

impl End {
    pub(super) const DONE: Self = Self::after_login(Exit::Done);
    /// The arguments make no sense.
    pub(super) const USAGE: Self = Self::before_login(Exit::Usage);
    /// A number among them is out of range: the C tools say so and exit with 0.
    pub(super) const OUT_OF_RANGE: Self = Self::after_login(Exit::Usage);

    /// Ends before the server accepted the login.
    pub(super) const fn before_login(exit: Exit) -> Self {
        Self { exit, legacy: Legacy::One }
    }

    /// Ends behind the login.
    pub(super) const fn after_login(exit: Exit) -> Self {
        Self { exit, legacy: Legacy::Zero }
    }

    /// Returns what the process ends with.
    pub(super) fn exit(self, codes: ExitCodes) -> Exit {
        match (codes, self.legacy) {
            (ExitCodes::Truthful, _) => self.exit,
            (ExitCodes::Legacy, Legacy::Zero) => Exit::Done,
            (ExitCodes::Legacy, Legacy::One) => Exit::No,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_old_codes_tell_of_the_login_only() {
        let refused = End::after_login(Exit::Refused);
        let unreachable = End::before_login(Exit::Unreachable);
        assert_eq!([refused, unreachable].map(|end| end.exit(ExitCodes::Truthful).code()), [7, 4]);
        assert_eq!([refused, unreachable].map(|end| end.exit(ExitCodes::Legacy).code()), [0, 1]);
        assert_eq!([End::USAGE, End::OUT_OF_RANGE].map(|end| end.exit(ExitCodes::Truthful).code()), [2, 2]);
        assert_eq!([End::USAGE, End::OUT_OF_RANGE].map(|end| end.exit(ExitCodes::Legacy).code()), [1, 0]);
    }
}
