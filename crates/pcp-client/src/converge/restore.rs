//! Undoing what is half done.

use std::time::Duration;

use pcp_proto::message::AttachNode;
use pcp_proto::{NodeId, RequestKind};
use tokio::time::{timeout, timeout_at};
use tracing::{debug, info, warn};

use super::drive::Run;
use super::pauses::Pauses;
use super::{Change, Goal, Question, Reason, Remark};
use crate::observe::View;
use crate::{Client, Connect, Deadline, Error, Evidence};

/// How long undoing may take; this much of the deadline is kept for it once something was set down.
pub(super) const RESTORE_LIMIT: Duration = Duration::from_secs(5);
/// How long those are asked that can tell which nodes may come back.
const PROOF_LIMIT: Duration = Duration::from_secs(2);

impl<C: Connect, E: Evidence> Run<'_, C, E> {
    /// Attaches again what the run set down and did not bring back, and reads it back.
    pub(super) async fn restore(&mut self) {
        let Some(goal) = self.goal.clone().filter(|_| self.memory.may_be_half_done()) else { return };
        warn!("ending with a step half done: attaching what was set down");
        let until = Deadline::after(RESTORE_LIMIT);
        self.undoing = Some(until);
        let set_down = self.prove_standbys(&goal).await;
        let mut asked: Vec<_> = self.memory.attaching(self.elapsed()).collect();
        let mut left = self.memory.to_restore(&goal);
        let not_proven: Vec<_> = set_down.into_iter().filter(|id| !left.contains(id)).collect();
        let in_time = timeout_at(until.instant(), self.attach_again(&goal, &mut asked, &mut left)).await.is_ok();
        debug!(in_time, "restored");
        let Some(view) = &self.view else { return };
        let back = asked.iter().filter(|id| !left.contains(id)).filter_map(|&id| view.node(id));
        let mut remarks: Vec<_> = back.cloned().map(Remark::Restored).collect();
        remarks.extend(left.iter().filter_map(|&id| view.node(id)).cloned().map(|node| {
            if asked.contains(&node.id) { Remark::AttachPending(node) } else { Remark::LeftDown(node) }
        }));
        let not_proven = not_proven.iter().filter_map(|&id| view.node(id)).filter(|node| node.is_down());
        remarks.extend(not_proven.cloned().map(Remark::NotProven));
        self.remarks.extend(remarks);
    }

    /// Finds out which of the nodes that a promotion set down are standbys, and returns them all.
    async fn prove_standbys(&mut self, goal: &Goal) -> Vec<NodeId> {
        let set_down = self.memory.doubt(goal);
        let Some(view) = self.view.clone() else { return set_down };
        let asking = async {
            for question in set_down.iter().copied().map(Question::Recovery) {
                if !self.knows_at_once(question, &view) {
                    self.find_out(question, &view).await;
                }
            }
        };
        let in_time = timeout(PROOF_LIMIT, asking).await.is_ok();
        debug!(?set_down, in_time, "asked what a promotion set down");
        set_down
    }

    /// Attaches what is half done until nothing is; `asked` are the nodes that Pgpool was asked to attach, and `left`
    /// those that may be down.
    async fn attach_again(&mut self, goal: &Goal, asked: &mut Vec<NodeId>, left: &mut Vec<NodeId>) {
        let mut pauses = Pauses::default();
        loop {
            match self.observe().await {
                Ok((client, view)) => {
                    *left = self.memory.half_done(goal, &view);
                    let due: Vec<_> = left.iter().copied().filter(|id| !asked.contains(id)).collect();
                    self.view = Some(view.clone());
                    if due.is_empty() {
                        client.close().await;
                        if left.is_empty() && !self.may_come_down(&view) {
                            return;
                        }
                    } else {
                        asked.extend(self.attach_at_once(client, &view, due).await);
                    }
                }
                Err(error) => debug!(%error, "cannot read the state"),
            }
            pauses.pause().await;
        }
    }

    /// Sends the attaches in one write, and returns those that Pgpool took or may have taken.
    async fn attach_at_once(&mut self, client: Client<C::Stream>, view: &View, due: Vec<NodeId>) -> Vec<NodeId> {
        info!(nodes = ?due, "attaching again");
        self.note_asked(due.iter().map(|_| RequestKind::ATTACH_NODE));
        for &node in &due {
            self.memory.record(Change::Attach(node), Reason::Restore, view, self.elapsed());
            self.changes.push(Change::Attach(node));
        }
        let answers = client.finish(due.iter().map(|&node| AttachNode { node }).collect::<Vec<_>>()).await;
        let taken = due.into_iter().zip(answers);
        let taken = taken.filter(|(_, answer)| answer.as_ref().map_or_else(Error::outcome_unknown, |_| true));
        taken.map(|(node, _)| node).collect()
    }

    /// Tells whether a change that was sent and does not show yet may still set something down.
    fn may_come_down(&self, view: &View) -> bool {
        const PATIENCE: Duration = Duration::from_secs(2);
        let last = self.memory.last_sent();
        last.is_some_and(|last| self.elapsed().saturating_sub(last.at) < PATIENCE && !last.change.is_visible(view))
    }
}
