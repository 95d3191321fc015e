//! From what was typed, and the environment, to what it means.

use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::time::Duration;

use pcp_client::{Connector, DEFAULT_PORT, Deadline, Endpoint, EndpointError, passfile};
use pcp_proto::{Credentials, CredentialsError};
use secrecy::{ExposeSecret, SecretSlice};

use crate::args::{ConnectionArgs, PromptArgs};

/// Reads an environment variable. Passed in, so that tests have an environment of their own.
pub(crate) type Env<'a> = &'a dyn Fn(&str) -> Option<OsString>;

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
    /// When everything is over.
    pub(crate) deadline: Deadline,
    /// The same as a length of time.
    pub(crate) limit: Duration,
}

/// Why there are no settings.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SettingsError {
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    #[error("no PCP user: give -U, or set PCP_USER")]
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

/// Why no password file gave a password.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PassfileProblem {
    #[error(transparent)]
    Passfile(#[from] passfile::PassfileError),
    #[error("neither --passfile nor PCPPASSFILE names a password file, and without HOME there is no default one")]
    NoHome,
}

impl Settings {
    /// Works out the settings: flag, then environment, then default.
    ///
    /// # Errors
    ///
    /// Names what is missing or makes no sense.
    pub(crate) fn new(
        args: &ConnectionArgs,
        prompt: Option<&PromptArgs>,
        default_limit: Duration,
        env: Env<'_>,
    ) -> Result<Self, SettingsError> {
        let text = |name: &str| env(name).map(|value| value.to_string_lossy().into_owned());
        let port = match (args.port, text("PCP_PORT")) {
            (Some(port), _) => port,
            (None, Some(value)) => {
                from_env("PCP_PORT", value, "a port", |value| value.parse().ok().filter(|&port| port != 0))?
            }
            (None, None) => DEFAULT_PORT,
        };
        let limit = match (args.deadline, text("PCPCTL_DEADLINE")) {
            (Some(limit), _) => limit,
            (None, Some(value)) => from_env("PCPCTL_DEADLINE", value, "a time such as 30s", |value| {
                value.parse().map(Duration::from_secs).ok().or_else(|| humantime::parse_duration(value).ok())
            })?,
            (None, None) => default_limit,
        };
        let user = args.user.clone().or_else(|| ["PCP_USER", "USER", "LOGNAME"].into_iter().find_map(text));
        let user = user.filter(|user| !user.is_empty()).ok_or(SettingsError::NoUser)?;
        let passwords = Passwords { args, prompt, user: &user, env };
        let mut targets = Vec::new();
        for endpoint in endpoints(args, text("PCP_HOST"), port)? {
            let credentials = Credentials::new(user.clone(), passwords.find(&endpoint)?.expose_secret())?;
            targets.push(Target {
                connector: Connector { endpoint, connect_timeout: args.connect_timeout },
                credentials,
            });
        }
        Ok(Self { targets, deadline: Deadline::after(limit), limit })
    }
}

fn endpoints(args: &ConnectionArgs, from_env: Option<String>, port: u16) -> Result<Vec<Endpoint>, EndpointError> {
    let from_env = from_env.unwrap_or_default();
    let given = args.host.iter().map(String::as_str);
    let mut hosts: Vec<_> = given.map(str::trim).filter(|host| !host.is_empty()).collect();
    if hosts.is_empty() {
        hosts = from_env.split(',').map(str::trim).filter(|host| !host.is_empty()).collect();
    }
    if hosts.is_empty() {
        return Ok(vec![Endpoint::local(port)]);
    }
    hosts.into_iter().map(|host| Endpoint::parse(host, port)).collect()
}

fn from_env<T>(
    name: &'static str,
    value: String,
    expected: &'static str,
    read: impl Fn(&str) -> Option<T>,
) -> Result<T, SettingsError> {
    read(&value).ok_or(SettingsError::Environment { name, value, expected })
}

/// Where passwords come from.
struct Passwords<'a> {
    args: &'a ConnectionArgs,
    prompt: Option<&'a PromptArgs>,
    user: &'a str,
    env: Env<'a>,
}

impl Passwords<'_> {
    /// Finds the password: a prompt that was asked for, a flag, the environment, `~/.pcppass`, else a prompt where
    /// one is possible.
    fn find(&self, endpoint: &Endpoint) -> Result<SecretSlice<u8>, SettingsError> {
        if self.prompt.is_some_and(|prompt| prompt.prompt) {
            return self.ask(endpoint);
        }
        if let Some(path) = &self.args.password_file {
            return read_password(path);
        }
        if self.args.passfile.is_none() {
            if let Some(password) = (self.env)("PCP_PASSWORD") {
                return Ok(password.into_encoded_bytes().into());
            }
            if let Some(path) = (self.env)("PCP_PASSWORD_FILE") {
                return read_password(Path::new(&path));
            }
        }
        match self.look_up(endpoint) {
            Err(_) if self.may_ask() => self.ask(endpoint),
            Err(source) => {
                let source = Box::new(source);
                Err(SettingsError::NoPassword { user: self.user.to_owned(), endpoint: endpoint.clone(), source })
            }
            Ok(password) => Ok(password),
        }
    }

    fn look_up(&self, endpoint: &Endpoint) -> Result<SecretSlice<u8>, PassfileProblem> {
        let path = match &self.args.passfile {
            Some(path) => path.clone(),
            None => match ((self.env)("PCPPASSFILE"), (self.env)("HOME")) {
                (Some(path), _) => path.into(),
                (None, Some(home)) if !home.is_empty() => Path::new(&home).join(".pcppass"),
                (None, _) => return Err(PassfileProblem::NoHome),
            },
        };
        Ok(passfile::lookup(&path, endpoint, self.user)?)
    }

    fn may_ask(&self) -> bool {
        self.prompt.is_some() && !self.args.no_password && io::stdin().is_terminal()
    }

    fn ask(&self, endpoint: &Endpoint) -> Result<SecretSlice<u8>, SettingsError> {
        let question = format!("Password of {} on {endpoint}: ", self.user);
        let password = rpassword::prompt_password(question).map_err(SettingsError::Prompt)?;
        Ok(password.into_bytes().into())
    }
}

/// Reads a file that holds a password and perhaps a line feed.
fn read_password(path: &Path) -> Result<SecretSlice<u8>, SettingsError> {
    let mut password =
        std::fs::read(path).map_err(|source| SettingsError::PasswordFile { path: path.to_owned(), source })?;
    if password.ends_with(b"\n") {
        password.pop();
    }
    Ok(password.into())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    #[command(disable_help_flag = true)]
    struct Line {
        #[command(flatten)]
        connection: ConnectionArgs,
    }

    fn settings(args: &[&str], env: &[(&str, &str)]) -> Result<Settings, String> {
        let line = Line::try_parse_from([&["test"], args].concat()).map_err(|error| error.to_string())?;
        let env = |name: &str| env.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value));
        Settings::new(&line.connection, None, Duration::from_secs(30), &env)
            .map_err(|error| crate::output::chain(&error))
    }

    fn endpoints(args: &[&str], env: &[(&str, &str)]) -> Vec<String> {
        let env = [env, &[("PCP_USER", "u"), ("PCP_PASSWORD", "secret")]].concat();
        let settings = settings(args, &env).unwrap();
        settings.targets.iter().map(|target| target.connector.endpoint.to_string()).collect()
    }

    #[test]
    fn flags_win_over_the_environment_and_that_over_defaults() {
        let env = [("PCP_HOST", "b, c:1"), ("PCP_PORT", "2")];
        assert_eq!(endpoints(&["-h", "a"], &env), ["a:2"]);
        assert_eq!(endpoints(&["-p", "3"], &env), ["b:3", "c:1"]);
        assert_eq!(endpoints(&["-H", "a,b", "--host", "[::1]:5"], &[]), ["a:9898", "b:9898", "[::1]:5"]);
        assert_eq!(endpoints(&["-h", "/run/x"], &[]), ["/run/x:9898"]);
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        let error = |args: &[&str], env: &[(&str, &str)]| settings(args, env).unwrap_err();
        assert_eq!(error(&["-h", "a"], &[]), "no PCP user: give -U, or set PCP_USER");
        assert_eq!(
            error(&["-U", "u", "-h", "a"], &[]),
            "no password for user u on a:9898: neither --passfile nor PCPPASSFILE names a password file, and without HOME \
             there is no default one"
        );
        assert_eq!(
            error(&["-U", "u", "-h", "a"], &[("HOME", "/nonexistent")]),
            "no password for user u on a:9898: there is no password file /nonexistent/.pcppass"
        );
        let port = error(&["-U", "u"], &[("PCP_PORT", "x")]);
        assert_eq!(port, "the environment variable PCP_PORT holds \"x\", which is not a port");
        assert!(error(&["-p", "0"], &[]).contains("0 is not in 1..=65535"));
    }

    #[test]
    fn passwords_are_not_shown() {
        let settings = settings(&["-U", "u", "-h", "a"], &[("PCP_PASSWORD", "hunter2")]).unwrap();
        assert!(!format!("{settings:?}").contains("hunter2"));
    }
}
