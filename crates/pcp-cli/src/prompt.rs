//! Asking for a password.

use std::fs::File;
use std::io::{self, Read, Write};
use std::process;

use rpassword::ConfigBuilder;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use secrecy::SecretSlice;

use crate::exit::Exit;
use crate::secret;

const CTRL_C: u8 = 3;

/// Asks for a password on the terminal, whatever standard input and output are, and shows nothing of it. Ctrl-C ends the
/// process, with the terminal as it was.
///
/// # Errors
///
/// There is no terminal.
pub(crate) fn password(question: &str) -> io::Result<SecretSlice<u8>> {
    let mut terminal = Silenced::open()?;
    let keys = Keys(terminal.device.try_clone()?);
    let config = ConfigBuilder::new().input_reader(keys).output_writer(terminal.device.try_clone()?).build();
    let typed = rpassword::prompt_password_with_config(question, config);
    // Enter was not shown either.
    terminal.device.write_all(b"\n")?;
    drop(terminal);
    match typed {
        Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => process::exit(Exit::Interrupted.code()),
        typed => typed.map(|password| secret::take(password.into_bytes())),
    }
}

/// The terminal; it does not show what is typed until this is dropped.
struct Silenced {
    device: File,
    before: Termios,
}

impl Silenced {
    fn open() -> io::Result<Self> {
        let device = File::options().read(true).write(true).open("/dev/tty")?;
        let before = tcgetattr(&device)?;
        let mut silent = before.clone();
        // Signals would end the process before the modes are as they were.
        silent.local_modes -= LocalModes::ECHO | LocalModes::ECHONL | LocalModes::ICANON | LocalModes::ISIG;
        tcsetattr(&device, OptionalActions::Now, &silent)?;
        Ok(Self { device, before })
    }
}

impl Drop for Silenced {
    fn drop(&mut self) {
        let _gone = tcsetattr(&self.device, OptionalActions::Now, &self.before);
    }
}

/// What is typed, up to Ctrl-C.
struct Keys(File);

impl Read for Keys {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let count = self.0.read(buf)?;
        match buf.get(..count).is_some_and(|keys| keys.contains(&CTRL_C)) {
            true => Err(io::ErrorKind::ConnectionAborted.into()),
            false => Ok(count),
        }
    }
}
