//! Who says what should be.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::time::Duration;

use pcp_client::truth::{EfmCommand, EfmCommandError, EfmStatus, Truth, agreed};
use pcp_client::{EfmEvidence, NodeName};
use tokio::time::{Instant, sleep_until};
use tracing::info;

use super::Halt;
use crate::args::TruthArg;
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
            TruthArg::Efm(cluster) => Kind::Efm { command: efm_command(cluster, settings)?, first: None },
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
        let status = in_the_terms_of_pgpool(second, self.settings);
        Ok(Confirmed { evidence: Some(EfmEvidence { status, port: self.settings.backend_port }) })
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

fn efm_command(cluster: Option<&str>, settings: &Settings) -> Result<EfmCommand, Halt> {
    let Some(cluster) = cluster.map(str::to_owned).or_else(|| settings.efm.cluster.clone()) else {
        return Err(Halt::new(
            Exit::Config,
            "no EFM cluster is named: give --efm CLUSTER, or set cluster under [efm] in the configuration",
        ));
    };
    match settings.efm.command.iter().find(|command| command.exists()) {
        Some(command) => Ok(EfmCommand { command: command.clone(), cluster }),
        None => {
            let tried: Vec<_> = settings.efm.command.iter().map(|path| path.display().to_string()).collect();
            Err(Halt::new(
                Exit::Config,
                format!("there is no efm command; set command under [efm]; tried {}", tried.join(", ")),
            ))
        }
    }
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

/// Puts Pgpool's addresses in the place of EFM's, where the address map knows them. One that leads to another port
/// than the databases' stays: nothing is then known of that node.
fn in_the_terms_of_pgpool(mut status: EfmStatus, settings: &Settings) -> EfmStatus {
    let members = status.members.iter_mut().map(|member| &mut member.address);
    for address in members.chain(&mut status.missing).chain(&mut status.allowed) {
        let name = settings.node(NodeName::Address { host: address.clone(), port: None });
        if let NodeName::Address { host, port } = name {
            if port == settings.backend_port {
                *address = host;
            }
        }
    }
    status
}
