//! Finding out whose tools to imitate: by what the answer looks like, and where several releases write it alike and their
//! tools print it differently, by one more question on the same connection.

use pcp_client::Client;
use pcp_proto::message::{
    NodeInfos, NodeRole, ProcessInfos, ReadNodeInfo, ReadPoolStatus, WatchdogCluster, WatchdogInfo,
};
use pcp_proto::{NodeId, Release, ServerAge};
use tokio::io::{AsyncRead, AsyncWrite};

use super::form::Form;
use super::print::{Detail, Rows};

/// Finds the form of nodes. 4.1 has other words than 4.2 for the roles outside streaming replication.
pub(super) async fn of_nodes<S>(client: &mut Client<S>, infos: &NodeInfos) -> Form
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let form = Form::of_layout(infos.layout);
    let differ = infos.nodes.iter().any(|node| matches!(node.role, Some(NodeRole::Main | NodeRole::Replica)));
    let may_be_4_2 = form.is_at_least(4, 1) && !form.is_at_least(4, 3);
    if may_be_4_2 && differ && ask(client).await.is_at_least(Release::new(4, 2)) {
        return form.in_series(4, 2);
    }
    form
}

/// Finds the form of processes. 3.x does not tell which process it is, unless for all of them.
pub(super) async fn of_processes<S>(client: &mut Client<S>, infos: &ProcessInfos, rows: Rows) -> Form
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    match infos.layout.fields() {
        11 => {
            let differ = rows == Rows::InUse && infos.processes.iter().any(|process| !process.is_free());
            let is_3 = differ && ask(client).await.is_before(Release::new(4, 0));
            if is_3 { Form::last_of(3, 7) } else { Form::last_of(4, 2) }
        }
        17 => Form::last_of(4, 4),
        18 => Form::last_of(4, 6),
        _ => Form::NEWEST,
    }
}

/// Finds the form of health check statistics. 4.3 began to put an empty line behind them.
pub(super) async fn of_health_check_stats<S>(client: &mut Client<S>, detail: Detail) -> Form
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    match detail {
        Detail::Verbose if ask(client).await.is_before(Release::new(4, 3)) => Form::last_of(4, 2),
        _ => Form::NEWEST,
    }
}

/// Finds the form of a watchdog's cluster. One of its titles changed together with the layout of node info, or a release
/// later.
pub(super) async fn of_watchdog<S>(
    client: &mut Client<S>,
    info: &WatchdogInfo,
    cluster: &WatchdogCluster,
    detail: Detail,
) -> Form
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    if cluster.member_remote_node_count.is_some() {
        return Form::NEWEST;
    }
    let has_leader = info.json.to_string_lossy().contains("\"LeaderNodeName\"");
    let series = if has_leader { Form::last_of(4, 2) } else { Form::last_of(4, 1) };
    let (Detail::Verbose, Ok(first)) = (detail, NodeId::try_from(0)) else { return series };
    // Before 4.3 this makes Pgpool connect to nothing.
    match client.send(ReadNodeInfo::Node(first)).await {
        Ok(infos) => match Form::of_layout(infos.layout) {
            form if has_leader => form.in_series(4, 2),
            form => form,
        },
        Err(_) => series,
    }
}

/// Tells the age by the parameters that the server lists; nothing where it does not answer.
async fn ask<S>(client: &mut Client<S>) -> ServerAge
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    match client.send(ReadPoolStatus).await {
        Ok(status) => ServerAge::of(&status),
        Err(_) => ServerAge::UNKNOWN,
    }
}
