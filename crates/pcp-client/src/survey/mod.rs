//! All that monitoring wants to know of a Pgpool.

mod pool;

use std::time::Duration;

use pcp_proto::message::{
    Delay, HealthCheckStats, NodeInfo, PoolStatus, ReadNodeInfo, ReadWatchdogInfo, WatchdogCluster,
};
use pcp_proto::{Credentials, NodeId, Text};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

use crate::inspect::{info_of, one};
use crate::observe::{NodeDetail, Observation, View, observe_in_detail};
use crate::{Client, Connect, Deadline, Error, ErrorKind};
pub use pool::{ChildState, PoolUse, read_pool_use};

/// How long a watchdog's answer is awaited. 3.5.0 never gives one.
const WATCHDOG_LIMIT: Duration = Duration::from_secs(2);

/// What a Pgpool knows at one moment: its nodes, its pool of connections, and its watchdog.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Survey {
    /// The nodes as every other function sees them.
    pub view: View,
    /// The settings.
    pub status: PoolStatus,
    /// What else is known of each node of the view, in its order.
    pub nodes: Vec<NodeSurvey>,
    /// What the children do, or why that could not be read.
    pub pool: Result<PoolUse, Error>,
    /// The watchdog's view, or why that could not be read. `None` where the watchdog is off.
    pub watchdog: Option<Result<WatchdogCluster, Error>>,
}

/// What is known of a node beside its place and its state.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct NodeSurvey {
    /// The node's part of the load, 0 to 1.
    pub weight: Option<f64>,
    /// How far the node is behind the primary. All nodes of a Pgpool have one unit; where node info was not asked
    /// for, it is the one that `delay_threshold_by_time` stands for.
    pub delay: Option<Delay>,
    /// The health checks. Since 4.2; all is zero where they are off.
    pub health: Option<HealthCheckStats>,
    /// Node info, or why there is none. `None` where Pgpool would have connected to the node to answer;
    /// [`inspect_node`](crate::inspect_node) lets it.
    pub info: Option<Result<NodeInfo, Error>>,
}

/// Reads nodes, settings, pool and watchdog on one connection, without making Pgpool connect to a backend.
///
/// Four round trips behind the login's one; the rows of the pool are read as a stream.
///
/// # Errors
///
/// Those of the connection, and of reading the state. What comes behind that has errors in its own place.
pub async fn survey<C: Connect>(
    connect: &C,
    credentials: &Credentials,
    deadline: Deadline,
) -> Result<Survey, Error> {
    let mut client = Client::connect(connect, credentials, deadline).await?;
    let Observation { view, status, details } = observe_in_detail(&mut client).await?;
    let infos = match view.server.node_info_dials_backends {
        true => Vec::new(),
        false => ask_on(&mut client, &view).await,
    };
    let pool = read_pool_use(&mut client).await;
    let watchdog = match view.server.watchdog {
        true => Some(read_watchdog(&mut client).await),
        false => None,
    };
    client.close().await;
    let nodes = nodes(&view, &status, details, infos);
    Ok(Survey { view, status, nodes, pool, watchdog })
}

/// Asks for the watchdog's view of its cluster, for 2 s at most: 3.5.0 never answers.
///
/// Where it does not answer, the client is good for nothing more.
///
/// # Errors
///
/// A refusal where the watchdog is off, an answer that is no JSON, and those of the connection.
pub async fn read_watchdog<S>(client: &mut Client<S>) -> Result<WatchdogCluster, Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    match timeout(WATCHDOG_LIMIT, client.send(ReadWatchdogInfo::All)).await {
        Ok(info) => Ok(info?.cluster()?),
        Err(_) => Err(Error::new(ErrorKind::Timeout, "the watchdog did not answer in time")),
    }
}

async fn ask_on<S>(client: &mut Client<S>, view: &View) -> Vec<Result<NodeInfo, Error>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let requests: Vec<_> = view.nodes.iter().map(|node| ReadNodeInfo::Node(node.id)).collect();
    let replies = client.send(requests).await;
    replies.into_iter().zip(&view.nodes).map(|(reply, node)| info_of(node, one(reply, node.id))).collect()
}

fn nodes(
    view: &View,
    status: &PoolStatus,
    details: Vec<NodeDetail>,
    infos: Vec<Result<NodeInfo, Error>>,
) -> Vec<NodeSurvey> {
    let by_time = |info: &Result<NodeInfo, Error>| info.as_ref().is_ok_and(|info| info.delay_by_time == Some(true));
    let is_time = match infos.iter().any(Result::is_ok) {
        true => infos.iter().any(by_time),
        false => status.number("delay_threshold_by_time").is_some_and(|threshold| threshold > 0),
    };
    let delay = |id| {
        let delay = of_node(status, "standby_delay", id)?.as_str()?.parse().ok()?;
        Some(if is_time { Delay::Microseconds(delay) } else { Delay::Bytes(delay) })
    };
    let mut infos = infos.into_iter();
    let nodes = view.nodes.iter().zip(details).map(|(node, detail)| NodeSurvey {
        weight: of_node(status, "backend_weight", node.id).and_then(|weight| weight.as_str()?.parse().ok()),
        delay: delay(node.id),
        health: match detail {
            NodeDetail::HealthCheckStats(stats) => Some(stats),
            NodeDetail::NodeInfo(_) => None,
        },
        info: infos.next(),
    });
    nodes.collect()
}

/// Returns the value of a parameter that each node has.
fn of_node<'a>(status: &'a PoolStatus, name: &str, id: NodeId) -> Option<&'a Text> {
    status.value(&format!("{name}{id}"))
}
