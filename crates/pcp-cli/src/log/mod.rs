//! Logging: to stderr for people, to a file and to systemd's journal for whoever looks later.
//!
//! To log is never worth a hook: file and journal are written by a thread that nobody waits for longer than
//! [`writer::PATIENCE`], what cannot be written is dropped, and stderr says so once.

mod file;
mod journal;
mod record;
mod writer;

use std::path::PathBuf;

use tracing::info;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer as _;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::args::OutputArgs;
use crate::output;
use crate::settings::Layer;
use record::Recorder;
use writer::Sink;
pub(crate) use writer::Writer;

/// Where a hook logs to, beside stderr.
#[derive(Clone, Debug)]
pub(crate) struct Log {
    file: Option<PathBuf>,
    level: LevelFilter,
    journal: Journal,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Journal {
    Off,
    On,
}

impl Log {
    /// Takes from the settings where to log to.
    pub(crate) fn of(layer: &Layer) -> Self {
        Self {
            file: layer.log.file.clone(),
            level: layer.log.level.unwrap_or(LevelFilter::INFO),
            journal: if layer.log.journald == Some(true) { Journal::On } else { Journal::Off },
        }
    }

    /// Starts to log, with a line about who called. What was logged is written when the returned value is dropped,
    /// or soon after the log's disk hung.
    pub(crate) fn start(self, args: &OutputArgs) -> Option<Writer> {
        let is_off = self.file.is_none() && self.journal == Journal::Off;
        let level = self.level;
        let (recorder, writer) = match is_off {
            true => (None, None),
            false => {
                let (recorder, writer) = writer::start(move || self.sinks());
                (Some(recorder), Some(writer))
            }
        };
        let recorder = recorder.map(|records| Recorder::new(records).with_filter(level));
        let stderr = tracing_subscriber::fmt::layer().with_writer(|| output::Log).with_ansi(false);
        let stderr = verbosity(args).map(|level| stderr.with_filter(level));
        if recorder.is_some() || stderr.is_some() {
            tracing_subscriber::registry().with(stderr).with(recorder).init();
        }
        let uid = rustix::process::getuid().as_raw();
        let argv: Vec<_> = std::env::args_os().map(|arg| quoted(&arg.to_string_lossy())).collect();
        info!(version = env!("CARGO_PKG_VERSION"), uid, user = user_name(uid), "called: {}", argv.join(" "));
        writer
    }

    /// Opens what is written to. Runs in the writer's thread, for an open can hang too.
    fn sinks(self) -> Vec<(String, std::io::Result<Box<dyn Sink>>)> {
        let file = self.file.map(|path| (path.display().to_string(), file::open(&path)));
        let journal = (self.journal == Journal::On).then(|| ("the journal".to_owned(), journal::connect()));
        file.into_iter().chain(journal).collect()
    }
}

/// Starts to log to stderr, where -v asks for it.
pub(crate) fn start_stderr(args: &OutputArgs) {
    if let Some(level) = verbosity(args) {
        tracing_subscriber::fmt().with_writer(|| output::Log).with_max_level(level).with_ansi(false).init();
    }
}

fn verbosity(args: &OutputArgs) -> Option<LevelFilter> {
    match args.verbose {
        0 => None,
        1 => Some(LevelFilter::INFO),
        2 => Some(LevelFilter::DEBUG),
        _ => Some(LevelFilter::TRACE),
    }
}

/// Writes an argument so that a shell takes it as it was.
fn quoted(arg: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:,=@%+[]".contains(c);
    if !arg.is_empty() && arg.chars().all(is_plain) {
        return arg.to_owned();
    }
    format!("'{}'", arg.replace('\'', "'\\''"))
}

/// Finds the name of a user in this host's own file. A directory service would have to be waited for.
fn user_name(uid: u32) -> Option<String> {
    let uid = uid.to_string();
    let passwd = std::fs::read("/etc/passwd").ok()?;
    let passwd = String::from_utf8_lossy(&passwd);
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1) == Some(&uid)).then(|| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_shown_as_they_would_be_typed() {
        for (arg, shown) in [
            ("10.0.0.3:5432", "10.0.0.3:5432"),
            ("", "''"),
            (" p ", "' p '"),
            ("\"\"", "'\"\"'"),
            ("it's", "'it'\\''s'"),
        ] {
            assert_eq!(quoted(arg), shown);
        }
    }

    #[test]
    fn users_of_this_host_have_names() {
        assert_eq!(user_name(0).as_deref(), Some("root"));
        assert_eq!(user_name(u32::MAX), None);
    }
}
