//! From what was typed, the environment and the files to what it means.

mod file;
#[cfg(feature = "__fuzz")]
pub(crate) mod fuzz;
mod layer;
mod nodes;
mod password;
mod properties;
#[cfg(test)]
mod test;
mod value;
mod witness;

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use pcp_client::{Connector, DEFAULT_PORT, Deadline, Endpoint, EndpointError, NodeName, Options, Require};
use pcp_proto::{Credentials, CredentialsError};
use secrecy::ExposeSecret;

use crate::args::{Ask, ConfigArgs};
pub(crate) use file::{ConfigError, read as read_file};
pub(crate) use layer::Layer;
pub(crate) use nodes::AddressMap;
pub(crate) use password::{PassfileProblem, PasswordSource};
#[cfg(test)]
pub(crate) use properties::parse as parse_properties;
pub(crate) use properties::{Property, read_all as read_properties};
pub(crate) use witness::Witness;

/// Reads an environment variable. Passed in, so that tests have an environment of their own.
pub(crate) type Env<'a> = &'a dyn Fn(&str) -> Option<OsString>;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const SETTLE: Duration = Duration::from_millis(1500);

/// One Pgpool and how to log in there.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) connector: Connector,
    pub(crate) credentials: Credentials,
}

/// What a command works with.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// Every Pgpool, in the order given.
    pub(crate) targets: Vec<Target>,
    /// On how many of them a state has to be verified.
    pub(crate) require: Require,
    /// When everything is over.
    pub(crate) deadline: Deadline,
    /// The same as a length of time.
    pub(crate) limit: Duration,
    /// How long a state has to last before it counts.
    pub(crate) settle: Duration,
    /// Where this host keeps what outlasts a run.
    pub(crate) state_dir: PathBuf,
    /// How to ask a node itself whether it is a standby, if that is configured.
    pub(crate) postgres: Witness,
    pub(crate) efm: Efm,
    pub(crate) backend_port: Option<u16>,
    nodes: AddressMap,
}

/// The failover manager on this host.
#[derive(Clone, Debug)]
pub(crate) struct Efm {
    pub(crate) cluster: Option<String>,
    /// Where its command may be: the first that is there is used.
    pub(crate) command: Vec<PathBuf>,
}

/// Why there are no settings.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SettingsError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    #[error("this command speaks to the Pgpool that runs it only, and several are named")]
    SeveralPgpools,
    #[error("no PCP user: give -U, or set PCP_USER or the configuration's key user")]
    NoUser,
    #[error("the user name cannot be used")]
    User(#[from] CredentialsError),
    #[error("the environment variable {name} holds \"{value}\", which is not {expected}")]
    Environment { name: &'static str, value: String, expected: &'static str },
    #[error("the password file {} cannot be read", path.display())]
    PasswordFile { path: PathBuf, source: io::Error },
    #[error("no password for user {user} on {endpoint}")]
    NoPassword { user: String, endpoint: Endpoint, source: Box<PassfileProblem> },
    #[error("the password cannot be read from the terminal")]
    Prompt(#[source] io::Error),
}

/// Puts the sources of settings over each other: flags, environment, configuration file (profile, then top level),
/// EFM's properties, what the account gives.
///
/// # Errors
///
/// Names the file, line and key, or the variable, that makes no sense.
pub(crate) fn gather(flags: Layer, args: &ConfigArgs, env: Env<'_>) -> Result<Layer, SettingsError> {
    gather_with(flags, args, env, Path::new(file::DEFAULT_FILE))
}

fn gather_with(flags: Layer, args: &ConfigArgs, env: Env<'_>, default: &Path) -> Result<Layer, SettingsError> {
    let mut layer = flags.over(Layer::from_env(env)?).over(file::load(args, env, default)?);
    if let Some(path) = layer.efm.properties.clone() {
        layer = layer.over(properties::read(&path)?);
    }
    Ok(layer.over(Layer::from_account(env)))
}

impl Settings {
    /// Works out what the sources mean, and finds the passwords.
    ///
    /// # Errors
    ///
    /// Names what is missing or makes no sense.
    pub(crate) fn new(layer: Layer, ask: Ask, default_limit: Duration) -> Result<Self, SettingsError> {
        let source = layer.password_source();
        let state_dir = layer.state_dir();
        let limit = layer.deadline.unwrap_or(default_limit);
        let user = layer.user.filter(|user| !user.is_empty()).ok_or(SettingsError::NoUser)?;
        let connect_timeout = layer.connect_timeout.unwrap_or(CONNECT_TIMEOUT);
        let mut targets = Vec::new();
        for endpoint in endpoints(layer.pgpools, layer.port)? {
            let password = password::find(source.as_ref(), ask, &user, &endpoint)?;
            let credentials = Credentials::new(user.clone(), password.expose_secret())?;
            targets.push(Target { connector: Connector { endpoint, connect_timeout }, credentials });
        }
        Ok(Self {
            targets,
            require: layer.require.map_or(Require::All, Into::into),
            deadline: Deadline::after(limit),
            limit,
            settle: layer.settle.unwrap_or(SETTLE),
            state_dir,
            postgres: layer.postgres.login(),
            efm: Efm { cluster: layer.efm.cluster, command: layer.efm.command.unwrap_or_else(efm_commands) },
            backend_port: layer.backend_port,
            nodes: layer.nodes,
        })
    }

    /// Returns where the Pgpools are.
    pub(crate) fn endpoints(&self) -> impl Iterator<Item = &Endpoint> + Clone {
        self.targets.iter().map(|target| &target.connector.endpoint)
    }

    /// Returns how a run is bounded.
    pub(crate) fn options(&self) -> Options {
        Options { deadline: self.deadline, settle: self.settle }
    }

    /// Lists the addresses that the address map has an entry for.
    pub(crate) fn mapped_names(&self) -> impl Iterator<Item = NodeName> {
        self.nodes.names()
    }

    /// Returns the node that a caller's name stands for: by the address map, then with the default port of backends.
    pub(crate) fn node(&self, name: NodeName) -> NodeName {
        let mapped = self.nodes.apply(name.clone());
        if mapped != name {
            tracing::info!(%name, node = %mapped, "mapped");
        }
        mapped.with_default_port(self.backend_port)
    }
}

/// Returns where the Pgpools are that these hosts and this port mean.
pub(crate) fn endpoints(hosts: Option<Vec<String>>, port: Option<u16>) -> Result<Vec<Endpoint>, EndpointError> {
    let port = port.unwrap_or(DEFAULT_PORT);
    match hosts {
        Some(hosts) => hosts.iter().map(|host| Endpoint::parse(host, port)).collect(),
        None => Ok(vec![Endpoint::local(port)]),
    }
}

/// Lists where EFM's packages put its command, the newest first.
fn efm_commands() -> Vec<PathBuf> {
    let versions = [(5, 0..=9), (4, 0..=10), (3, 2..=10)];
    let versions = versions.into_iter().flat_map(|(major, minors)| minors.rev().map(move |minor| (major, minor)));
    let packaged = versions.map(|(major, minor)| PathBuf::from(format!("/usr/edb/efm-{major}.{minor}/bin/efm")));
    std::iter::once("/usr/bin/efm".into()).chain(packaged).collect()
}
