//! Who says what should be.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::time::Duration;

use pcp_client::EfmEvidence;
use pcp_client::truth::{EfmCommand, EfmCommandError, EfmStatus, Truth, agreed};
use tokio::time::{Instant, sleep_until};
use tracing::info;

use super::Halt;
use crate::args::TruthArg;
use crate::cmd::efm;
use crate::exit::Exit;
use crate::output;
use crate::settings::Settings;

/// The time between two readings of EFM's status.
const BETWEEN: Duration = Duration::from_secs(2);
/// How long a desired-state file may be.
const FILE_LIMIT: u64 = 1 << 20;

pub(super) struct Source<'a> {
    settings: &'a Settings,
    kind: Kind,
}

enum Kind {
    Desired { path: String, truth: Truth },
    Efm { command: EfmCommand, first: Option<(EfmStatus, Instant)> },
}

/// What may be acted on now.
pub(super) struct Confirmed {
    /// What EFM knows of the nodes, where it was EFM.
    pub(super) evidence: Option<EfmEvidence>,
}

impl<'a> Source<'a> {
    /// Reads the file, or finds EFM's command.
    pub(super) fn open(args: TruthArg<'_>, settings: &'a Settings) -> Result<Self, Halt> {
        let kind = match args {
            TruthArg::Desired(path) => {
                let truth = read_desired_state(path)
                    .map_err(|reason| Halt::new(Exit::Config, format!("{}: {reason}", path.display())))?;
                Kind::Desired { path: path.display().to_string(), truth }
            }
            TruthArg::Efm(cluster) => {
                let command = efm::command(cluster, settings).map_err(|reason| Halt::new(Exit::Config, reason))?;
                Kind::Efm { command, first: None }
            }
        };
        Ok(Self { settings, kind })
    }

    /// Names it as a verdict does.
    pub(super) fn name(&self) -> &str {
        match &self.kind {
            Kind::Desired { path, .. } => path,
            Kind::Efm { .. } => "EFM",
        }
    }

    /// Returns what it says; not to be acted on before it is confirmed.
    pub(super) async fn truth(&mut self) -> Result<Truth, Halt> {
        match &mut self.kind {
            Kind::Desired { truth, .. } => Ok(truth.clone()),
            Kind::Efm { command, first } => {
                let status = status(command, self.settings).await?;
                let told = Instant::now();
                let truth = status.truth(None).map_err(|doubt| Halt::new(Exit::Refused, doubt.to_string()))?;
                *first = Some((status, told));
                Ok(truth)
            }
        }
    }

    /// Asks EFM again, not too soon. It has to say what it said first.
    pub(super) async fn confirm(&self) -> Result<Confirmed, Halt> {
        let Kind::Efm { command, first: Some((first, told)) } = &self.kind else {
            return Ok(Confirmed { evidence: None });
        };
        let due = *told + BETWEEN;
        if due.saturating_duration_since(Instant::now()) >= self.settings.deadline.remaining() {
            return Err(Halt::new(Exit::NotVerified, "the deadline leaves no time to ask EFM twice"));
        }
        sleep_until(due).await;
        let apart = told.elapsed();
        let second = status(command, self.settings).await?;
        agreed(first, &second, apart, None).map_err(|doubt| Halt::new(Exit::Refused, doubt.to_string()))?;
        Ok(Confirmed { evidence: Some(efm::evidence(second, self.settings)) })
    }
}

fn read_desired_state(path: &Path) -> Result<Truth, String> {
    let read = |path: &Path| -> io::Result<Vec<u8>> {
        let mut json = Vec::new();
        File::open(path)?.take(FILE_LIMIT + 1).read_to_end(&mut json)?;
        Ok(json)
    };
    let json = read(path).map_err(|error| format!("it cannot be read: {error}"))?;
    if json.len() as u64 > FILE_LIMIT {
        return Err("it is longer than 1 MiB".to_owned());
    }
    Truth::from_desired_state(&json).map_err(|error| error.to_string())
}

async fn status(command: &EfmCommand, settings: &Settings) -> Result<EfmStatus, Halt> {
    let status = command.status(settings.deadline).await;
    info!(command = %command.command.display(), cluster = command.cluster, told = status.is_ok(), "asked EFM");
    status.map_err(|error| {
        let exit = match error {
            EfmCommandError::Start { .. }
            | EfmCommandError::NotAbsolute { .. }
            | EfmCommandError::Cluster { .. } => Exit::Config,
            _ => Exit::Refused,
        };
        Halt::new(exit, output::chain(&error))
    })
}
