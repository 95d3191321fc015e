//! The thread that writes the log.

use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use super::record::Record;
use crate::output;

/// How long the end of a run waits for what is not yet written.
pub(super) const PATIENCE: Duration = Duration::from_millis(500);
/// How many records wait for a slow disk.
const QUEUE: usize = 1024;

/// Something that records are written to.
pub(super) trait Sink: Send {
    fn write(&mut self, record: &Record) -> io::Result<()>;
}

/// What the thread is told.
pub(super) enum Message {
    Record(Record),
    End,
}

/// The thread. When this is dropped, what was recorded is written, or [`PATIENCE`] is at its end.
pub(crate) struct Writer {
    records: SyncSender<Message>,
    ended: Receiver<()>,
}

/// Starts the thread, which opens its sinks by itself. A sink has a name for the warning that it does not work.
pub(super) fn start(
    sinks: impl FnOnce() -> Vec<(String, io::Result<Box<dyn Sink>>)> + Send + 'static,
) -> (SyncSender<Message>, Writer) {
    let (records, received) = sync_channel(QUEUE);
    let (end, ended) = sync_channel(0);
    thread::spawn(move || {
        let _end = end;
        let mut open = Vec::new();
        for (name, sink) in sinks() {
            match sink {
                Ok(sink) => open.push((name, sink)),
                Err(error) => warn(&name, &error),
            }
        }
        while let Ok(Message::Record(record)) = received.recv() {
            open.retain_mut(|(name, sink)| match sink.write(&record) {
                Ok(()) => true,
                Err(error) => {
                    warn(name, &error);
                    false
                }
            });
        }
    });
    (records.clone(), Writer { records, ended })
}

fn warn(name: &str, error: &io::Error) {
    output::err_line(format_args!("pcpctl: warning: cannot log to {name}: {error}"));
}

impl Drop for Writer {
    fn drop(&mut self) {
        // A full queue means that the thread hangs.
        if self.records.try_send(Message::End).is_ok() {
            let _hangs = self.ended.recv_timeout(PATIENCE);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Sender, channel};

    use jiff::Timestamp;
    use tracing::Level;

    use super::*;

    fn record(number: usize) -> Message {
        Message::Record(Record { time: Timestamp::UNIX_EPOCH, level: Level::INFO, text: number.to_string() })
    }

    struct Kept(Sender<String>);

    impl Sink for Kept {
        fn write(&mut self, record: &Record) -> io::Result<()> {
            self.0.send(record.text.clone()).map_err(io::Error::other)
        }
    }

    struct Full(Sender<()>);

    impl Sink for Full {
        fn write(&mut self, _: &Record) -> io::Result<()> {
            let _told = self.0.send(());
            Err(io::ErrorKind::StorageFull.into())
        }
    }

    /// Hangs until the other end of the channel is dropped.
    struct Hung(Receiver<()>);

    impl Sink for Hung {
        fn write(&mut self, _: &Record) -> io::Result<()> {
            let _gone = self.0.recv();
            Ok(())
        }
    }

    #[test]
    fn everything_is_written_by_the_end_and_a_sink_that_fails_is_left_alone() {
        let (kept, lines) = channel();
        let (full, tried) = channel();
        let (records, writer) = start(move || {
            let full: Box<dyn Sink> = Box::new(Full(full));
            let kept: Box<dyn Sink> = Box::new(Kept(kept));
            vec![("full".to_owned(), Ok(full)), ("kept".to_owned(), Ok(kept))]
        });
        (0..100).for_each(|number| records.send(record(number)).unwrap());
        drop(writer);
        assert!(lines.try_iter().eq((0..100).map(|number| number.to_string())));
        assert_eq!(tried.try_iter().count(), 1);
    }

    #[test]
    fn a_disk_that_hangs_holds_nobody_up() {
        let (hold, hung) = channel();
        let (records, writer) = start(move || {
            let hung: Box<dyn Sink> = Box::new(Hung(hung));
            vec![("hung".to_owned(), Ok(hung))]
        });
        // More than wait in the queue: try_send must not wait.
        (0..2 * QUEUE).for_each(|number| drop(records.try_send(record(number))));
        drop(writer);
        drop(hold);
    }

    #[test]
    fn an_open_that_hangs_holds_nobody_up() {
        let (hold, hung) = channel::<()>();
        let (_records, writer) = start(move || {
            let _gone = hung.recv();
            Vec::new()
        });
        drop(writer);
        drop(hold);
    }
}
