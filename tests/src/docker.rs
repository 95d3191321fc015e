//! The `docker` command line, with a time limit on every call.

use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};

use crate::process::{self, Output};

/// One call of `docker`.
pub(crate) struct Docker {
    command: Command,
    limit: Duration,
    words: String,
}

impl Docker {
    /// Prepare a call that may take a minute.
    pub(crate) fn new<I>(args: I) -> Self
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        let args: Vec<String> = args.into_iter().map(|arg| arg.as_ref().to_owned()).collect();
        let mut command = Command::new("docker");
        command.args(&args);
        Self { command, limit: Duration::from_secs(60), words: args.join(" ") }
    }

    pub(crate) fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Run it, whatever exit code comes out.
    pub(crate) fn output(self) -> Result<Output> {
        process::run(self.command, None, self.limit).with_context(|| format!("docker {}", self.words))
    }

    /// Run it and return its standard output, trimmed; an exit code other than 0 is an error with the end of what
    /// it wrote.
    pub(crate) fn run(self) -> Result<String> {
        let words = self.words.clone();
        let output = self.output()?;
        ensure!(
            output.success(),
            "docker {words}: exit {:?}: {}",
            output.code,
            tail(&format!("{}\n{}", output.stdout, output.stderr)),
        );
        Ok(output.stdout.trim().to_owned())
    }
}

/// Fail unless a Docker engine answers. Asked once per process.
pub(crate) fn require() -> Result<()> {
    static ANSWER: OnceLock<Result<(), String>> = OnceLock::new();
    ANSWER
        .get_or_init(|| {
            Docker::new(["version", "--format", "{{.Server.Version}}"])
                .limit(Duration::from_secs(20))
                .run()
                .map(drop)
                .map_err(|error| format!("{error:#}"))
        })
        .clone()
        .map_err(|error| {
            anyhow!("these tests need a running Docker engine and are not skipped without one: {error}")
        })
}

/// Return the last lines of a long output.
pub(crate) fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.trim().lines().collect();
    lines.get(lines.len().saturating_sub(30)..).unwrap_or_default().join("\n")
}
