//! Connections that take their time.

use std::time::Duration;

use pcp_client::{Connect, Deadline, Error};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, duplex, split};
use tokio::time::sleep;

/// Connects as another does, over a network with this round trip.
pub(crate) struct Slow<C> {
    pub(crate) connect: C,
    pub(crate) round_trip: Duration,
}

impl<C: Connect> Connect for Slow<C>
where
    C::Stream: Send + 'static,
{
    type Stream = DuplexStream;

    async fn connect(&self, deadline: Deadline) -> Result<DuplexStream, Error> {
        sleep(self.round_trip).await;
        let there = self.connect.connect(deadline).await?;
        let (ours, here) = duplex(4096);
        let ((from_here, to_here), (from_there, to_there)) = (split(here), split(there));
        tokio::spawn(carry(from_here, to_there, self.round_trip / 2));
        tokio::spawn(carry(from_there, to_here, self.round_trip / 2));
        Ok(ours)
    }
}

/// Carries what comes to the other side, which hears it so much later; what comes meanwhile arrives with it.
async fn carry(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, delay: Duration) {
    let mut chunk = vec![0; 1 << 16];
    while let Ok(count @ 1..) = from.read(&mut chunk).await {
        sleep(delay).await;
        if to.write_all(&chunk[..count]).await.is_err() {
            return;
        }
    }
    let _gone = to.shutdown().await;
}
