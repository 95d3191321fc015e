//! The command line under test, run as a failover manager's hook would be.

use std::ffi::OsStr;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use crate::process::{Output, Running};
use crate::{Cluster, PCP_PASSWORD, PCP_USER};

/// A run of `pcpctl` in the making; [`pcpctl!`](crate::pcpctl) begins one.
///
/// The environment is empty, the working directory is `/`, standard input is at its end, there is no terminal: a
/// hook has no more than that.
#[derive(Debug)]
pub struct Pcpctl {
    command: Command,
    input: Option<Vec<u8>>,
    limit: Duration,
}

impl Pcpctl {
    /// Take the program from that path; its own name is `pcpctl`, whatever the file's is.
    #[must_use]
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        let mut command = Command::new(program);
        command.arg0("pcpctl").env_clear().current_dir("/");
        Self { command, input: None, limit: Duration::from_secs(90) }
    }

    /// Start it under another name, as a link of that name does.
    #[must_use]
    pub fn named(mut self, name: impl AsRef<OsStr>) -> Self {
        self.command.arg0(name);
        self
    }

    /// Add arguments.
    #[must_use]
    pub fn args<I>(mut self, args: I) -> Self
    where
        I: IntoIterator,
        I::Item: AsRef<OsStr>,
    {
        self.command.args(args);
        self
    }

    /// Set an environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Tell it, by its environment, the Pgpool of `cluster` (on the published port), the user and the password.
    #[must_use]
    pub fn to(self, cluster: &Cluster) -> Self {
        self.env("PCP_HOST", "127.0.0.1")
            .env("PCP_PORT", cluster.pcp_port().to_string())
            .env("PCP_USER", PCP_USER)
            .env("PCP_PASSWORD", PCP_PASSWORD)
    }

    /// Give it this to read from standard input.
    #[must_use]
    pub fn input(mut self, input: impl Into<Vec<u8>>) -> Self {
        self.input = Some(input.into());
        self
    }

    /// Change the time after which it is killed and the run is an error, 90 s otherwise: longer than its own
    /// deadlines.
    #[must_use]
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Run it to its end, whatever exit code comes out.
    ///
    /// # Errors
    ///
    /// When it does not start or outlives its limit.
    pub fn run(self) -> Result<Output> {
        let limit = self.limit;
        self.spawn()?.wait(limit)
    }

    /// Start it, to send it signals or to let something happen meanwhile.
    ///
    /// # Errors
    ///
    /// When it does not start.
    pub fn spawn(self) -> Result<Running> {
        Running::spawn(self.command, self.input)
    }
}

/// Begin a run of the `pcpctl` that cargo built for the test target in which this stands.
#[macro_export]
macro_rules! pcpctl {
    () => {
        $crate::Pcpctl::new(env!("CARGO_BIN_EXE_pcpctl-under-test"))
    };
}
