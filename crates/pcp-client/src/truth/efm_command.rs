//! Running `efm cluster-status-json`.

use std::io;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::time::timeout_at;
use tracing::debug;

use super::{EfmStatus, EfmStatusError};
use crate::Deadline;

/// How much of the status is read.
const STATUS_LIMIT: u64 = 1024 * 1024;

/// How much is read of what goes to stderr.
const WORDS_LIMIT: u64 = 4096;

/// EFM's command-line tool and the cluster that it is asked about.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct EfmCommand {
    /// An absolute path, such as `/usr/edb/efm-5.0/bin/efm`.
    pub command: PathBuf,
    /// The cluster's name.
    pub cluster: String,
}

impl EfmCommand {
    /// Runs `efm cluster-status-json CLUSTER` without a shell and reads the status. Its exit code is ignored: it is not
    /// zero as soon as one database of the cluster is down.
    ///
    /// At the deadline, and when the future is dropped, the command is killed with all that it started. It has this
    /// process' environment, but for `PCP_PASSWORD`.
    ///
    /// # Errors
    ///
    /// Why there is no status; in EFM's words where it had any.
    pub async fn status(&self, deadline: Deadline) -> Result<EfmStatus, EfmCommandError> {
        if !self.command.is_absolute() {
            return Err(EfmCommandError::NotAbsolute { command: self.command.clone() });
        }
        if self.cluster.is_empty() || self.cluster.starts_with('-') {
            return Err(EfmCommandError::Cluster { cluster: self.cluster.clone() });
        }
        let started = Command::new(&self.command)
            .args(["cluster-status-json", &self.cluster])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .env_remove("PCP_PASSWORD")
            .process_group(0)
            .spawn();
        let mut running =
            Running(started.map_err(|source| EfmCommandError::Start { command: self.command.clone(), source })?);
        let Ok(output) = timeout_at(deadline.instant(), running.output()).await else {
            return Err(EfmCommandError::TooSlow { command: self.command.clone() });
        };
        let output = output.map_err(|source| EfmCommandError::Read { command: self.command.clone(), source })?;
        debug!(exit = %output.exit, stderr = output.words, "efm cluster-status-json has ended");
        EfmStatus::parse(&output.status).map_err(|source| EfmCommandError::NoStatus {
            exit: output.exit,
            words: output.words,
            source,
        })
    }
}

/// Why EFM told no status.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EfmCommandError {
    /// The command is not an absolute path.
    #[error("the efm command \"{}\" is not an absolute path", command.display())]
    NotAbsolute {
        /// The command.
        command: PathBuf,
    },
    /// The cluster's name is empty or would be an option.
    #[error("\"{cluster}\" cannot be the name of an EFM cluster")]
    Cluster {
        /// The name.
        cluster: String,
    },
    /// It cannot be started.
    #[error("{} cannot be started", command.display())]
    Start {
        /// The command.
        command: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It did not end before the deadline.
    #[error("{} cluster-status-json did not end in time", command.display())]
    TooSlow {
        /// The command.
        command: PathBuf,
    },
    /// Its output cannot be read.
    #[error("what {} prints cannot be read", command.display())]
    Read {
        /// The command.
        command: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It printed no status.
    #[error("efm cluster-status-json told no status ({exit}){}{words}", if words.is_empty() { "" } else { ": " })]
    NoStatus {
        /// How it ended.
        exit: ExitStatus,
        /// The first line that it wrote to stderr.
        words: String,
        /// What is wrong with its output.
        source: EfmStatusError,
    },
}

/// A command that is killed with its children, which hold its pipes, when it is no longer wanted.
struct Running(Child);

struct Output {
    status: Vec<u8>,
    words: String,
    exit: ExitStatus,
}

impl Running {
    async fn output(&mut self) -> io::Result<Output> {
        let (stdout, stderr) = (self.0.stdout.take(), self.0.stderr.take());
        let (status, words) = tokio::try_join!(read(stdout, STATUS_LIMIT), read(stderr, WORDS_LIMIT))?;
        let words = String::from_utf8_lossy(&words);
        let words = words.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default().to_owned();
        Ok(Output { status, words, exit: self.0.wait().await? })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Once it has been waited for, it has no id, and its number may be another's.
        let group = self.0.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        if let Some(group) = group {
            // It has ended already where this fails.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

/// Reads to the end or to the limit, where it hangs up.
async fn read(from: Option<impl AsyncRead + Unpin>, limit: u64) -> io::Result<Vec<u8>> {
    let mut kept = Vec::new();
    if let Some(from) = from {
        from.take(limit).read_to_end(&mut kept).await?;
    }
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;
    use std::time::Duration;

    use super::*;

    /// A directory with a command of its own, removed at the end.
    struct Place(PathBuf);

    impl Place {
        fn new(name: &str, script: &str) -> Self {
            let dir = std::env::temp_dir().join(format!("pcp-client-efm-{name}-{}", std::process::id()));
            fs::create_dir_all(&dir).unwrap();
            fs::write(dir.join("efm"), format!("#!/bin/sh\n{script}\n")).unwrap();
            fs::set_permissions(dir.join("efm"), fs::Permissions::from_mode(0o755)).unwrap();
            Self(dir)
        }

        async fn status(&self, limit: Duration) -> Result<EfmStatus, EfmCommandError> {
            let command = EfmCommand { command: self.0.join("efm"), cluster: "a;b $(c)".to_owned() };
            // Another test may fork while the script is still open for writing there.
            loop {
                match command.status(Deadline::after(limit)).await {
                    Err(EfmCommandError::Start { source, .. })
                        if source.kind() == io::ErrorKind::ExecutableFileBusy => {}
                    result => return result,
                }
            }
        }
    }

    impl Drop for Place {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn the_output_counts_and_the_exit_code_does_not() {
        let place = Place::new(
            "output",
            r#"[ "$#" = 2 ] && [ "$1" = cluster-status-json ] && [ "$2" = 'a;b $(c)' ] || exit
            read line && exit
            echo words >&2
            echo '{"nodes":{"a":{"type":"Primary","db":"UP"}}}'
            exit 1"#,
        );
        assert_eq!(place.status(LONG).await.unwrap().members.len(), 1);
    }

    #[tokio::test]
    async fn no_status_is_told_in_efms_words() {
        let place = Place::new("words", "echo >&2; echo 'Agent is not running.' >&2; echo more >&2; exit 3");
        let error = place.status(LONG).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "efm cluster-status-json told no status (exit status: 3): Agent is not running."
        );
        assert!(matches!(error, EfmCommandError::NoStatus { source: EfmStatusError::Syntax { .. }, .. }));
    }

    #[tokio::test]
    async fn endless_output_is_cut() {
        // What comes behind the limit is not read, and what is written to stderr meanwhile holds nothing up.
        let status = r#"echo '{"nodes":{"a":{"type":"Primary","db":"UP"}}}'"#;
        let flood = "head -c 3000000 /dev/zero >&2; head -c 3000000 /dev/zero";
        let before = Place::new("before", &format!("{status}; {flood}"));
        assert_eq!(before.status(LONG).await.unwrap().members.len(), 1);
        let behind = Place::new("behind", &format!("{flood}; echo; {status}"));
        assert!(matches!(behind.status(LONG).await, Err(EfmCommandError::NoStatus { .. })));
    }

    #[tokio::test]
    async fn a_command_that_hangs_is_killed_with_its_children() {
        // The child holds the pipe of the shell, and the shell that of the test.
        let place = Place::new(
            "hangs",
            r#"sleep 1000 & echo $! > "${0%/*}/child.new"; mv "${0%/*}/child.new" "${0%/*}/child"; wait"#,
        );
        let child = place.0.join("child");
        let started = async {
            while !child.exists() {
                tokio::task::yield_now().await;
            }
        };
        {
            let status = place.status(LONG);
            tokio::pin!(status);
            tokio::select! {
                result = &mut status => panic!("{result:?}"),
                () = started => {}
            }
        }
        let pid = fs::read_to_string(&child).unwrap();
        let is_gone = || {
            let stat = fs::read_to_string(Path::new("/proc").join(pid.trim()).join("stat"));
            stat.map_or(true, |stat| stat.contains(") Z "))
        };
        while !is_gone() {
            tokio::task::yield_now().await;
        }
        let error = place.status(Duration::ZERO).await.unwrap_err();
        assert!(error.to_string().ends_with("/efm cluster-status-json did not end in time"), "{error}");
    }

    #[tokio::test]
    async fn what_cannot_be_run_is_named() {
        let run = async |command: &str, cluster: &str| {
            let command = EfmCommand { command: command.into(), cluster: cluster.to_owned() };
            command.status(Deadline::after(LONG)).await.unwrap_err().to_string()
        };
        assert_eq!(run("efm", "efm").await, "the efm command \"efm\" is not an absolute path");
        assert_eq!(run("/nonexistent/efm", "efm").await, "/nonexistent/efm cannot be started");
        for cluster in ["", "-v"] {
            assert_eq!(
                run("/bin/false", cluster).await,
                format!("\"{cluster}\" cannot be the name of an EFM cluster")
            );
        }
    }
}
