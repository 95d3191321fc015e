//! Whose turn it is to change something, among several Pgpools.

use std::time::Duration;

use super::drive::Run;
use super::{Failure, Goal};
use crate::observe::Node;
use crate::{Connect, Evidence, NodeName, ResolveError};

/// How long a member of a watchdog cluster leaves a change to the leader while nothing happens.
const LEADER_PATIENCE: Duration = Duration::from_secs(5);

impl<C: Connect, E: Evidence> Run<'_, C, E> {
    /// Returns what a change has to wait for although it is due: that other Pgpools are known, or act first.
    pub(super) fn hold_back(&self, goal: &Goal) -> Result<Option<String>, Failure> {
        if matches!(self.order.name, NodeName::Id(_)) {
            if !self.seat.are_others_known() {
                return Ok(Some("the other Pgpools to say which backend the id means there".to_owned()));
            }
            self.compare_backends(goal)?;
        }
        if self.seat.acts() {
            return Ok(None);
        }
        if let Some(search) = self.leader_search() {
            return Ok(Some(search));
        }
        let leave = self.quiet_since.elapsed() < LEADER_PATIENCE;
        Ok(leave.then(|| "the watchdog's leader to act".to_owned()))
    }

    /// Checks that the node is the same backend on the other Pgpools, as far as they have told.
    pub(super) fn compare_backends(&self, goal: &Goal) -> Result<(), Failure> {
        let Some(there) = self.seat.other_backend() else { return Ok(()) };
        let here = self.view.as_ref().and_then(|view| view.node(goal.node)).map(Node::address);
        Err(ResolveError::Differs { id: goal.node, here: here.unwrap_or_default(), there }.into())
    }

    /// Returns that the leader searches a primary, for as long as it may: the others learn what it has carried out only
    /// when that has ended.
    fn leader_search(&self) -> Option<String> {
        let (ago, server) = (self.seat.leader_searched()?, &self.view.as_ref()?.server);
        let may_run = server.search_limit().is_none_or(|limit| ago < limit + LEADER_PATIENCE);
        may_run.then(|| {
            format!(
                "the watchdog's leader to find a primary, for only then the others learn what it has done: it searches {}",
                server.search_words()
            )
        })
    }
}
