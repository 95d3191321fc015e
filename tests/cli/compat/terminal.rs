//! Passwords that are typed. A session of its own makes the terminal that a test opens the one that is asked on, and no
//! terminal at all the one of whoever runs the tests.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Result, ensure};
use pcp_client::sandbox::World;
use pcp_tests::wait_until;
use rustix::termios::LocalModes;

use crate::support::{Dir, Pgpool, bare};
use crate::terminal::Terminal;

const PROMPT: &str = "Password: ";

/// A sandbox, and links on the disk, so that another program can start one.
struct Links {
    pgpool: Pgpool,
    dir: Dir,
}

/// Whether a link is started on a terminal.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum On {
    Terminal,
    /// On one that is not its standard input.
    TerminalOnly,
    Nothing,
}

impl Links {
    fn start(test: &str) -> Result<Self> {
        let links = Self { pgpool: Pgpool::start()?, dir: Dir::new(test)? };
        let installed = bare(&["links", "install", &links.dir.path().display().to_string()]).run()?;
        assert_eq!(installed.code, Some(0), "{installed:?}");
        Ok(links)
    }

    /// Starts `pcp_node_count` in a session of its own. Where `stdin` is a terminal it is that session's, and its modes are
    /// shown there at the end.
    fn begin(&self, on: On, option: &str, stdin: Stdio) -> Result<Child> {
        const MODES: &str = "code=$?; stty --all </dev/tty >/dev/tty; exit $code";
        let (ctty, script) = match on {
            On::Terminal => (Some("--ctty"), format!("\"$@\"; {MODES}")),
            On::TerminalOnly => (Some("--ctty"), format!("\"$@\" </dev/null; {MODES}")),
            On::Nothing => (None, "exec \"$@\"".to_owned()),
        };
        let mut command = Command::new("/usr/bin/setsid");
        command.args(ctty).args(["sh", "-c", &script, "sh"]).arg(self.dir.path().join("pcp_node_count"));
        command.args(["-h", "127.0.0.1", "-p", &self.pgpool.sandbox.address().port().to_string()]);
        command.args(["-U", World::USER, option]).env_clear().env("PATH", "/usr/bin:/bin");
        command.env("PCPPASSFILE", "/nonexistent").env("PCPCTL_DEADLINE", "30s");
        Ok(command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?)
    }
}

/// Waits for the end, and returns what scripts see.
fn end(child: Child) -> Result<(Option<i32>, String, String)> {
    let output = child.wait_with_output()?;
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ok((output.status.code(), text(output.stdout), text(output.stderr)))
}

/// Tells whether a terminal with these modes shows what is typed.
fn echoes(shown: &str) -> bool {
    let modes: Vec<_> = shown.split_whitespace().collect();
    assert!(modes.contains(&"echo") != modes.contains(&"-echo"), "{shown:?}");
    modes.contains(&"echo")
}

#[test]
fn a_password_is_asked_for_on_the_terminal_and_not_shown() -> Result<()> {
    const INTERRUPT: &str = "\u{3}";
    let links = Links::start("link-terminal")?;
    let entered = [(World::PASSWORD, "\n", 0, "3"), ("wrong", "\n", 5, ""), ("secre", INTERRUPT, 130, "")];
    // Without an option only where no file and no variable has it, and standard input is the terminal.
    for (on, option) in [(On::Terminal, "-W"), (On::TerminalOnly, "-W"), (On::Terminal, "-v")] {
        for (password, key, code, stdout) in entered {
            let (mut terminal, theirs) = Terminal::open()?;
            let child = links.begin(on, option, theirs.into())?;
            let asked = terminal.read_until(PROMPT)?;
            // Until then the terminal itself would show what is typed.
            wait_until("the terminal to show nothing", Duration::from_secs(20), || {
                ensure!(!terminal.modes()?.contains(LocalModes::ECHO), "it does");
                Ok(())
            })?;
            terminal.press(&format!("{password}{key}"))?;
            let shown = terminal.read_to_end();
            let (exit, out, err) = end(child)?;
            let what = format!("{on:?} {option} {password}: {exit:?} {out:?} {err:?} {asked:?} {shown:?}");
            assert_eq!(exit, Some(code), "{what}");
            assert!(out.contains(stdout) && echoes(&shown), "{what}");
            assert!(!(asked + &shown + &out + &err).contains(password), "{what}");
        }
    }
    Ok(())
}

#[test]
fn nobody_is_asked_who_does_not_want_it() -> Result<()> {
    let links = Links::start("link-no-terminal")?;
    for (on, option) in [(On::Terminal, "-w"), (On::TerminalOnly, "-v")] {
        let (mut terminal, theirs) = Terminal::open()?;
        let child = links.begin(on, option, theirs.into())?;
        let shown = terminal.read_to_end();
        let (exit, out, err) = end(child)?;
        assert!(!shown.contains("Password") && shown.starts_with("speed "), "{option}: {shown:?}");
        assert_eq!((exit, &*out), (Some(3), ""), "{option}: {err}");
        assert!(err.contains("ERROR: no password for user pcpadmin on 127.0.0.1:"), "{option}: {err}");
    }
    Ok(())
}

#[test]
fn without_a_terminal_a_password_that_has_to_be_typed_is_an_error() -> Result<()> {
    let links = Links::start("link-nowhere")?;
    // What is on standard input is no password.
    let (reader, mut writer) = std::io::pipe()?;
    std::io::Write::write_all(&mut writer, format!("{}\n", World::PASSWORD).as_bytes())?;
    drop(writer);
    let (exit, out, err) = end(links.begin(On::Nothing, "-W", reader.into())?)?;
    assert_eq!((exit, &*out), (Some(3), ""), "{err}");
    assert!(err.starts_with("ERROR: the password cannot be read from a terminal: "), "{err}");
    assert_eq!(err.lines().count(), 1, "{err}");
    Ok(())
}
