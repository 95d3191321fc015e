//! Secrets on their way into memory that is wiped: no copy is left in memory that was given back.

use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use secrecy::SecretSlice;
use secrecy::zeroize::Zeroizing;

/// No password and no pcp.conf is longer.
const MAX_LEN: usize = 1 << 20;
/// What comes through a pipe is no longer, as a rule.
const USUAL: usize = 64 << 10;
/// How long the other end of a pipe is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// Keeps a copy in no more memory than it needs.
pub(crate) fn keep(secret: &[u8]) -> SecretSlice<u8> {
    Box::<[u8]>::from(secret).into()
}

/// Keeps a copy, and wipes what it is taken from. To shrink that could leave a part of it behind.
pub(crate) fn take(secret: Vec<u8>) -> SecretSlice<u8> {
    keep(&Zeroizing::new(secret))
}

/// Reads a file to its end, or a pipe, such as a shell makes of `<(command)`, whose other end may keep still for a while.
pub(crate) fn read_file(path: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
    // To open a pipe otherwise waits for its other end.
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    match file.metadata()?.is_file() {
        true => {
            let length = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
            read_into(length, file)
        }
        false => read(Patient { file, end: Instant::now() + PATIENCE }),
    }
}

/// Reads to the end.
pub(crate) fn read(from: impl Read) -> io::Result<Zeroizing<Vec<u8>>> {
    read_into(USUAL, from)
}

/// Reads to the end what should have this length: a buffer that has to grow leaves its contents behind.
fn read_into(length: usize, from: impl Read) -> io::Result<Zeroizing<Vec<u8>>> {
    // The end is found without a buffer of the library's own.
    const ROOM: usize = 64;
    let mut contents = Zeroizing::new(Vec::with_capacity(length.min(MAX_LEN) + ROOM));
    match from.take(MAX_LEN as u64 + 1).read_to_end(&mut contents)? {
        ..=MAX_LEN => Ok(contents),
        _ => Err(io::Error::new(io::ErrorKind::FileTooLarge, "it has more than 1 MiB")),
    }
}

/// A pipe that is read until the end of our patience.
struct Patient {
    file: std::fs::File,
    end: Instant,
}

impl Read for Patient {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.end.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).map_err(io::Error::other)?;
        match poll(&mut [PollFd::new(&self.file, PollFlags::IN)], Some(&left))? {
            0 => Err(io::Error::new(io::ErrorKind::TimedOut, "nothing came through this pipe in 10 s")),
            _ => self.file.read(buffer),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_all_of_it_and_has_a_limit() {
        assert_eq!(**read(&b"secret\n"[..]).unwrap(), *b"secret\n");
        assert_eq!(read(&*vec![b'x'; MAX_LEN]).unwrap().len(), MAX_LEN);
        assert_eq!(read(&*vec![b'x'; MAX_LEN + 1]).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        assert_eq!(read_file(Path::new("/dev/zero")).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        assert!(read_file(Path::new("/dev/null")).unwrap().is_empty());
    }
}
