//! A private network per cluster, with addresses that stay.

use std::net::Ipv4Addr;
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, bail};

use crate::docker::Docker;
use crate::owner;

/// A Docker network, removed on drop.
#[derive(Debug)]
pub(crate) struct Network {
    pub(crate) name: String,
    start: u32,
}

impl Network {
    /// Create one in a subnet that is free.
    ///
    /// Docker keeps a container's address over a stop only in a subnet that was asked for. It also knows best which
    /// is free: so it may choose one first, and is then asked for that one.
    pub(crate) fn create() -> Result<Self> {
        static CREATING: Mutex<()> = Mutex::new(());
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let _alone = CREATING.lock().unwrap_or_else(PoisonError::into_inner);

        let name = format!("pcp-tests-{}-{}", process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let label = owner::label()?;
        let mut refusal = None;
        for _ in 0..20 {
            let found = Docker::new(["network", "create", "--label", label, &name]).run()?;
            let subnet =
                Docker::new(["network", "inspect", "--format", "{{(index .IPAM.Config 0).Subnet}}", &found])
                    .run()?;
            Docker::new(["network", "rm", &found]).run()?;
            match Docker::new(["network", "create", "--label", label, "--subnet", &subnet, &name]).run() {
                Ok(_id) => return Ok(Self { name, start: start_of(&subnet)? }),
                // Another process was quicker: the next choice avoids its subnet.
                Err(error) => refusal = Some(error),
            }
        }
        match refusal {
            Some(error) => Err(error).context("no subnet stayed free for long enough"),
            None => bail!("no network was tried"),
        }
    }

    /// Return the address that many places behind the subnet's start.
    pub(crate) fn address(&self, place: u32) -> Ipv4Addr {
        Ipv4Addr::from(self.start.wrapping_add(place))
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        // What cannot be removed now is removed by the reaper.
        Docker::new(["network", "rm", &self.name]).output().ok();
    }
}

fn start_of(subnet: &str) -> Result<u32> {
    let (start, _) = subnet.split_once('/').with_context(|| format!("not a subnet: {subnet:?}"))?;
    Ok(start.parse::<Ipv4Addr>().with_context(|| format!("not an IPv4 subnet: {subnet:?}"))?.into())
}
