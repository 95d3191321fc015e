//! The log file.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use jiff::tz::TimeZone;
use rustix::fs::{Mode, OFlags};

use super::record::Record;
use super::writer::Sink;
use crate::local_zone::local_zone;

/// Opens a file to append to. One that is created may be read by its group; a symbolic link, which somebody may have
/// laid there, is not followed, and nothing but a plain file is opened.
pub(super) fn open(path: &Path) -> io::Result<Box<dyn Sink>> {
    let flags = OFlags::WRONLY
        | OFlags::APPEND
        | OFlags::CREATE
        | OFlags::NOFOLLOW
        | OFlags::NONBLOCK
        | OFlags::NOCTTY
        | OFlags::CLOEXEC;
    let file = match rustix::fs::open(path, flags, Mode::from_raw_mode(0o640)) {
        Ok(file) => File::from(file),
        Err(rustix::io::Errno::LOOP) => return Err(io::Error::other("it is a symbolic link")),
        Err(error) => return Err(error.into()),
    };
    match file.metadata()?.is_file() {
        true => Ok(Box::new(LogFile { file, zone: local_zone() })),
        false => Err(io::Error::other("it is not a plain file")),
    }
}

struct LogFile {
    file: File,
    zone: TimeZone,
}

impl Sink for LogFile {
    /// Writes a line at once, so that lines of several processes do not mix.
    fn write(&mut self, record: &Record) -> io::Result<()> {
        self.file.write_all(line(record, self.zone.clone()).as_bytes())
    }
}

fn line(record: &Record, zone: TimeZone) -> String {
    let time = record.time.to_zoned(zone).strftime("%Y-%m-%dT%H:%M:%S%.3f%:z");
    format!("{time} {} pcpctl[{}]: {}\n", record.level, std::process::id(), record.text)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use jiff::Timestamp;
    use tracing::Level;

    use super::*;

    #[test]
    fn times_have_their_zone() {
        let record = Record { time: Timestamp::UNIX_EPOCH, level: Level::INFO, text: String::new() };
        for (hours, time) in [(2, "1970-01-01T02:00:00.000+02:00 "), (-5, "1969-12-31T19:00:00.000-05:00 ")] {
            let shown = line(&record, TimeZone::fixed(jiff::tz::offset(hours)));
            assert!(shown.starts_with(time), "{shown}");
        }
    }

    #[test]
    fn lines_are_appended_to_a_plain_file_that_others_cannot_read() {
        let dir = std::env::temp_dir().join(format!("pcp-cli-log-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let path = dir.join("pcpctl.log");
        let record = Record { time: Timestamp::UNIX_EPOCH, level: Level::WARN, text: "detached".to_owned() };
        for _ in 0..2 {
            open(&path).unwrap().write(&record).unwrap();
        }
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), 2);
        for line in text.lines() {
            let (time, rest) = line.split_once(' ').unwrap();
            assert_eq!(time.parse::<Timestamp>().unwrap(), Timestamp::UNIX_EPOCH, "{time}");
            assert_eq!(rest, format!("WARN pcpctl[{}]: detached", std::process::id()));
        }
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & !0o640 & 0o777, 0, "{mode:o}");

        let link = dir.join("link");
        symlink(&path, &link).unwrap();
        let reason = |path: &Path| open(path).err().unwrap().to_string();
        assert_eq!(reason(&link), "it is a symbolic link");
        assert!(reason(&dir).contains("Is a directory"));
        assert!(reason(&path.join("below")).contains("Not a directory"));
        assert_eq!(reason(Path::new("/dev/null")), "it is not a plain file");
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
