//! One source of settings, and how sources lie over each other.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use pcp_client::Login;
use secrecy::SecretSlice;
use serde::Deserialize;
use tracing::level_filters::LevelFilter;

use super::nodes::AddressMap;
use super::password::{self, PasswordSource};
use super::{CONNECT_TIMEOUT, Env, SettingsError, Witness, value};
use crate::args::{ConnectionArgs, HookArgs, MarkArgs, NodeChangeArgs, Require, duration};
use crate::{output, secret};

const STATE_DIR: &str = "/var/lib/pcpctl";

/// What one source sets: the flags, the environment, a table of the configuration file, EFM's properties.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Layer {
    #[serde(deserialize_with = "value::hosts")]
    pub(crate) pgpools: Option<Vec<String>>,
    #[serde(deserialize_with = "value::port")]
    pub(crate) port: Option<u16>,
    pub(crate) user: Option<String>,
    #[serde(deserialize_with = "value::path")]
    pub(crate) passfile: Option<PathBuf>,
    #[serde(deserialize_with = "value::path")]
    pub(crate) password_file: Option<PathBuf>,
    /// From the environment only.
    #[serde(skip)]
    pub(super) given_password: Option<SecretSlice<u8>>,
    #[serde(deserialize_with = "value::time")]
    pub(crate) connect_timeout: Option<Duration>,
    #[serde(deserialize_with = "value::time")]
    pub(crate) deadline: Option<Duration>,
    #[serde(deserialize_with = "value::time")]
    pub(crate) settle: Option<Duration>,
    #[serde(deserialize_with = "value::port")]
    pub(crate) backend_port: Option<u16>,
    pub(crate) require: Option<Require>,
    #[serde(deserialize_with = "value::path")]
    pub(crate) state_dir: Option<PathBuf>,
    pub(super) nodes: AddressMap,
    pub(super) postgres: PostgresLayer,
    pub(crate) log: LogLayer,
    pub(crate) efm: EfmLayer,
    #[serde(deserialize_with = "value::profiles")]
    pub(super) profile: BTreeMap<String, Self>,
    #[serde(rename = "password", deserialize_with = "value::no_password")]
    _password: (),
}

/// `[postgres]`: how to ask a node itself whether it is a standby.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct PostgresLayer {
    pub(super) user: Option<String>,
    pub(super) database: Option<String>,
    #[serde(deserialize_with = "value::path")]
    pub(super) password_file: Option<PathBuf>,
    #[serde(deserialize_with = "value::time")]
    pub(super) connect_timeout: Option<Duration>,
    #[serde(rename = "password", deserialize_with = "value::no_password")]
    _password: (),
}

/// `[log]`: where hooks log to.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct LogLayer {
    #[serde(deserialize_with = "value::path")]
    pub(crate) file: Option<PathBuf>,
    #[serde(deserialize_with = "value::level")]
    pub(crate) level: Option<LevelFilter>,
    pub(crate) journald: Option<bool>,
}

/// `[efm]`: the failover manager on this host.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct EfmLayer {
    pub(super) cluster: Option<String>,
    #[serde(deserialize_with = "value::path")]
    pub(crate) properties: Option<PathBuf>,
    #[serde(deserialize_with = "value::paths")]
    pub(super) command: Option<Vec<PathBuf>>,
}

impl PostgresLayer {
    /// Returns how to log in, where a user is set, with the password from its file.
    pub(super) fn login(self) -> Witness {
        let Some(user) = self.user else { return Witness::Nobody };
        match self.password_file.as_deref().map(password::read).transpose() {
            Ok(password) => Witness::by_login(Login {
                user,
                database: self.database.unwrap_or_else(|| "postgres".to_owned()),
                password,
                connect_timeout: self.connect_timeout.unwrap_or(CONNECT_TIMEOUT),
            }),
            Err(error) => Witness::Unusable(format!("[postgres]: {}", output::chain(&error))),
        }
    }
}

impl Layer {
    /// Takes what was typed.
    pub(crate) fn from_flags(args: &ConnectionArgs) -> Self {
        let hosts = args.host.iter().map(|host| host.trim().to_owned()).filter(|host| !host.is_empty());
        let hosts: Vec<_> = hosts.collect();
        Self {
            pgpools: (!hosts.is_empty()).then_some(hosts),
            port: args.port,
            user: args.user.clone(),
            passfile: args.passfile.clone(),
            password_file: args.password_file.clone(),
            connect_timeout: args.connect_timeout,
            deadline: args.deadline,
            efm: EfmLayer { properties: args.config.efm_properties.clone(), ..EfmLayer::default() },
            ..Self::default()
        }
    }

    /// Takes what was typed behind a hook verb.
    pub(crate) fn from_hook_flags(args: &HookArgs) -> Self {
        Self {
            backend_port: args.backend_port,
            settle: args.settle,
            require: args.require,
            log: LogLayer { file: args.log_file.clone(), ..LogLayer::default() },
            ..Self::from_flags(&args.connection)
        }
    }

    /// Takes what was typed behind a verb that people use on one node.
    pub(crate) fn from_node_flags(args: &ConnectionArgs, change: &NodeChangeArgs) -> Self {
        Self { backend_port: change.backend_port, settle: change.settle, ..Self::from_flags(args) }
    }

    /// Takes a password that was typed.
    pub(crate) fn with_password(self, password: Option<SecretSlice<u8>>) -> Self {
        Self { given_password: password, ..self }
    }

    /// Replaces the deadline, or takes it away.
    pub(crate) fn with_deadline(self, deadline: Option<Duration>) -> Self {
        Self { deadline, ..self }
    }

    pub(crate) fn from_mark_flags(args: &MarkArgs) -> Self {
        Self {
            backend_port: args.backend_port,
            state_dir: args.state_dir.clone(),
            ..Self::from_flags(&args.connection)
        }
    }

    /// Takes what the environment sets. What is empty there is not set, but for a password.
    pub(crate) fn from_env(env: Env<'_>) -> Result<Self, SettingsError> {
        let text = |name: &str| text(env, name);
        let path = |name: &str| env(name).filter(|path| !path.is_empty()).map(PathBuf::from);
        let hosts = text("PCP_HOST").unwrap_or_default();
        let hosts: Vec<_> =
            hosts.split(',').map(str::trim).filter(|host| !host.is_empty()).map(str::to_owned).collect();
        Ok(Self {
            pgpools: (!hosts.is_empty()).then_some(hosts),
            port: parsed(env, "PCP_PORT", "a port", |port| port.parse().ok().filter(|&port| port != 0))?,
            user: text("PCP_USER"),
            given_password: env("PCP_PASSWORD").map(|password| secret::take(password.into_encoded_bytes())),
            password_file: path("PCP_PASSWORD_FILE"),
            passfile: path("PCPPASSFILE"),
            state_dir: path("PCPCTL_STATE_DIR"),
            deadline: parsed(env, "PCPCTL_DEADLINE", "a time such as 30s", |time| duration(time).ok())?,
            ..Self::default()
        })
    }

    /// Takes what the caller's account gives: its name, and a password file in its home.
    pub(super) fn from_account(env: Env<'_>) -> Self {
        Self {
            user: ["USER", "LOGNAME"].into_iter().find_map(|name| text(env, name)),
            passfile: text(env, "HOME").map(|home| PathBuf::from(home).join(".pcppass")),
            ..Self::default()
        }
    }

    /// Returns where this host keeps what outlasts a run.
    pub(crate) fn state_dir(&self) -> PathBuf {
        self.state_dir.clone().unwrap_or_else(|| STATE_DIR.into())
    }

    /// Lays this source over another: what is set here wins. Tables are merged key by key; the keys that say where
    /// the password is count as one.
    pub(super) fn over(self, base: Self) -> Self {
        let (given_password, password_file, passfile) = match self.password_source() {
            Some(_) => (self.given_password, self.password_file, self.passfile),
            None => (base.given_password, base.password_file, base.passfile),
        };
        Self {
            pgpools: self.pgpools.or(base.pgpools),
            port: self.port.or(base.port),
            user: self.user.or(base.user),
            passfile,
            password_file,
            given_password,
            connect_timeout: self.connect_timeout.or(base.connect_timeout),
            deadline: self.deadline.or(base.deadline),
            settle: self.settle.or(base.settle),
            backend_port: self.backend_port.or(base.backend_port),
            require: self.require.or(base.require),
            state_dir: self.state_dir.or(base.state_dir),
            nodes: self.nodes.over(base.nodes),
            postgres: PostgresLayer {
                user: self.postgres.user.or(base.postgres.user),
                database: self.postgres.database.or(base.postgres.database),
                password_file: self.postgres.password_file.or(base.postgres.password_file),
                connect_timeout: self.postgres.connect_timeout.or(base.postgres.connect_timeout),
                _password: (),
            },
            log: LogLayer {
                file: self.log.file.or(base.log.file),
                level: self.log.level.or(base.log.level),
                journald: self.log.journald.or(base.log.journald),
            },
            efm: EfmLayer {
                cluster: self.efm.cluster.or(base.efm.cluster),
                properties: self.efm.properties.or(base.efm.properties),
                command: self.efm.command.or(base.efm.command),
            },
            profile: BTreeMap::new(),
            _password: (),
        }
    }

    /// Returns where the password is: the environment, a file for it alone, a password file.
    pub(crate) fn password_source(&self) -> Option<PasswordSource> {
        let given = self.given_password.clone().map(PasswordSource::Given);
        given
            .or_else(|| self.password_file.clone().map(PasswordSource::File))
            .or_else(|| self.passfile.clone().map(PasswordSource::Passfile))
    }
}

/// Returns an environment variable that is not empty.
pub(super) fn text(env: Env<'_>, name: &str) -> Option<String> {
    env(name).map(|value| value.to_string_lossy().into_owned()).filter(|value| !value.is_empty())
}

fn parsed<T>(
    env: Env<'_>,
    name: &'static str,
    expected: &'static str,
    read: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, SettingsError> {
    let Some(value) = text(env, name) else { return Ok(None) };
    match read(&value) {
        Some(read) => Ok(Some(read)),
        None => Err(SettingsError::Environment { name, value, expected }),
    }
}
