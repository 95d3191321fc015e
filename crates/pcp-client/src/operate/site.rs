//! One Pgpool under an operation: looking, sending, and looking again.

use std::time::Duration;

use pcp_proto::Credentials;
use pcp_proto::message::{Accepted, PoolStatus, Request};
use tokio::time::{Instant, sleep, timeout_at};
use tracing::{debug, info, warn};

use super::refuse;
use crate::converge::Pauses;
use crate::observe::{Node, Observation, View, observe_again, observe_in_detail};
use crate::{Client, Connect, Deadline, Error, ErrorKind, Failure, Limits, NodeName, resolve};

/// How long connections that fail are tried again: Pgpool's PCP port is closed while it starts.
const UNREACHABLE_PATIENCE: Duration = Duration::from_secs(10);
/// How long a Pgpool is tried that accepts connections and says nothing, as one before 4.5 does while somebody else's
/// connection stays open after a change.
const SILENCE_PATIENCE: Duration = Duration::from_secs(30);
/// The reply to a change that takes no time of its own: a watchdog in transition holds it back for up to 20 s.
const CHANGE_LIMIT: Duration = Duration::from_secs(25);

/// One Pgpool, and when the operation on it ends.
#[derive(Debug)]
pub(super) struct Site<'a, C> {
    connect: &'a C,
    credentials: &'a Credentials,
    deadline: Deadline,
    change_limit: Duration,
}

/// What one connection showed, and the connection.
pub(super) struct Seen<S> {
    pub(super) client: Client<S>,
    pub(super) view: View,
    pub(super) status: PoolStatus,
}

/// What is to be done by what was seen.
pub(super) enum Decision<R> {
    Send(R),
    /// Everything is as it should be.
    Nothing,
    /// Look again: something has to come first.
    Wait(&'static str),
}

/// What became of a request.
#[derive(Debug)]
pub(super) enum Sent {
    /// Pgpool took it.
    Accepted,
    /// It may have taken it: the answer was lost.
    Unknown(Error),
    /// It was not sent.
    Needless,
}

/// How far an operation has come, by what was last seen.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Progress {
    Met,
    /// What matters most is there, something else may come by itself.
    MetInPart(String),
    /// Nothing will come of it any more.
    Lost(String),
    Awaiting(String),
}

impl<'a, C: Connect> Site<'a, C> {
    pub(super) fn new(connect: &'a C, credentials: &'a Credentials, deadline: Deadline) -> Self {
        Self { connect, credentials, deadline, change_limit: CHANGE_LIMIT }
    }

    /// Waits for the reply to a change until the deadline.
    pub(super) fn patient(self) -> Self {
        Self { change_limit: self.deadline.remaining(), ..self }
    }

    /// Ends at most so much later from now.
    pub(super) fn at_most(&self, limit: Duration) -> Self {
        Self { deadline: self.deadline.at_most(limit), ..*self }
    }

    /// Reads settings, status and role of every node. One that cannot be reached is tried for 10 s.
    pub(super) async fn look(&self) -> Result<Seen<C::Stream>, Failure> {
        let started = Instant::now();
        let mut pauses = Pauses::default();
        let mut was_cut_off = false;
        loop {
            let error = match self.look_once(was_cut_off).await {
                Ok(seen) => return Ok(seen),
                Err(error) => error,
            };
            debug!(%error, kind = ?error.kind(), "cannot read the state");
            was_cut_off = error.kind() == ErrorKind::Disconnected;
            let patience = match error.kind() {
                ErrorKind::Timeout => SILENCE_PATIENCE,
                ErrorKind::Unreachable | ErrorKind::Disconnected => UNREACHABLE_PATIENCE,
                _ => Duration::ZERO,
            };
            if started.elapsed() >= patience || !self.pause(&mut pauses).await {
                return Err(match error.kind() {
                    ErrorKind::Authentication => Failure::Authentication(error),
                    ErrorKind::Refused => {
                        let reason = "Pgpool does not tell its state".to_owned();
                        Failure::Refused { reason, source: Some(error) }
                    }
                    _ => Failure::Unreachable(error),
                });
            }
        }
    }

    async fn look_once(&self, was_cut_off: bool) -> Result<Seen<C::Stream>, Error> {
        let mut client = self.client().await?;
        if was_cut_off {
            // Requests behind a login that fails can cut off the answer that says why.
            client.login().await?;
        }
        let Observation { view, status, .. } = observe_in_detail(&mut client).await?;
        Ok(Seen { client, view, status })
    }

    /// Makes a connection of its own.
    pub(super) async fn client(&self) -> Result<Client<C::Stream>, Error> {
        let stream = self.connect.connect(self.deadline).await?;
        let limits = Limits { change: self.change_limit, ..Limits::new(self.deadline) };
        let mut client = Client::new(stream, self.credentials.clone(), limits);
        if let Some(level) = self.connect.notices() {
            client.ask_for_notices(level);
        }
        Ok(client)
    }

    /// Finds the node that a name means.
    pub(super) async fn find(&self, name: &NodeName, view: &View) -> Result<Node, Failure> {
        match timeout_at(self.deadline.instant(), resolve(name, &view.nodes)).await {
            Ok(found) => Ok(found?.clone()),
            Err(_) => Err(Failure::NotVerified { awaited: format!("the address of {name}"), source: None }),
        }
    }

    /// Looks, decides, and sends on the same connection what was decided, again while Pgpool is busy with another
    /// change.
    pub(super) async fn carry_out<R>(
        &self,
        decide: impl Fn(&View, &PoolStatus) -> Result<Decision<R>, Failure>,
    ) -> Result<(Sent, View, PoolStatus), Failure>
    where
        R: Request<Reply = Accepted>,
    {
        let mut pauses = Pauses::default();
        loop {
            let Seen { client, view, status } = self.look().await?;
            let request = match decide(&view, &status) {
                Ok(Decision::Send(request)) => request,
                Ok(Decision::Nothing) => {
                    client.close().await;
                    return Ok((Sent::Needless, view, status));
                }
                Ok(Decision::Wait(awaited)) => {
                    client.close().await;
                    if self.pause(&mut pauses).await {
                        continue;
                    }
                    return Err(Failure::NotVerified { awaited: awaited.to_owned(), source: None });
                }
                Err(failure) => {
                    client.close().await;
                    return Err(failure);
                }
            };
            let Err(error) = client.finish(request).await else {
                info!(request = R::NAME, "accepted");
                return Ok((Sent::Accepted, view, status));
            };
            warn!(request = R::NAME, %error, "no answer, or a refusal");
            // A known refusal that also ends the connection is a refusal all the same.
            let refused = matches!(error.kind(), ErrorKind::Refused | ErrorKind::Unsupported)
                && (error.refusal().is_some() || !error.outcome_unknown());
            if error.outcome_unknown() && !refused {
                return Ok((Sent::Unknown(error), view, status));
            }
            if !error.is_retryable() || !self.pause(&mut pauses).await {
                let reason = match error.kind() {
                    ErrorKind::Unsupported => "nothing was asked for",
                    _ => R::NAME,
                };
                return Err(Failure::Refused { reason: reason.to_owned(), source: Some(error) });
            }
        }
    }

    /// Looks again and again until `judge` is content and stays so for `settle`, or has no hope for as long.
    ///
    /// Returns what was last seen. What was only met in part by the deadline counts as met.
    pub(super) async fn watch(
        &self,
        before: &View,
        settle: Duration,
        mut source: Option<Error>,
        judge: impl Fn(&View) -> Progress,
    ) -> (View, Result<(), Failure>) {
        let mut pauses = Pauses::default();
        let mut view = before.clone();
        let mut progress = Progress::Awaiting("an answer".to_owned());
        let mut since = Instant::now();
        loop {
            let seen = self.look_again(before).await;
            match seen.inspect_err(|error| debug!(%error, "cannot read the state")) {
                // What was seen before is awaited still.
                Err(error) => source = Some(error),
                Ok(seen) => {
                    let now = seen.as_ref().map_or_else(other_nodes, &judge);
                    view = seen.unwrap_or(view);
                    if now != progress {
                        (progress, since) = (now, Instant::now());
                    }
                    let lasts = since.elapsed() >= settle;
                    match &progress {
                        Progress::Met if lasts => return (view, Ok(())),
                        Progress::Lost(reason) if lasts => {
                            return (view, Err(Failure::NotVerified { awaited: reason.clone(), source }));
                        }
                        _ => {}
                    }
                }
            }
            if !self.pause(&mut pauses).await {
                return (view, end(progress, source));
            }
        }
    }

    async fn look_again(&self, before: &View) -> Result<Option<View>, Error> {
        let mut client = self.client().await?;
        let view = observe_again(&mut client, before).await?;
        client.close().await;
        Ok(view)
    }

    /// Sleeps, unless that would outlast the deadline.
    pub(super) async fn sleep(&self, time: Duration) -> bool {
        let in_time = time < self.deadline.remaining();
        if in_time {
            sleep(time).await;
        }
        in_time
    }

    /// Pauses, unless that would outlast the deadline.
    pub(super) async fn pause(&self, pauses: &mut Pauses) -> bool {
        pauses.pause_within(self.deadline).await
    }
}

fn other_nodes() -> Progress {
    Progress::Awaiting("the same nodes as before".to_owned())
}

fn end(progress: Progress, source: Option<Error>) -> Result<(), Failure> {
    match progress {
        Progress::MetInPart(_) => Ok(()),
        Progress::Met => Err(Failure::NotVerified { awaited: "the state to last".to_owned(), source }),
        Progress::Lost(awaited) | Progress::Awaiting(awaited) => Err(Failure::NotVerified { awaited, source }),
    }
}

/// Refuses what is meant for a watchdog's cluster where there is none.
pub(super) fn check_watchdog(view: &View) -> Result<(), Failure> {
    match view.server.watchdog {
        true => Ok(()),
        false => Err(refuse("this Pgpool has no watchdog (use_watchdog is off), so it is in no cluster")),
    }
}
