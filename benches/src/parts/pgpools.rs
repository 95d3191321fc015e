//! Many Pgpools far away, at the same time.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use pcp_client::sandbox::{Age, Sandbox, World};
use pcp_client::{Connect, Deadline, Error, Options, Order, Want, converge_all};
use pcp_proto::Credentials;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, duplex, split};
use tokio::time::sleep;

use crate::row::Amount::Milliseconds;
use crate::row::{Row, Target};

const ROUND_TRIP: Duration = Duration::from_millis(100);

pub(crate) fn measure() -> Result<Vec<Row>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (all, slowest) = runtime.block_on(detach())?;
    Ok(vec![Row::new(
        "50 Pgpools at 100 ms (sandboxes), detach on all; the peer is the slowest of them",
        Milliseconds(all.as_secs_f64() * 1e3),
        Milliseconds(slowest.as_secs_f64() * 1e3),
        Target::AtMost(1.3),
    )])
}

/// Returns how long all took, and the slowest of them.
async fn detach() -> Result<(Duration, Duration)> {
    let pgpools: Vec<_> = (0..50).map(|_| Far(Sandbox::unbound(world()))).collect();
    let credentials = Credentials::new(World::USER, World::PASSWORD.as_bytes())?;
    let name = "10.0.0.3".parse()?;
    let deadline = Deadline::after(Duration::from_secs(60));
    let order = Order::new(&name, Want::Detached, Options { deadline, settle: Duration::ZERO });
    let started = Instant::now();
    let reports = converge_all(pgpools.iter().map(|pgpool| (pgpool, &credentials)), &order).await;
    let all = started.elapsed();
    let slowest = reports.iter().map(|report| report.elapsed).max().context("a report")?;
    reports.into_iter().try_for_each(|report| report.result)?;
    Ok((all, slowest))
}

fn world() -> World {
    World::new(Age::V4_7).node("10.0.0.1", 5432).node("10.0.0.2", 5432).node("10.0.0.3", 5432)
}

/// A Pgpool at the far end of a network.
struct Far(Sandbox);

impl Connect for Far {
    type Stream = DuplexStream;

    async fn connect(&self, _: Deadline) -> Result<DuplexStream, Error> {
        sleep(ROUND_TRIP).await;
        let ((ours, here), (there, theirs)) = (duplex(1 << 16), duplex(1 << 16));
        self.0.serve_stream(theirs);
        let ((from_here, to_here), (from_there, to_there)) = (split(here), split(there));
        tokio::spawn(carry(from_here, to_there));
        tokio::spawn(carry(from_there, to_here));
        Ok(ours)
    }
}

async fn carry(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) {
    let mut chunk = vec![0; 1 << 16];
    while let Ok(count @ 1..) = from.read(&mut chunk).await {
        sleep(ROUND_TRIP / 2).await;
        if to.write_all(chunk.get(..count).unwrap_or_default()).await.is_err() {
            return;
        }
    }
}
