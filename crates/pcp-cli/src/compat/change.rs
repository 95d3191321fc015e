//! A change of a node that is read back: nothing is said to be done because the server took the request.

use std::time::Duration;

use pcp_client::{Goal, Options, Refusal, View, Want, observe, read_back};
use pcp_proto::message::PromoteMode;
use pcp_proto::{NodeId, Release};

use super::debug::Mark;
use super::end::End;
use super::request::Change;
use super::run::{Failed, Run};
use crate::exit::Exit;
use crate::output;

/// The first release that knows a switchover; older ones take it for a plain promotion.
const SWITCHOVER_SINCE: Release = Release::new(4, 3);

impl Run<'_> {
    /// Looks, sends the tool's one request on the same connection, and looks until the state is there.
    ///
    /// Nothing else is sent: no other node is attached, and nothing is tried a second time.
    pub(super) async fn change(&self, node: NodeId, change: Change, asked: &mut Mark) -> Result<(), Failed> {
        let mut client = self.connect().await?;
        let before = match observe(&mut client).await {
            Ok(view) => view,
            Err(error) => return Err(Failed::asking(error, &client)),
        };
        if let Some((reason, exit)) = objection(node, change, &before) {
            client.close().await;
            return Err(Failed::Said(format!("ERROR: {reason}"), End::after_login(exit)));
        }
        *asked = self.mark(before.server.age);
        match self.send(client).await {
            Ok(()) => self.verify(node, change, &before).await,
            // The server's words are printed as they are; that the node is down is read back.
            Err(error) if is_down_already(change, error.refusal()) => {
                match self.verify(node, change, &before).await {
                    Ok(()) => Err(Failed::Error(error, End::DONE)),
                    Err(_) => Err(Failed::sending(error)),
                }
            }
            Err(error) => Err(Failed::sending(error)),
        }
    }

    async fn verify(&self, node: NodeId, change: Change, before: &View) -> Result<(), Failed> {
        let target = &self.login.target;
        let settings = &self.login.settings;
        let is_met = |view: &View| is_met(node, change, view);
        let lasting = !matches!(change, Change::Detach(_)) && !is_met(before);
        let options =
            Options { deadline: settings.deadline, settle: if lasting { settings.settle } else { Duration::ZERO } };
        let awaited = awaited(node, change);
        let read = read_back(&target.connector, &target.credentials, before, &awaited, is_met, options).await;
        read.map(drop).map_err(|failure| {
            let text = format!("ERROR: Pgpool took the request, but it is {}", output::chain(&failure));
            Failed::Said(text, End::after_login(Exit::NotVerified))
        })
    }
}

/// Says what is wrong with a request that the server would take all the same.
fn objection(node: NodeId, change: Change, view: &View) -> Option<(String, Exit)> {
    let is_switchover = matches!(change, Change::Promote(_, PromoteMode::Switchover));
    if is_switchover && !view.server.age.is_at_least(SWITCHOVER_SINCE) {
        let age = view.server.age;
        let reason = format!("a switchover needs Pgpool-II {SWITCHOVER_SINCE} or later, and this one is {age}");
        return Some((reason, Exit::Refused));
    }
    // A promotion of a node that is not there is refused by the server itself.
    let is_unknown = view.node(node).is_none() && !matches!(change, Change::Promote(..));
    is_unknown.then(|| {
        let count = view.nodes.len();
        (format!("there is no node {node}: this Pgpool has {count}, counted from 0"), Exit::Node)
    })
}

/// Tells whether the wanted state is there: of this node only, whatever the others are.
fn is_met(node: NodeId, change: Change, view: &View) -> bool {
    match change {
        Change::Attach => view.node(node).is_some_and(pcp_client::Node::is_attached),
        Change::Detach(_) => Goal::new(node, Want::Detached).is_met(view),
        Change::Promote(..) => Goal::new(node, Want::Primary).is_met(view),
    }
}

fn awaited(node: NodeId, change: Change) -> String {
    match change {
        Change::Attach => format!("node {node} to be up"),
        Change::Detach(_) => format!("node {node} to be down"),
        Change::Promote(..) => format!("node {node} to be up and the primary"),
    }
}

fn is_down_already(change: Change, refusal: Option<Refusal>) -> bool {
    matches!(change, Change::Detach(_)) && refusal == Some(Refusal::NotValidForFailover)
}
