//! What a Pgpool tells of itself.

use pcp_client::{Client, Error, Observation, View, observe_in_detail, read_watchdog};
use pcp_proto::message::{PoolStatus, WatchdogCluster};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::args::OutputArgs;
use crate::cmd::read::Unread;
use crate::cmd::with_notices;
use crate::output;
use crate::settings::{Settings, Target};

/// A Pgpool, and what it told.
pub(super) struct Pgpool {
    pub(super) endpoint: String,
    pub(super) told: Result<Told, Unread>,
}

/// What one Pgpool told.
pub(super) struct Told {
    pub(super) status: PoolStatus,
    pub(super) view: View,
    /// `None` where the watchdog is off.
    pub(super) watchdog: Option<Result<WatchdogCluster, String>>,
}

impl Pgpool {
    /// Asks it, over one connection, nothing that makes it connect to a backend.
    pub(super) async fn look(target: &Target, settings: &Settings, output: &OutputArgs) -> Self {
        let told = ask(target, settings, output).await.map_err(Unread::from);
        Self { endpoint: target.connector.endpoint.to_string(), told }
    }
}

async fn ask(target: &Target, settings: &Settings, output: &OutputArgs) -> Result<Told, Error> {
    let connect = with_notices(&target.connector, output);
    tell(Client::connect(&connect, &target.credentials, settings.deadline).await?).await
}

/// Asks on this connection.
pub(super) async fn tell<S: AsyncRead + AsyncWrite + Unpin>(mut client: Client<S>) -> Result<Told, Error> {
    let Observation { view, status, .. } = observe_in_detail(&mut client).await?;
    let watchdog = match view.server.watchdog {
        true => Some(read_watchdog(&mut client).await.map_err(|error| output::chain(&error))),
        false => None,
    };
    client.close().await;
    Ok(Told { status, view, watchdog })
}

/// Pairs those that could be read with their endpoints.
pub(super) fn read(pgpools: &[Pgpool]) -> impl Iterator<Item = (&str, &Told)> + Clone {
    pgpools.iter().filter_map(|pgpool| Some((pgpool.endpoint.as_str(), pgpool.told.as_ref().ok()?)))
}
