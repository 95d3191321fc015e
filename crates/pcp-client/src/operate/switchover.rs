//! A switchover: Pgpool detaches its primary and has another node promoted.

use std::time::Duration;

use pcp_proto::message::{NodeInfo, PoolStatus, PromoteMode, PromoteNode, ReadNodeInfo, Request};
use pcp_proto::{Credentials, NodeId};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

use super::site::{Decision, Progress, Seen, Sent, Site};
use super::{Caution, NodeOperation, Operated, changed_meanwhile, known, refuse};
use crate::observe::{Node, View};
use crate::{Client, Connect, Error, Evidence, Failure, Recovery};

/// What a switchover would do.
#[derive(Clone, Debug)]
pub struct SwitchoverPlan {
    /// The node that is to be the primary.
    pub node: Node,
    /// The primary that Pgpool detaches. It is the node itself where nothing is to be done.
    pub old_primary: Node,
    /// The other nodes that are up.
    pub followers: Vec<Node>,
    /// What becomes of those.
    pub fate: Followers,
    /// Those of them whose replication Pgpool shows, so that it can be seen whether they follow the new primary. It shows
    /// none without `sr_check_period`, and of a node only with its `backend_application_name`.
    pub replication_shown: Vec<NodeId>,
    /// `failover_command`, which has to promote the node.
    pub failover_command: String,
}

impl SwitchoverPlan {
    /// Tells whether the node is the primary already.
    pub fn is_needless(&self) -> bool {
        self.node.id == self.old_primary.id
    }
}

/// What becomes of the nodes beside the old and the new primary.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Followers {
    /// Pgpool sets them down, and `follow_primary_command` has to make each follow the new primary and attach it.
    ByCommand,
    /// They stay up. Whoever promotes has to make them follow the new primary.
    StayUp,
}

/// Looks whether a switchover can be done, and tells what it would do. Nothing is changed.
///
/// # Errors
///
/// As [`switch_over`] fails before it asks Pgpool for anything.
pub async fn foresee_switchover<C: Connect, E: Evidence>(
    connect: &C,
    credentials: &Credentials,
    order: &NodeOperation<'_, E>,
) -> Result<SwitchoverPlan, Failure> {
    foresee(&Site::new(connect, credentials, order.options.deadline), order).await.map(|(plan, _)| plan)
}

/// Makes a standby the primary by way of Pgpool's `failover_command`, and returns when Pgpool shows it as the primary,
/// or cannot any more. Since 4.3.
///
/// Pgpool finds the new primary by asking PostgreSQL, so that a primary which is shown is one that takes writes. The
/// nodes that were up beside both have to be up again, and to replicate from the new primary where Pgpool shows that;
/// those that are not, or do not, by the deadline are named. Pgpool looks at replication every `sr_check_period`, and so
/// long the last look is waited for. The old primary is detached; nothing here stops or rebuilds it.
///
/// Refused are a server that is, or may be, older than 4.3, which takes a switchover for a plain promotion; an empty
/// `failover_command`, which would leave no primary; a node that is down, or that Pgpool may not detach; and, unless
/// caution is given up, one whose PostgreSQL gives no answer or is no standby. A node that is the primary already is
/// success.
///
/// # Cancel safety
///
/// Dropping the future stops watching. Pgpool carries out what it was asked for.
pub async fn switch_over<C: Connect, E: Evidence>(
    connect: &C,
    credentials: &Credentials,
    order: &NodeOperation<'_, E>,
) -> Operated {
    let started = Instant::now();
    let site = Site::new(connect, credentials, order.options.deadline);
    let operated = run(&site, order).await.unwrap_or_else(Operated::failed);
    Operated { elapsed: started.elapsed(), ..operated }
}

async fn foresee<C: Connect, E: Evidence>(
    site: &Site<'_, C>,
    order: &NodeOperation<'_, E>,
) -> Result<(SwitchoverPlan, View), Failure> {
    let Seen { mut client, view, status } = site.look().await?;
    let node = site.find(order.node, &view).await?;
    let mut plan = check(&view, &status, &node)?;
    let is_shown = sr_check_period(&status).is_some();
    let followers: Vec<_> = plan.followers.iter().map(|node| node.id).filter(|_| is_shown).collect();
    plan.replication_shown = streaming(&mut client, &followers).await;
    // PostgreSQL is asked without a connection to Pgpool.
    client.close().await;
    if order.caution == Caution::Kept && !plan.is_needless() {
        check_postgres(&node, order.evidence).await?;
    }
    Ok((plan, view))
}

async fn check_postgres<E: Evidence>(node: &Node, evidence: &E) -> Result<(), Failure> {
    if !evidence.answers(node).await {
        return Err(refuse(format!("the PostgreSQL of node {node} gives no answer, as far as this host can tell")));
    }
    match evidence.recovery(node).await {
        Recovery::NotInRecovery => Err(refuse(format!(
            "the PostgreSQL of node {node} is no standby: it takes writes already, and only Pgpool has to be told \
             (pcpctl promote)"
        ))),
        Recovery::InRecovery | Recovery::Unknown { .. } => Ok(()),
    }
}

async fn run<C: Connect, E: Evidence>(
    site: &Site<'_, C>,
    order: &NodeOperation<'_, E>,
) -> Result<Operated, Failure> {
    let (plan, before) = foresee(site, order).await?;
    let decide = |view: &View, status: &PoolStatus| {
        let node = known(view, &plan.node).ok_or_else(changed_meanwhile)?;
        let now = check(view, status, node)?;
        if now.is_needless() {
            return Ok(Decision::Nothing);
        }
        if now.old_primary.id != plan.old_primary.id {
            return Err(changed_meanwhile());
        }
        Ok(Decision::Send(PromoteNode { node: node.id, mode: PromoteMode::Switchover }))
    };
    let (sent, view, settings) = site.carry_out(decide).await?;
    let lost = match sent {
        Sent::Needless => return Ok(Operated { before: before.nodes, after: view.nodes, ..Operated::of(Ok(())) }),
        Sent::Unknown(error) => Some(error),
        Sent::Accepted => None,
    };
    let (view, result) = site.watch(&before, order.options.settle, lost, |view| plan.judge(view)).await;
    let left_down: Vec<_> = plan.left_down(&view).cloned().collect();
    let mut operated = Operated { asked: true, before: before.nodes, ..Operated::of(result) };
    if operated.result.is_ok() {
        let up: Vec<_> = plan.followers.iter().filter(|node| !left_down.contains(node)).collect();
        let (shown, unseen): (Vec<_>, Vec<_>) =
            up.into_iter().partition(|node| plan.replication_shown.contains(&node.id));
        let shown = shown.into_iter().map(|node| node.id).collect();
        let late = await_streaming(site, shown, sr_check_period(&settings).unwrap_or_default()).await;
        operated.not_following = late.into_iter().filter_map(|id| view.node(id)).cloned().collect();
        operated.replication_unseen = unseen.into_iter().cloned().collect();
    }
    Ok(Operated { after: view.nodes, left_down, ..operated })
}

/// Waits until the nodes replicate from whatever Pgpool takes for the primary; returns those that do not by the deadline.
async fn await_streaming<C: Connect>(site: &Site<'_, C>, nodes: Vec<NodeId>, period: Duration) -> Vec<NodeId> {
    const PAUSE: Duration = Duration::from_secs(1);
    // What is shown before may be what was seen of the old primary.
    let fresh = Instant::now() + period + PAUSE;
    let mut late = nodes.clone();
    while !nodes.is_empty() && site.sleep(PAUSE).await {
        let Ok(mut client) = site.client().await else { continue };
        let streaming = streaming(&mut client, &nodes).await;
        client.close().await;
        late = nodes.iter().copied().filter(|node| !streaming.contains(node)).collect();
        if late.is_empty() && Instant::now() >= fresh {
            break;
        }
        if Instant::now() < fresh {
            late.clone_from(&nodes);
        }
    }
    late
}

/// Returns the nodes that replicate, as Pgpool saw it at its last look.
async fn streaming<S>(client: &mut Client<S>, nodes: &[NodeId]) -> Vec<NodeId>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let infos = client.send(nodes.iter().map(|&node| ReadNodeInfo::Node(node)).collect::<Vec<_>>()).await;
    let streams = |info: &NodeInfo| info.repl_state.as_ref().is_some_and(|state| *state == "streaming");
    let told = nodes.iter().zip(infos);
    told.filter(|(_, infos)| infos.as_ref().is_ok_and(|infos| infos.nodes.iter().all(streams)))
        .map(|(&node, _)| node)
        .collect()
}

/// Returns how often Pgpool looks at replication, if it does.
fn sr_check_period(status: &PoolStatus) -> Option<Duration> {
    let seconds = status.number("sr_check_period").filter(|&seconds| seconds > 0)?;
    Some(Duration::from_secs(u64::try_from(seconds).ok()?))
}

/// Refuses what Pgpool would refuse, and what would leave it without a primary.
fn check(view: &View, status: &PoolStatus, node: &Node) -> Result<SwitchoverPlan, Failure> {
    let (id, mode) = (node.id, PromoteMode::Switchover);
    let requirement = PromoteNode { node: id, mode }.requirement();
    view.server.age.check(requirement).map_err(|too_old| Failure::Refused {
        reason: "nothing was asked for".to_owned(),
        source: Some(Error::unsupported(too_old)),
    })?;
    let Some(old_primary) = view.primary() else {
        return Err(refuse("Pgpool has no primary that is up: there is nothing to switch over from"));
    };
    let failover_command = status.value("failover_command").map(|command| command.to_string_lossy().into_owned());
    let plan = SwitchoverPlan {
        node: node.clone(),
        old_primary: old_primary.clone(),
        followers: view
            .nodes
            .iter()
            .filter(|other| other.is_attached() && other.id != id && other.id != old_primary.id)
            .cloned()
            .collect(),
        fate: if view.server.follow_primary_command { Followers::ByCommand } else { Followers::StayUp },
        replication_shown: Vec::new(),
        failover_command: failover_command.unwrap_or_default(),
    };
    if plan.is_needless() {
        return Ok(plan);
    }
    if !node.is_attached() {
        return Err(refuse(format!("node {node} is {}: attach it first", node.state())));
    }
    // Pgpool itself looks at the flag of the node that is to be promoted only.
    if let Some(fixed) = [node, old_primary].into_iter().find(|node| node.failover_disallowed) {
        return Err(refuse(format!("node {fixed} has DISALLOW_TO_FAILOVER")));
    }
    if plan.failover_command.trim().is_empty() {
        return Err(refuse(
            "failover_command is empty: Pgpool would detach the primary, promote nothing, and be left without one",
        ));
    }
    Ok(plan)
}

impl SwitchoverPlan {
    fn judge(&self, view: &View) -> Progress {
        let is_new = |primary: &Node| primary.id == self.node.id && primary.address() == self.node.address();
        match (view.primary(), view.searching()) {
            (Some(primary), _) if is_new(primary) => match self.left_down(view).next() {
                Some(down) if self.fate == Followers::ByCommand => {
                    Progress::MetInPart(format!("follow_primary_command to bring back node {down}"))
                }
                _ => Progress::Met,
            },
            (Some(primary), _) if primary.id == self.old_primary.id => {
                Progress::Awaiting(format!("Pgpool to detach node {primary}, which is the primary still"))
            }
            (Some(primary), _) => Progress::Lost(format!(
                "node {} to be the primary, but Pgpool found node {primary} to be it",
                self.node
            )),
            (None, Some(_)) => Progress::Awaiting(format!(
                "failover_command to promote node {}: Pgpool is searching for the primary",
                self.node
            )),
            (None, None) => Progress::Lost(format!(
                "node {} to be promoted by failover_command, but Pgpool has given up its search: THERE IS NO PRIMARY; \
                 node {}, the old one, is detached, and pcpctl attach {} p brings it back if nothing was promoted",
                self.node, self.old_primary, self.old_primary.id
            )),
        }
    }

    fn left_down<'a>(&'a self, view: &'a View) -> impl Iterator<Item = &'a Node> {
        let is_follower = |node: &Node| self.followers.iter().any(|follower| follower.id == node.id);
        view.nodes.iter().filter(move |node| is_follower(node) && !node.is_attached())
    }
}
