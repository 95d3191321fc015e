//! Looking at Pgpool.

use pcp_proto::{NodeId, RequestKind, ServerAge};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout_at;
use tracing::{debug, info};

use super::drive::Run;
use super::{Failure, Goal, Memory, Remark};
use crate::fleet::Membership;
use crate::observe::{Node, View, observe, observe_again};
use crate::survey::read_watchdog;
use crate::{Client, Connect, Error, ErrorKind, Evidence, NodeName, resolve};

impl<C: Connect, E: Evidence> Run<'_, C, E> {
    /// Reads the state over a connection of its own, which a change may follow.
    pub(super) async fn observe(&mut self) -> Result<(Client<C::Stream>, View), Error> {
        let mut client = Client::connect(self.connect, self.credentials, self.deadline()).await?;
        let view = self.read(&mut client).await;
        self.asked.push(client.asked().to_vec());
        if view.as_ref().is_err_and(|error| error.kind() == ErrorKind::Timeout && !client.is_logged_in()) {
            self.remark_silence();
        }
        Ok((client, view?))
    }

    async fn read<S>(&mut self, client: &mut Client<S>) -> Result<View, Error>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let cut_off = |error: &Error| error.kind() == ErrorKind::Disconnected;
        if self.failing_since.is_some() && self.last_error.as_ref().is_some_and(cut_off) {
            // Requests behind a login that fails can cut off the answer that says why.
            client.login().await?;
        }
        if let Some(view) = &self.view {
            if let Some(view) = observe_again(client, view).await? {
                return Ok(view);
            }
            info!("these are other nodes than before: resolving the name again");
            self.goal = None;
            self.memory = Memory::default();
        }
        observe(client).await
    }

    /// Finds the nodes that the order names, and tells the other runs what was found.
    pub(super) async fn take_seat(&mut self, client: &mut Client<C::Stream>, view: &View) -> Result<Goal, Failure> {
        let goal = self.resolve(view).await.inspect_err(|_| self.seat.post_silence())?;
        if self.seat.is_shared() {
            let membership = membership(client, view).await;
            debug!(?membership, "found");
            self.seat.post_found(membership, view.node(goal.node).map(Node::address).unwrap_or_default());
        }
        Ok(goal)
    }

    /// Finds the nodes that the order names.
    async fn resolve(&mut self, view: &View) -> Result<Goal, Failure> {
        let deadline = self.order.options.deadline;
        let order = self.order;
        let Ok(found) = timeout_at(deadline.instant(), resolve(order.name, &view.nodes)).await else {
            return Err(Failure::NotVerified { awaited: format!("the address of {}", order.name), source: None });
        };
        let node = found?;
        info!(name = %order.name, %node, state = node.state(), server = %view.server.age, "resolved");
        self.before.get_or_insert_with(|| node.clone());
        let mut goal = Goal { last_node: order.last_node, ..Goal::new(node.id, order.want) };
        goal.failed = match order.failed {
            Some(failed) => self.resolve_other(failed, view).await,
            None => None,
        };
        for held in order.held {
            goal.held.extend(self.resolve_other(held, view).await);
        }
        self.goal = Some(goal.clone());
        Ok(goal)
    }

    /// Finds a node that need not be there.
    async fn resolve_other(&self, name: &NodeName, view: &View) -> Option<NodeId> {
        let found = timeout_at(self.order.options.deadline.instant(), resolve(name, &view.nodes)).await.ok()?;
        found.inspect_err(|error| debug!(%error, "no node of this Pgpool")).ok().map(|node| node.id)
    }

    /// Adds what was asked on a connection of its own.
    pub(super) fn note_connection(&mut self, asked: Vec<RequestKind>) {
        self.asked.push(asked);
    }

    /// Takes note of all that was asked on the last connection, for it was asked more.
    pub(super) fn note_last_connection(&mut self, asked: Vec<RequestKind>) {
        if let Some(last) = self.asked.last_mut() {
            *last = asked;
        }
    }

    /// Adds requests to those of the last connection.
    pub(super) fn note_asked(&mut self, requests: impl IntoIterator<Item = RequestKind>) {
        if let Some(asked) = self.asked.last_mut() {
            asked.extend(requests);
        }
    }

    fn remark_silence(&mut self) {
        let age = self.view.as_ref().map_or(ServerAge::UNKNOWN, |view| view.server.age);
        if age.may_freeze_on_open_connections() && !self.remarks.contains(&Remark::LooksFrozen) {
            self.remarks.push(Remark::LooksFrozen);
        }
    }
}

/// Asks which part the Pgpool has in its watchdog cluster; none where it does not tell in time.
async fn membership<S>(client: &mut Client<S>, view: &View) -> Membership
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    if !view.server.watchdog {
        return Membership::Alone;
    }
    match read_watchdog(client).await {
        Ok(cluster) => Membership::of(&cluster),
        Err(error) => {
            debug!(%error, "the watchdog tells nothing");
            Membership::Alone
        }
    }
}
