//! The program itself, over TCP, with faults on the way.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener as StdListener};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, ensure};
use pcp_client::sandbox::World;
use pcp_client::{Connect as _, Deadline};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;
use tokio::sync::oneshot;
use tokio::task::{LocalSet, spawn_local};

use super::command::{Command, Ends, world};
use super::fault::{Fault, Kind, Meets};
use super::net::Net;
use super::pipe::{Passed, Pipe};
use super::report::Table;
use super::run::{Cell, Extent, faults};
use crate::{Output, Pcpctl};

/// How much later than its deadline a run may end.
const GRACE: Duration = Duration::from_secs(1);
/// What an endless command is ended with.
const TERM: i32 = 15;
/// A process mostly waits.
const AT_ONCE: usize = 300;

/// Ports of 127.0.0.1 that answer as PostgreSQL does, and are no PostgreSQL.
#[derive(Debug)]
pub struct Ports([u16; 3]);

impl Ports {
    /// Listens, for as long as the process lives.
    ///
    /// # Errors
    ///
    /// When no port can be had.
    pub fn start() -> Result<Self> {
        let mut ports = [0; 3];
        for port in &mut ports {
            let listener = StdListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no port for a node")?;
            *port = listener.local_addr()?.port();
            thread::spawn(move || {
                for stream in listener.incoming() {
                    let Ok(mut stream) = stream else { continue };
                    let _asked = stream.read(&mut [0; 8]);
                    let _gone = stream.write_all(b"N");
                }
            });
        }
        Ok(Self(ports))
    }
}

/// Tries these faults at their places of every connection that each command makes, many at once, and returns what came
/// of it. What was late is tried again alone, and counts as it was then: the others can keep a program from the processor.
///
/// # Errors
///
/// When a command fails without a fault: nothing would be proven then.
pub fn try_program(program: &Path, ports: &Ports, commands: &[Command], kinds: &[(Kind, Extent)]) -> Result<Table> {
    let (mut tries, mut table) = (Vec::new(), Table::default());
    for command in commands {
        let clean = once(program, ports, command, None)?;
        ensure!(clean.is_expected(command), "{} without a fault: {:?}", command.name, clean.output);
        let faults = kinds.iter().flat_map(|&(kind, extent)| faults(kind, &clean.passed, extent));
        // The rows are to be in the order of the commands.
        kinds.iter().for_each(|(kind, _)| table.add(command.name, *kind, Cell::default()));
        tries.extend(faults.filter(|fault| is_worth_it(*fault)).map(|fault| (command, fault)));
    }
    // So that those that wait and those that do not are mixed.
    tries.sort_by_key(|(_, fault)| fault.at);
    let attempt = |command, fault| {
        let run = catch_unwind(AssertUnwindSafe(|| once(program, ports, command, Some(fault))));
        run.unwrap_or_else(|_| Err(anyhow!("the harness panicked")))
    };
    let cell = |run: Result<Run>, command: &Command, fault| match run {
        Ok(run) => run.cell(command, fault),
        Err(error) => Cell::defect(format!("{}, {fault:?}: {error:#}", command.name)),
    };
    let (next, seen) = (AtomicUsize::new(0), Mutex::new((table, Vec::new())));
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(&(command, fault)) = tries.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let run = attempt(command, fault);
                    let (table, late) = &mut *seen.lock().unwrap_or_else(PoisonError::into_inner);
                    match run {
                        Ok(run) if run.is_late(command) => late.push((command, fault)),
                        run => table.add(command.name, fault.kind, cell(run, command, fault)),
                    }
                }
            });
        }
    });
    let (mut table, late) = seen.into_inner().unwrap_or_else(PoisonError::into_inner);
    table.again = late.len();
    for (command, fault) in late {
        table.add(command.name, fault.kind, cell(attempt(command, fault), command, fault));
    }
    Ok(table)
}

/// What lasts until the deadline in every place says the same from each connection on.
fn is_worth_it(fault: Fault) -> bool {
    matches!(fault.meets, Meets::Only(_) | Meets::From(0 | 1))
}

/// A run of the program.
struct Run {
    output: Output,
    passed: Vec<Passed>,
    is_true: bool,
    was_asked_to_change: bool,
    shown: String,
}

impl Run {
    fn is_expected(&self, command: &Command) -> bool {
        match (command.ends, self.output.code) {
            (_, Some(0)) => self.is_true && !self.passed.is_empty(),
            (Ends::Findings, Some(1)) | (Ends::Check, Some(1 | 2)) => !self.passed.is_empty(),
            (Ends::Never, code) => code == Some(143) || self.output.signal == Some(TERM),
            _ => false,
        }
    }

    fn is_late(&self, command: &Command) -> bool {
        self.output.elapsed > command.limit + GRACE
    }

    /// Returns what came of the fault at this one place.
    fn cell(&self, command: &Command, fault: Fault) -> Cell {
        let Output { code, stdout, stderr, elapsed, .. } = &self.output;
        let defect = self.judge(command, fault).map(|why| {
            format!(
                "{}, {fault:?}: {why}: {code:?} after {elapsed:?}: {stdout:?} {stderr:?}; {}",
                command.name, self.shown
            )
        });
        Cell {
            exits: BTreeMap::from([(code.unwrap_or(-1), 1)]),
            believed: usize::from(defect.is_none() && *code == Some(0) && !self.is_true),
            defects: defect.into_iter().collect(),
            longest: *elapsed,
        }
    }

    /// Says what is wrong with it, if anything.
    fn judge(&self, command: &Command, fault: Fault) -> Option<String> {
        let Output { code, stdout, stderr, elapsed, .. } = &self.output;
        let Some(code) = *code else {
            // It may come before it is listened for.
            let is_ours = command.ends == Ends::Never && self.output.signal == Some(TERM);
            return (!is_ours).then(|| "a signal ended it".to_owned());
        };
        if stderr.contains("panicked") || code == 101 {
            return Some("a panic".to_owned());
        }
        if self.is_late(command) {
            return Some(format!("it took {elapsed:?} of {:?}", command.limit));
        }
        if matches!(command.ends, Ends::Never) {
            return (![0, 4, 5, 143].contains(&code)).then(|| "an exit code that it does not have".to_owned());
        }
        if code == 0 && !self.is_true && !fault.kind.is_lie() {
            return Some("exit 0, and it is not so".to_owned());
        }
        let known: &[i32] = match command.ends {
            Ends::Check => &[0, 1, 2, 3],
            _ => &[0, 1, 4, 5, 6, 7, 8, 10],
        };
        if !known.contains(&code) {
            return Some("an exit code that there is not".to_owned());
        }
        if code == 4 && self.was_asked_to_change {
            return Some("exit 4, and Pgpool was asked to change something".to_owned());
        }
        if code != 0 && stderr.trim().is_empty() && command.ends == Ends::Done {
            return Some("no reason on stderr".to_owned());
        }
        if stdout.trim().is_empty() && stderr.trim().is_empty() && command.ends != Ends::Done {
            return Some("nothing was said".to_owned());
        }
        None
    }
}

/// Runs the command against a world of its own.
fn once(program: &Path, ports: &Ports, command: &Command, fault: Option<Fault>) -> Result<Run> {
    let dir = Dir::new(ports)?;
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let local = LocalSet::new();
    local.block_on(&runtime, async {
        let net = Rc::new(Net::new((command.world)(world(ports.0)), fault));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        spawn_local(serve(Rc::clone(&net), listener));
        let running = start(program, command, address, &dir);
        let (told, ended) = oneshot::channel();
        let is_endless = command.ends == Ends::Never;
        thread::spawn(move || told.send(running.and_then(|running| finish(running, is_endless))).ok());
        let output = ended.await.context("nobody waited for the program")??;
        Ok(Run {
            output,
            passed: net.passed(),
            is_true: (command.is_true)(&net),
            was_asked_to_change: net.was_asked_to_change(),
            shown: net.shown(),
        })
    })
}

fn start(program: &Path, command: &Command, address: SocketAddr, dir: &Dir) -> Result<crate::Running> {
    let args = command.args.iter().map(|arg| arg.replace("DIR", &dir.0.display().to_string()));
    let run = Pcpctl::new(program).env("PCP_USER", World::USER).env("PCP_PASSWORD", World::PASSWORD);
    if !command.name.starts_with("pcp_") {
        let (host, limit) = (address.to_string(), format!("{}s", command.limit.as_secs()));
        let last = ["-h", &host, "--deadline", &limit, "--config", "/dev/null"].map(str::to_owned);
        return run.args(args.chain(last)).spawn();
    }
    let (port, passfile) = (address.port().to_string(), dir.0.join("pcppass"));
    let last = ["-h", "127.0.0.1", "-p", &port, "-U", World::USER, "-w"].map(str::to_owned);
    let run = run.named(command.name).args(args.chain(last)).env("PCPPASSFILE", passfile);
    run.env("PCPCTL_DEADLINE", format!("{}s", command.limit.as_secs())).spawn()
}

/// Waits for the end, and brings it about where it does not come by itself.
fn finish(running: crate::Running, is_endless: bool) -> Result<Output> {
    const PATIENCE: Duration = Duration::from_secs(30);
    if is_endless {
        thread::sleep(Duration::from_millis(700));
        // It may be gone already.
        running.signal("TERM").ok();
    }
    running.wait(PATIENCE)
}

/// Takes connections until the server stops.
async fn serve(net: Rc<Net>, listener: TcpListener) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = net.sandbox.stopped() => return,
        };
        let Ok((stream, _)) = accepted else { continue };
        let _nodelay = stream.set_nodelay(true);
        // It never fails.
        if let Ok(pipe) = net.connect(Deadline::after(Duration::from_secs(60))).await {
            spawn_local(relay(stream, pipe));
        }
    }
}

/// Passes bytes both ways, and what the pipe does with them.
async fn relay(stream: TcpStream, pipe: Pipe) {
    let (mut server, mut to_server) = tokio::io::split(pipe);
    let (mut from_client, mut client) = stream.into_split();
    let up = async {
        let mut chunk = [0; 4096];
        loop {
            match from_client.read(&mut chunk).await {
                Ok(0) | Err(_) => {
                    let _gone = to_server.shutdown().await;
                    return Ok(());
                }
                Ok(count) => to_server.write_all(chunk.get(..count).unwrap_or_default()).await?,
            }
        }
    };
    let down = async {
        let mut chunk = [0; 4096];
        loop {
            match server.read(&mut chunk).await? {
                0 => {
                    let _gone = client.shutdown().await;
                    return Ok(());
                }
                count => client.write_all(chunk.get(..count).unwrap_or_default()).await?,
            }
        }
    };
    let ended: std::io::Result<((), ())> = async { tokio::try_join!(up, down) }.await;
    if ended.is_err() {
        let _ = from_client.as_ref().set_zero_linger();
    }
}

/// A directory with what the commands need, removed at the end.
struct Dir(PathBuf);

impl Dir {
    fn new(ports: &Ports) -> Result<Self> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        // In memory where there is such a place: a disk that stops for seconds is none of these faults.
        let memory = PathBuf::from("/dev/shm");
        let base = if memory.is_dir() { memory } else { env::temp_dir() };
        let dir = Self(base.join(format!("pcp-faults-{}-{number}", process::id())));
        fs::create_dir_all(dir.0.join("state"))?;
        let nodes = ports.0.iter().zip(["primary", "standby", "standby"]);
        let nodes: Vec<_> = nodes
            .map(|(port, role)| json!({"address": "127.0.0.1", "port": port, "role": role, "state": "attached"}))
            .collect();
        fs::write(dir.0.join("desired"), json!({"schema_version": 1, "nodes": nodes}).to_string())?;
        let passfile = dir.0.join("pcppass");
        fs::write(&passfile, format!("*:*:*:{}\n", World::PASSWORD))?;
        fs::set_permissions(&passfile, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
        Ok(dir)
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _gone = fs::remove_dir_all(&self.0);
    }
}
