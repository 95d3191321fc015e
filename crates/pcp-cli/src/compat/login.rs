//! Which Pgpool, and who we are there.

use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::time::Duration;

use pcp_client::passfile::PassfileError;
use secrecy::SecretSlice;

use super::account::Account;
use super::arguments::Arguments;
use super::end::End;
use super::request::{Change, Order, Pace, Request};
use crate::args::{Ask, ConfigArgs};
use crate::exit::Exit;
use crate::settings::{Env, Layer, PassfileProblem, Settings, SettingsError, Target, gather};
use crate::{output, prompt};

/// What a link works with.
pub(super) struct Login {
    pub(super) settings: Settings,
    pub(super) target: Target,
}

impl Login {
    /// Works out where to connect and as whom, and asks for a password where that is wanted; or prints why it cannot.
    pub(super) fn find(arguments: &Arguments, env: Env<'_>) -> Result<Self, End> {
        let account = Account::current();
        let mut typed = None;
        if arguments.ask == Ask::Always {
            typed = Some(prompt()?);
        }
        let settings = match settings(arguments, typed, &account, env) {
            Err(SettingsError::NoPassword { .. }) if arguments.ask == Ask::Missing && io::stdin().is_terminal() => {
                settings(arguments, Some(prompt()?), &account, env)
            }
            settings => settings,
        };
        let settings = settings.map_err(|error| complain(&error))?;
        match settings.targets.as_slice() {
            [target] => Ok(Self { target: target.clone(), settings }),
            _ => Err(refuse("several Pgpools are named, and this command speaks to one")),
        }
    }
}

/// The tools wait without an end. These are far beyond what an answer takes: a node whose host swallows packets costs 10 s,
/// a graceful detach recovery_timeout, and a recovery copies a whole database.
fn default_limit(request: Request) -> Duration {
    Duration::from_secs(match request {
        Request::Change(_, Change::Detach(Pace::Gracefully) | Change::Promote(Pace::Gracefully, _)) => 600,
        Request::Order(Order::Recover(_)) => 86_400,
        _ => 60,
    })
}

fn settings(
    arguments: &Arguments,
    password: Option<SecretSlice<u8>>,
    account: &Account,
    env: Env<'_>,
) -> Result<Settings, SettingsError> {
    let mut flags = Layer::default().with_password(password);
    flags.pgpools = arguments.host.clone().map(|host| vec![host]);
    flags.port = arguments.port;
    flags.user.clone_from(&arguments.user);
    // Unlike pcpctl itself, no file that happens to be there: the tools have none.
    let config = env("PCPCTL_CONFIG").filter(|path| !path.is_empty());
    let config = ConfigArgs {
        config: Some(config.map_or_else(|| "/dev/null".into(), PathBuf::from)),
        profile: None,
        efm_properties: None,
    };
    let variable = |name: &str| account.variable(name, env);
    let layer = gather(flags, &config, &variable)?;
    Settings::new(layer, Ask::Never, default_limit(arguments.request))
}

fn prompt() -> Result<SecretSlice<u8>, End> {
    let password = prompt::password("Password: ");
    password.map_err(|error| refuse(&format!("the password cannot be read from a terminal: {error}")))
}

fn complain(error: &SettingsError) -> End {
    match error {
        SettingsError::User(_) => {
            output::err("ERROR: PCP authorization failed. username too long.\n");
            return End::before_login(Exit::Config);
        }
        SettingsError::NoPassword { source, .. } => warn(source),
        _ => {}
    }
    refuse(&output::chain(error))
}

/// Warns of a password file in the words that the tools have for it, before it is said that there is no password.
fn warn(problem: &PassfileProblem) {
    let PassfileProblem::Passfile(problem) = problem else { return };
    match problem {
        PassfileError::TooOpen { path, .. } => output::err_line(format_args!(
            "WARNING: password file \"{}\" has group or world access; permissions should be u=rw (0600) or less",
            path.display()
        )),
        PassfileError::NotAFile { path } => {
            output::err_line(format_args!("WARNING: password file \"{}\" is not a plain file", path.display()));
        }
        _ => {}
    }
}

fn refuse(reason: &str) -> End {
    output::err_line(format_args!("ERROR: {reason}"));
    End::before_login(Exit::Config)
}
