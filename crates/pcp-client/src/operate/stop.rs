//! Stopping Pgpool.

use futures_util::future::join_all;
use pcp_proto::Credentials;
use pcp_proto::message::{Accepted, Request, StopCluster, StopMode, StopPgpool};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;
use tracing::debug;

use super::Operated;
use super::site::{Decision, Seen, Sent, Site, check_watchdog};
use crate::connect::nobody_listens;
use crate::converge::Pauses;
use crate::observe::View;
use crate::survey::{read_pool_use, read_watchdog};
use crate::{Client, Connect, Deadline, Error, Failure};

/// Whom a stop would concern.
#[derive(Clone, Debug)]
pub struct StopPlan {
    /// How many of the children serve a client, where that could be counted.
    pub clients: Option<u64>,
    /// The members of the watchdog's cluster, the one that was asked first; empty without a watchdog.
    pub members: Vec<String>,
}

/// Looks at a Pgpool that is to be stopped. Nothing is changed.
///
/// # Errors
///
/// As a stop fails before Pgpool is asked for it.
pub async fn foresee_stop<C: Connect>(
    connect: &C,
    credentials: &Credentials,
    deadline: Deadline,
) -> Result<StopPlan, Failure> {
    let Seen { mut client, view, .. } = Site::new(connect, credentials, deadline).look().await?;
    let pool = read_pool_use(&mut client).await.inspect_err(|error| debug!(%error, "cannot count the clients"));
    let members = if view.server.watchdog { members(&mut client).await } else { Vec::new() };
    client.close().await;
    Ok(StopPlan { clients: pool.ok().map(|pool| pool.busy), members })
}

/// Stops a Pgpool, and returns when nobody listens on its PCP port any more. Since 3.5.
///
/// A smart stop lasts as long as the last client's session does. Only a port that refuses connections, or a socket
/// that is gone, counts as closed: one behind a proxy that accepts on its own is never verified. While a failover or
/// another change is in progress the stop is tried again until the deadline.
///
/// # Cancel safety
///
/// Dropping the future stops watching. Pgpool goes on with a stop that has begun.
pub async fn stop_pgpool<C: Connect>(
    connect: &C,
    credentials: &Credentials,
    mode: StopMode,
    deadline: Deadline,
) -> Operated {
    let started = Instant::now();
    let site = Site::new(connect, credentials, deadline);
    let operated = match ask(&site, StopPgpool { mode }, |_| Ok(())).await {
        Ok(lost) => {
            let awaited = if mode == StopMode::Smart { CLOSED_AFTER_CLIENTS } else { CLOSED };
            Operated { asked: true, ..Operated::of(await_end(connect, deadline, awaited, lost).await) }
        }
        Err(failure) => Operated::failed(failure),
    };
    Operated { elapsed: started.elapsed(), ..operated }
}

/// Stops every member of a watchdog's cluster, and returns when nobody listens on the PCP ports of those given. Since
/// 4.2.
///
/// The first Pgpool that can be reached is asked, and has the watchdog pass it on. Members that are not among those
/// given are told as well, and nothing is known of them afterwards.
///
/// # Cancel safety
///
/// Dropping the future stops watching. The cluster goes on with a stop that has begun.
pub async fn stop_cluster<'a, C: Connect + 'a>(
    pgpools: impl IntoIterator<Item = (&'a C, &'a Credentials)>,
    mode: StopMode,
    deadline: Deadline,
) -> Vec<Operated> {
    let started = Instant::now();
    let pgpools: Vec<_> = pgpools.into_iter().collect();
    let mut failures = Vec::new();
    for &(connect, credentials) in &pgpools {
        let site = Site::new(connect, credentials, deadline);
        match ask(&site, StopCluster { mode }, check_watchdog).await {
            Ok(lost) => {
                let awaited = if mode == StopMode::Smart { CLOSED_AFTER_CLIENTS } else { CLOSED_BY_WATCHDOG };
                let ends = pgpools.iter().map(|&(connect, _)| await_end(connect, deadline, awaited, lost.clone()));
                let ends = join_all(ends).await.into_iter();
                return ends.map(|end| operated(true, end, started)).collect();
            }
            Err(failure @ Failure::Unreachable(_)) => failures.push(failure),
            // It is the same cluster for all of them.
            Err(failure) => {
                return pgpools.iter().map(|_| operated(false, Err(failure.clone()), started)).collect();
            }
        }
    }
    failures.into_iter().map(|failure| operated(false, Err(failure), started)).collect()
}

fn operated(asked: bool, result: Result<(), Failure>, started: Instant) -> Operated {
    Operated { asked, elapsed: started.elapsed(), ..Operated::of(result) }
}

/// Asks for a stop; returns the error where the answer was lost, for the process that sends it is stopped too.
async fn ask<C: Connect, R>(
    site: &Site<'_, C>,
    request: R,
    check: impl Fn(&View) -> Result<(), Failure>,
) -> Result<Option<Error>, Failure>
where
    R: Request<Reply = Accepted> + Copy,
{
    match site.carry_out(|view, _| check(view).map(|()| Decision::Send(request))).await? {
        (Sent::Unknown(error), ..) => Ok(Some(error)),
        _ => Ok(None),
    }
}

const CLOSED: &str = "the PCP port to close";
const CLOSED_AFTER_CLIENTS: &str = "the PCP port to close; clients that are still connected hold up a smart stop";
/// Where the cluster ends at once, a watchdog is told to while it hears from the others, and may wait for itself for ever.
const CLOSED_BY_WATCHDOG: &str =
    "the PCP port to close; where the watchdog process hangs in its shutdown, end Pgpool on its host";

/// Waits until nobody listens.
async fn await_end<C: Connect>(
    connect: &C,
    deadline: Deadline,
    awaited: &str,
    mut source: Option<Error>,
) -> Result<(), Failure> {
    let mut pauses = Pauses::default();
    loop {
        match connect.connect(deadline).await {
            Err(error) if nobody_listens(&error) => return Ok(()),
            Err(error) => source = Some(error),
            Ok(_open) => {}
        }
        if !pauses.pause_within(deadline).await {
            return Err(Failure::NotVerified { awaited: awaited.to_owned(), source });
        }
    }
}

async fn members<S>(client: &mut Client<S>) -> Vec<String>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let members = read_watchdog(client).await.map(|cluster| cluster.members).unwrap_or_default();
    let names = members.into_iter().filter_map(|member| member.node_name);
    names.collect()
}
