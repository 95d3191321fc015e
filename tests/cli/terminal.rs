//! Our end of a terminal.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::Result;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

/// Our end of a terminal. Reading it fails when nobody has the other end any more.
pub(crate) struct Terminal {
    ours: File,
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

    /// Reads until nobody has the other end any more.
    pub(crate) fn read_to_end(&mut self) -> String {
        let mut read = Vec::new();
        // The end of a terminal is an error.
        let _gone = self.ours.read_to_end(&mut read);
        String::from_utf8_lossy(&read).into_owned()
    }

    /// Presses keys.
    pub(crate) fn press(&mut self, keys: &str) -> Result<()> {
        Ok(self.ours.write_all(keys.as_bytes())?)
    }

    pub(crate) fn modes(&self) -> Result<LocalModes> {
        Ok(tcgetattr(&self.ours)?.local_modes)
    }

    /// Runs a program that shows what it has to say on a terminal, and returns all of it.
    pub(crate) fn shown_by(program: &Path, args: &[&str], env: &[(&str, &str)]) -> Result<String> {
        let (mut terminal, theirs) = Self::open()?;
        let mut command = Command::new(program);
        command.arg0(program).args(args).env_clear().envs(env.iter().copied()).stdin(Stdio::null());
        let mut child = command.stdout(theirs.try_clone()?).stderr(theirs).spawn()?;
        // Our own copies of its end: reading would never fail.
        drop(command);
        let shown = terminal.read_to_end();
        child.wait()?;
        Ok(shown)
    }
}
