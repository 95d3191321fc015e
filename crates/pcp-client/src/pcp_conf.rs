//! `pcp.conf`, the file of PCP's users: lines of `user:md5`, where the second part is the hash of the password alone.
//!
//! The rules are Pgpool's: every line of a user is tried, nothing is trimmed, `#` begins a comment only at the start of a
//! line, and a line that Pgpool cannot take apart ends every login that reads so far.

use std::fmt;

use pcp_proto::{Credentials, CredentialsError, PasswordHash};

/// The longest line that Pgpool takes, in bytes, the colon included.
const MAX_LINE: usize = 128;

/// Returns the line for a user and a password, without a line break. It is as secret as the password.
///
/// # Errors
///
/// A user name that Pgpool cannot find in the file.
pub fn line(user: &str, password: &[u8]) -> Result<String, PcpConfError> {
    Credentials::new(user, password)?;
    let hash = PasswordHash::of(password);
    let line = format!("{user}:{}", hash.expose());
    match user {
        "" => Err(PcpConfError::EmptyUser),
        _ if user.starts_with('#') || user.contains([':', '\n', '\r']) => Err(PcpConfError::UserCannotBeRead),
        _ if line.len() > MAX_LINE => Err(PcpConfError::LineTooLong { length: line.len() }),
        _ => Ok(line),
    }
}

/// Looks whether the text of a `pcp.conf` lets a user in with a password; returns the number of the line that does.
///
/// # Errors
///
/// Why not, line by line: never empty, and no problem shows what a line holds.
pub fn check(contents: &[u8], user: &str, password: &[u8]) -> Result<usize, Vec<Problem>> {
    let mut problems = Vec::new();
    for (number, line) in (1..).zip(contents.split(|&byte| byte == b'\n')) {
        if line.is_empty() || line.starts_with(b"#") {
            continue;
        }
        let colon = line.iter().position(|&byte| byte == b':');
        let Some((name, hash)) = colon.and_then(|colon| Some((line.get(..colon)?, line.get(colon + 1..)?))) else {
            problems.push(Problem::Line { number, why: Mismatch::NoColon });
            continue;
        };
        if name != user.as_bytes() {
            continue;
        }
        match mismatch(line, hash, user, password) {
            None => return Ok(number),
            Some(why) => problems.push(Problem::Line { number, why }),
        }
    }
    if !problems.iter().any(|problem| matches!(problem, Problem::Line { why, .. } if *why != Mismatch::NoColon)) {
        problems.push(Problem::NoSuchUser);
    }
    Err(problems)
}

fn mismatch(line: &[u8], hash: &[u8], user: &str, password: &[u8]) -> Option<Mismatch> {
    let is_hash_of = |hashed: &[u8]| hash == PasswordHash::of(hashed).expose().as_bytes();
    let with_user = [password, user.as_bytes()].concat();
    let bare = hash.strip_prefix(b"md5").unwrap_or(hash);
    let lower = hash.to_ascii_lowercase();
    match () {
        () if line.len() > MAX_LINE => Some(Mismatch::TooLong),
        () if is_hash_of(password) => None,
        () if bare == PasswordHash::of(&with_user).expose().as_bytes() => Some(Mismatch::OfPostgres),
        () if hash.ends_with(b"\r") => Some(Mismatch::CarriageReturn),
        () if hash.trim_ascii() != hash => Some(Mismatch::Blanks),
        () if lower != hash && lower == PasswordHash::of(password).expose().as_bytes() => Some(Mismatch::UpperCase),
        () if hash.len() != 32 || !hash.iter().all(u8::is_ascii_hexdigit) => Some(Mismatch::NoMd5),
        () => Some(Mismatch::OtherPassword),
    }
}

/// Why a file lets a user not in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Problem {
    /// No line is the user's.
    NoSuchUser,
    /// A line is of no use.
    Line {
        /// Its number, from 1 on.
        number: usize,
        /// Why.
        why: Mismatch,
    },
}

/// Why a line lets nobody in with the password.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Mismatch {
    /// It is no line of a user: Pgpool may read no further, and refuse every user behind it.
    NoColon,
    /// It is the hash of another password.
    OtherPassword,
    /// What stands behind the colon is no MD5 hash.
    NoMd5,
    /// It is the hash that PostgreSQL keeps, of password and user.
    OfPostgres,
    /// It is in upper case, which Pgpool does not take for the same.
    UpperCase,
    /// The line ends in a carriage return, which Pgpool takes for a part of the hash.
    CarriageReturn,
    /// There are blanks around the hash, which Pgpool takes for a part of it.
    Blanks,
    /// The line is longer than Pgpool takes.
    TooLong,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchUser => f.write_str("no line is this user's"),
            Self::Line { number, why } => write!(f, "line {number} {why}"),
        }
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoColon => "has no colon: Pgpool may read no further, and refuse every user behind it",
            Self::OtherPassword => "holds the hash of another password",
            Self::NoMd5 => "holds no MD5 hash: 32 hexadecimal digits, as pcpctl pcp-conf hash writes them",
            Self::OfPostgres => {
                "holds PostgreSQL's hash, of password and user: Pgpool wants that of the password alone"
            }
            Self::UpperCase => "holds the right hash in upper case, which Pgpool does not take",
            Self::CarriageReturn => "ends in a carriage return, which Pgpool takes for a part of the hash",
            Self::Blanks => "has blanks around the hash, which Pgpool takes for a part of it",
            Self::TooLong => "is longer than the 128 bytes that Pgpool takes",
        })
    }
}

/// Why there is no line for a user.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PcpConfError {
    /// No server takes the user name.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// There is none.
    #[error("the user name is empty")]
    EmptyUser,
    /// Pgpool would read another name.
    #[error("a user name in pcp.conf holds no colon and no line break, and does not begin with #")]
    UserCannotBeRead,
    /// The line is longer than Pgpool takes.
    #[error("the line would have {length} bytes; Pgpool takes at most {MAX_LINE}")]
    LineTooLong {
        /// Its length in bytes.
        length: usize,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The hash of "secret".
    const SECRET: &str = "5ebe2294ecd0e0f08eab7690d2a6ee69";

    #[test]
    fn a_line_lets_its_user_in_and_no_other() {
        let line = line("pcpadmin", b"secret").unwrap();
        assert_eq!(line, format!("pcpadmin:{SECRET}"));
        let file = format!("# users\n\nother:{SECRET}\n{line}\n");
        assert_eq!(check(file.as_bytes(), "pcpadmin", b"secret"), Ok(4));
        assert_eq!(check(line.as_bytes(), "pcpadmin", b"secret"), Ok(1), "without a line break at the end");
        assert_eq!(check(file.as_bytes(), "pcpadmi", b"secret"), Err(vec![Problem::NoSuchUser]));
        // The second line of a user counts as well.
        let twice = format!("u:{}\nu:{SECRET}\n", PasswordHash::of(b"old").expose());
        assert_eq!(check(twice.as_bytes(), "u", b"secret"), Ok(2));
    }

    #[test]
    fn what_is_wrong_with_a_line_is_told_and_not_shown() {
        let of_postgres = PasswordHash::of(b"secretu");
        for (line, why) in [
            (format!("u:{}", PasswordHash::of(b"Secret").expose()), Mismatch::OtherPassword),
            (format!("u:{}", SECRET.to_uppercase()), Mismatch::UpperCase),
            (format!("u:{SECRET}\r"), Mismatch::CarriageReturn),
            (format!("u:{SECRET} "), Mismatch::Blanks),
            (format!("u: {SECRET}"), Mismatch::Blanks),
            (format!("u:{}", of_postgres.expose()), Mismatch::OfPostgres),
            (format!("u:md5{}", of_postgres.expose()), Mismatch::OfPostgres),
            ("u:secret".to_owned(), Mismatch::NoMd5),
            (format!("u:{SECRET}{SECRET}"), Mismatch::NoMd5),
            ("u:".to_owned(), Mismatch::NoMd5),
            (format!("u:{}", "0".repeat(200)), Mismatch::TooLong),
        ] {
            let problems = check(line.as_bytes(), "u", b"secret").unwrap_err();
            assert_eq!(problems, [Problem::Line { number: 1, why }], "{line}");
            let shown = problems[0].to_string();
            assert!(!shown.contains("secret") && !shown.contains(SECRET), "{shown}");
        }
        let stray = check(b" \nother:x\n", "u", b"secret").unwrap_err();
        assert_eq!(stray, [Problem::Line { number: 1, why: Mismatch::NoColon }, Problem::NoSuchUser]);
    }

    #[test]
    fn a_user_that_pgpool_cannot_find_gets_no_line() {
        for user in ["", "#u", "a:b", "a\nb", "a\rb", "a\0b"] {
            line(user, b"secret").unwrap_err();
        }
        assert_eq!(line(&"u".repeat(96), b""), Err(PcpConfError::LineTooLong { length: 129 }));
        assert_eq!(line(&"u".repeat(95), b"").unwrap().len(), 128);
    }
}
