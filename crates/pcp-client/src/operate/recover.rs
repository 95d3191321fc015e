//! Online recovery: a node is rebuilt by Pgpool's own commands.

use std::time::Duration;

use pcp_proto::Credentials;
use pcp_proto::message::{PoolStatus, RecoverNode};
use tokio::time::Instant;

use super::site::{Decision, Progress, Sent, Site};
use super::{Caution, NodeOperation, Operated, changed_meanwhile, known, refuse};
use crate::observe::{Node, View};
use crate::{Connect, Evidence, Failure};

/// How long the attach is waited for that Pgpool had queued when it answered.
const ATTACH_PATIENCE: Duration = Duration::from_secs(30);
/// How long a node is waited for whose recovery has lost its connection to Pgpool.
const LOST_PATIENCE: Duration = Duration::from_secs(60);

/// What a recovery would do.
#[derive(Clone, Debug)]
pub struct RecoveryPlan {
    /// The node that is rebuilt.
    pub node: Node,
    /// Where it is rebuilt from: the primary. `None` where the server tells no roles.
    pub source: Option<Node>,
    /// `recovery_1st_stage_command`, which replaces the node's data. Where it is empty Pgpool copies nothing and only
    /// has the node started; `None` where the server does not tell.
    pub first_stage_command: Option<String>,
}

/// Looks whether a node can be recovered, and tells what that would do. Nothing is changed.
///
/// # Errors
///
/// As [`recover`] fails before it asks Pgpool for anything.
pub async fn foresee_recovery<C: Connect, E: Evidence>(
    connect: &C,
    credentials: &Credentials,
    order: &NodeOperation<'_, E>,
) -> Result<RecoveryPlan, Failure> {
    foresee(&Site::new(connect, credentials, order.options.deadline), order).await.map(|(plan, _)| plan)
}

/// Has Pgpool rebuild a node from the primary, start and attach it, and returns when the node was read back as up, or
/// cannot be.
///
/// Pgpool answers when recovery ended, which takes as long as a base backup does, and until then one connection stays
/// open: a Pgpool before 4.5 carries out no other change meanwhile. Refused are a node that is up, a cluster without
/// a primary, and a node whose PostgreSQL answers, unless caution is given up: recovery replaces its data. While a
/// failover or another change is in progress it is tried again until the deadline.
///
/// # Cancel safety
///
/// Dropping the future closes the connection. Pgpool goes on with a recovery that has begun.
pub async fn recover<C: Connect, E: Evidence>(
    connect: &C,
    credentials: &Credentials,
    order: &NodeOperation<'_, E>,
) -> Operated {
    let started = Instant::now();
    let site = Site::new(connect, credentials, order.options.deadline).patient();
    let operated = run(&site, order).await.unwrap_or_else(Operated::failed);
    Operated { elapsed: started.elapsed(), ..operated }
}

async fn foresee<C: Connect, E: Evidence>(
    site: &Site<'_, C>,
    order: &NodeOperation<'_, E>,
) -> Result<(RecoveryPlan, View), Failure> {
    let seen = site.look().await?;
    // PostgreSQL is asked without a connection to Pgpool.
    seen.client.close().await;
    let node = site.find(order.node, &seen.view).await?;
    let plan = check(&seen.view, &seen.status, &node)?;
    if order.caution == Caution::Kept && order.evidence.answers(&node).await {
        return Err(refuse(format!(
            "the PostgreSQL of node {node} answers, and recovery would replace its data while it runs: stop it first"
        )));
    }
    Ok((plan, seen.view))
}

async fn run<C: Connect, E: Evidence>(
    site: &Site<'_, C>,
    order: &NodeOperation<'_, E>,
) -> Result<Operated, Failure> {
    let (plan, before) = foresee(site, order).await?;
    let node = plan.node;
    let decide = |view: &View, status: &PoolStatus| {
        let node = known(view, &node).ok_or_else(changed_meanwhile)?;
        check(view, status, node)?;
        Ok(match view.searching() {
            Some(_) => Decision::Wait("Pgpool to find a primary, which the node is to be rebuilt from"),
            None => Decision::Send(RecoverNode { node: node.id }),
        })
    };
    let lost = match site.carry_out(decide).await? {
        (Sent::Unknown(error), ..) => Some(error),
        _ => None,
    };
    let (awaited, patience) = match &lost {
        // Without an answer nobody tells when a recovery ends in vain.
        Some(_) => ("to come up; Pgpool's answer was lost, and the recovery may still be going on", LOST_PATIENCE),
        None => ("to come up; Pgpool says that it is recovered", ATTACH_PATIENCE),
    };
    let judge = |view: &View| match known(view, &node) {
        Some(node) if node.is_attached() => Progress::Met,
        _ => Progress::Awaiting(format!("node {node} {awaited}")),
    };
    let settle = order.options.settle;
    let (view, result) = site.at_most(patience + settle).watch(&before, settle, lost, judge).await;
    Ok(Operated { before: before.nodes, after: view.nodes, asked: true, ..Operated::of(result) })
}

/// Refuses what Pgpool would refuse, and what it would do although it makes no sense.
fn check(view: &View, status: &PoolStatus, node: &Node) -> Result<RecoveryPlan, Failure> {
    if node.is_attached() {
        return Err(refuse(format!(
            "node {node} is {}: a node that is to be rebuilt has to be detached first",
            node.state()
        )));
    }
    if view.has_primary_role() && view.primary().is_none() && view.searching().is_none() {
        return Err(refuse("there is no primary to rebuild it from"));
    }
    let command = status.value("recovery_1st_stage_command");
    Ok(RecoveryPlan {
        node: node.clone(),
        source: view.primary().cloned(),
        first_stage_command: command.map(|command| command.to_string_lossy().into_owned()),
    })
}
