//! Doing what the plan says.

use std::time::Duration;

use pcp_proto::message::{Accepted, AttachNode, DetachNode, PromoteMode, PromoteNode, ReadWatchdogInfo};
use pcp_proto::{Credentials, NodeId, RequestKind, ServerAge};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tracing::{debug, info, warn};

use super::goal::others_down;
use super::restore::RESTORE_LIMIT;
use super::{Change, Failure, Goal, Memory, Order, Reason, Remark, Report, Step, Time, Want, plan};
use crate::fleet::{Membership, Seat, Table};
use crate::observe::{Node, View, observe, observe_again};
use crate::{Client, Connect, Deadline, Error, ErrorKind, Evidence, NodeName, Refusal, ResolveError, resolve};

/// How long connections that fail are tried again before anything was changed: Pgpool's PCP port is closed while it
/// starts.
const UNREACHABLE_PATIENCE: Duration = Duration::from_secs(10);
/// How often Pgpool may refuse a change before the run gives up. Some refusals pass, and texts do not tell which.
const MAX_REFUSALS: u32 = 3;
/// How long a watchdog's answer is awaited. 3.5.0 never gives one.
const WATCHDOG_LIMIT: Duration = Duration::from_secs(2);
/// How long a member of a watchdog cluster leaves a change to the leader while nothing happens.
const LEADER_PATIENCE: Duration = Duration::from_secs(5);
/// The pauses between two looks, in milliseconds; the last one repeats.
const PAUSES: [u64; 7] = [2, 5, 10, 20, 50, 100, 250];

/// Makes one Pgpool show the wanted state of a node, and returns when it was read back or cannot be.
///
/// Everything goes over short connections: settings, status and role of every node in two round trips behind the
/// login, then the change, if one is needed, on the same connection, which closes before Pgpool begins to work on
/// it. The state is read again in fresh connections after 2, 5, 10, 20 … 250 ms. No request makes Pgpool connect to
/// a backend, unless the goal needs to know whether a node is in recovery, nobody else knows, and Pgpool can ask.
///
/// # Cancel safety
///
/// Dropping the future stops the run where it is; a change that was sent is carried out by Pgpool all the same. A
/// later run for the same goal finishes it. [`Stop`](super::Stop) ends it with nothing half done.
pub async fn converge<C: Connect, E: Evidence>(
    connect: &C,
    credentials: &Credentials,
    order: &Order<'_, E>,
) -> Report {
    converge_in_seat(connect, credentials, order, Table::new(1).seat(0)).await
}

/// The same among others.
pub(crate) async fn converge_in_seat<C: Connect, E: Evidence>(
    connect: &C,
    credentials: &Credentials,
    order: &Order<'_, E>,
    seat: Seat<'_>,
) -> Report {
    let mut run = Run::new(connect, credentials, order, seat);
    let reached = tokio::select! {
        biased;
        result = run.reach() => Some(result),
        () = order.stop.requested() => None,
    };
    let result = reached.unwrap_or_else(|| Err(Failure::Stopped { awaited: run.awaited.clone() }));
    if result.is_err() {
        run.restore().await;
    }
    run.report(result)
}

/// One run on one Pgpool.
pub(super) struct Run<'a, C, E> {
    pub(super) connect: &'a C,
    pub(super) credentials: &'a Credentials,
    pub(super) order: &'a Order<'a, E>,
    seat: Seat<'a>,
    started: Instant,
    pub(super) memory: Memory,
    /// What was last seen.
    pub(super) view: Option<View>,
    /// The order in the terms of what was seen.
    pub(super) goal: Option<Goal>,
    before: Option<Node>,
    pub(super) remarks: Vec<Remark>,
    /// The changes of this run, those on another Pgpool behind the same address included.
    pub(super) changes: Vec<Change>,
    asked: Vec<Vec<RequestKind>>,
    awaited: String,
    /// How often the change that is due was refused.
    refusals: u32,
    last_error: Option<Error>,
    failing_since: Option<Instant>,
    /// Since when nothing happened that a member could see.
    quiet_since: Instant,
}

/// What one connection led to.
enum Look {
    Met,
    Waiting,
    /// Something is new: look again soon.
    Moved,
}

impl<'a, C: Connect, E: Evidence> Run<'a, C, E> {
    pub(super) fn new(
        connect: &'a C,
        credentials: &'a Credentials,
        order: &'a Order<'a, E>,
        seat: Seat<'a>,
    ) -> Self {
        Self {
            connect,
            credentials,
            order,
            seat,
            started: Instant::now(),
            memory: Memory::default(),
            view: None,
            goal: None,
            before: None,
            remarks: Vec::new(),
            changes: Vec::new(),
            asked: Vec::new(),
            awaited: "an answer".to_owned(),
            refusals: 0,
            last_error: None,
            failing_since: None,
            quiet_since: Instant::now(),
        }
    }

    /// Looks and acts until the state is there.
    async fn reach(&mut self) -> Result<(), Failure> {
        let mut pauses = Pauses::default();
        loop {
            match self.look().await? {
                Look::Met => return Ok(()),
                Look::Moved => pauses = Pauses::default(),
                Look::Waiting => {}
            }
            let pause = pauses.next();
            if self.deadline().remaining() <= pause {
                return Err(self.out_of_time());
            }
            sleep(pause).await;
        }
    }

    /// Looks at Pgpool's state over one connection and takes the next step.
    async fn look(&mut self) -> Result<Look, Failure> {
        let (mut client, view) = match self.observe().await {
            Ok(observed) => observed,
            Err(error) => return self.judge(error).map(|()| Look::Waiting),
        };
        self.failing_since = None;
        let goal = match self.goal.clone() {
            Some(goal) => goal,
            None => match self.resolve(&view).await {
                Ok(goal) => {
                    if self.seat.is_shared() {
                        let membership = membership(&mut client, &view).await;
                        debug!(?membership, "found");
                        self.seat
                            .post_found(membership, view.node(goal.node).map(Node::address).unwrap_or_default());
                    }
                    goal
                }
                Err(failure) => {
                    self.seat.post_silence();
                    client.close().await;
                    return Err(failure);
                }
            },
        };
        if self.view.as_ref().is_none_or(|before| before.nodes != view.nodes) {
            self.quiet_since = Instant::now();
        }
        self.memory.observe(&goal, &view, self.elapsed());
        let step = self.plan(&goal, &view);
        debug!(?step, node = view.node(goal.node).map(Node::state), "planned");
        self.view = Some(view.clone());
        match step {
            Step::Act(change, reason) => match self.hold_back(&goal)? {
                Some(awaited) => self.awaited = awaited,
                None => return self.act(client, &view, change, reason).await,
            },
            Step::Done => {
                client.close().await;
                return Ok(Look::Met);
            }
            Step::Refuse { reason } => {
                client.close().await;
                return Err(Failure::Refused { reason, source: None });
            }
            Step::Wait { reason } => self.awaited = reason,
            Step::Ask(question) => {
                client.close().await;
                self.find_out(question, &view).await;
                return Ok(Look::Moved);
            }
        }
        client.close().await;
        Ok(Look::Waiting)
    }

    /// Looks and finds out until the first step is known that is more than a question.
    pub(super) async fn foresee(&mut self) -> Result<(Goal, View, Step), Failure> {
        loop {
            let (client, view) = match self.observe().await {
                Ok(observed) => observed,
                Err(error) => {
                    self.judge(error)?;
                    sleep(Duration::from_millis(250).min(self.deadline().remaining())).await;
                    if self.deadline().has_passed() {
                        return Err(self.out_of_time());
                    }
                    continue;
                }
            };
            client.close().await;
            let goal = self.resolve(&view).await?;
            self.memory.observe(&goal, &view, self.elapsed());
            match self.plan(&goal, &view) {
                Step::Ask(question) => self.find_out(question, &view).await,
                step => return Ok((goal, view, step)),
            }
        }
    }

    /// Plans the next step, with what can be known without asking anybody.
    pub(super) fn plan(&mut self, goal: &Goal, view: &View) -> Step {
        loop {
            let time = Time {
                elapsed: self.elapsed(),
                remaining: self.order.options.deadline.remaining(),
                settle: self.order.options.settle,
            };
            let step = plan(goal, &self.memory, view, time);
            match step {
                Step::Ask(question) if self.knows_at_once(question, view) => {}
                step => return step,
            }
        }
    }

    /// Returns what a change has to wait for although it is due: that other Pgpools are known, or act first.
    fn hold_back(&self, goal: &Goal) -> Result<Option<String>, Failure> {
        if matches!(self.order.name, NodeName::Id(_)) {
            if !self.seat.are_others_known() {
                return Ok(Some("the other Pgpools to say which backend the id means there".to_owned()));
            }
            if let Some(there) = self.seat.other_backend() {
                let here = self.view.as_ref().and_then(|view| view.node(goal.node)).map(Node::address);
                return Err(ResolveError::Differs { id: goal.node, here: here.unwrap_or_default(), there }.into());
            }
        }
        let leave = !self.seat.acts() && self.quiet_since.elapsed() < LEADER_PATIENCE;
        Ok(leave.then(|| "the watchdog's leader to act".to_owned()))
    }

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

    /// Finds the nodes that the order names.
    async fn resolve(&mut self, view: &View) -> Result<Goal, Failure> {
        let deadline = self.order.options.deadline;
        let order = self.order;
        let Ok(found) = timeout_at(deadline.instant(), resolve(order.name, &view.nodes)).await else {
            return Err(Failure::NotVerified { awaited: format!("the address of {}", order.name), source: None });
        };
        let node = found?;
        info!(name = %order.name, node = %node, state = node.state(), "resolved");
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

    async fn act(
        &mut self,
        client: Client<C::Stream>,
        view: &View,
        change: Change,
        reason: Reason,
    ) -> Result<Look, Failure> {
        self.note_asked([change.request_kind()]);
        self.awaited = format!("Pgpool to carry out: {change}");
        // Before it is sent: a run that is stopped while it waits for the reply has to know.
        self.memory.record(change, reason, view, self.elapsed());
        self.changes.push(change);
        let Err(error) = send(client, change).await else {
            info!(%change, ?reason, "accepted");
            self.refusals = 0;
            return Ok(Look::Moved);
        };
        warn!(%change, ?reason, %error, "no answer, or a refusal");
        self.last_error = Some(error.clone());
        if error.outcome_unknown() {
            return Ok(Look::Waiting);
        }
        self.memory.forget_last_change();
        self.changes.pop();
        if error.kind() == ErrorKind::Refused {
            self.refusals += 1;
            let passes = matches!(
                error.refusal(),
                Some(Refusal::OperationInProgress | Refusal::CanceledByWatchdog | Refusal::NotValidForFailover)
            );
            if self.refusals >= MAX_REFUSALS && !passes {
                return Err(Failure::Refused { reason: format!("Pgpool refused: {change}"), source: Some(error) });
            }
        }
        Ok(Look::Waiting)
    }

    /// Decides whether to go on after the state could not be read.
    fn judge(&mut self, error: Error) -> Result<(), Failure> {
        debug!(%error, kind = ?error.kind(), "cannot read the state");
        if self.goal.is_none() {
            self.seat.post_silence();
        }
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

    /// Returns when the run ends; something that was set down keeps the time that undoing takes.
    pub(super) fn deadline(&self) -> Deadline {
        let deadline = self.order.options.deadline;
        if self.memory.may_be_half_done() { deadline.earlier(RESTORE_LIMIT) } else { deadline }
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Adds what was asked on a connection of its own.
    pub(super) fn note_connection(&mut self, asked: Vec<RequestKind>) {
        self.asked.push(asked);
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

    fn report(mut self, result: Result<(), Failure>) -> Report {
        if result.is_ok() {
            self.remarks.retain(|remark| *remark != Remark::LooksFrozen);
        }
        let mut report = Report {
            result,
            before: self.before,
            after: None,
            others_down: Vec::new(),
            left_down: Vec::new(),
            remarks: self.remarks,
            changes: self.changes,
            asked: self.asked,
            elapsed: self.started.elapsed(),
        };
        if let Some((goal, view)) = self.goal.zip(self.view) {
            report.after = view.node(goal.node).cloned();
            report.others_down = others_down(&view, goal.node).cloned().collect();
            report.left_down = goal.left_down(&view).into_iter().cloned().collect();
            let tells_no_role = report.after.as_ref().is_some_and(|node| node.role.is_none());
            if tells_no_role && goal.want != Want::Detached {
                report.remarks.push(Remark::RolesUnknown);
            }
        }
        report
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
    match timeout(WATCHDOG_LIMIT, client.send(ReadWatchdogInfo::All)).await {
        Ok(Ok(info)) => info.cluster().as_ref().map_or(Membership::Alone, Membership::of),
        Ok(Err(error)) => {
            debug!(%error, "the watchdog tells nothing");
            Membership::Alone
        }
        Err(_) => Membership::Alone,
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
pub(super) struct Pauses(usize);

impl Pauses {
    pub(super) fn next(&mut self) -> Duration {
        let pause = PAUSES.get(self.0).or(PAUSES.last()).copied().unwrap_or_default();
        self.0 += 1;
        Duration::from_millis(pause)
    }
}
