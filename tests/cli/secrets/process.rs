//! What others can learn of a process that runs on.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use anyhow::{Result, ensure};
use pcp_client::sandbox::{Age, World};
use pcp_proto::Credentials;
use pcp_tests::wait_until;

use super::{Case, PASSWORD, PATIENCE, search};
use crate::support::{Dir, Pgpool};

/// A process that is ended with the test.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _reaped = self.0.wait();
    }
}

/// Starts what runs on, as nobody where the test is run by root, and waits until it has logged in.
fn start(pgpool: &Pgpool, dir: &Dir, verb: &str, env: (&str, &str)) -> Result<Ended> {
    // Where everybody can start it.
    let program = dir.path().join("pcpctl");
    if !program.exists() {
        fs::copy(env!("CARGO_BIN_EXE_pcpctl-under-test"), &program)?;
    }
    let more: &[&str] = if verb == "exporter" {
        &["--textfile", "/dev/null/none.prom", "--interval", "1s"]
    } else {
        &["-o", "json", "--interval", "100ms"]
    };
    let mut command = Command::new(&program);
    command.arg(verb).args(more).args(["-h", &pgpool.endpoint(), "-U", World::USER]);
    command.env_clear().env(env.0, env.1).current_dir("/").stdin(Stdio::null());
    command.stdout(Stdio::null()).stderr(Stdio::null());
    if rustix::process::getuid().is_root() {
        command.uid(65534).gid(65534);
        for name in ["password", "pcppass"].map(|name| dir.path().join(name)) {
            if name.exists() {
                std::os::unix::fs::chown(name, Some(65534), Some(65534))?;
            }
        }
    }
    let seen = pgpool.sandbox.connections();
    let child = Ended(command.spawn()?);
    wait_until("two looks", PATIENCE, || {
        ensure!(pgpool.sandbox.connections() >= seen + 2, "not yet");
        Ok(())
    })?;
    Ok(child)
}

/// Others, of the same user even, can look neither at the environment nor at the memory, and there is no core.
#[test]
fn a_process_that_runs_on_is_closed_to_others() -> Result<()> {
    let pgpool = Pgpool::start_world(Case::Environment.world())?;
    let dir = Dir::new("secrets-closed")?;
    for verb in ["exporter", "watch"] {
        let child = start(&pgpool, &dir, verb, ("PCP_PASSWORD", PASSWORD))?;
        let proc = PathBuf::from(format!("/proc/{}", child.0.id()));
        search(&fs::read(proc.join("cmdline"))?, verb)?;
        // The kernel gives these to root where a process may not be looked at, nor leave a core.
        for file in ["environ", "mem", "maps", "auxv"] {
            let owner = fs::metadata(proc.join(file))?.uid();
            ensure!(owner == 0, "{verb}: {file} belongs to {owner}");
        }
    }
    Ok(())
}

/// Once it has logged in, the password itself is in its memory no more: only the hash is needed.
#[test]
fn a_process_that_runs_on_keeps_no_password_in_its_memory() -> Result<()> {
    // One that does not list it among its settings.
    let world = World::new(Age::V4_7).node("127.0.0.1", 1);
    let credentials = Credentials::new(World::USER, PASSWORD.as_bytes())?;
    let pgpool = Pgpool::start_world(world.configure(|settings| settings.credentials = Some(credentials)))?;
    let dir = Dir::new("secrets-memory")?;
    let passfile = dir.file("pcppass", &format!("*:*:{}:{PASSWORD}\n", World::USER), 0o600)?;
    let plain = dir.file("password", &format!("{PASSWORD}\n"), 0o600)?;
    for (name, path) in [("PCPPASSFILE", &passfile), ("PCP_PASSWORD_FILE", &plain)] {
        let child = start(&pgpool, &dir, "exporter", (name, path))?;
        let memory = match memory(child.0.id()) {
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
                ensure!(!rustix::process::getuid().is_root(), "root can look");
                continue;
            }
            memory => memory?,
        };
        let holds = |text: &str| memory.windows(text.len()).any(|part| part == text.as_bytes());
        ensure!(holds(World::USER), "this is its memory");
        ensure!(!holds(PASSWORD), "the password of {name} is still in memory");
    }
    Ok(())
}

/// Reads all the memory that a process can write to.
fn memory(pid: u32) -> std::io::Result<Vec<u8>> {
    use std::os::unix::fs::FileExt;
    let maps = fs::read_to_string(format!("/proc/{pid}/maps"))?;
    let mem = fs::File::open(format!("/proc/{pid}/mem"))?;
    let mut memory = Vec::new();
    for line in maps.lines().filter(|line| line.contains(" rw")) {
        let Some((begin, end)) = line.split(' ').next().and_then(|range| range.split_once('-')) else { continue };
        let address = |text| u64::from_str_radix(text, 16).map_err(std::io::Error::other);
        let (begin, end) = (address(begin)?, address(end)?);
        let mut part = vec![0; usize::try_from(end - begin).map_err(std::io::Error::other)?];
        // A part that is gone by now holds nothing.
        if mem.read_exact_at(&mut part, begin).is_ok() {
            memory.extend(part);
        }
    }
    Ok(memory)
}
