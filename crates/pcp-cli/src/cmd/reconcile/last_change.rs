//! When a reconcile on this host changed something last: a small file, so that it does not do so all the time.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::process;
use std::time::{Duration, SystemTime};

use rustix::fs::OFlags;

const NAME: &str = "last-reconcile";
/// Longer than any time.
const LIMIT: u64 = 64;

/// Returns how long ago that was; `None` where nobody knows. A time to come is of a clock that was set back.
pub(super) fn since(state_dir: &Path) -> Option<Duration> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(state_dir.join(NAME)).ok()?;
    let mut text = String::new();
    file.take(LIMIT).read_to_string(&mut text).ok()?;
    let last = humantime::parse_rfc3339(text.trim()).ok()?;
    SystemTime::now().duration_since(last).ok()
}

/// Keeps that it was now.
pub(super) fn keep(state_dir: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o755).create(state_dir)?;
    let new = state_dir.join(format!(".{NAME}.{}", process::id()));
    let text = format!("{}\n", humantime::format_rfc3339_millis(SystemTime::now()));
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o644)
        .open(&new)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .and_then(|()| fs::rename(&new, state_dir.join(NAME)));
    if written.is_err() {
        let _gone = fs::remove_file(&new);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_time_or_not_yet_is_not_known() -> io::Result<()> {
        let dir = std::env::temp_dir().join(format!("pcpctl-last-change-{}", process::id()));
        let _ = fs::remove_dir_all(&dir);
        assert_eq!(since(&dir), None);
        keep(&dir)?;
        assert!(since(&dir).is_some_and(|since| since < Duration::from_secs(60)));
        keep(&dir)?;
        assert_eq!(fs::read_dir(&dir)?.count(), 1);
        let hour = Duration::from_secs(3600);
        let long_ago = humantime::format_rfc3339(SystemTime::now() - hour).to_string();
        let to_come = humantime::format_rfc3339(SystemTime::now() + hour).to_string();
        for (text, known) in [(&*long_ago, true), (&to_come, false), ("", false), ("soon", false)] {
            fs::write(dir.join(NAME), text)?;
            assert_eq!(since(&dir).is_some_and(|since| since >= hour), known, "{text:?}");
        }
        fs::remove_dir_all(&dir)
    }
}
