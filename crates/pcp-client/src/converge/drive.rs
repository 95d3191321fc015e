//! Doing what the plan says.

use std::time::Duration;

use pcp_proto::{Credentials, RequestKind};
use tokio::time::{Instant, sleep};
use tracing::{Instrument, debug, info_span};

use super::goal::others_down;
use super::pauses::Pauses;
use super::restore::RESTORE_LIMIT;
use super::{Change, Failure, Goal, Memory, Order, Remark, Report, Step, Time, Want, plan};
use crate::fleet::{Seat, Table};
use crate::observe::{Node, View};
use crate::{Connect, Deadline, Error, ErrorKind, Evidence};

/// How long connections that fail are tried again before anything was changed: Pgpool's PCP port is closed while it
/// starts.
const UNREACHABLE_PATIENCE: Duration = Duration::from_secs(10);

/// Makes one Pgpool show the wanted state of a node, and returns when it was read back or cannot be.
///
/// Everything goes over short connections: settings, status and role of every node in two round trips behind the
/// login, then the change, if one is needed, on the same connection, which closes before Pgpool begins to work on
/// it. The state is read again in fresh connections at once and after 2, 5, 10 … 250 ms. No request makes Pgpool connect to
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
    let run = Run::new(connect, credentials, order, seat);
    run.drive().instrument(info_span!("pgpool", endpoint = connect.name())).await
}

/// One run on one Pgpool.
pub(super) struct Run<'a, C, E> {
    pub(super) connect: &'a C,
    pub(super) credentials: &'a Credentials,
    pub(super) order: &'a Order<'a, E>,
    pub(super) seat: Seat<'a>,
    started: Instant,
    pub(super) memory: Memory,
    /// What was last seen.
    pub(super) view: Option<View>,
    /// The order in the terms of what was seen.
    pub(super) goal: Option<Goal>,
    pub(super) before: Option<Node>,
    pub(super) remarks: Vec<Remark>,
    /// The changes of this run, those on another Pgpool behind the same address included.
    pub(super) changes: Vec<Change>,
    pub(super) asked: Vec<Vec<RequestKind>>,
    pub(super) awaited: String,
    /// How often the change that is due was refused.
    pub(super) refusals: u32,
    pub(super) last_error: Option<Error>,
    pub(super) failing_since: Option<Instant>,
    /// Since when nothing happened that a member could see.
    pub(super) quiet_since: Instant,
    /// When undoing ends, once it has begun.
    pub(super) undoing: Option<Deadline>,
}

/// What one connection led to.
pub(super) enum Look {
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
            undoing: None,
        }
    }

    /// Reaches the state, or is told to end; then undoes what is half done.
    async fn drive(mut self) -> Report {
        let order = self.order;
        let reached = tokio::select! {
            biased;
            result = self.reach() => Some(result),
            () = order.stop.requested() => None,
        };
        let result = reached.unwrap_or_else(|| Err(Failure::Stopped { awaited: self.awaited.clone() }));
        if result.is_err() {
            self.restore().await;
        }
        self.report(result)
    }

    /// Looks and acts until the state is there.
    async fn reach(&mut self) -> Result<(), Failure> {
        let mut pauses = Pauses::default();
        loop {
            match self.look().await? {
                Look::Met => return Ok(()),
                Look::Moved => pauses.restart(),
                Look::Waiting => {}
            }
            if !pauses.pause_within(self.deadline()).await {
                return Err(self.out_of_time());
            }
        }
    }

    /// Looks at Pgpool's state over one connection and takes the next step.
    async fn look(&mut self) -> Result<Look, Failure> {
        let (mut client, mut view) = match self.observe().await {
            Ok(observed) => observed,
            Err(error) => return self.judge(error).map(|()| Look::Waiting),
        };
        self.failing_since = None;
        let goal = match self.goal.clone() {
            Some(goal) => goal,
            None => match self.take_seat(&mut client, &view).await {
                Ok(goal) => goal,
                Err(failure) => {
                    client.close().await;
                    return Err(failure);
                }
            },
        };
        let step = loop {
            match self.take_in(&goal, &view) {
                Step::Ask(question) if self.is_for_pgpool(question, &view) => {
                    let Some(later) = self.ask_here(&mut client, question, &view).await else {
                        client.close().await;
                        return Ok(Look::Moved);
                    };
                    view = later;
                }
                step => break step,
            }
        };
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

    /// Takes note of what Pgpool shows, and plans the next step.
    fn take_in(&mut self, goal: &Goal, view: &View) -> Step {
        if self.view.as_ref().is_none_or(|before| before.nodes != view.nodes) {
            self.quiet_since = Instant::now();
        }
        self.seat.post_search(view.searching().is_some());
        self.memory.observe(goal, view, self.elapsed());
        let step = self.plan(goal, view);
        debug!(?step, node = view.node(goal.node).map(Node::state), "planned");
        self.view = Some(view.clone());
        step
    }

    /// Looks and finds out until the first step is known that is more than a question.
    pub(super) async fn foresee(&mut self) -> Result<(Goal, View, Step), Failure> {
        loop {
            let (mut client, view) = match self.observe().await {
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
            let goal = match self.goal.clone() {
                Some(goal) => Ok(goal),
                None => self.take_seat(&mut client, &view).await,
            };
            client.close().await;
            let goal = goal?;
            self.memory.observe(&goal, &view, self.elapsed());
            self.view = Some(view.clone());
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
                step => {
                    self.memory.note_asking(matches!(step, Step::Ask(_)), time.elapsed);
                    return step;
                }
            }
        }
    }

    /// Decides whether to go on after the state could not be read.
    fn judge(&mut self, error: Error) -> Result<(), Failure> {
        debug!(%error, kind = ?error.kind(), "cannot read the state");
        if self.goal.is_none() {
            self.seat.post_silence();
        }
        if self.view.is_some() && error.kind() == ErrorKind::Timeout && self.deadline().has_passed() {
            // A look that the deadline cuts off says nothing of what the one before it saw.
            return Ok(());
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
        let never_seen = self.view.is_none();
        let failing = self.failing_since.is_some();
        match self.last_error.clone().filter(|error| failing || error.kind() == ErrorKind::Refused) {
            Some(error) if never_seen && failing => Failure::Unreachable(error),
            source => Failure::NotVerified { awaited: self.awaited.clone(), source },
        }
    }

    /// Returns when the run ends; something that was set down keeps the time that undoing takes.
    pub(super) fn deadline(&self) -> Deadline {
        if let Some(undoing) = self.undoing {
            return undoing;
        }
        let deadline = self.order.options.deadline;
        if self.memory.may_be_half_done() { deadline.earlier(RESTORE_LIMIT) } else { deadline }
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.started.elapsed()
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
            held: Vec::new(),
            remarks: self.remarks,
            changes: self.changes,
            asked: self.asked,
            elapsed: self.started.elapsed(),
        };
        if let Some((goal, view)) = self.goal.zip(self.view) {
            report.after = view.node(goal.node).cloned();
            report.others_down = others_down(&view, goal.node).cloned().collect();
            report.held =
                others_down(&view, goal.node).filter(|node| goal.held.contains(&node.id)).cloned().collect();
            report.left_down = goal.left_down(&view).into_iter().cloned().collect();
            let tells_no_role = report.after.as_ref().is_some_and(|node| node.role.is_none());
            if tells_no_role && goal.want != Want::Detached {
                report.remarks.push(Remark::RolesUnknown);
            }
        }
        report
    }
}
