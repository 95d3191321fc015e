//! Every recorded run of a tool, again with a link: the same arguments, the same bytes from the server.

use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use anyhow::{Result, ensure};
use pcp_proto::{Frame, RequestKind};
use pcp_tests::captures::{Capture, Side};
use pcp_tests::{Output, pcpctl};
use tokio::net::TcpSocket;

use super::expected::{Expected, expected};
use super::replay::Replay;
use crate::support::Dir;

/// How a link is run.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Mode {
    /// As it is without any setting.
    Default,
    /// With the exit codes of the tools, and believing the server as they do.
    Legacy,
}

#[test]
fn links_print_what_the_tools_printed_and_exit_with_the_truth() -> Result<()> {
    for_each(Mode::Default)
}

#[test]
fn links_can_exit_and_believe_as_the_tools_did() -> Result<()> {
    for_each(Mode::Legacy)
}

fn for_each(mode: Mode) -> Result<()> {
    let dir = Dir::new(&format!("captures-{mode:?}"))?;
    dir.file("settings", "settle = \"0s\"\n", 0o600)?;
    let captures: Vec<_> = Capture::all()?.into_iter().filter(|capture| !capture.argv.is_empty()).collect();
    let next = AtomicUsize::new(0);
    let failed = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                while let Some(capture) = captures.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Err(error) = check(capture, mode, dir.path()) {
                        failed.lock().unwrap().push(format!("{capture}: {error:#}"));
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "{} of {}\n{}", failed.len(), captures.len(), failed.join("\n"));
    Ok(())
}

fn check(capture: &Capture, mode: Mode, dir: &Path) -> Result<()> {
    let expected = expected(capture, mode);
    let replay = Replay::start(capture, dir)?;
    let output = run(capture, mode, &expected, &replay, dir)?;
    let seen = (output.code, &*output.stdout, &*output.stderr);
    ensure!(expected.holds(&output), "{:?}\nseen: {seen:?}\ninstead of: {expected:?}", capture.argv);
    let asked = replay.asked();
    let is_change = |frame: &&Frame<RequestKind>| !frame.kind.name().is_some_and(|name| name.starts_with("READ_"));
    let changes = asked.iter().filter(is_change).count();
    ensure!(changes <= 1, "{changes} changes were sent");
    let has_login = capture.outcome.as_deref().is_some_and(|outcome| outcome.starts_with('r'));
    match replay.recorded() {
        Some(recorded) => {
            let ours = asked.iter().find(|frame| frame.kind == recorded.kind);
            ensure!(ours.is_some_and(|ours| is_same(ours, &recorded)), "{ours:?} instead of {recorded:?}");
        }
        // Wrong arguments, no password, no such node.
        None => {
            ensure!(!has_login || [Some(1), Some(2), Some(3), Some(6)].contains(&output.code), "nothing was sent")
        }
    }
    Ok(())
}

/// Tells whether a request is the recorded one: but for a NUL as padding, and the form of a promotion before 4.3.
fn is_same(asked: &Frame<RequestKind>, recorded: &Frame<RequestKind>) -> bool {
    let padded = recorded.body.is_empty() && asked.body == "\0";
    let id = recorded.body.strip_suffix(b"\0").unwrap_or_default();
    asked.body == recorded.body || padded || (!id.is_empty() && asked.body == [id, b" \0n"].concat())
}

fn run(capture: &Capture, mode: Mode, expected: &Expected, replay: &Replay, dir: &Path) -> Result<Output> {
    let mut words = capture.argv.iter();
    let mut run = pcpctl!().named(words.next().unwrap());
    // Nobody else gets its port while it is bound, and nobody listens there.
    let unused = TcpSocket::new_v4()?;
    unused.bind((Ipv4Addr::LOCALHOST, 0).into())?;
    while let Some(word) = words.next() {
        run = run.args([word]);
        match (word.as_str(), &replay.dir) {
            ("-p", _) if capture.case == "connect_refused" => {
                run = run.args([unused.local_addr()?.port().to_string()]);
                words.next();
            }
            ("-p", _) => {
                run = run.args([replay.port.to_string()]);
                words.next();
            }
            ("-h", Some(dir)) => {
                run = run.args([dir]);
                words.next();
            }
            _ => {}
        }
    }
    run = run.env("TZ", "UTC").env("PCPCTL_CONFIG", dir.join("settings"));
    if mode == Mode::Legacy {
        run = run.env("PCPCTL_COMPAT_EXIT", "legacy").env("PCPCTL_COMPAT_VERIFY", "off");
    }
    if expected.waits {
        run = run.env("PCPCTL_DEADLINE", "1s");
    }
    // What is printed without a word from the server is the newest release's, unless another is asked for.
    if capture.bytes(Side::Server).is_empty() {
        run = run.env("PCPCTL_COMPAT", &capture.version);
    }
    if !capture.argv.iter().any(|word| word == "-U") {
        run = run.env("PCP_USER", capture.user.as_deref().unwrap_or_default());
    }
    if capture.password_from.as_deref() == Some("password file") {
        run = run.env("PCPPASSFILE", passfile(capture, dir)?);
    }
    run.run()
}

fn passfile(capture: &Capture, dir: &Path) -> Result<std::path::PathBuf> {
    let path = dir.join(format!("pass-{}", capture.to_string().replace('/', "-")));
    let (user, password) = (capture.user.as_deref(), capture.password.as_deref());
    fs::write(&path, format!("*:*:{}:{}\n", user.unwrap_or("*"), password.unwrap_or_default()))?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
    Ok(path)
}
