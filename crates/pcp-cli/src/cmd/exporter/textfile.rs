//! The file for node_exporter's textfile collector.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Replaces the file as a whole: who reads it sees the old one or the new one.
///
/// # Errors
///
/// The directory cannot be written to; then the file is as it was.
pub(super) fn replace(path: &Path, page: &str) -> io::Result<()> {
    let draft = draft(path);
    let written = write_new(&draft, page).and_then(|()| fs::rename(&draft, path));
    if written.is_err() {
        let _none = fs::remove_file(&draft);
    }
    written
}

/// Writes a file that was not there: nothing that somebody has laid in its place is written through.
fn write_new(path: &Path, page: &str) -> io::Result<()> {
    // What a process of the same number left behind.
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    OpenOptions::new().write(true).create_new(true).open(path)?.write_all(page.as_bytes())
}

/// Names the file that is written first: beside the other, so that it can be renamed, and not *.prom, so that the
/// collector passes over it.
fn draft(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_replaced_and_nothing_is_left_beside_it() {
        let dir = std::env::temp_dir().join(format!("pcpctl-textfile-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let path = dir.join("pgpool.prom");
        replace(&path, "old").unwrap();
        let mut reader = fs::File::open(&path).unwrap();
        replace(&path, "new").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        // Who is in the middle of reading goes on with the old one.
        assert_eq!(io::read_to_string(&mut reader).unwrap(), "old");
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 1);
        assert!(replace(&dir.join("none/pgpool.prom"), "x").is_err());
        // A directory cannot be replaced by a file.
        fs::create_dir(dir.join("taken")).unwrap();
        assert!(replace(&dir.join("taken"), "x").is_err());
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 2);
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn what_was_laid_in_the_place_of_the_draft_is_not_written_through() {
        let dir = std::env::temp_dir().join(format!("pcpctl-textfile-link-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let (path, target) = (dir.join("pgpool.prom"), dir.join("target"));
        fs::write(&target, "untouched").unwrap();
        std::os::unix::fs::symlink(&target, draft(&path)).unwrap();
        replace(&path, "page").unwrap();
        assert_eq!(fs::read_to_string(&target).unwrap(), "untouched");
        assert_eq!(fs::read_to_string(&path).unwrap(), "page");
        assert!(fs::symlink_metadata(&path).unwrap().is_file());
        fs::remove_dir_all(&dir).unwrap();
    }
}
