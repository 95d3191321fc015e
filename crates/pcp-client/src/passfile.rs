//! Password files, `.pcppass`: lines of `host:port:user:password`.
//!
//! The rules are libpcp's: the first line that matches wins, `*` matches anything, `\:` and `\\` stand for the
//! character behind the backslash, `localhost` stands for the default socket directories, and a file that others
//! may read is not used. Unlike libpcp, which then goes on without a word, every reason not to find a password is
//! an error that names the file.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use secrecy::SecretSlice;
use secrecy::zeroize::Zeroizing;

use crate::Endpoint;

/// No password file is longer.
const MAX_LEN: usize = 1 << 20;

/// Finds the password for a user of a Pgpool.
///
/// What else the file holds is wiped from memory.
///
/// # Errors
///
/// Every reason not to have one, see [`PassfileError`].
pub fn lookup(path: &Path, endpoint: &Endpoint, user: &str) -> Result<SecretSlice<u8>, PassfileError> {
    let path_buf = || path.to_owned();
    let unreadable = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => PassfileError::Missing { path: path_buf() },
        _ => PassfileError::Unreadable { path: path_buf(), source },
    };
    // What is judged is what is read, whatever the path leads to a moment later; and no pipe is waited for.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = rustix::fs::open(path, flags, Mode::empty()).map_err(|error| unreadable(error.into()))?;
    let file = File::from(file);
    let metadata = file.metadata().map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(PassfileError::NotAFile { path: path_buf() });
    }
    let mode = metadata.mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(PassfileError::TooOpen { path: path_buf(), mode });
    }
    let contents = read(file, &metadata).map_err(unreadable)?;
    let (host, port) = (endpoint.passfile_host(), endpoint.port());
    find(&contents, &host, port, user).ok_or_else(|| PassfileError::NoMatch {
        path: path_buf(),
        host,
        port,
        user: user.to_owned(),
    })
}

/// Reads the whole file into memory that is wiped. A buffer that grew would leave its contents behind.
fn read(file: File, metadata: &Metadata) -> io::Result<Zeroizing<Vec<u8>>> {
    // The end of the file is found without a buffer of the library's own.
    const ROOM: usize = 64;
    let too_long = || io::Error::new(io::ErrorKind::FileTooLarge, "it is longer than 1 MiB");
    let length = usize::try_from(metadata.len()).ok().filter(|&length| length <= MAX_LEN).ok_or_else(too_long)?;
    let mut contents = Zeroizing::new(Vec::with_capacity(length + ROOM));
    file.take(metadata.len()).read_to_end(&mut contents)?;
    Ok(contents)
}

/// Finds the password in the text of a password file.
pub fn find(contents: &[u8], host: &str, port: u16, user: &str) -> Option<SecretSlice<u8>> {
    let port = port.to_string();
    contents.split(|&byte| byte == b'\n').find_map(|line| {
        let line = after_match(line, host.as_bytes())?;
        let line = after_match(line, port.as_bytes())?;
        let line = after_match(line, user.as_bytes())?;
        // Copied into as much room as it needs, so that nothing of it stays behind.
        Some(Box::<[u8]>::from(unescape(line).as_slice()).into())
    })
}

/// Why a password file gives no password.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PassfileError {
    /// There is no such file.
    #[error("there is no password file {}", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// The path leads to a directory, a pipe or the like.
    #[error("the password file {} is not a plain file", path.display())]
    NotAFile {
        /// The file.
        path: PathBuf,
    },
    /// Its group or others may read or write it.
    #[error("the password file {} has mode {mode:04o}: others have access, so it is not used; run: chmod 600 {}",
        path.display(), path.display())]
    TooOpen {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// It cannot be read.
    #[error("the password file {} cannot be read", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// No line matches.
    #[error("the password file {} has no line for host {host}, port {port}, user {user}", path.display())]
    NoMatch {
        /// The file.
        path: PathBuf,
        /// The host looked for.
        host: String,
        /// The port looked for.
        port: u16,
        /// The user looked for.
        user: String,
    },
}

/// Returns what follows the first field and its colon, where the field is `*` or matches `token`.
fn after_match<'a>(line: &'a [u8], token: &[u8]) -> Option<&'a [u8]> {
    if let Some(rest) = line.strip_prefix(b"*:") {
        return Some(rest);
    }
    let mut line = line.iter();
    let mut token = token.iter();
    loop {
        let byte = match line.next()? {
            b':' => return token.next().is_none().then_some(line.as_slice()),
            b'\\' => line.next()?,
            byte => byte,
        };
        if token.next() != Some(byte) {
            return None;
        }
    }
}

/// Returns a password up to the first bare colon, without its backslashes.
fn unescape(field: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut password = Zeroizing::new(Vec::with_capacity(field.len()));
    let mut bytes = field.iter();
    while let Some(&byte) = bytes.next().filter(|&&byte| byte != b':') {
        let escaped = (byte == b'\\').then(|| bytes.next()).flatten();
        password.push(*escaped.unwrap_or(&byte));
    }
    password
}

#[cfg(test)]
mod tests {
    use std::fs;

    use secrecy::ExposeSecret;

    use super::*;

    fn password(contents: &str, host: &str, user: &str) -> Option<String> {
        find(contents.as_bytes(), host, 9898, user)
            .map(|secret| String::from_utf8(secret.expose_secret().to_vec()).unwrap())
    }

    #[test]
    fn the_first_matching_line_wins() {
        let file = "# host:port:user:password\n\
                    pgpool1:9898:admin:one\n\
                    pgpool1:9899:admin:two\n\
                    *:*:admin:three\n\
                    *:*:*:four";
        for (host, user, expected) in [
            ("pgpool1", "admin", "one"),
            ("pgpool2", "admin", "three"),
            ("pgpool1", "other", "four"),
            ("pgpool", "admin", "three"),
            ("pgpool11", "admin", "three"),
        ] {
            assert_eq!(password(file, host, user).as_deref(), Some(expected), "{host} {user}");
        }
        assert_eq!(password("a:1:b:c", "pgpool1", "admin"), None);
    }

    #[test]
    fn colons_and_backslashes_are_escaped() {
        assert_eq!(password(r"fe80\:\:1:9898:a\\b:p\:q\\r:tail", "fe80::1", r"a\b").as_deref(), Some(r"p:q\r"));
        assert_eq!(password(r"*:*:*:ends\", "h", "u").as_deref(), Some(r"ends\"));
        assert_eq!(password("*:*:*:", "h", "u").as_deref(), Some(""));
        assert_eq!(password("*:*:*", "h", "u"), None);
        assert_eq!(password("**:*:*:x", "h", "u"), None);
    }

    #[test]
    fn every_reason_is_told() {
        use std::os::unix::fs::PermissionsExt;
        let dir = std::env::temp_dir().join(format!("pcp-client-passfile-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let path = dir.join("pcppass");
        let endpoint = Endpoint::parse("pgpool1", 9898).unwrap();
        let reason = || lookup(&path, &endpoint, "admin").unwrap_err().to_string();

        assert!(reason().starts_with("there is no password file"));
        fs::write(&path, "pgpool2:9898:admin:secret\n").unwrap();
        for mode in [0o640, 0o604, 0o620] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            assert!(reason().contains(&format!("has mode {mode:04o}")), "{}", reason());
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        assert!(reason().ends_with("has no line for host pgpool1, port 9898, user admin"));
        assert!(lookup(&dir, &endpoint, "admin").unwrap_err().to_string().ends_with("is not a plain file"));
        let below_a_file = lookup(&path.join("pcppass"), &endpoint, "admin").unwrap_err();
        assert!(below_a_file.to_string().ends_with("cannot be read"), "{below_a_file}");
        fs::write(&path, "pgpool1:9898:admin:secret\n").unwrap();
        let found = lookup(&path, &endpoint, "admin").unwrap();
        assert_eq!(found.expose_secret(), b"secret");
        assert!(!format!("{found:?}").contains("secret\""));
        fs::remove_dir_all(&dir).unwrap();
    }
}
