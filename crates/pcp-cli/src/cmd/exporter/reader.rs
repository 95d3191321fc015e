//! Reading one Pgpool, once for all who ask at the same time.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use pcp_client::{Connector, Deadline, Error, Survey, WithNotices, inspect_node, survey};
use pcp_proto::{Credentials, NodeId};
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};
use tracing::{Instrument, error_span};

use super::tell;
use crate::args::Dial;
use crate::output;

/// A Pgpool, and what is known of reading it.
#[derive(Debug)]
pub(super) struct Reader {
    pub(super) endpoint: String,
    pub(super) connect: WithNotices<Connector>,
    pub(super) credentials: Credentials,
    pub(super) dial: Dial,
    /// How long a reading may take.
    pub(super) limit: Duration,
    state: Mutex<State>,
}

/// What a reading has found so far.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) result: Result<Survey, Error>,
    pub(super) duration: Duration,
    /// Nodes whose PostgreSQL Pgpool is asking.
    pub(super) asking: usize,
}

/// What outlasts a reading.
#[derive(Clone, Debug, Default)]
pub(super) struct Totals {
    pub(super) readings: u64,
    pub(super) errors: BTreeMap<&'static str, u64>,
}

/// A reading that is going on, or is done. It holds nothing before Pgpool has answered.
pub(super) type Flight = watch::Receiver<Option<Reading>>;

#[derive(Debug, Default)]
struct State {
    /// The reading that is going on.
    flight: Option<Flight>,
    totals: Totals,
    /// What was wrong last, so that it is said once.
    complaint: Option<String>,
}

impl Reader {
    pub(super) fn new(
        connect: WithNotices<Connector>,
        credentials: Credentials,
        dial: Dial,
        limit: Duration,
    ) -> Arc<Self> {
        let endpoint = connect.connect.endpoint.to_string();
        Arc::new(Self { endpoint, connect, credentials, dial, limit, state: Mutex::default() })
    }

    /// Waits for the reading that is going on, or for a new one, and returns it as far as it has come by then.
    pub(super) async fn read(self: &Arc<Self>, until: Instant) -> Flight {
        let mut flight = self.join();
        let is_done = |reading: &Option<Reading>| reading.as_ref().is_some_and(|reading| reading.asking == 0);
        drop(timeout_at(until, flight.wait_for(is_done)).await);
        flight
    }

    pub(super) fn totals(&self) -> Totals {
        self.lock().totals.clone()
    }

    /// Returns the reading that is going on. One that begins has its own deadline: whoever waits for it has another.
    fn join(self: &Arc<Self>) -> Flight {
        let mut state = self.lock();
        if let Some(flight) = &state.flight {
            return flight.clone();
        }
        let (told, flight) = watch::channel(None);
        state.flight = Some(flight.clone());
        state.totals.readings += 1;
        let reader = Arc::clone(self);
        let span = error_span!("pgpool", endpoint = %self.endpoint);
        tokio::spawn(async move { reader.fly(&told).await }.instrument(span));
        flight
    }

    /// Reads everything, and tells each part as it comes.
    async fn fly(&self, told: &watch::Sender<Option<Reading>>) {
        let start = Instant::now();
        let deadline = Deadline::after(self.limit);
        let result = survey(&self.connect, &self.credentials, deadline).await;
        let silent: Vec<_> = match &result {
            Ok(survey) if self.dial == Dial::Allowed => silent_nodes(survey).collect(),
            _ => Vec::new(),
        };
        told.send_replace(Some(Reading { result, duration: start.elapsed(), asking: silent.len() }));
        let mut asked: FuturesUnordered<_> = silent
            .into_iter()
            .map(async |(at, id)| (at, inspect_node(&self.connect, &self.credentials, deadline, id).await))
            .collect();
        while let Some((at, info)) = asked.next().await {
            told.send_modify(|reading| {
                let Some(reading) = reading else { return };
                reading.asking = asked.len();
                reading.duration = start.elapsed();
                if let Ok(survey) = &mut reading.result
                    && let Some(node) = survey.nodes.get_mut(at)
                {
                    node.info = Some(info);
                }
            });
        }
        if let Some(reading) = told.borrow().as_ref() {
            self.note(&reading.result);
        }
    }

    /// Takes note of a reading that has ended: the next one is another.
    fn note(&self, result: &Result<Survey, Error>) {
        let mut state = self.lock();
        state.flight = None;
        if let Err(error) = result {
            *state.totals.errors.entry(tell::reason(error)).or_default() += 1;
        }
        let complaint = complaint(result);
        if complaint != state.complaint {
            match &complaint {
                Some(complaint) => output::err_line(format_args!("pcpctl: {}: {complaint}", self.endpoint)),
                None => output::err_line(format_args!("pcpctl: {}: all is read again", self.endpoint)),
            }
            state.complaint = complaint;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lists the nodes of which Pgpool tells only what it knows from memory: where each is in the survey, and its id.
fn silent_nodes(survey: &Survey) -> impl Iterator<Item = (usize, NodeId)> {
    let nodes = survey.view.nodes.iter().zip(&survey.nodes).enumerate();
    nodes.filter(|(_, (_, of_it))| of_it.info.is_none()).map(|(at, (node, _))| (at, node.id))
}

/// Says what is wrong with what was read; `None` where nothing is.
fn complaint(result: &Result<Survey, Error>) -> Option<String> {
    match result {
        Err(error) => Some(output::chain(error)),
        Ok(survey) => {
            let infos = survey.nodes.iter().filter_map(|node| node.info.as_ref()?.as_ref().err());
            let watchdog = survey.watchdog.iter().filter_map(|watchdog| watchdog.as_ref().err());
            let mut errors = survey.pool.as_ref().err().into_iter().chain(watchdog).chain(infos);
            errors.next().map(|error| output::chain(error))
        }
    }
}
