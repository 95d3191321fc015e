//! What a command line asks of Pgpool.

use pcp_proto::message::{
    Accepted, AttachNode, Batch, DetachNode, DetachNodeGracefully, InvalidateQueryCache, Outgoing, PromoteMode,
    PromoteNode, PromoteNodeGracefully, ReadHealthCheckStats, ReadNodeCount, ReadNodeInfo, ReadPoolStatus,
    ReadProcessCount, ReadProcessInfo, ReadWatchdogInfo, RecoverNode, ReloadConfig, Reply, Request as Message,
    RotateLog, Scope, StopCluster, StopMode, StopPgpool,
};
use pcp_proto::{DecodeError, Frame, NodeId, ReplyKind};

/// What is asked: the tool's one request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Request {
    Read(Read),
    /// Of a node; what came of it is read back.
    Change(NodeId, Change),
    /// Of Pgpool itself, or what nothing but its answer tells of.
    Order(Order),
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Read {
    HealthCheckStats(ReadHealthCheckStats),
    NodeCount,
    NodeInfo(ReadNodeInfo),
    PoolStatus,
    ProcessCount,
    ProcessInfo(ReadProcessInfo),
    WatchdogInfo(ReadWatchdogInfo),
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Change {
    Attach,
    Detach(Pace),
    Promote(Pace, PromoteMode),
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Order {
    InvalidateQueryCache,
    Recover(NodeId),
    Reload(Scope),
    RotateLog(Scope),
    Stop(StopMode, Scope),
}

/// Whether clients that use the node are waited for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Pace {
    AtOnce,
    Gracefully,
}

impl Request {
    /// Returns the request as it goes out.
    pub(super) fn outgoing(self) -> Outgoing {
        match self {
            Self::Read(read) => match read {
                Read::HealthCheckStats(request) => outgoing(&request),
                Read::NodeCount => outgoing(&ReadNodeCount),
                Read::NodeInfo(request) => outgoing(&request),
                Read::PoolStatus => outgoing(&ReadPoolStatus),
                Read::ProcessCount => outgoing(&ReadProcessCount),
                Read::ProcessInfo(request) => outgoing(&request),
                Read::WatchdogInfo(request) => outgoing(&request),
            },
            Self::Change(node, change) => match change {
                Change::Attach => outgoing(&AttachNode { node }),
                Change::Detach(Pace::AtOnce) => outgoing(&DetachNode { node }),
                Change::Detach(Pace::Gracefully) => outgoing(&DetachNodeGracefully { node }),
                Change::Promote(Pace::AtOnce, mode) => outgoing(&PromoteNode { node, mode }),
                Change::Promote(Pace::Gracefully, mode) => outgoing(&PromoteNodeGracefully { node, mode }),
            },
            Self::Order(order) => match order {
                Order::InvalidateQueryCache => outgoing(&InvalidateQueryCache),
                Order::Recover(node) => outgoing(&RecoverNode { node }),
                Order::Reload(scope) => outgoing(&ReloadConfig { scope }),
                Order::RotateLog(scope) => outgoing(&RotateLog { scope }),
                Order::Stop(mode, Scope::Local) => outgoing(&StopPgpool { mode }),
                Order::Stop(mode, Scope::Cluster) => outgoing(&StopCluster { mode }),
            },
        }
    }
}

fn outgoing<R: Message>(request: &R) -> Outgoing {
    Outgoing { frame: request.encode(), reply: R::REPLY, requirement: request.requirement() }
}

/// A change or an order on its way: what is answered with nothing but that it was taken.
pub(super) struct Command(pub(super) Outgoing);

impl Batch for Command {
    type Output<E> = Result<Accepted, E>;

    fn encode(&self) -> Vec<Outgoing> {
        vec![self.0.clone()]
    }

    fn decode<E: From<DecodeError>>(
        &self,
        replies: &mut impl FnMut() -> Result<Vec<Frame<ReplyKind>>, E>,
    ) -> Result<Accepted, E> {
        Ok(Accepted::decode(&replies()?)?)
    }
}
