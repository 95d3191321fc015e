//! Asking a Pgpool without starting a program for it.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use pcp_client::{Client, Connector, Deadline, Endpoint};
use pcp_proto::Credentials;
use pcp_proto::message::ReadNodeInfo;
use tokio::runtime::{Builder, Runtime};

/// So many requests go out in one write.
const BATCH: usize = 250;

/// Prints the shortest time in which a connection is made: a round trip.
pub(crate) fn connect(address: &str, count: usize) -> Result<()> {
    print_shortest(count, || TcpStream::connect(address).map(drop).map_err(Into::into))
}

/// Prints the median time in which a node info is asked for, connection and login included: what a program can only add to.
pub(crate) fn exchange(address: &str, count: usize) -> Result<()> {
    let (runtime, connector, credentials) = at(address)?;
    let mut times = Vec::new();
    for _ in 0..count {
        let started = Instant::now();
        let infos = runtime.block_on(async {
            let client = Client::connect(&connector, &credentials, minute()).await?;
            client.finish(ReadNodeInfo::Node(1.try_into()?)).await.map_err(anyhow::Error::from)
        })?;
        times.push(started.elapsed());
        ensure!(infos.nodes.len() == 1);
    }
    times.sort();
    println!("{}", times.get(count / 2).context("no time")?.as_nanos());
    Ok(())
}

/// Prints the nanoseconds that so many node infos take on one connection.
pub(crate) fn pipeline(address: &str, count: usize) -> Result<()> {
    let (runtime, connector, credentials) = at(address)?;
    let elapsed = runtime.block_on(async {
        let mut client = Client::connect(&connector, &credentials, minute()).await?;
        client.login().await?;
        let started = Instant::now();
        for _ in 0..count / BATCH {
            let requests = vec![ReadNodeInfo::Node(1.try_into()?); BATCH];
            for reply in client.send(requests).await {
                ensure!(reply?.nodes.len() == 1);
            }
        }
        let elapsed = started.elapsed();
        client.close().await;
        anyhow::Ok(elapsed)
    })?;
    println!("{}", elapsed.as_nanos());
    Ok(())
}

fn at(address: &str) -> Result<(Runtime, Connector, Credentials)> {
    let endpoint = Endpoint::parse(address, 9898)?;
    let connector = Connector { endpoint, connect_timeout: Duration::from_secs(3) };
    Ok((Builder::new_current_thread().enable_all().build()?, connector, Credentials::new("pcpadmin", b"secret")?))
}

fn minute() -> Deadline {
    Deadline::after(Duration::from_secs(60))
}

fn print_shortest(count: usize, mut act: impl FnMut() -> Result<()>) -> Result<()> {
    let mut shortest = Duration::MAX;
    for _ in 0..count {
        let started = Instant::now();
        act()?;
        shortest = shortest.min(started.elapsed());
    }
    println!("{}", shortest.as_nanos());
    Ok(())
}
