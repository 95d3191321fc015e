//! Shells in a container that run one command after the other: a `docker exec` for each costs many times the command.

use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::process::Output;

/// Written behind what a command writes, between NULs, with the exit code.
const MARK: &str = "end of command:";

/// The shells of one container: as many as there were commands at one time.
#[derive(Debug)]
pub(crate) struct Shells {
    start: Vec<String>,
    idle: Mutex<Vec<Shell>>,
}

impl Shells {
    /// Prepare for a container; nothing is started yet.
    pub(crate) fn of(container: &str) -> Self {
        Self::started_by(&["docker", "exec", "--interactive", container, "sh"])
    }

    fn started_by(start: &[&str]) -> Self {
        Self { start: start.iter().map(|&word| word.to_owned()).collect(), idle: Mutex::default() }
    }

    /// Run a command as `docker exec` would, with this input, whatever exit code comes out.
    ///
    /// What a signal ends has the code that shells give it, and the shell's word for it on standard error. Nobody waits
    /// for what is left in the background; it must not write to these streams any more.
    ///
    /// # Errors
    ///
    /// When it takes longer than `limit`, in which case it may run on; and when its container refuses or ends. It is not
    /// tried again.
    pub(crate) fn run(&self, argv: &[&str], input: &str, limit: Duration) -> Result<Output> {
        let idle = self.take_idle();
        let mut shell = idle.map_or_else(|| Shell::start(&self.start), Ok)?;
        // One that failed may still be busy with this command: it is dropped.
        let output = shell.run(argv, input, limit).with_context(|| argv.join(" "))?;
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(shell);
        Ok(output)
    }

    /// End all shells that run nothing, for their container no longer runs them; the next command starts a new one.
    pub(crate) fn end(&self) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn take_idle(&self) -> Option<Shell> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain_mut(Shell::is_alive);
        idle.pop()
    }
}

/// One shell, from this side; killed on drop. Inside it ends with its standard input.
#[derive(Debug)]
struct Shell {
    child: Child,
    stdin: ChildStdin,
    chunks: Receiver<(Stream, Vec<u8>)>,
}

#[derive(Clone, Copy, Debug)]
enum Stream {
    Stdout,
    Stderr,
}

impl Shell {
    fn start(words: &[String]) -> Result<Self> {
        let (program, args) = words.split_first().context("nothing to start")?;
        let mut child = Command::new(program)
            .args(args)
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {program}"))?;
        let (sender, chunks) = mpsc::channel();
        pass_on(Stream::Stdout, child.stdout.take(), sender.clone());
        pass_on(Stream::Stderr, child.stderr.take(), sender);
        let mut stdin = child.stdin.take().context("a shell without an input")?;
        // Shells export it, `docker exec` does not know it.
        stdin.write_all(b"unset PWD\n").ok();
        Ok(Self { child, stdin, chunks })
    }

    fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    fn run(&mut self, argv: &[&str], input: &str, limit: Duration) -> Result<Output> {
        let start = Instant::now();
        ensure!(!argv.is_empty(), "no command");
        ensure!(!argv.iter().chain([&input]).any(|text| text.contains('\0')), "no shell takes a NUL");
        let script = script(argv, input);
        ensure!(script.len() < 1 << 16, "more than a pipe holds: writing might wait for ever");
        // A shell that is gone is found out by reading.
        self.stdin.write_all(script.as_bytes()).ok();
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        loop {
            if let (Some((stdout, code)), Some((stderr, _))) = (ended(&stdout), ended(&stderr)) {
                let [stdout, stderr] = [stdout, stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
                return Ok(Output { code: Some(code), signal: None, stdout, stderr, elapsed: start.elapsed() });
            }
            let how = match self.chunks.recv_timeout(limit.saturating_sub(start.elapsed())) {
                Ok((stream, bytes)) => {
                    match stream {
                        Stream::Stdout => stdout.extend(bytes),
                        Stream::Stderr => stderr.extend(bytes),
                    }
                    continue;
                }
                Err(RecvTimeoutError::Timeout) => format!("was still running after {limit:?}"),
                Err(RecvTimeoutError::Disconnected) => "was cut off".to_owned(),
            };
            let [stdout, stderr] = [&stdout, &stderr].map(|bytes| String::from_utf8_lossy(bytes));
            bail!("{how}; stdout so far: {stdout:?}; stderr so far: {stderr:?}");
        }
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Reads to the end in a thread of its own.
fn pass_on(stream: Stream, pipe: Option<impl Read + Send + 'static>, chunks: Sender<(Stream, Vec<u8>)>) {
    thread::spawn(move || {
        let Some(mut pipe) = pipe else { return };
        let mut chunk = [0; 8192];
        while let Ok(count @ 1..) = pipe.read(&mut chunk) {
            if chunks.send((stream, chunk.get(..count).unwrap_or_default().to_vec())).is_err() {
                return;
            }
        }
    });
}

/// What the shell reads. The braces: it runs all of it or, where it ends in the middle, nothing. The session: the command
/// is as alone as under `docker exec`, whatever it does to its process group.
fn script(argv: &[&str], input: &str) -> String {
    let words: Vec<_> = argv.iter().map(|word| quoted(word)).collect();
    let (words, input) = (words.join(" "), quoted(input));
    format!(
        r"{{ printf %s {input} | setsid -- {words}; code=$?
        for stream in 1 2; do printf '\000{MARK} %d\000' $code >&$stream; done; }}
"
    )
}

fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// Returns what the command wrote, and its exit code, once the mark is behind it.
fn ended(bytes: &[u8]) -> Option<(&[u8], i32)> {
    let bytes = bytes.strip_suffix(b"\0")?;
    let (written, end) = bytes.split_at_checked(bytes.iter().rposition(|&byte| byte == 0)?)?;
    let code = end.strip_prefix(b"\0")?.strip_prefix(MARK.as_bytes())?.strip_prefix(b" ")?;
    Some((written, str::from_utf8(code).ok()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use std::{env, fs, process};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(20);

    fn shells() -> Shells {
        Shells::started_by(&["sh"])
    }

    #[test]
    fn one_shell_runs_what_comes_one_after_the_other() {
        let shells = shells();
        for (script, code) in [("echo no >&2; cat; exit 3", 3), ("echo no >&2; cat; kill -9 0", 137)] {
            let output = shells.run(&["sh", "-c", script, "it's", ""], "ÀÁ 'yes'\n$x", LIMIT).unwrap();
            assert_eq!((output.code, &*output.stdout), (Some(code), "ÀÁ 'yes'\n$x"));
            assert!(output.stderr.starts_with("no\n"), "{output:?}");
        }
        let output = shells.run(&["nothing-of-that-name"], "", LIMIT).unwrap();
        assert!(output.code == Some(127) && output.stderr.contains("nothing-of-that-name"), "{output:?}");
        let script = "head -c 1000000 /dev/zero | tr '\\0' a; printf '\\000b'";
        let output = shells.run(&["sh", "-c", script], "", LIMIT).unwrap();
        assert_eq!(output.stdout, format!("{}\0b", "a".repeat(1_000_000)));
        assert_eq!(shells.idle.lock().unwrap().len(), 1);
    }

    #[test]
    fn a_command_has_ended_when_the_whole_mark_is_the_last_that_was_read() {
        assert_eq!(ended(b"a\0b\0end of command: 13\0"), Some((&b"a\0b"[..], 13)));
        for bytes in [
            "",
            "\0",
            "a",
            "a\0",
            "end of command: 1\0",
            "\0end of command: 1",
            "\0end of command: 1\0a",
            "\0a 1\0",
        ] {
            assert_eq!(ended(bytes.as_bytes()), None, "{bytes:?}");
        }
    }

    #[test]
    fn what_takes_too_long_keeps_nothing_else_from_running() {
        let shells = shells();
        let script = "echo begun $$; exec sleep 30";
        let error = shells.run(&["sh", "-c", script], "", Duration::from_millis(300)).unwrap_err();
        let error = format!("{error:#}");
        let (_, told) = error.split_once("was still running after 300ms; stdout so far: \"begun ").unwrap();
        let process = told.split_once('\\').unwrap().0;
        // There still is one to kill.
        let killed = shells.run(&["kill", process], "", LIMIT).unwrap();
        assert!(killed.success(), "{killed:?}");
    }

    #[test]
    fn a_shell_that_is_gone_is_replaced_and_what_it_ran_is_not_run_again() {
        let shells = shells();
        let file = env::temp_dir().join(format!("pcp-tests-shell-{}", process::id()));
        let script = "echo begun | tee -a $0; kill -9 $PPID";
        let error = shells.run(&["sh", "-c", script, file.to_str().unwrap()], "", LIMIT).unwrap_err();
        assert!(format!("{error:#}").contains("was cut off; stdout so far: \"begun\\n\""), "{error:#}");
        assert_eq!(fs::read_to_string(&file).unwrap(), "begun\n");
        fs::remove_file(file).unwrap();

        for text in ["first", "second"] {
            assert_eq!(shells.run(&["echo", text], "", LIMIT).unwrap().stdout, format!("{text}\n"));
            let mut idle = shells.idle.lock().unwrap();
            assert_eq!(idle.len(), 1);
            idle[0].child.kill().unwrap();
            idle[0].child.wait().unwrap();
        }
    }
}
