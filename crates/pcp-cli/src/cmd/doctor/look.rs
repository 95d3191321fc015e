//! What a Pgpool tells of itself.

use std::time::Duration;

use pcp_client::{Client, Error, View, observe};
use pcp_proto::message::{PoolStatus, ReadPoolStatus, ReadWatchdogInfo, WatchdogCluster};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

use crate::args::OutputArgs;
use crate::cmd::read::Unread;
use crate::cmd::with_notices;
use crate::output;
use crate::settings::{Settings, Target};

/// 3.5.0 never answers for its watchdog.
const WATCHDOG_LIMIT: Duration = Duration::from_secs(2);

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
    let status = client.send(ReadPoolStatus).await?;
    let view = observe(&mut client).await?;
    if !view.server.watchdog {
        client.close().await;
        return Ok(Told { status, view, watchdog: None });
    }
    let watchdog = match timeout(WATCHDOG_LIMIT, client.finish(ReadWatchdogInfo::All)).await {
        Ok(Ok(info)) => info.cluster().map_err(|error| output::chain(&error)),
        Ok(Err(error)) => Err(output::chain(&error)),
        Err(_) => Err("it did not answer in time".to_owned()),
    };
    Ok(Told { status, view, watchdog: Some(watchdog) })
}

/// Pairs those that could be read with their endpoints.
pub(super) fn read(pgpools: &[Pgpool]) -> impl Iterator<Item = (&str, &Told)> + Clone {
    pgpools.iter().filter_map(|pgpool| Some((pgpool.endpoint.as_str(), pgpool.told.as_ref().ok()?)))
}
