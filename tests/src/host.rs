//! One host of a cluster: a container that stays up while its services come and go.

use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::docker::{Docker, tail};
use crate::network::Network;
use crate::owner;
use crate::process::Output;
use crate::shell::Shells;

/// A host with an address of its own, reachable from this machine; removed on drop.
#[derive(Debug)]
pub struct Host {
    id: String,
    name: String,
    address: Ipv4Addr,
    shells: Shells,
}

impl Host {
    /// Start a container with no service in it; `ports` are published on random ports of 127.0.0.1.
    pub(crate) fn start(
        name: &str,
        image: &str,
        network: &Network,
        address: Ipv4Addr,
        ports: &[u16],
    ) -> Result<Self> {
        let label = owner::label()?;
        let full_name = format!("{}-{name}", network.name);
        let address_text = address.to_string();
        let published: Vec<String> = ports.iter().map(|port| format!("--publish=127.0.0.1::{port}")).collect();
        let mut args = vec!["run", "--detach", "--label", label, "--name", &full_name, "--hostname", name];
        args.extend(["--network", &network.name, "--ip", &address_text]);
        // NET_ADMIN: packet filters of its own. Pgpool's files are in the volume, off the image's slow file system;
        // PostgreSQL's in memory, for unpacking a thousand of them on a disk is most of what a cluster costs.
        args.extend(["--cap-add", "NET_ADMIN", "--volume", "/var/lib/pcp-tests", "--tmpfs", "/run/pcp-tests:exec"]);
        // Pgpool's watchdog may be in localtime() when it is told to end, calls that again, and waits for itself for ever. With
        // TZ set it is in there for a much shorter time.
        args.extend(["--env", "TZ=UTC"]);
        args.extend(published.iter().map(String::as_str));
        args.push(image);
        let id = Docker::new(args).run()?;
        Ok(Self { shells: Shells::of(&id), id, name: name.to_owned(), address })
    }

    /// Return its name inside the cluster: `node0`, `pgpool0`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Return its address in the cluster's network; it stays the same over [`power_off`](Self::power_off).
    #[must_use]
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// Run a command on it as root, whatever exit code comes out.
    ///
    /// What it leaves in the background is not waited for, and must not hold its streams.
    ///
    /// # Errors
    ///
    /// When it takes longer than a minute, in which case it may run on in the host; and when the host is paused, off, or
    /// switched off meanwhile.
    pub fn exec<'a>(&'a self, argv: impl IntoIterator<Item = &'a str>) -> Result<Output> {
        let argv: Vec<_> = argv.into_iter().collect();
        self.shells.run(&argv, "", Duration::from_secs(60)).with_context(|| format!("on {}", self.name))
    }

    /// Copy a file of this machine onto it.
    ///
    /// # Errors
    ///
    /// When Docker refuses, as for a file that is not there.
    pub fn copy(&self, from: &Path, to: &str) -> Result<()> {
        let from = from.to_str().context("a path that is not UTF-8")?;
        Docker::new(["cp", "--quiet", from, &format!("{}:{to}", self.id)]).run().map(drop)
    }

    /// Return the process, on this machine, that holds its network and its files.
    ///
    /// # Errors
    ///
    /// When Docker refuses.
    pub fn process(&self) -> Result<u32> {
        let process = Docker::new(["inspect", "--format", "{{.State.Pid}}", &self.id]).run()?;
        process.parse().with_context(|| format!("not a process id: {process:?}"))
    }

    /// Return everything its services have written to standard output and error.
    ///
    /// # Errors
    ///
    /// When Docker refuses.
    pub fn logs(&self) -> Result<String> {
        let output = Docker::new(["logs", &self.id]).output()?;
        ensure!(output.success(), "no logs of {}: {}", self.name, output.stderr);
        Ok(output.stdout + &output.stderr)
    }

    /// Freeze all processes: connections stay open, the kernel still acknowledges, nobody answers.
    ///
    /// # Errors
    ///
    /// When Docker refuses, as for a paused host.
    pub fn pause(&self) -> Result<()> {
        Docker::new(["pause", &self.id]).run()?;
        // Docker refuses a new one; a frozen one would just keep silent.
        self.shells.end();
        Ok(())
    }

    /// Let a paused host go on.
    ///
    /// # Errors
    ///
    /// When Docker refuses, as for a host that is not paused.
    pub fn unpause(&self) -> Result<()> {
        Docker::new(["unpause", &self.id]).run().map(drop)
    }

    /// Kill the host with everything on it, at once; its address falls silent. Pgpool's files stay, PostgreSQL's data does
    /// not.
    ///
    /// # Errors
    ///
    /// When Docker refuses.
    pub fn power_off(&self) -> Result<()> {
        Docker::new(["kill", &self.id]).run()?;
        self.shells.end();
        Ok(())
    }

    /// Bring it up again, with no service running and no packet filter.
    ///
    /// # Errors
    ///
    /// When Docker refuses.
    pub fn power_on(&self) -> Result<()> {
        Docker::new(["start", &self.id]).run().map(drop)
    }

    /// Drop all packets between it and `peers` (none named: everybody) without a word, until restored.
    ///
    /// A second call replaces the first. Open connections are cut off too, and nothing tells their ends.
    ///
    /// # Errors
    ///
    /// When the host is paused or off.
    pub fn swallow_packets(&self, peers: &[Ipv4Addr]) -> Result<()> {
        let peers: Vec<String> = peers.iter().map(Ipv4Addr::to_string).collect();
        self.act(["swallow"].into_iter().chain(peers.iter().map(String::as_str)))
    }

    /// Let packets through again.
    ///
    /// # Errors
    ///
    /// When the host is paused or off.
    pub fn restore_packets(&self) -> Result<()> {
        self.act(["restore"])
    }

    /// Return the port of 127.0.0.1 that leads to `port`; another one after each [`power_on`](Self::power_on).
    pub(crate) fn published(&self, port: u16) -> Result<u16> {
        let line = Docker::new(["port", &self.id, &format!("{port}/tcp")]).run()?;
        let (_, published) = line.rsplit_once(':').with_context(|| format!("not an address: {line:?}"))?;
        published.parse().with_context(|| format!("not a port: {line:?}"))
    }

    /// Carry out an action of the image's `host` script.
    pub(crate) fn act<'a>(&self, action: impl IntoIterator<Item = &'a str>) -> Result<()> {
        self.act_with(action, "")
    }

    /// The same with `input` as the action's standard input.
    pub(crate) fn act_with<'a>(&self, action: impl IntoIterator<Item = &'a str>, input: &str) -> Result<()> {
        let argv: Vec<_> = ["host"].into_iter().chain(action).collect();
        let output =
            self.shells.run(&argv, input, Duration::from_secs(120)).with_context(|| format!("on {}", self.name))?;
        ensure!(
            output.success(),
            "{} on {} failed: {}; its log ends:\n{}",
            argv.join(" "),
            self.name,
            output.stderr.trim(),
            tail(&self.logs().unwrap_or_default()),
        );
        Ok(())
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // What cannot be removed now is removed by the reaper.
        Docker::new(["rm", "--force", "--volumes", &self.id]).output().ok();
    }
}
