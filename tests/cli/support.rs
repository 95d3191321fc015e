//! A sandbox on a port, and `pcpctl` beside it.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Result;
use pcp_client::sandbox::{Age, Sandbox, World};
use pcp_tests::{Output, Pcpctl, pcpctl};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use tokio::runtime::Runtime;

/// A sandbox that serves on a port of 127.0.0.1 while the test runs.
pub(crate) struct Pgpool {
    pub(crate) sandbox: Sandbox,
    // Dropped last: it runs the sandbox.
    _runtime: Runtime,
}

impl Pgpool {
    pub(crate) fn start() -> Result<Self> {
        Self::start_with(Age::V4_7)
    }

    pub(crate) fn start_with(age: Age) -> Result<Self> {
        Self::start_world(world(age))
    }

    pub(crate) fn start_world(world: World) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let sandbox = runtime.block_on(Sandbox::start(world))?;
        Ok(Self { sandbox, _runtime: runtime })
    }

    /// Serves on a Unix socket in this directory.
    pub(crate) fn start_unix(dir: &Path) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let guard = runtime.enter();
        let sandbox = Sandbox::start_unix(world(Age::V4_7), dir.join(".s.PGSQL.9898"))?;
        drop(guard);
        Ok(Self { sandbox, _runtime: runtime })
    }

    pub(crate) fn endpoint(&self) -> String {
        self.sandbox.address().to_string()
    }

    /// Runs `pcpctl` on it.
    pub(crate) fn run(&self, args: &[&str]) -> Result<Output> {
        logged_in(&[args, &["-h", &self.endpoint()]].concat()).run()
    }
}

fn world(age: Age) -> World {
    World::new(age).node("10.0.0.1", 5432).node("10.0.0.2", 5432).node("10.0.0.3", 5432)
}

/// Begins a run with user and password in the environment.
pub(crate) fn logged_in(args: &[&str]) -> Pcpctl {
    bare(args).env("PCP_USER", World::USER).env("PCP_PASSWORD", World::PASSWORD)
}

/// Begins a run whose standard input is not at its end but closed.
pub(crate) fn without_stdin(args: &[&str]) -> Pcpctl {
    let program = env!("CARGO_BIN_EXE_pcpctl-under-test");
    let shell = Pcpctl::new("/bin/sh").args(["-c", "exec \"$0\" \"$@\" <&-", program]).args(args);
    shell.env("PCP_USER", World::USER).env("PCP_PASSWORD", World::PASSWORD)
}

/// Begins a run with an empty environment.
pub(crate) fn bare(args: &[&str]) -> Pcpctl {
    pcpctl!().args(args)
}

/// A directory that is removed at the end.
pub(crate) struct Dir(PathBuf);

impl Dir {
    pub(crate) fn new(name: &str) -> Result<Self> {
        let dir = std::env::temp_dir().join(format!("pcp-tests-{name}-{}", std::process::id()));
        fs::create_dir_all(&dir)?;
        Ok(Self(dir))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file, and returns its path.
    pub(crate) fn file(&self, name: &str, contents: &str, mode: u32) -> Result<String> {
        let path = self.0.join(name);
        fs::write(&path, contents)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
        Ok(path.display().to_string())
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _gone = fs::remove_dir_all(&self.0);
    }
}

/// Our end of a terminal. Reading it fails when nobody has the other end any more.
pub(crate) struct Terminal {
    pub(crate) ours: File,
}

impl Terminal {
    /// Returns the other end too.
    pub(crate) fn open() -> Result<(Self, File)> {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        grantpt(&ours)?;
        unlockpt(&ours)?;
        let name = ptsname(&ours, Vec::new())?;
        let theirs = File::options().read(true).write(true).open(name.to_str()?)?;
        tcsetwinsize(&theirs, Winsize { ws_row: 24, ws_col: 100, ws_xpixel: 0, ws_ypixel: 0 })?;
        Ok((Self { ours: ours.into() }, theirs))
    }

    /// Reads until this is shown, and returns all that was read.
    pub(crate) fn read_until(&mut self, wanted: &str) -> Result<String> {
        let mut read = String::new();
        let mut chunk = [0; 4096];
        while !read.contains(wanted) {
            let count = self.ours.read(&mut chunk)?;
            read.push_str(&String::from_utf8_lossy(chunk.get(..count).unwrap_or_default()));
        }
        Ok(read)
    }

    /// Runs a program that shows what it has to say on a terminal, and returns all of it.
    pub(crate) fn shown_by(program: &Path, args: &[&str], env: &[(&str, &str)]) -> Result<String> {
        let (mut terminal, theirs) = Self::open()?;
        let mut command = Command::new(program);
        command.arg0(program).args(args).env_clear().envs(env.iter().copied()).stdin(Stdio::null());
        let mut child = command.stdout(theirs.try_clone()?).stderr(theirs).spawn()?;
        // Our own copies of its end: reading would never fail.
        drop(command);
        let mut shown = Vec::new();
        let mut chunk = [0; 4096];
        while let Ok(count @ 1..) = terminal.ours.read(&mut chunk) {
            shown.extend_from_slice(chunk.get(..count).unwrap_or_default());
        }
        child.wait()?;
        Ok(String::from_utf8_lossy(&shown).into_owned())
    }
}
