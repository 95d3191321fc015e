//! Where passwords come from.

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

use pcp_client::{Endpoint, passfile};
use secrecy::SecretSlice;

use super::SettingsError;
use crate::args::Ask;
use crate::{prompt, secret};

/// Where a password is.
#[derive(Clone, Debug)]
pub(crate) enum PasswordSource {
    /// It was in the environment.
    Given(SecretSlice<u8>),
    /// In a file that holds nothing else.
    File(PathBuf),
    /// In a file of host:port:user:password lines.
    Passfile(PathBuf),
}

/// Why no password file gave a password.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PassfileProblem {
    #[error(transparent)]
    Passfile(#[from] passfile::PassfileError),
    #[error(
        "nothing names a password file (--passfile, PCPPASSFILE or the configuration), and without HOME there is no default one"
    )]
    NoHome,
}

/// Finds the password of a user of a Pgpool: a prompt that was asked for, then the source, then a prompt where one is
/// possible.
pub(super) fn find(
    source: Option<&PasswordSource>,
    ask: Ask,
    user: &str,
    endpoint: &Endpoint,
) -> Result<SecretSlice<u8>, SettingsError> {
    if ask == Ask::Always {
        return prompt(user, endpoint);
    }
    let found = match source {
        Some(PasswordSource::Given(password)) => return Ok(password.clone()),
        Some(PasswordSource::File(path)) => return read(path),
        Some(PasswordSource::Passfile(path)) => passfile::lookup(path, endpoint, user).map_err(Into::into),
        None => Err(PassfileProblem::NoHome),
    };
    match found {
        Ok(password) => Ok(password),
        Err(_) if ask == Ask::Missing && io::stdin().is_terminal() => prompt(user, endpoint),
        Err(source) => Err(SettingsError::NoPassword {
            user: user.to_owned(),
            endpoint: endpoint.clone(),
            source: Box::new(source),
        }),
    }
}

fn prompt(user: &str, endpoint: &Endpoint) -> Result<SecretSlice<u8>, SettingsError> {
    let question = format!("Password of {user} on {endpoint}: ");
    prompt::password(&question).map_err(SettingsError::Prompt)
}

/// Reads a file that holds a password and perhaps a line feed.
pub(super) fn read(path: &Path) -> Result<SecretSlice<u8>, SettingsError> {
    let text =
        secret::read_file(path).map_err(|source| SettingsError::PasswordFile { path: path.to_owned(), source })?;
    Ok(secret::keep(text.strip_suffix(b"\n").unwrap_or(&text)))
}
