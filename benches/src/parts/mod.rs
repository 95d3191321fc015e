//! What is measured.

mod build;
mod changes;
mod codec;
mod commands;
mod library;
mod network;
mod pgpools;
mod size;
mod start_up;
mod swallowed;

use std::fmt;
use std::str::FromStr;

use anyhow::{Result, bail};

use crate::row::Row;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Part {
    StartUp,
    Commands,
    Network,
    Changes,
    Swallowed,
    Library,
    Codec,
    Pgpools,
    Size,
    Build,
}

impl Part {
    pub(crate) const ALL: [Self; 10] = [
        Self::StartUp,
        Self::Commands,
        Self::Network,
        Self::Changes,
        Self::Swallowed,
        Self::Library,
        Self::Codec,
        Self::Pgpools,
        Self::Size,
        Self::Build,
    ];

    pub(crate) fn measure(self) -> Result<Vec<Row>> {
        match self {
            Self::StartUp => start_up::measure(),
            Self::Commands => commands::measure(),
            Self::Network => network::measure(),
            Self::Changes => changes::measure(),
            Self::Swallowed => swallowed::measure(),
            Self::Library => library::measure(),
            Self::Codec => codec::measure(),
            Self::Pgpools => pgpools::measure(),
            Self::Size => size::measure(),
            Self::Build => build::measure(),
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::StartUp => "start-up",
            Self::Commands => "commands",
            Self::Network => "network",
            Self::Changes => "changes",
            Self::Swallowed => "swallowed",
            Self::Library => "library",
            Self::Codec => "codec",
            Self::Pgpools => "pgpools",
            Self::Size => "size",
            Self::Build => "build",
        })
    }
}

impl FromStr for Part {
    type Err = anyhow::Error;

    fn from_str(name: &str) -> Result<Self> {
        match Self::ALL.into_iter().find(|part| part.to_string() == name) {
            Some(part) => Ok(part),
            None => {
                bail!("no part is called {name}: there are {}", Self::ALL.map(|part| part.to_string()).join(" "))
            }
        }
    }
}
