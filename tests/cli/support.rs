//! A sandbox on a port, and `pcpctl` beside it.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::Result;
use pcp_client::sandbox::{Age, Sandbox, World};
use pcp_tests::{Output, Pcpctl, pcpctl};
use rustix::net::{AddressFamily, SocketType, bind, getsockname, socket};
use tokio::runtime::Runtime;

/// A sandbox that serves on a port of 127.0.0.1 while the test runs.
pub(crate) struct Pgpool {
    pub(crate) sandbox: Sandbox,
    // Dropped last: it runs the sandbox.
    _runtime: Runtime,
}

impl Pgpool {
    pub(crate) fn start() -> Result<Self> {
        Self::start_with(Age::V4_7)
    }

    pub(crate) fn start_with(age: Age) -> Result<Self> {
        Self::start_world(world(age))
    }

    pub(crate) fn start_world(world: World) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let sandbox = runtime.block_on(Sandbox::start(world))?;
        Ok(Self { sandbox, _runtime: runtime })
    }

    /// Serves on a Unix socket in this directory.
    pub(crate) fn start_unix(dir: &Path) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let guard = runtime.enter();
        let sandbox = Sandbox::start_unix(world(Age::V4_7), dir.join(".s.PGSQL.9898"))?;
        drop(guard);
        Ok(Self { sandbox, _runtime: runtime })
    }

    pub(crate) fn endpoint(&self) -> String {
        self.sandbox.address().to_string()
    }

    /// Runs `pcpctl` on it.
    pub(crate) fn run(&self, args: &[&str]) -> Result<Output> {
        logged_in(&[args, &["-h", &self.endpoint()]].concat()).run()
    }
}

fn world(age: Age) -> World {
    World::new(age).node("10.0.0.1", 5432).node("10.0.0.2", 5432).node("10.0.0.3", 5432)
}

/// Begins a run with user and password in the environment.
pub(crate) fn logged_in(args: &[&str]) -> Pcpctl {
    bare(args).env("PCP_USER", World::USER).env("PCP_PASSWORD", World::PASSWORD)
}

/// Begins a run whose standard input is not at its end but closed.
pub(crate) fn without_stdin(args: &[&str]) -> Pcpctl {
    let program = env!("CARGO_BIN_EXE_pcpctl-under-test");
    let shell = Pcpctl::new("/bin/sh").args(["-c", "exec \"$0\" \"$@\" <&-", program]).args(args);
    shell.env("PCP_USER", World::USER).env("PCP_PASSWORD", World::PASSWORD)
}

/// Begins a run with an empty environment.
pub(crate) fn bare(args: &[&str]) -> Pcpctl {
    pcpctl!().args(args)
}

/// A port of 127.0.0.1 that refuses connections: it is taken, and nobody listens. A port that was given back might be
/// the next one of another test.
pub(crate) struct Refusing {
    pub(crate) address: SocketAddr,
    _taken: OwnedFd,
}

impl Refusing {
    pub(crate) fn new() -> Result<Self> {
        let taken = socket(AddressFamily::INET, SocketType::STREAM, None)?;
        bind(&taken, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0))?;
        Ok(Self { address: SocketAddr::try_from(getsockname(&taken)?)?, _taken: taken })
    }
}

/// A directory that is removed at the end.
pub(crate) struct Dir(PathBuf);

impl Dir {
    pub(crate) fn new(name: &str) -> Result<Self> {
        let dir = std::env::temp_dir().join(format!("pcp-tests-{name}-{}", std::process::id()));
        fs::create_dir_all(&dir)?;
        Ok(Self(dir))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file, and returns its path.
    pub(crate) fn file(&self, name: &str, contents: &str, mode: u32) -> Result<String> {
        let path = self.0.join(name);
        fs::write(&path, contents)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
        Ok(path.display().to_string())
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _gone = fs::remove_dir_all(&self.0);
    }
}
