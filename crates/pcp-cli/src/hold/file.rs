//! The file of a mark: its name, how it is read and how it is written.

use std::ffi::OsStr;
use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::time::SystemTime;

use pcp_client::NodeName;
use rustix::fs::OFlags;
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

const SCHEMA_VERSION: u32 = 1;
const SUFFIX: &str = ".json";
const LIMIT: u64 = 64 * 1024;

/// Who holds a node, since when, why and until when.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Mark {
    pub(crate) by: String,
    pub(crate) since: SystemTime,
    pub(crate) reason: Option<String>,
    /// `None` until it is released.
    pub(crate) until: Option<SystemTime>,
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "held by {} since {}", self.by, time(self.since))?;
        if let Some(until) = self.until {
            write!(f, " until {}", time(until))?;
        }
        match &self.reason {
            Some(reason) => write!(f, ": {reason}"),
            None => Ok(()),
        }
    }
}

/// Shows a time to the second in UTC.
pub(crate) fn time(time: SystemTime) -> impl fmt::Display {
    humantime::format_rfc3339_seconds(time)
}

#[derive(Deserialize, Serialize)]
struct Contents {
    schema_version: u32,
    by: String,
    since: String,
    reason: Option<String>,
    until: Option<String>,
}

/// Returns the name of the file of a node: what could mean something to a file system is written as `%` and its code.
pub(super) fn name_of(node: &NodeName) -> String {
    let mut name = String::new();
    for byte in node.to_string().bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => name.push(byte.into()),
            b'.' if !name.is_empty() => name.push('.'),
            _ => name.push_str(&format!("%{byte:02x}")),
        }
    }
    name + SUFFIX
}

/// Returns the node of a file, `Some(None)` where its name is none, and `None` where the file is no mark.
pub(super) fn node_of(name: &OsStr) -> Option<Option<NodeName>> {
    let name = name.as_encoded_bytes().strip_suffix(SUFFIX.as_bytes())?;
    if name.starts_with(b".") {
        return None;
    }
    Some(decode(name).and_then(|text| text.parse().ok()))
}

fn decode(name: &[u8]) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = name;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte == b'%' {
            let (code, after) = rest.split_at_checked(2)?;
            bytes.push(u8::from_str_radix(std::str::from_utf8(code).ok()?, 16).ok()?);
            rest = after;
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

/// Reads a mark; a link is not followed and a pipe not waited for.
pub(super) fn read(path: &Path) -> Result<Mark, String> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let file =
        OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(
            |error| match Errno::from_io_error(&error) {
                Some(Errno::LOOP) => "it is a symbolic link".to_owned(),
                _ => error.to_string(),
            },
        )?;
    if !file.metadata().is_ok_and(|metadata| metadata.is_file()) {
        return Err("it is not a plain file".to_owned());
    }
    let mut json = Vec::new();
    file.take(LIMIT + 1).read_to_end(&mut json).map_err(|error| error.to_string())?;
    if json.len() as u64 > LIMIT {
        return Err("it is too long".to_owned());
    }
    let contents: Contents = serde_json::from_slice(&json).map_err(|error| error.to_string())?;
    if contents.schema_version != SCHEMA_VERSION {
        return Err(format!("its schema_version is {}, not {SCHEMA_VERSION}", contents.schema_version));
    }
    let time = |text: &String| humantime::parse_rfc3339(text).map_err(|error| format!("{text:?}: {error}"));
    Ok(Mark {
        since: time(&contents.since)?,
        until: contents.until.as_ref().map(time).transpose()?,
        by: contents.by,
        reason: contents.reason,
    })
}

/// Writes a mark beside its place and then renames it: nobody reads half a mark.
pub(super) fn write(dir: &Path, path: &Path, mark: &Mark) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o755).create(dir)?;
    let contents = Contents {
        schema_version: SCHEMA_VERSION,
        by: mark.by.clone(),
        since: time(mark.since).to_string(),
        reason: mark.reason.clone(),
        until: mark.until.map(|until| time(until).to_string()),
    };
    let mut json = serde_json::to_vec(&contents)?;
    json.push(b'\n');
    let new = dir.join(format!(".{}.tmp", std::process::id()));
    let written =
        write_new(&new, &json).and_then(|()| fs::rename(&new, path)).and_then(|()| File::open(dir)?.sync_all());
    if written.is_err() {
        let _ = fs::remove_file(&new);
    }
    written
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    // What a process of the same number left behind.
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o644).open(path)?;
    // Whatever the umask is.
    file.set_permissions(Permissions::from_mode(0o644))?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_read_back_from_the_name_of_its_file() {
        for (node, name) in [
            ("10.0.0.3:5432", "10.0.0.3%3a5432.json"),
            ("PG1.example", "PG1.example.json"),
            ("[fd00::5]:5433", "%5bfd00%3a%3a5%5d%3a5433.json"),
            ("/run/postgresql:5432", "%2frun%2fpostgresql%3a5432.json"),
            ("..", "%2e..json"),
            ("2", "2.json"),
        ] {
            let node: NodeName = node.parse().unwrap();
            assert_eq!(name_of(&node), name);
            assert_eq!(node_of(OsStr::new(name)), Some(Some(node)));
        }
        for name in ["a%zz.json", "a%3.json", "a b.json", "%ff.json"] {
            assert_eq!(node_of(OsStr::new(name)), Some(None), "{name}");
        }
        for name in ["a", ".1.tmp", ".a.json", "a.json~"] {
            assert_eq!(node_of(OsStr::new(name)), None, "{name}");
        }
    }
}
