//! A client that writes through Pgpool all the time, to learn for how long it could not.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, anyhow, ensure};
use tokio::runtime::Builder;
use tokio::time::timeout;
use tokio_postgres::{Client, Config, NoTls};

use crate::wait_until;

/// What [`Writer`] needs to find on the primary.
pub(crate) const CREATE_TABLE: &str = "CREATE TABLE IF NOT EXISTS writes (id bigint PRIMARY KEY)";

// Between two writes, and after one that failed.
const PAUSE: Duration = Duration::from_millis(50);
// After this long without an answer a client tries anew, elsewhere if there is an elsewhere.
const PATIENCE: Duration = Duration::from_secs(5);
const RECOVERY_LIMIT: Duration = Duration::from_secs(60);

/// A client in the background: it inserts a row every 50 ms over one connection, and after a failure, or five seconds
/// without an answer, over a new one to the next Pgpool.
#[derive(Debug)]
pub struct Writer {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    written: Mutex<Vec<(Instant, i64)>>,
    failures: Mutex<Vec<(Instant, String)>>,
}

impl Shared {
    fn fail(&self, error: &anyhow::Error) {
        let reason = format!("{error:#}");
        // PostgreSQL's details come in lines of their own.
        let line = reason.lines().next().unwrap_or_default().replace("db error: ", "");
        lock(&self.failures).push((Instant::now(), line));
    }
}

/// What a [`Writer`] has written.
#[derive(Clone, Debug)]
pub struct Writes {
    /// The longest time between two writes that were acknowledged.
    pub longest_gap: Duration,
    /// What the client was told in that time, each but once.
    pub failures: Vec<String>,
    /// The rows that were acknowledged.
    pub ids: BTreeSet<i64>,
}

impl Writer {
    /// Start writing through these Pgpools, and return after the first row.
    ///
    /// # Errors
    ///
    /// When nothing can be written within a minute.
    pub fn start(pgpools: Vec<SocketAddr>) -> Result<Self> {
        let shared = Arc::new(Shared::default());
        let writing = Arc::clone(&shared);
        let runtime = Builder::new_current_thread().enable_all().build().context("no runtime for the writer")?;
        thread::spawn(move || {
            if let Err(error) = runtime.block_on(write(&pgpools, &writing)) {
                writing.fail(&error);
            }
        });
        let writer = Self { shared };
        writer.await_more_than(0)?;
        Ok(writer)
    }

    /// Stop after one more row, and return what was written.
    ///
    /// # Errors
    ///
    /// When clients cannot write, still after a minute.
    pub fn stop(self) -> Result<Writes> {
        let written = lock(&self.shared.written).len();
        // One more than one: the next may have been on its way already.
        self.await_more_than(written + 1)?;
        let written = lock(&self.shared.written);
        let times = written.iter().map(|(at, _)| *at);
        let gaps = times.clone().zip(times.skip(1));
        let (before, after) = gaps.max_by_key(|(before, after)| *after - *before).context("nothing was written")?;
        let mut failures = Vec::new();
        for (at, reason) in &*lock(&self.shared.failures) {
            if (before..after).contains(at) && !failures.contains(reason) {
                failures.push(reason.clone());
            }
        }
        Ok(Writes { longest_gap: after - before, failures, ids: written.iter().map(|(_, id)| *id).collect() })
    }

    fn await_more_than(&self, count: usize) -> Result<()> {
        wait_until("a client to write through Pgpool", RECOVERY_LIMIT, || {
            let failures = lock(&self.shared.failures);
            ensure!(lock(&self.shared.written).len() > count, "{:?}", failures.last());
            Ok(())
        })
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
    }
}

async fn write(pgpools: &[SocketAddr], shared: &Shared) -> Result<()> {
    // No two writers of one cluster begin in the same millisecond or write a row per millisecond.
    let start = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_millis();
    let ids = i64::try_from(start)?..;
    let mut pgpools = pgpools.iter().cycle();
    let mut connection = None;
    for id in ids {
        if shared.stop.load(Ordering::Relaxed) {
            break;
        }
        let attempt = async {
            let client = match connection.take() {
                Some(client) => client,
                None => connect(*pgpools.next().context("there is no Pgpool to write through")?).await?,
            };
            client.simple_query(&format!("INSERT INTO writes VALUES ({id})")).await?;
            Ok::<_, anyhow::Error>(client)
        };
        match timeout(PATIENCE, attempt).await {
            Ok(Ok(client)) => {
                connection = Some(client);
                lock(&shared.written).push((Instant::now(), id));
            }
            Ok(Err(error)) => shared.fail(&error),
            Err(_) => shared.fail(&anyhow!("no answer within {PATIENCE:?}")),
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

async fn connect(pgpool: SocketAddr) -> Result<Client> {
    let (client, connection) = Config::new()
        .host(pgpool.ip().to_string())
        .port(pgpool.port())
        .user("postgres")
        .dbname("postgres")
        .connect(NoTls)
        .await
        .with_context(|| format!("cannot connect to {pgpool}"))?;
    // It ends when the client is dropped or the connection breaks, of which the client then tells.
    tokio::spawn(connection);
    Ok(client)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
