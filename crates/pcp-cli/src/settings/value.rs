//! The values of the configuration file: read into what they mean, so that an error has their line.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::de::{self, Deserialize, Deserializer, Error, IgnoredAny, Visitor};
use tracing::level_filters::LevelFilter;

use super::file::check_host;
use super::layer::Layer;
use crate::args;

pub(super) fn hosts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<String>>, D::Error> {
    let hosts = Vec::<String>::deserialize(deserializer)?;
    if hosts.is_empty() {
        return Err(D::Error::custom("pgpools names no Pgpool; leave the key out for one on this host"));
    }
    hosts.iter().try_for_each(|host| check_host(host)).map_err(D::Error::custom)?;
    Ok(Some(hosts))
}

pub(super) fn port<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u16>, D::Error> {
    match i64::deserialize(deserializer)?.try_into() {
        Ok(port @ 1..) => Ok(Some(port)),
        _ => Err(D::Error::custom("a port is a number from 1 to 65535")),
    }
}

/// A path is absolute: nobody knows the working directory of a hook.
pub(super) fn path<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<PathBuf>, D::Error> {
    let path = PathBuf::deserialize(deserializer)?;
    check_path(&path).map_err(D::Error::custom)?;
    Ok(Some(path))
}

/// One path, or several that are tried one after the other.
pub(super) fn paths<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<PathBuf>>, D::Error> {
    #[derive(serde::Deserialize)]
    #[serde(untagged, expecting = "expected a path, or a list of paths")]
    enum Paths {
        One(PathBuf),
        Several(Vec<PathBuf>),
    }
    let paths = match Paths::deserialize(deserializer)? {
        Paths::One(path) => vec![path],
        Paths::Several(paths) => paths,
    };
    paths.iter().try_for_each(|path| check_path(path)).map_err(D::Error::custom)?;
    Ok(Some(paths))
}

fn check_path(path: &Path) -> Result<(), &'static str> {
    match path.is_absolute() {
        true => Ok(()),
        // It is not shown: it may be a password in the place of the path of its file.
        false => Err("this is not an absolute path: a hook's working directory and home may be anything"),
    }
}

pub(super) fn profiles<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, Layer>, D::Error> {
    let profiles = BTreeMap::<String, Layer>::deserialize(deserializer)?;
    match profiles.iter().find(|(_, profile)| !profile.profile.is_empty()) {
        Some((name, _)) => Err(D::Error::custom(format_args!("the profile {name} cannot hold profiles"))),
        None => Ok(profiles),
    }
}

pub(super) fn level<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<LevelFilter>, D::Error> {
    match &*String::deserialize(deserializer)? {
        "error" => Ok(Some(LevelFilter::ERROR)),
        "warn" => Ok(Some(LevelFilter::WARN)),
        "info" => Ok(Some(LevelFilter::INFO)),
        "debug" => Ok(Some(LevelFilter::DEBUG)),
        "trace" => Ok(Some(LevelFilter::TRACE)),
        other => Err(D::Error::custom(format_args!("\"{other}\" is no level: error, warn, info, debug or trace"))),
    }
}

pub(super) fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    deserializer.deserialize_any(Time).map(Some)
}

/// Refuses a password without looking at it.
pub(super) fn no_password<'de, D: Deserializer<'de>>(deserializer: D) -> Result<(), D::Error> {
    IgnoredAny::deserialize(deserializer)?;
    Err(D::Error::custom(
        "a password does not belong into this file, which others may read: put it alone into a file with mode 0600, \
         and write password-file = \"/PATH/OF/THAT/FILE\"",
    ))
}

struct Time;

impl Visitor<'_> for Time {
    type Value = Duration;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a time such as \"30s\" or \"1500ms\", or a number of seconds")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Duration, E> {
        args::duration(text).map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))
    }

    fn visit_i64<E: Error>(self, seconds: i64) -> Result<Duration, E> {
        let read = u64::try_from(seconds).map(Duration::from_secs);
        read.map_err(|_| E::invalid_value(de::Unexpected::Signed(seconds), &self))
    }
}
