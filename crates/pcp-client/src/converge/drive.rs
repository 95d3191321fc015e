//! Doing what the plan says.

use std::time::Duration;

use pcp_proto::message::{Accepted, AttachNode, DetachNode, PromoteMode, PromoteNode};
use pcp_proto::{Credentials, RequestKind};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, sleep, timeout_at};
use tracing::{debug, info, warn};

use super::plan::others_down;
use super::{Change, Goal, Memory, Step, Time, Want, plan};
use crate::observe::{Node, View, observe, observe_again};
use crate::{Client, Connect, Deadline, Error, ErrorKind, NodeName, ResolveError, resolve};

/// How long connections that fail are tried again before anything was changed: Pgpool's PCP port is closed while it
/// starts.
const UNREACHABLE_PATIENCE: Duration = Duration::from_secs(10);
/// How often Pgpool may refuse a change before the run gives up. Some refusals pass, and texts do not tell which.
const MAX_REFUSALS: u32 = 3;
/// The pauses between two looks, in milliseconds; the last one repeats.
const PAUSES: [u64; 7] = [2, 5, 10, 20, 50, 100, 250];

/// How a run is bounded.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// When it ends, whatever happens.
    pub deadline: Deadline,
    /// How long a state has to last before it counts, after an attach or a change of primary.
    pub settle: Duration,
}

/// What a run did and saw on one Pgpool.
#[derive(Clone, Debug)]
pub struct Report {
    /// Whether the wanted state was read back; if not, why.
    pub result: Result<(), Failure>,
    /// The node as it was first seen.
    pub before: Option<Node>,
    /// The node as it was last seen.
    pub after: Option<Node>,
    /// Other nodes that are down at the end.
    pub others_down: Vec<Node>,
    /// The changes sent, in order.
    pub changes: Vec<Change>,
    /// What was asked, connection by connection, logins not counted.
    pub asked: Vec<Vec<RequestKind>>,
    /// How long it took.
    pub elapsed: Duration,
}

/// Why the wanted state was not read back.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// Pgpool could not be asked; nothing was changed.
    #[error("nothing was changed")]
    Unreachable(#[source] Error),
    /// The login was refused; nothing was changed.
    #[error("nothing was changed")]
    Authentication(#[source] Error),
    /// The name means no node, or several; nothing was changed.
    #[error(transparent)]
    Node(#[from] ResolveError),
    /// Pgpool refused, or the planner did.
    #[error("{reason}")]
    Refused {
        /// Why.
        reason: String,
        /// What Pgpool said.
        source: Option<Error>,
    },
    /// The deadline passed before the state was read back.
    #[error("not verified in time: waited for {awaited}")]
    NotVerified {
        /// What was awaited.
        awaited: String,
        /// The last error on the way.
        source: Option<Error>,
    },
}

/// Makes one Pgpool show the wanted state of a node, and returns when it was read back or cannot be.
///
/// Everything goes over short connections: settings, status and role of every node in two round trips behind the
/// login, then the change, if one is needed, on the same connection, which closes before Pgpool begins to work on
/// it. The state is read again in fresh connections after 2, 5, 10, 20 … 250 ms. No request makes Pgpool connect to
/// a backend.
///
/// # Cancel safety
///
/// Dropping the future stops the run where it is; a change that was sent is carried out by Pgpool all the same. A
/// later run for the same goal finishes it.
pub async fn converge<C: Connect>(
    connect: &C,
    credentials: &Credentials,
    name: &NodeName,
    want: Want,
    options: Options,
) -> Report {
    let mut run = Run {
        connect,
        credentials,
        name,
        want,
        options,
        started: Instant::now(),
        memory: Memory::default(),
        changes: Vec::new(),
        view: None,
        goal: None,
        before: None,
        refusals: 0,
        last_error: None,
        failing_since: None,
        asked: Vec::new(),
        awaited: "an answer".to_owned(),
    };
    let result = run.drive().await;
    run.report(result)
}

struct Run<'a, C> {
    connect: &'a C,
    credentials: &'a Credentials,
    name: &'a NodeName,
    want: Want,
    options: Options,
    started: Instant,
    memory: Memory,
    changes: Vec<Change>,
    view: Option<View>,
    goal: Option<Goal>,
    before: Option<Node>,
    refusals: u32,
    last_error: Option<Error>,
    failing_since: Option<Instant>,
    asked: Vec<Vec<RequestKind>>,
    awaited: String,
}

/// What one connection led to.
enum Look {
    Met,
    Waiting,
    Changed,
}

impl<C: Connect> Run<'_, C> {
    async fn drive(&mut self) -> Result<(), Failure> {
        let mut pauses = Pauses::default();
        loop {
            match self.look().await {
                Ok(Look::Met) => return Ok(()),
                Ok(Look::Changed) => pauses = Pauses::default(),
                Ok(Look::Waiting) => {}
                Err(failure) => return Err(failure),
            }
            let pause = pauses.next();
            if self.options.deadline.remaining() <= pause {
                return Err(self.out_of_time());
            }
            sleep(pause).await;
        }
    }

    /// Looks at Pgpool's state over one connection and takes the next step.
    async fn look(&mut self) -> Result<Look, Failure> {
        let (client, view) = match self.observe().await {
            Ok(observed) => observed,
            Err(error) => return self.judge(error).map(|()| Look::Waiting),
        };
        self.failing_since = None;
        let goal = match self.goal {
            Some(goal) => goal,
            None => match self.resolve(&view).await {
                Ok(goal) => goal,
                Err(failure) => {
                    client.close().await;
                    return Err(failure);
                }
            },
        };
        let elapsed = self.started.elapsed();
        self.memory.observe(&goal, &view, elapsed);
        let time = Time { elapsed, remaining: self.options.deadline.remaining(), settle: self.options.settle };
        let step = plan(&goal, &self.memory, &view, time);
        debug!(?step, node = view.node(goal.node).map(Node::state), "planned");
        self.view = Some(view);
        match step {
            Step::Done => {
                client.close().await;
                Ok(Look::Met)
            }
            Step::Wait { reason } => {
                client.close().await;
                self.awaited = reason;
                Ok(Look::Waiting)
            }
            Step::Refuse { reason } => {
                client.close().await;
                Err(Failure::Refused { reason, source: None })
            }
            Step::Act(change) => self.act(client, change, Memory::record).await,
            Step::TakeBack => {
                let record =
                    |memory: &mut Memory, change: Change, sent| memory.record_taken_back(change.node(), sent);
                self.act(client, Change::Detach(goal.node), record).await
            }
        }
    }

    async fn observe(&mut self) -> Result<(Client<C::Stream>, View), Error> {
        let mut client = Client::connect(self.connect, self.credentials, self.options.deadline).await?;
        let view = self.read(&mut client).await;
        self.asked.push(client.asked().to_vec());
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

    async fn resolve(&mut self, view: &View) -> Result<Goal, Failure> {
        let deadline = self.options.deadline;
        let Ok(found) = timeout_at(deadline.instant(), resolve(self.name, &view.nodes)).await else {
            return Err(Failure::NotVerified { awaited: format!("the address of {}", self.name), source: None });
        };
        let node = found?;
        let goal = Goal { node: node.id, want: self.want };
        info!(name = %self.name, node = %node, state = node.state(), "resolved");
        self.before.get_or_insert_with(|| node.clone());
        self.goal = Some(goal);
        Ok(goal)
    }

    async fn act(
        &mut self,
        client: Client<C::Stream>,
        change: Change,
        record: impl FnOnce(&mut Memory, Change, Duration),
    ) -> Result<Look, Failure> {
        if self.refusals == MAX_REFUSALS {
            client.close().await;
            let reason = format!("Pgpool refused: {change}");
            return Err(Failure::Refused { reason, source: self.last_error.clone() });
        }
        if let Some(asked) = self.asked.last_mut() {
            asked.push(change.request_kind());
        }
        self.awaited = format!("Pgpool to carry out: {change}");
        let sent = self.started.elapsed();
        match send(client, change).await {
            Ok(Accepted) => {
                info!(%change, "accepted");
                record(&mut self.memory, change, sent);
                self.changes.push(change);
                Ok(Look::Changed)
            }
            Err(error) => {
                warn!(%change, %error, "no answer, or a refusal");
                if error.outcome_unknown() {
                    record(&mut self.memory, change, sent);
                    self.changes.push(change);
                }
                if error.kind() == ErrorKind::Refused {
                    self.refusals += 1;
                }
                self.last_error = Some(error);
                Ok(Look::Waiting)
            }
        }
    }

    /// Decides whether to go on after the state could not be read.
    fn judge(&mut self, error: Error) -> Result<(), Failure> {
        debug!(%error, kind = ?error.kind(), "cannot read the state");
        let nothing_changed = self.changes.is_empty();
        let failing_since = *self.failing_since.get_or_insert_with(Instant::now);
        let patient = match error.kind() {
            ErrorKind::Timeout => true,
            _ if !nothing_changed => true,
            ErrorKind::Unreachable | ErrorKind::Disconnected => failing_since.elapsed() < UNREACHABLE_PATIENCE,
            _ => false,
        };
        self.last_error = Some(error.clone());
        if patient {
            return Ok(());
        }
        Err(match error.kind() {
            ErrorKind::Authentication => Failure::Authentication(error),
            ErrorKind::Refused => {
                Failure::Refused { reason: "Pgpool does not tell its state".to_owned(), source: Some(error) }
            }
            _ => Failure::Unreachable(error),
        })
    }

    fn out_of_time(&self) -> Failure {
        let nothing_changed = self.changes.is_empty();
        let failing = self.failing_since.is_some();
        match self.last_error.clone().filter(|error| failing || error.kind() == ErrorKind::Refused) {
            Some(error) if nothing_changed && failing => Failure::Unreachable(error),
            source => Failure::NotVerified { awaited: self.awaited.clone(), source },
        }
    }

    fn report(self, result: Result<(), Failure>) -> Report {
        let goal_and_view = self.goal.zip(self.view.as_ref());
        let others_down = goal_and_view.map(|(goal, view)| others_down(view, goal.node)).unwrap_or_default();
        Report {
            result,
            before: self.before,
            after: goal_and_view.and_then(|(goal, view)| view.node(goal.node).cloned()),
            others_down: others_down.into_iter().cloned().collect(),
            changes: self.changes,
            asked: self.asked,
            elapsed: self.started.elapsed(),
        }
    }
}

async fn send<S>(client: Client<S>, change: Change) -> Result<Accepted, Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    match change {
        Change::Attach(node) => client.finish(AttachNode { node }).await,
        Change::Detach(node) => client.finish(DetachNode { node }).await,
        Change::Promote(node) => client.finish(PromoteNode { node, mode: PromoteMode::ViewOnly }).await,
    }
}

/// The pauses between two looks.
#[derive(Default)]
struct Pauses(usize);

impl Pauses {
    fn next(&mut self) -> Duration {
        let pause = PAUSES.get(self.0).or(PAUSES.last()).copied().unwrap_or_default();
        self.0 += 1;
        Duration::from_millis(pause)
    }
}
