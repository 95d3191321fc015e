//! EFM on this host, asked by its own command.

use std::path::PathBuf;
use std::time::Duration;

use pcp_client::truth::{EfmCommand, EfmStatus};
use pcp_client::{Deadline, EfmEvidence, Evidence, Node, NodeName, PortOnly, Recovery};

use crate::output;
use crate::settings::Settings;

/// How long EFM's command is waited for where it is to prove something: it takes a Java machine seconds to start.
const LIMIT: Duration = Duration::from_secs(10);

/// Finds EFM's command, for this cluster or the one that the configuration names.
pub(super) fn command(cluster: Option<&str>, settings: &Settings) -> Result<EfmCommand, String> {
    let Some(cluster) = cluster.map(str::to_owned).or_else(|| settings.efm.cluster.clone()) else {
        return Err("no EFM cluster is named: give --efm CLUSTER, or set cluster under [efm] in the configuration"
            .to_owned());
    };
    match settings.efm.command.iter().find(|command| command.exists()) {
        Some(command) => Ok(EfmCommand { command: command.clone(), cluster }),
        None => {
            let tried = list(&settings.efm.command);
            Err(format!("there is no efm command; set command under [efm]; tried {tried}"))
        }
    }
}

/// Lists paths, of many the first two and the last one.
fn list(paths: &[PathBuf]) -> String {
    let shown: Vec<_> = paths.iter().map(|path| path.display().to_string()).collect();
    match &*shown {
        [first, second, others @ .., last] if others.len() > 1 => {
            format!("{first}, {second}, {} more, and {last}", others.len())
        }
        few => few.join(", "),
    }
}

/// Makes a status that was read a witness.
///
/// Pgpool's addresses take the place of EFM's, where the address map knows them. One that leads to another port than
/// the databases' stays: nothing is then known of that node.
pub(super) fn evidence(mut status: EfmStatus, settings: &Settings) -> EfmEvidence {
    let members = status.members.iter_mut().map(|member| &mut member.address);
    for address in members.chain(&mut status.missing).chain(&mut status.allowed) {
        let name = settings.node(NodeName::Address { host: address.clone(), port: None });
        if let NodeName::Address { host, port } = name
            && port == settings.backend_port
        {
            *address = host;
        }
    }
    EfmEvidence { status, port: settings.backend_port }
}

/// EFM as a witness that is asked each time that something is to be known, and not before.
pub(super) struct AskedEfm<'a>(&'a Settings);

impl<'a> AskedEfm<'a> {
    /// Takes EFM for a witness where the configuration names its cluster.
    pub(super) fn of(settings: &'a Settings) -> Option<Self> {
        settings.efm.cluster.is_some().then_some(Self(settings))
    }
}

impl Evidence for AskedEfm<'_> {
    async fn answers(&self, node: &Node) -> bool {
        PortOnly.answers(node).await
    }

    async fn recovery(&self, node: &Node) -> Recovery {
        let Self(settings) = self;
        let command = match command(None, settings) {
            Ok(command) => command,
            Err(reason) => return Recovery::Unknown { reason },
        };
        match command.status(Deadline::after(LIMIT.min(settings.deadline.remaining()))).await {
            Ok(status) => evidence(status, settings).recovery(node).await,
            Err(error) => Recovery::Unknown { reason: output::chain(&error) },
        }
    }
}
