//! One look at a Pgpool.

use std::time::Duration;

use jiff::Timestamp;
use pcp_client::{Client, Connect, Deadline, Error, ErrorKind, View, observe, read_watchdog};
use pcp_proto::Credentials;
use pcp_proto::message::WatchdogCluster;
use serde::Serialize;

use super::super::show_watchdog::quorum_word;
use crate::output::chain;

/// How long a look takes at most.
const LIMIT: Duration = Duration::from_secs(8);

/// What a look found, and when.
#[derive(Clone, Debug)]
pub(super) struct Look {
    pub(super) at: Timestamp,
    pub(super) seen: Result<Seen, Gone>,
}

/// What a Pgpool shows.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Seen {
    pub(super) view: View,
    /// `None` where there is no watchdog, or it does not tell.
    pub(super) watchdog: Option<Watchdog>,
}

/// The watchdog as this Pgpool sees it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub(super) struct Watchdog {
    quorum: Option<&'static str>,
    leader_host_name: Option<String>,
    alive_node_count: Option<i64>,
}

/// Why a Pgpool shows nothing.
#[derive(Clone, Debug)]
pub(super) struct Gone {
    pub(super) kind: ErrorKind,
    pub(super) is_retryable: bool,
    pub(super) reason: String,
}

/// Connects, reads the state from Pgpool's memory, and closes.
pub(super) async fn look<C: Connect>(connect: &C, credentials: &Credentials) -> Look {
    let seen = see(connect, credentials).await.map_err(|error| Gone::from(&error));
    Look { at: Timestamp::now(), seen }
}

async fn see<C: Connect>(connect: &C, credentials: &Credentials) -> Result<Seen, Error> {
    let mut client = Client::connect(connect, credentials, Deadline::after(LIMIT)).await?;
    let view = observe(&mut client).await?;
    let watchdog =
        if view.server.watchdog { read_watchdog(&mut client).await.ok().map(Watchdog::of) } else { None };
    client.close().await;
    Ok(Seen { view, watchdog })
}

impl Watchdog {
    fn of(cluster: WatchdogCluster) -> Self {
        Self {
            quorum: cluster.quorum_status.map(quorum_word),
            leader_host_name: cluster.leader_host_name.filter(|name| name != "Not_Set"),
            alive_node_count: cluster.alive_node_count,
        }
    }

    /// Shows it in some words.
    pub(super) fn state(&self) -> String {
        format!(
            "quorum {}, leader {}, {} others alive",
            self.quorum.unwrap_or("unknown"),
            self.leader_host_name.as_deref().unwrap_or("none"),
            self.alive_node_count.map_or_else(|| "?".to_owned(), |count| count.to_string())
        )
    }

    pub(super) fn has_quorum(&self) -> bool {
        self.quorum.is_none_or(|quorum| quorum == "exists")
    }
}

impl From<&Error> for Gone {
    fn from(error: &Error) -> Self {
        Self { kind: error.kind(), is_retryable: error.is_retryable(), reason: chain(error) }
    }
}
