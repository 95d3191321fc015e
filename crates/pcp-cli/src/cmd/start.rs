//! What every hook verb begins with.

use std::time::Duration;

use crate::args::{Ask, HookArgs};
use crate::exit::Exit;
use crate::guard::Guard;
use crate::log::{Log, Writer};
use crate::settings::{Env, Layer, Settings, SettingsError, gather};

/// A hook that has begun. When this is dropped, its log is written.
pub(super) struct Start {
    pub(super) settings: Result<Settings, SettingsError>,
    _log: Option<Writer>,
}

/// Which Pgpools a verb is about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Pgpools {
    /// Every one that flags, environment or files name.
    All,
    /// The one that runs this command: the local one, unless flag or environment name another.
    Caller,
}

impl Pgpools {
    fn of(self, mut layer: Layer, flags: &Layer, env: Env<'_>) -> Result<Layer, SettingsError> {
        match self {
            Self::All => Ok(layer),
            Self::Caller => {
                let named = flags.pgpools.clone().or(Layer::from_env(env)?.pgpools);
                match named.as_deref() {
                    Some([_, _, ..]) => Err(SettingsError::SeveralPgpools),
                    _ => {
                        layer.pgpools = named;
                        Ok(layer)
                    }
                }
            }
        }
    }
}

/// Sees to it that the process ends, with `late` where something hangs, starts the log, and works out the settings.
///
/// Without settings there is a log all the same, as far as flags say where.
pub(super) fn start(args: &HookArgs, default_limit: Duration, pgpools: Pgpools, late: Exit, env: Env<'_>) -> Start {
    let flags = Layer::from_hook_flags(args);
    // A file can hang as well, and what it says of the deadline is not known yet.
    let guard = Guard::start(flags.deadline.unwrap_or(default_limit), late);
    let layer = gather(flags.clone(), &args.connection.config, env);
    if let Ok(layer) = &layer {
        guard.change(layer.deadline.unwrap_or(default_limit));
    }
    let log = Log::of(layer.as_ref().unwrap_or(&flags)).start(&args.output);
    let settings = layer
        .and_then(|layer| pgpools.of(layer, &flags, env))
        .and_then(|layer| Settings::new(layer, Ask::Never, default_limit));
    Start { settings, _log: log }
}
