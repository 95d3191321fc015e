//! The account that runs a link. The tools ask the system for it and look at no variable.

use std::ffi::OsString;
use std::fs;

use crate::settings::Env;

/// What the system knows of the account.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Account {
    name: Option<OsString>,
    home: Option<OsString>,
}

impl Account {
    /// Finds the account under whose rights this runs. One that only a directory service knows is left to `USER` and
    /// `HOME`.
    pub(super) fn current() -> Self {
        let id = rustix::process::geteuid().as_raw();
        fs::read_to_string("/etc/passwd").map(|accounts| Self::find(&accounts, id)).unwrap_or_default()
    }

    /// Returns a variable; of the account where that has it.
    pub(super) fn variable(&self, name: &str, env: Env<'_>) -> Option<OsString> {
        let of_account = match name {
            "USER" => &self.name,
            "HOME" => &self.home,
            _ => &None,
        };
        of_account.clone().or_else(|| env(name))
    }

    fn find(accounts: &str, id: u32) -> Self {
        let of_line = |line: &str| {
            let mut fields = line.split(':');
            let (name, number) = (fields.next()?, fields.nth(1)?);
            let home = fields.nth(2)?;
            let present = |text: &str| (!text.is_empty()).then(|| OsString::from(text));
            (number.parse() == Ok(id)).then(|| Self { name: present(name), home: present(home) })
        };
        accounts.lines().find_map(of_line).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_account_is_found_by_its_number() {
        let accounts = "root:x:0:0:root:/root:/bin/sh\nefm:x:997:995::/var/efm:/bin/sh\nbroken\n";
        let efm = Account::find(accounts, 997);
        let env = |name: &str| (name == "HOME").then(|| "/elsewhere".into());
        assert_eq!(efm.variable("USER", &env), Some("efm".into()));
        assert_eq!(efm.variable("HOME", &env), Some("/var/efm".into()));
        let nobody = Account::find(accounts, 998);
        assert_eq!(
            (nobody.variable("USER", &env), nobody.variable("HOME", &env)),
            (None, Some("/elsewhere".into()))
        );
    }
}
