//! A real Pgpool with everything beside it: ours, Pgpool's own tools, and what measures both.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use pcp_tests::{Cluster, Host, PCP_PASSWORD, PCP_USER, Settings, Version};

/// How the tools are told where to ask, and as whom.
pub(crate) const C_OPTIONS: &str = "-h 127.0.0.1 -p 9898 -U pcpadmin -w";
/// How pcpctl is told the same.
pub(crate) const OPTIONS: &str = "-h 127.0.0.1 -U pcpadmin";
/// Where the links are.
pub(crate) const LINKS: &str = "/opt/links";

/// A cluster on whose Pgpool host all that is compared is installed.
pub(crate) struct Place {
    pub(crate) cluster: Cluster,
}

impl Place {
    pub(crate) fn start(version: Version, settings: Settings) -> Result<Self> {
        let place = Self { cluster: Cluster::start(version, settings)? };
        let host = place.host();
        for (from, to) in [
            ("target/release/pcpctl", "/usr/local/bin/pcpctl"),
            ("/usr/bin/hyperfine", "/usr/local/bin/hyperfine"),
            ("benches/target/release/inside", "/usr/local/bin/inside"),
            ("benches/target/release/usage", "/usr/local/bin/usage"),
            ("benches/target/release/libpcp_rate", "/usr/local/bin/libpcp_rate"),
            ("benches/scripts/by-address", "/usr/local/bin/by-address"),
        ] {
            host.copy(Path::new(from), to)?;
        }
        let passfile = format!("umask 077 && echo '*:*:{PCP_USER}:{PCP_PASSWORD}' >/root/.pcppass");
        place.sh(&format!("{passfile} && pcpctl links install {LINKS}"))?;
        Ok(place)
    }

    pub(crate) fn host(&self) -> &Host {
        self.cluster.pgpool().host()
    }

    /// Runs a script on the Pgpool host and returns what it printed.
    pub(crate) fn sh(&self, script: &str) -> Result<String> {
        let output = self.host().exec(["sh", "-c", script])?;
        ensure!(output.success(), "{script}: {}{}", output.stdout, output.stderr);
        Ok(output.stdout)
    }

    /// Runs a script that prints a number.
    pub(crate) fn number(&self, script: &str) -> Result<f64> {
        let printed = self.sh(script)?;
        printed.trim().parse().with_context(|| format!("{script} printed {printed:?}"))
    }

    /// Begins a command of this machine in the network of the Pgpool host.
    pub(crate) fn in_its_network(&self, program: &str) -> Result<Command> {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/proc/{}/ns/net", self.host().process()?)).arg(program);
        Ok(command)
    }

    /// Counts the system calls of a command on the Pgpool host, its threads' included.
    pub(crate) fn system_calls(&self, command: &str) -> Result<f64> {
        let log = std::env::temp_dir().join(format!("pcp-benches-{}", std::process::id()));
        let root = format!("/proc/{}/root", self.host().process()?);
        let output = self
            .in_its_network("nsenter")?
            // Among its processes as well, so that /proc is its own.
            .arg(format!("--pid=/proc/{}/ns/pid", self.host().process()?))
            .arg("strace")
            .args(["-f", "-qq", "-e", "signal=none", "-o"])
            .arg(&log)
            .args(["chroot", &root])
            .args(command.split(' '))
            .env("HOME", "/root")
            .output()?;
        ensure!(output.status.success(), "{command}: {output:?}");
        let calls = std::fs::read_to_string(&log)?;
        std::fs::remove_file(&log)?;
        // What chroot does until it is the program does not count, and neither does the second half of a call.
        let own =
            calls.lines().skip_while(|line| !line.contains("chroot(")).skip_while(|line| !line.contains("execve("));
        Ok(own.filter(|line| !line.contains("resumed>")).count() as f64)
    }

    /// Returns CPU milliseconds of one run and the most KiB that one of many had.
    pub(crate) fn usage(&self, command: &str) -> Result<(f64, f64)> {
        const RUNS: u32 = 200;
        let printed = self.sh(&format!("usage {RUNS} {command}"))?;
        let (cpu, memory) = printed.trim().split_once(' ').context("two numbers")?;
        Ok((cpu.parse::<f64>()? / f64::from(RUNS) / 1e3, memory.parse()?))
    }
}
