//! How an agent of a failover manager runs `pcpctl`.

use std::env;
use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::process::Running;
use crate::{Cluster, PCP_PASSWORD, PCP_USER, Pcpctl, Pgpool, Postgres};

/// What runs the hooks: any agent can, on whichever host it is.
#[derive(Clone, Debug)]
pub struct Agent {
    program: PathBuf,
    passfile: Arc<Passfile>,
    pgpools: String,
    /// Addresses, which differ from run to run, and what to write for them.
    names: Arc<[(String, String)]>,
}

/// A hook that was called and has ended.
#[derive(Clone, Debug)]
pub struct Call {
    /// What was called, with the node's name instead of its address: `detach node0 p`.
    pub line: String,
    /// The exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// The first line on stdout, with names instead of addresses.
    pub verdict: String,
    /// All that it wrote.
    pub output: String,
    /// How long it took.
    pub elapsed: Duration,
}

/// A hook that was called and runs.
#[derive(Debug)]
pub struct Calling {
    line: String,
    running: Running,
}

// Longer than any deadline of the hooks.
const HOOK_LIMIT: Duration = Duration::from_secs(90);

impl Agent {
    /// Return one that reaches every Pgpool of a cluster by its address.
    pub(crate) fn of(cluster: &Cluster, program: PathBuf) -> Result<Self> {
        let pgpools = || cluster.pgpools().map(Pgpool::host);
        let hosts = cluster.nodes().iter().map(Postgres::host).chain(pgpools());
        let addresses = hosts.map(|host| (host.address().to_string(), host.name().to_owned()));
        let published = cluster
            .pgpools()
            .map(|pgpool| (format!("127.0.0.1:{}", pgpool.pcp_port()), format!("{}:9898", pgpool.host().name())));
        Ok(Self {
            program,
            passfile: Arc::new(Passfile::write()?),
            pgpools: pgpools().map(|host| host.address().to_string()).collect::<Vec<_>>().join(","),
            names: published.chain(addresses).collect(),
        })
    }

    /// Return one on another host. Hooks of one host queue for each Pgpool's address: this one knows the Pgpools by
    /// their published ports.
    pub(crate) fn elsewhere(&self, cluster: &Cluster) -> Self {
        let ports: Vec<String> =
            cluster.pgpools().map(|pgpool| format!("127.0.0.1:{}", pgpool.pcp_port())).collect();
        Self { pgpools: ports.join(","), ..self.clone() }
    }

    /// Reach the Pgpools at these addresses from now on.
    pub(crate) fn reach_pgpools_at(&mut self, addresses: &[String]) {
        self.pgpools = addresses.join(",");
    }

    /// Run a verb of `pcpctl` to its end, whatever exit code comes out; `arguments` are cut at blanks.
    ///
    /// # Errors
    ///
    /// When it cannot be started or does not end.
    pub fn run(&self, verb: &str, arguments: &str) -> Result<Call> {
        self.finish(self.begin(verb, arguments)?)
    }

    pub(crate) fn begin(&self, verb: &str, arguments: &str) -> Result<Calling> {
        let passfile = self.passfile.path.display();
        let line = format!("{verb} -h {} -U {PCP_USER} --passfile {passfile} {arguments}", self.pgpools);
        let running = Pcpctl::new(&self.program).args(line.split(' ')).spawn()?;
        Ok(Calling { line: format!("{verb} {arguments}"), running })
    }

    pub(crate) fn finish(&self, calling: Calling) -> Result<Call> {
        let output = calling.running.wait(HOOK_LIMIT)?;
        Ok(Call {
            line: self.named(&calling.line),
            code: output.code,
            verdict: self.named(output.stdout.lines().next().unwrap_or_default()),
            output: self.named(&(output.stdout + &output.stderr)),
            elapsed: output.elapsed,
        })
    }

    /// Put the names of the cluster's hosts in the place of their addresses.
    #[must_use]
    pub fn named(&self, text: &str) -> String {
        self.names.iter().fold(text.to_owned(), |text, (address, name)| text.replace(address, name))
    }
}

impl Calling {
    /// Kill it with SIGKILL.
    ///
    /// # Errors
    ///
    /// When it has ended.
    pub fn kill(&self) -> Result<()> {
        self.running.signal("KILL")
    }
}

/// A password file for the hooks, removed on drop.
#[derive(Debug)]
struct Passfile {
    path: PathBuf,
}

impl Passfile {
    fn write() -> Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = env::temp_dir().join(format!("pcp-tests-pcppass-{}-{count}", process::id()));
        let write = || -> std::io::Result<()> {
            let mut file: File = File::options().write(true).create_new(true).mode(0o600).open(&path)?;
            writeln!(file, "*:*:{PCP_USER}:{PCP_PASSWORD}")
        };
        write().with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Self { path })
    }
}

impl Drop for Passfile {
    fn drop(&mut self) {
        fs::remove_file(&self.path).ok();
    }
}
