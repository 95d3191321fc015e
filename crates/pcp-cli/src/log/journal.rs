//! systemd's journal, by its own protocol: a datagram of `KEY=value` lines.
//!
//! Not by `tracing-journald`, which waits without a bound for a journal that takes nothing.

use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::Duration;

use tracing::Level;

use super::record::Record;
use super::writer::Sink;

/// How long a journal may take nothing. It shares a thread with the log file.
const PATIENCE: Duration = Duration::from_millis(100);
const SOCKET: &str = "/run/systemd/journal/socket";

/// Connects to the journal of this host.
pub(super) fn connect() -> io::Result<Box<dyn Sink>> {
    Ok(Box::new(Journal::connect(Path::new(SOCKET))?))
}

struct Journal {
    socket: UnixDatagram,
}

impl Journal {
    fn connect(path: &Path) -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        socket.set_write_timeout(Some(PATIENCE))?;
        socket.connect(path)?;
        Ok(Self { socket })
    }
}

impl Sink for Journal {
    fn write(&mut self, record: &Record) -> io::Result<()> {
        let priority = match record.level {
            Level::ERROR => 3,
            Level::WARN => 4,
            Level::INFO => 6,
            _ => 7,
        };
        let entry = format!("SYSLOG_IDENTIFIER=pcpctl\nPRIORITY={priority}\nMESSAGE={}\n", record.text);
        self.socket.send(entry.as_bytes()).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    #[test]
    fn an_entry_has_a_priority_and_a_full_journal_is_left_alone() {
        let path = std::env::temp_dir().join(format!("pcp-cli-journal-{}", std::process::id()));
        let journald = UnixDatagram::bind(&path).unwrap();
        let mut journal = Journal::connect(&path).unwrap();
        let mut write = |level| journal.write(&Record { time: Timestamp::UNIX_EPOCH, level, text: "x".to_owned() });
        for (level, priority) in [(Level::ERROR, 3), (Level::WARN, 4), (Level::INFO, 6), (Level::TRACE, 7)] {
            write(level).unwrap();
            let mut entry = [0; 100];
            let len = journald.recv(&mut entry).unwrap();
            let expected = format!("SYSLOG_IDENTIFIER=pcpctl\nPRIORITY={priority}\nMESSAGE=x\n");
            assert_eq!(String::from_utf8_lossy(&entry[..len]), expected);
        }
        let error = std::iter::repeat_with(|| write(Level::INFO)).find_map(Result::err).unwrap();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        std::fs::remove_file(&path).unwrap();
        assert!(Journal::connect(&path).is_err());
    }
}
