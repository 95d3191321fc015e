//! Child processes that cannot outstay their welcome.

use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, ioctl_fionbio};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

/// What a finished process left.
#[derive(Clone, Debug)]
pub struct Output {
    /// The exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// The signal that ended it, if one did.
    pub signal: Option<i32>,
    /// Standard output, with U+FFFD for what is not UTF-8.
    pub stdout: String,
    /// Standard error, likewise.
    pub stderr: String,
    /// From the start of the process until its end was seen.
    pub elapsed: Duration,
}

impl Output {
    /// Tell whether it exited with 0.
    #[must_use]
    pub fn success(&self) -> bool {
        self.code == Some(0)
    }
}

/// A process that runs in a process group of its own; dropping it kills the group.
#[derive(Debug)]
pub struct Running {
    child: Child,
    program: String,
    start: Instant,
    stdout: Collector,
    stderr: Collector,
    ended: bool,
}

impl Running {
    /// Start `command` with `input` as its standard input (none: it reads end-of-file at once).
    ///
    /// # Errors
    ///
    /// When the program cannot be started.
    pub fn spawn(mut command: Command, input: Option<Vec<u8>>) -> Result<Self> {
        let program = command.get_program().to_string_lossy().into_owned();
        let start = Instant::now();
        let mut child = command
            .process_group(0)
            .stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {program}"))?;
        if let (Some(mut stdin), Some(input)) = (child.stdin.take(), input) {
            // A child that does not read its input is its own affair: a broken pipe is no error here.
            thread::spawn(move || stdin.write_all(&input).ok());
        }
        let stdout = Collector::start(child.stdout.take().context("no standard output")?)?;
        let stderr = Collector::start(child.stderr.take().context("no standard error")?)?;
        Ok(Self { child, program, start, stdout, stderr, ended: false })
    }

    /// Return the process id, which is its process group's too.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Return what it has written to standard output so far.
    #[must_use]
    pub fn stdout_so_far(&self) -> String {
        self.stdout.text()
    }

    /// Send the signal of that name ("TERM", "INT", "KILL", "STOP") to the process, not to its group.
    ///
    /// # Errors
    ///
    /// When there is no such process any more.
    pub fn signal(&self, name: &str) -> Result<()> {
        kill(name, &self.id().to_string()).with_context(|| format!("cannot send {name} to {}", self.program))
    }

    /// Wait for the end.
    ///
    /// # Errors
    ///
    /// When it takes longer than `limit` from the start of the process; it is killed then, with its group.
    pub fn wait(mut self, limit: Duration) -> Result<Output> {
        if !self.ends_within(limit.saturating_sub(self.start.elapsed()))? {
            self.kill_group();
            bail!(
                "{} was still running after {limit:?}; stdout so far: {:?}; stderr so far: {:?}",
                self.program,
                self.stdout.text(),
                self.stderr.text(),
            );
        }
        let status = self.child.wait().context("cannot wait for a child")?;
        Ok(self.output(status))
    }

    /// Tells whether it ends in this time. Hundreds are waited for at once: the kernel says when.
    fn ends_within(&self, limit: Duration) -> Result<bool> {
        let process =
            pidfd_open(Pid::from_child(&self.child), PidfdFlags::empty()).context("no descriptor of a child")?;
        let until = Instant::now() + limit;
        loop {
            let left =
                Timespec::try_from(until.saturating_duration_since(Instant::now())).context("too long a wait")?;
            match poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&left)) {
                Err(Errno::INTR) => {}
                ended => return Ok(ended.context("cannot wait for a child")? > 0),
            }
        }
    }

    fn output(&mut self, status: ExitStatus) -> Output {
        let elapsed = self.start.elapsed();
        self.ended = true;
        // All that it wrote is in the pipes now, whether their readers have had the processor yet or not. A grandchild
        // in the background may hold them open: what that writes later is not waited for.
        self.stdout.take_in();
        self.stderr.take_in();
        Output {
            code: status.code(),
            signal: status.signal(),
            stdout: self.stdout.text(),
            stderr: self.stderr.text(),
            elapsed,
        }
    }

    fn kill_group(&mut self) {
        // Best effort, on the way to an error that says more.
        kill("KILL", &format!("-{}", self.id())).ok();
        self.child.kill().ok();
        self.child.wait().ok();
        self.ended = true;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.ended {
            self.kill_group();
        }
    }
}

/// Run `command` to its end, as [`Running::spawn`] and [`Running::wait`] do.
pub(crate) fn run(command: Command, input: Option<Vec<u8>>, limit: Duration) -> Result<Output> {
    Running::spawn(command, input)?.wait(limit)
}

// The standard library sends SIGKILL only; the shell's own `kill` needs no further package.
fn kill(signal: &str, target: &str) -> Result<()> {
    let status = Command::new("/bin/sh")
        .args(["-c", r#"kill -s "$1" -- "$2""#, "kill", signal, target])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .status()?;
    if !status.success() {
        bail!("no process {target}");
    }
    Ok(())
}

/// Takes in what comes through a pipe, in a thread of its own or when it is asked to.
#[derive(Clone, Debug)]
struct Collector {
    pipe: Arc<OwnedFd>,
    bytes: Arc<Mutex<Vec<u8>>>,
}

impl Collector {
    fn start(pipe: impl Into<OwnedFd>) -> Result<Self> {
        let pipe = pipe.into();
        ioctl_fionbio(&pipe, true).context("a pipe that blocks")?;
        let collector = Self { pipe: Arc::new(pipe), bytes: Arc::default() };
        let reader = collector.clone();
        thread::spawn(move || while reader.take_in() && reader.is_woken() {});
        Ok(collector)
    }

    /// Takes in what is in the pipe, and tells whether more may come.
    fn take_in(&self) -> bool {
        let mut bytes = self.bytes();
        let mut chunk = [0; 8192];
        loop {
            match rustix::io::read(&*self.pipe, &mut chunk) {
                Ok(0) => return false,
                Ok(count) => bytes.extend_from_slice(chunk.get(..count).unwrap_or_default()),
                Err(Errno::INTR) => {}
                Err(error) => return error == Errno::AGAIN,
            }
        }
    }

    /// Waits until there is something to take in, or the end.
    fn is_woken(&self) -> bool {
        matches!(poll(&mut [PollFd::new(&*self.pipe, PollFlags::IN)], None), Ok(_) | Err(Errno::INTR))
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes()).into_owned()
    }

    fn bytes(&self) -> MutexGuard<'_, Vec<u8>> {
        self.bytes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn collects_both_streams_and_the_code() {
        let output = run(sh("cat; echo no >&2; exit 3"), Some(b"yes".into()), Duration::from_secs(5)).unwrap();
        assert_eq!((output.code, &*output.stdout, &*output.stderr), (Some(3), "yes", "no\n"));
    }

    #[test]
    fn kills_the_whole_group_at_the_limit() {
        let start = Instant::now();
        let error = run(sh("echo begun; sleep 60 & wait"), None, Duration::from_millis(300)).unwrap_err();
        assert!(error.to_string().contains("still running after 300ms; stdout so far: \"begun\\n\""), "{error}");
        assert!(start.elapsed() < Duration::from_secs(5));
    }

    #[test]
    fn delivers_a_signal() {
        let running = Running::spawn(sh("sleep 60"), None).unwrap();
        running.signal("TERM").unwrap();
        assert_eq!(running.wait(Duration::from_secs(5)).unwrap().signal, Some(15));
    }

    #[test]
    fn does_not_wait_for_a_grandchild_that_holds_the_pipes() {
        let output = run(sh("sleep 5 & echo done"), None, Duration::from_secs(4)).unwrap();
        assert_eq!(output.stdout, "done\n");
        assert!(output.elapsed < Duration::from_secs(1));
    }
}
