//! Bringing about what was not found, one node after the other.

use std::time::Duration;

use pcp_client::{Deadline, Evidence, Failure, FirstThatKnows, Node, NodeName, Options, Order, Want, converge_all};
use tracing::{Instrument, info_span};

use super::look::{Pgpool, Standing};
use super::{Run, Wanted};

/// What is kept of the time for the look that tells what came of it.
const LAST_LOOK: Duration = Duration::from_secs(1);

impl Run<'_> {
    /// Returns which of the wanted nodes are not as they should be on one of these Pgpools, in the order in which to
    /// bring them about.
    pub(super) fn unmet(&self, pgpools: &[usize]) -> Vec<usize> {
        let is_unmet = |wanted: &usize| {
            let standing = |&at: &usize| self.pgpools.get(at)?.standings.get(*wanted);
            pgpools.iter().filter_map(standing).any(|standing| matches!(standing, Standing::Unmet(_)))
        };
        (0..self.wanted.len()).filter(is_unmet).collect()
    }

    /// Tries each node that is not as it should be on one of these Pgpools, and tells whether anything was changed.
    pub(super) async fn act(&mut self, pgpools: &[usize]) -> bool {
        let efm = self.confirmed.as_ref().and_then(|confirmed| confirmed.evidence.clone());
        self.act_knowing(pgpools, &FirstThatKnows(self.settings.postgres.clone(), efm)).await
    }

    async fn act_knowing<E: Evidence>(&mut self, pgpools: &[usize], evidence: &E) -> bool {
        let unmet = self.unmet(pgpools);
        let mut chosen = pgpools.to_vec();
        let mut has_changed = false;
        for (turn, &wanted) in unmet.iter().enumerate() {
            let Some(goal) = self.wanted.get(wanted) else { continue };
            let held = self.not_to_be_attached(goal);
            let order = Order {
                held: &held,
                last_node: self.args.hook.last_node(),
                stop: self.stop.clone(),
                ..Order::new(&goal.name, goal.want, self.options(unmet.get(turn..).unwrap_or_default()))
            };
            let order = order.with_evidence(evidence);
            let has_it = |at: &usize| {
                let standing = self.pgpools.get(*at).and_then(|pgpool| pgpool.standings.get(wanted));
                matches!(standing, Some(Standing::Met(_) | Standing::Unmet(_)))
            };
            let at: Vec<_> = chosen.iter().copied().filter(has_it).collect();
            let asked = at.iter().filter_map(|&at| self.pgpools.get(at));
            let asked = asked.map(|pgpool| (&pgpool.connect, &pgpool.target.credentials));
            let span = info_span!("goal", node = %goal.shown, want = %goal.want);
            let reports = converge_all(asked, &order).instrument(span).await;
            for (at, report) in at.into_iter().zip(reports) {
                has_changed |= !report.changes.is_empty();
                if matches!(report.result, Err(Failure::Unreachable(_))) {
                    // What the other nodes need is not to wait for it again.
                    chosen.retain(|other| *other != at);
                }
                if let Some(history) = self.pgpools.get_mut(at).and_then(|pgpool| pgpool.histories.get_mut(wanted))
                {
                    history.add(report);
                }
            }
        }
        has_changed
    }

    /// Returns how long the first of these nodes may take, so that one that cannot be had leaves time for the others.
    fn options(&self, due: &[usize]) -> Options {
        let weight = |wanted: &usize| self.wanted.get(*wanted).map_or(0, |wanted| weight(wanted.want));
        let (first, all) = (due.first().map_or(1, weight), due.iter().map(weight).sum::<u32>().max(1));
        let share = self.settings.deadline.remaining().saturating_sub(LAST_LOOK) / all * first;
        Options { deadline: Deadline::after(share), settle: self.settings.settle }
    }

    /// Returns the nodes that nothing may attach on the way: those that are held, and those that are to be detached.
    pub(super) fn not_to_be_attached(&self, goal: &Wanted) -> Vec<NodeName> {
        let held = self.pgpools.iter().flat_map(|pgpool: &Pgpool<'_>| &pgpool.held).map(|(node, _)| address(node));
        let dead = self.wanted.iter().filter(|other| other.want == Want::Detached && other.name != goal.name);
        held.chain(dead.map(|other| other.name.clone())).collect()
    }
}

/// To make a primary known takes Pgpool several steps and a search, and no standby can be had without one.
fn weight(want: Want) -> u32 {
    if want == Want::Primary { 8 } else { 1 }
}

fn address(node: &Node) -> NodeName {
    NodeName::Address { host: node.host.to_string_lossy().into_owned(), port: Some(node.port) }
}
