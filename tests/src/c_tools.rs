//! Pgpool's own `pcp_*` programs, run from the image that holds them.

use std::net::SocketAddr;

use anyhow::{Context, Result};

use crate::docker::Docker;
use crate::process::Output;
use crate::{PCP_PASSWORD, PCP_USER, Version, docker, image, owner};

/// A container with the programs of one version, in this machine's network: they reach what listens on 127.0.0.1.
///
/// Removed on drop.
#[derive(Debug)]
pub struct CTools {
    id: String,
}

impl CTools {
    /// Start one; the first call for a version on a machine builds the image.
    ///
    /// # Errors
    ///
    /// When Docker does not answer or the image cannot be built.
    pub fn start(version: Version) -> Result<Self> {
        docker::require()?;
        let image = image::ensure(version)?;
        let id = Docker::new(["run", "--detach", "--label", owner::label()?, "--network", "host", &image]).run()?;
        let tools = Self { id };
        let line = format!("*:*:{PCP_USER}:{PCP_PASSWORD}\n");
        let save = "umask 077 && cat >/root/.pcppass";
        Docker::new(["exec", "--interactive", &tools.id, "sh", "-c", save]).input(line.into_bytes()).run()?;
        Ok(tools)
    }

    /// Run `pcp_node_info` or another one on the Pgpool at `address`, as the user that `pcp.conf` knows.
    ///
    /// # Errors
    ///
    /// When it takes longer than a minute. A refusal is none: look at the output.
    pub fn run(&self, address: SocketAddr, tool: &str, args: &[&str]) -> Result<Output> {
        let (host, port) = (address.ip().to_string(), address.port().to_string());
        let command =
            ["exec", "--env", "HOME=/root", &self.id, tool, "-h", &host, "-p", &port, "-U", PCP_USER, "-w"];
        Docker::new(command.into_iter().chain(args.iter().copied()))
            .output()
            .with_context(|| format!("{tool} of {address}"))
    }
}

impl Drop for CTools {
    fn drop(&mut self) {
        // What cannot be removed now is removed by the reaper.
        Docker::new(["rm", "--force", "--volumes", &self.id]).output().ok();
    }
}
