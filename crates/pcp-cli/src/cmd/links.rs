//! `links`: a directory with Pgpool's own tools, by their names.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::args::{LinksArgs, LinksCommand};
use crate::compat::Tool;
use crate::exit::Exit;
use crate::output;

/// Why a directory is left as it is, or half done.
#[derive(Debug, thiserror::Error)]
enum LinksError {
    #[error("it is not known which program this is")]
    Unknown(#[source] io::Error),
    #[error("the directory {} cannot be made", .0.display())]
    Directory(PathBuf, #[source] io::Error),
    #[error("{} is there and is no link to pcpctl; nothing was changed", .0.display())]
    Foreign(PathBuf),
    #[error("the link {} cannot be made", .0.display())]
    NotMade(PathBuf, #[source] io::Error),
    #[error("{} cannot be looked at", .0.display())]
    Unreadable(PathBuf, #[source] io::Error),
    #[error("the link {} cannot be removed", .0.display())]
    NotRemoved(PathBuf, #[source] io::Error),
}

/// What has the name of a tool.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Found {
    Nothing,
    /// A link to this program, or to one of its name.
    Link,
    Foreign,
}

pub(super) fn run(args: &LinksArgs) -> Exit {
    let done = match &args.what {
        LinksCommand::Install(args) => install(&args.dir),
        LinksCommand::Remove(args) => remove(&args.dir),
    };
    match done {
        Ok(report) => {
            output::line(report);
            Exit::Done
        }
        Err(error) => {
            output::err_line(format_args!("pcpctl: {}", output::chain(&error)));
            Exit::Refused
        }
    }
}

/// Makes every link, unless something else has the name of one: then none.
fn install(dir: &Path) -> Result<String, LinksError> {
    let program = std::env::current_exe().map_err(LinksError::Unknown)?;
    fs::create_dir_all(dir).map_err(|error| LinksError::Directory(dir.to_owned(), error))?;
    for link in links(dir) {
        if look(&link, &program)? == Found::Foreign {
            return Err(LinksError::Foreign(link));
        }
    }
    for link in links(dir) {
        make(&link, &program).map_err(|error| LinksError::NotMade(link, error))?;
    }
    Ok(format!("{} has {} links to {}", dir.display(), Tool::ALL.len(), program.display()))
}

fn remove(dir: &Path) -> Result<String, LinksError> {
    let program = std::env::current_exe().map_err(LinksError::Unknown)?;
    let mut removed = 0;
    let mut foreign = Vec::new();
    for link in links(dir) {
        match look(&link, &program)? {
            Found::Nothing => {}
            Found::Foreign => foreign.push(link.display().to_string()),
            Found::Link => {
                fs::remove_file(&link).map_err(|error| LinksError::NotRemoved(link, error))?;
                removed += 1;
            }
        }
    }
    let left = match foreign.is_empty() {
        true => String::new(),
        false => format!("; no links to pcpctl, and left alone: {}", foreign.join(", ")),
    };
    Ok(format!("{removed} links removed from {}{left}", dir.display()))
}

fn links(dir: &Path) -> impl Iterator<Item = PathBuf> {
    Tool::ALL.into_iter().map(|tool| dir.join(tool.name()))
}

fn look(link: &Path, program: &Path) -> Result<Found, LinksError> {
    match fs::read_link(link) {
        Ok(target) if target == program || target.file_name() == Some(OsStr::new("pcpctl")) => Ok(Found::Link),
        Ok(_) => Ok(Found::Foreign),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Found::Nothing),
        // It is something else than a link.
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(Found::Foreign),
        Err(error) => Err(LinksError::Unreadable(link.to_owned(), error)),
    }
}

/// Makes a link at once where there is another one: whoever starts the tool meanwhile finds one of them.
fn make(link: &Path, program: &Path) -> io::Result<()> {
    let new = link.with_extension(format!("new-{}", std::process::id()));
    symlink(program, &new)?;
    fs::rename(&new, link).inspect_err(|_| {
        let _left = fs::remove_file(&new);
    })
}
