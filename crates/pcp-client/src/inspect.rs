//! The live view of a Pgpool, for people.

use futures_util::future::join_all;
use pcp_proto::message::{NodeInfo, NodeInfos, ReadNodeInfo};
use pcp_proto::{Credentials, NodeId};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::observe::{Node, View, observe};
use crate::{Client, Connect, Deadline, Error, ErrorKind};

/// What a Pgpool knows of its nodes and what it finds when it asks them.
#[derive(Clone, Debug)]
pub struct Inspection {
    /// What it knows.
    pub view: View,
    /// The node info of each node of the view, in its order, or why there is none.
    pub infos: Vec<Result<NodeInfo, Error>>,
}

/// Reads the state, and then every node's node info.
///
/// Node info may make Pgpool connect to the nodes, and a host that swallows packets holds up the answer for its
/// connect_timeout (10 s by default). Each node is then asked on a connection of its own, so that a dead one does
/// not hide the others: only its own info is missing, by the deadline at the latest.
///
/// # Errors
///
/// Those of the connection and of reading the state. A node info that does not come is an error in its place only.
pub async fn inspect<C: Connect>(
    connect: &C,
    credentials: &Credentials,
    deadline: Deadline,
) -> Result<Inspection, Error> {
    let mut client = Client::connect(connect, credentials, deadline).await?;
    let view = observe(&mut client).await?;
    let infos = if view.server.node_info_dials_backends {
        client.close().await;
        let asked = view.nodes.iter().map(|node| inspect_node(connect, credentials, deadline, node.id));
        join_all(asked).await.into_iter().zip(&view.nodes).map(|(info, node)| info_of(node, info)).collect()
    } else {
        ask_all(client, &view).await
    };
    Ok(Inspection { view, infos })
}

/// Reads the node info of one node, on a connection of its own.
///
/// As for [`inspect`], Pgpool may connect to the node to answer.
///
/// # Errors
///
/// Those of the connection and of the request: a node that Pgpool does not have is refused.
pub async fn inspect_node<C: Connect>(
    connect: &C,
    credentials: &Credentials,
    deadline: Deadline,
    node: NodeId,
) -> Result<NodeInfo, Error> {
    let client = Client::connect(connect, credentials, deadline).await?;
    one(client.finish(ReadNodeInfo::Node(node)).await, node)
}

/// Asks for every node on one connection.
async fn ask_all<S>(client: Client<S>, view: &View) -> Vec<Result<NodeInfo, Error>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let requests: Vec<_> = view.nodes.iter().map(|node| ReadNodeInfo::Node(node.id)).collect();
    let replies = client.finish(requests).await;
    replies.into_iter().zip(&view.nodes).map(|(reply, node)| info_of(node, one(reply, node.id))).collect()
}

/// Returns the node info where it is of this node. It has no id: behind an answer that is missing it could be another
/// node's.
pub(crate) fn info_of(node: &Node, info: Result<NodeInfo, Error>) -> Result<NodeInfo, Error> {
    let info = info?;
    node.check_address(&info.host, info.port)?;
    Ok(info)
}

pub(crate) fn one(reply: Result<NodeInfos, Error>, id: NodeId) -> Result<NodeInfo, Error> {
    let missing = || Error::new(ErrorKind::Protocol, format!("Pgpool said nothing of node {id}"));
    reply?.nodes.pop().ok_or_else(missing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn node_info_of_another_node_is_none_of_this_one() {
        let node = Node {
            id: NodeId::MAX,
            host: "pg1".into(),
            port: 5432,
            status: None,
            role: None,
            quarantine: false,
            failover_disallowed: false,
        };
        let of = |host: &str, port| info_of(&node, Ok(NodeInfo { host: host.into(), port, ..NodeInfo::default() }));
        assert_eq!(of("pg1", 5432).unwrap().host, "pg1");
        for (host, port) in [("pg2", 5432), ("pg1", 5433)] {
            let error = of(host, port).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Protocol);
            assert!(error.to_string().contains(&format!("node 127 is pg1:5432 in one, {host}:{port} in another")));
        }
    }
}
