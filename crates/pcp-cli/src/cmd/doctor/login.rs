//! Judging where the password comes from: hooks run as another user, with another environment.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use pcp_client::Endpoint;
use pcp_client::passfile::{self, PassfileError};

use super::finding::Finding;
use crate::output;
use crate::settings::PasswordSource;

const ABOUT: &str = "password";

/// Who owns a file, and who looks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Owner {
    pub(super) file: u32,
    pub(super) caller: u32,
}

/// Judges the source of the password for each Pgpool.
pub(super) fn judge(source: Option<&PasswordSource>, endpoints: &[Endpoint], user: Option<&str>) -> Vec<Finding> {
    match source {
        None => vec![Finding::warning(ABOUT, "nothing names a password file", NO_ENVIRONMENT)],
        Some(PasswordSource::Given(_)) => {
            vec![Finding::note(ABOUT, "the password is that of PCP_PASSWORD", NO_ENVIRONMENT)]
        }
        Some(PasswordSource::File(path)) => match fs::metadata(path) {
            Ok(file) => {
                let mode = file.mode() & 0o777;
                let seen = format!("the password is the file {}, mode {mode:04o}", path.display());
                let open = (mode & 0o077 != 0).then(|| {
                    let why = "others than its owner may read the password";
                    Finding::warning(ABOUT, seen.clone(), why)
                        .write("a shell", format!("chmod 600 {}", path.display()))
                });
                let readable = open.unwrap_or_else(|| Finding::ok(ABOUT, seen));
                [readable].into_iter().chain(owner(path, of(file.uid()))).collect()
            }
            Err(error) => {
                let seen = format!("the password file {}: {error}", path.display());
                vec![Finding::critical(ABOUT, seen, NO_PASSWORD)]
            }
        },
        Some(PasswordSource::Passfile(path)) => {
            let user = user.unwrap_or_default();
            let found = endpoints.iter().map(|endpoint| matching_line(path, endpoint, user));
            let mut findings: Vec<Finding> = Vec::new();
            for finding in found {
                if !findings.contains(&finding) {
                    findings.push(finding);
                }
            }
            findings.extend(fs::metadata(path).ok().and_then(|file| owner(path, of(file.uid()))));
            findings
        }
    }
}

const NO_ENVIRONMENT: &str = "EFM's hooks have no such environment and no terminal: name a password file for them";
const NO_PASSWORD: &str = "hooks have no password (exit 3)";

fn matching_line(path: &Path, endpoint: &Endpoint, user: &str) -> Finding {
    match passfile::lookup(path, endpoint, user) {
        Ok(_) => {
            let seen = format!("{} has a line for {user} on {endpoint}, and is closed to others", path.display());
            Finding::ok(ABOUT, seen)
        }
        Err(error) => {
            let finding = Finding::critical(ABOUT, output::chain(&error), NO_PASSWORD);
            let file = path.display();
            match error {
                PassfileError::NoMatch { host, port, .. } => {
                    let escaped = host.replace('\\', "\\\\").replace(':', "\\:");
                    finding.write(file.to_string(), format!("{escaped}:{port}:{user}:THE_PASSWORD"))
                }
                PassfileError::TooOpen { .. } => finding.write("a shell", format!("chmod 600 {file}")),
                PassfileError::Missing { .. } => {
                    let install = format!("install -m 0600 -o efm -g efm /dev/null {file}");
                    finding.write("a shell", install)
                }
                _ => finding,
            }
        }
    }
}

fn of(file: u32) -> Owner {
    Owner { file, caller: rustix::process::geteuid().as_raw() }
}

/// Judges whether a file that only its owner can read is of use to hooks.
pub(super) fn owner(path: &Path, owner: Owner) -> Option<Finding> {
    let path = path.display();
    match owner {
        Owner { file: 0, caller: 0 } => {
            let why = "hooks run as EFM's user, who cannot read it: run this as that user, sudo -u efm";
            Some(Finding::note(ABOUT, format!("{path} belongs to root, who runs this"), why))
        }
        Owner { file, caller } if file != caller => {
            let seen = format!("{path} belongs to user id {file}, and this runs as {caller}");
            Some(Finding::note(ABOUT, seen, "run this as the user that runs the hooks: sudo -u efm"))
        }
        Owner { .. } => None,
    }
}
