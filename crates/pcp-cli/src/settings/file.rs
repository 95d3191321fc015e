//! The configuration file.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use pcp_client::{DEFAULT_PORT, Endpoint};

use super::layer::{Layer, text};
use super::{Env, SettingsError};
use crate::args::ConfigArgs;

/// What is read where nothing else is named, if it is there.
pub(super) const DEFAULT_FILE: &str = "/etc/pcpctl/pcpctl.toml";
/// No file of settings is longer.
const MAX_LEN: u64 = 1 << 20;

/// Why a file of settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    #[error("the file {} cannot be read", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("{}:{line}: {reason}", path.display())]
    Contents { path: PathBuf, line: usize, reason: String },
    #[error("{} has no profile {name}; {}", path.display(), there_are(known))]
    NoProfile { path: PathBuf, name: String, known: Vec<String> },
    #[error(
        "a profile is asked for, {name}, but there is no configuration file: give --config, or write {DEFAULT_FILE}"
    )]
    NoFile { name: String },
}

impl ConfigError {
    pub(super) fn at(path: &Path, line: usize, reason: String) -> Self {
        Self::Contents { path: path.to_owned(), line, reason }
    }
}

/// Reads the configuration file that the arguments or the environment name, else the default one, and takes the
/// profile that they name over its top level.
pub(super) fn load(args: &ConfigArgs, env: Env<'_>, default: &Path) -> Result<Layer, SettingsError> {
    let profile = args.profile.clone().or_else(|| text(env, "PCPCTL_PROFILE"));
    let named = args.config.clone().or_else(|| text(env, "PCPCTL_CONFIG").map(PathBuf::from));
    let path = named.as_deref().unwrap_or(default);
    let contents = match read(path) {
        Err(ConfigError::Unreadable { source, .. }) if named.is_none() && is_missing(&source) => {
            return match profile {
                Some(name) => Err(ConfigError::NoFile { name }.into()),
                None => Ok(Layer::default()),
            };
        }
        contents => contents?,
    };
    let mut top = parse(&contents).map_err(|(line, reason)| ConfigError::at(path, line, reason))?;
    let mut profiles = std::mem::take(&mut top.profile);
    let Some(name) = profile else { return Ok(top) };
    match profiles.remove(&name) {
        Some(profile) => Ok(profile.over(top)),
        None => {
            let known = profiles.into_keys().collect();
            Err(ConfigError::NoProfile { path: path.to_owned(), name, known }.into())
        }
    }
}

fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Reads a file of settings: a plain one, for another could keep us waiting, or `/dev/null` for none.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, ConfigError> {
    let unreadable = |source| ConfigError::Unreadable { path: path.to_owned(), source };
    if path == Path::new("/dev/null") {
        return Ok(Vec::new());
    }
    if !std::fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(unreadable(io::Error::other("it is not a plain file")));
    }
    let mut contents = Vec::new();
    let file = File::open(path).map_err(unreadable)?;
    match file.take(MAX_LEN + 1).read_to_end(&mut contents).map_err(unreadable)? as u64 {
        ..=MAX_LEN => Ok(contents),
        _ => Err(unreadable(io::Error::other("it is longer than 1 MiB"))),
    }
}

/// Reads the text of a configuration file. An error has the number of its line.
pub(super) fn parse(contents: &[u8]) -> Result<Layer, (usize, String)> {
    let line_at = |offset: usize| {
        1 + contents.get(..offset).unwrap_or(contents).iter().filter(|&&byte| byte == b'\n').count()
    };
    let text = std::str::from_utf8(contents)
        .map_err(|error| (line_at(error.valid_up_to()), "this is not UTF-8".to_owned()))?;
    let at = |error: &toml::de::Error| line_at(error.span().map_or(0, |span| span.start));
    let parsed = toml::Deserializer::parse(text).map_err(|error| (at(&error), one_line(error.message())))?;
    serde_path_to_error::deserialize(parsed)
        .map_err(|error| (at(error.inner()), explain(&error.path().to_string(), error.inner().message())))
}

/// Says which key is wrong. Of an unknown one the parser lists all that it knows: the nearest are enough.
fn explain(path: &str, message: &str) -> String {
    let Some(list) = message.strip_prefix("unknown field ") else {
        return format!("{path}: {}", one_line(&without_value(message)));
    };
    let mut words = list.split('`').skip(1).step_by(2);
    let key = words.next().unwrap_or_default();
    let known: Vec<_> = words.filter(|&word| word != "password").collect();
    let bare = key.to_lowercase().replace('_', "-");
    let is_near = |known: &str| strsim::osa_distance(&bare, known) <= 1 + bare.len() / 5;
    let near: Vec<_> = known.iter().filter(|known| is_near(known)).map(|key| format!("\"{key}\"")).collect();
    let table = match path.strip_suffix(key).and_then(|table| table.strip_suffix('.')) {
        Some(table) => format!(" in [{table}]"),
        None => String::new(),
    };
    match near[..] {
        [] => format!("there is no key \"{key}\"{table}; there are {}", known.join(", ")),
        _ => format!("there is no key \"{key}\"{table}; did you mean {}?", near.join(" or ")),
    }
}

/// Leaves out the text that stands where something else is expected: it may be a password in a wrong place.
fn without_value(message: &str) -> String {
    const BEFORE: &str = "invalid type: string \"";
    match message.strip_prefix(BEFORE).and_then(|rest| rest.rsplit_once("\", expected ")) {
        Some((_, expected)) => format!("invalid type: string, expected {expected}"),
        None => message.to_owned(),
    }
}

fn one_line(message: &str) -> String {
    message.trim().replace('\n', "; ")
}

/// Says why a host is none.
pub(super) fn check_host(host: &str) -> Result<(), String> {
    Endpoint::parse(host, DEFAULT_PORT).map(drop).map_err(|error| error.to_string())
}

fn there_are(profiles: &[String]) -> String {
    match profiles {
        [] => "it has none at all".to_owned(),
        _ => format!("there are {}", profiles.join(", ")),
    }
}
