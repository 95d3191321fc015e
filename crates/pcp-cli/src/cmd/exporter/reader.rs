//! Reading one Pgpool, once for all who ask at the same time.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pcp_client::{Connector, Deadline, Dial, Error, Survey, WithNotices, survey};
use pcp_proto::Credentials;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};
use tracing::{Instrument, error_span};

use super::tell;
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

/// What one reading found.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) result: Result<Survey, Error>,
    pub(super) duration: Duration,
}

/// What outlasts a reading.
#[derive(Clone, Debug, Default)]
pub(super) struct Totals {
    pub(super) readings: u64,
    pub(super) errors: BTreeMap<&'static str, u64>,
}

type Flight = watch::Receiver<Option<Arc<Reading>>>;

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

    /// Waits for the reading that is going on, or for a new one; `None` where it is not done by then.
    pub(super) async fn read(self: &Arc<Self>, until: Instant) -> Option<Arc<Reading>> {
        let mut flight = self.join();
        match timeout_at(until, flight.wait_for(Option::is_some)).await {
            Ok(Ok(reading)) => reading.clone(),
            Ok(Err(_)) | Err(_) => None,
        }
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
        let (landed, flight) = watch::channel(None);
        state.flight = Some(flight.clone());
        state.totals.readings += 1;
        let reader = Arc::clone(self);
        let span = error_span!("pgpool", endpoint = %self.endpoint);
        let reading = async move {
            let start = Instant::now();
            let deadline = Deadline::after(reader.limit);
            let result = survey(&reader.connect, &reader.credentials, reader.dial, deadline).await;
            let reading = Reading { result, duration: start.elapsed() };
            reader.note(&reading);
            // Nobody may be waiting any more.
            let _gone = landed.send(Some(Arc::new(reading)));
        };
        tokio::spawn(reading.instrument(span));
        flight
    }

    /// Takes note of a reading that has ended: the next one is another.
    fn note(&self, reading: &Reading) {
        let mut state = self.lock();
        state.flight = None;
        if let Err(error) = &reading.result {
            *state.totals.errors.entry(tell::reason(error)).or_default() += 1;
        }
        let complaint = complaint(reading);
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

/// Says what is wrong with a reading; `None` where nothing is.
fn complaint(reading: &Reading) -> Option<String> {
    match &reading.result {
        Err(error) => Some(output::chain(error)),
        Ok(survey) => {
            let infos = survey.nodes.iter().filter_map(|node| node.info.as_ref()?.as_ref().err());
            let watchdog = survey.watchdog.iter().filter_map(|watchdog| watchdog.as_ref().err());
            let mut errors = survey.pool.as_ref().err().into_iter().chain(watchdog).chain(infos);
            errors.next().map(|error| output::chain(error))
        }
    }
}
