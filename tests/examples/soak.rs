//! Runs random verbs from several processes against a real Pgpool while failovers happen, and prints what grew.
//!
//! `cargo run --profile exhaustive -p pcp-tests --example soak -- 4.3 60` soaks a Pgpool 4.3 for an hour. It fails where a
//! verb ends late or by a panic, where a success is not what SQL shows, where a long-lived process grows, or where
//! connections stay behind on the server.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use pcp_tests::{Cluster, Output, PCP_PASSWORD, PCP_USER, Pcpctl, Running, Settings, Version, wait_until};

/// What asks all the time.
const QUESTIONS: [&str; 10] = [
    "show nodes",
    "show health",
    "show processes --summary",
    "show config",
    "show node 1",
    "is-primary 0",
    "check nodes",
    "check primary",
    "check pool",
    "check ping",
];
const ASKING: usize = 3;
/// How long each of those waits between two questions, so that the machine has time for the failovers.
const PAUSE: Duration = Duration::from_millis(100);
/// The longest deadline of a verb, and a second; and what a busy machine takes.
const LATEST: Duration = Duration::from_secs(63);
/// How long a verb is run again, and SQL asked again.
const PATIENCE: Duration = Duration::from_secs(180);

fn main() -> Result<()> {
    let mut args = env::args();
    if args.next().as_deref() == Some("pcpctl") {
        pcp_cli::main();
    }
    let (version, minutes) = (args.next().context("which Pgpool?")?, args.next().context("for how many minutes?")?);
    let version = Version::ALL.into_iter().find(|one| one.series() == version).context("no such Pgpool")?;
    let end = Instant::now() + Duration::from_secs(60 * minutes.parse::<u64>()?);
    let soak = Soak {
        cluster: Cluster::start(version, Settings::default())?,
        program: env::current_exe()?,
        exits: Mutex::default(),
        over: AtomicBool::new(false),
        failovers: AtomicUsize::new(0),
        started: Instant::now(),
    };
    let textfile = env::temp_dir().join(format!("pcpctl-soak-{}.prom", process::id()));
    let watcher = soak.start(&format!("exporter --textfile {} --interval 1s", textfile.display()))?;
    let mut sizes = Vec::new();
    let result = thread::scope(|scope| {
        let asking: Vec<_> = (0..ASKING)
            .map(|seed| {
                scope.spawn({
                    let soak = &soak;
                    move || soak.ask(seed)
                })
            })
            .collect();
        let changed = (|| -> Result<()> {
            while Instant::now() < end {
                soak.fail_over()?;
                sizes.push(Size::of(&watcher)?);
                soak.tell(&format!("{} failovers", sizes.len()));
            }
            Ok(())
        })();
        soak.over.store(true, Ordering::Relaxed);
        if let Err(error) = &changed {
            soak.tell(&format!(
                "{error}; Pgpool's log:\n{}",
                soak.cluster.pgpool().host().logs().unwrap_or_default()
            ));
        }
        let asked = asking.into_iter().map(|thread| thread.join().unwrap_or_else(|_| bail!("a panic")));
        let asked: Result<()> = asked.collect();
        changed.and(asked)
    });
    watcher.signal("TERM").ok();
    fs::remove_file(&textfile).ok();
    soak.show_exits();
    result?;
    soak.judge(&sizes)
}

struct Soak {
    cluster: Cluster,
    program: PathBuf,
    /// How often each verb ended with each code.
    exits: Mutex<BTreeMap<(String, i32), usize>>,
    over: AtomicBool,
    failovers: AtomicUsize,
    started: Instant,
}

/// What a process holds.
#[derive(Clone, Copy, Debug)]
struct Size {
    descriptors: usize,
    kilobytes: u64,
}

impl Soak {
    fn start(&self, words: &str) -> Result<Running> {
        let host = self.cluster.pgpool().pcp_address().to_string();
        let args = words.split(' ').chain(["-h", &host, "--config", "/dev/null"]);
        Pcpctl::new(&self.program).args(args).env("PCP_USER", PCP_USER).env("PCP_PASSWORD", PCP_PASSWORD).spawn()
    }

    fn run(&self, words: &str) -> Result<Output> {
        let output = self.start(words)?.wait(LATEST)?;
        ensure!(output.code.is_some_and(|code| code != 101), "{words}: {output:?}");
        let verb = words.split(' ').take(2).collect::<Vec<_>>().join(" ");
        let mut exits = self.exits.lock().unwrap_or_else(PoisonError::into_inner);
        *exits.entry((verb, output.code.unwrap_or(-1))).or_default() += 1;
        Ok(output)
    }

    /// Asks one question after the other. A Pgpool that is at work may not answer, and says so.
    fn ask(&self, seed: usize) -> Result<()> {
        let mut state = seed;
        while !self.over.load(Ordering::Relaxed) {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let words = QUESTIONS.get((state >> 33) % QUESTIONS.len()).context("it is less")?;
            let output = self.run(words)?;
            ensure!(output.elapsed < Duration::from_secs(11), "{words} is late: {output:?}");
            thread::sleep(PAUSE);
        }
        Ok(())
    }

    /// One failover and the way back, each success of which SQL has to confirm.
    fn fail_over(&self) -> Result<()> {
        let turn = self.failovers.fetch_add(1, Ordering::Relaxed);
        let (old, new, third) = (turn % 3, (turn + 1) % 3, (turn + 2) % 3);
        self.cluster.kill_postgres(old)?;
        // A killed PostgreSQL leaves its shared memory behind, and one that is made anew does not know of it: after 180
        // failovers there was no room left.
        self.cluster.node(old)?.host().exec(["sh", "-c", "rm -f /dev/shm/PostgreSQL.*"])?;
        self.change("detach", old, "", |node| node.ends_with("standby") || node.contains("down"))?;
        self.cluster.promote_postgres(new)?;
        self.change("attach", new, " p", |node| node.ends_with("attached primary"))?;
        self.cluster.follow(third, new)?;
        self.cluster.rebuild_as_standby(old, new)?;
        self.change("attach", old, " s", |node| node.ends_with("attached standby"))?;
        self.change("detach", third, "", |node| node.ends_with("down standby"))?;
        self.change("attach", third, " s", |node| node.ends_with("attached standby"))
    }

    fn change(&self, verb: &str, node: usize, kind: &str, is_so: impl Fn(&str) -> bool) -> Result<()> {
        let words = format!("{verb} {node}{kind}");
        // With everybody else at work it may have to be run again, as EFM's caller would.
        wait_until(&format!("{words} to succeed"), PATIENCE, || {
            let output = self.run(&words)?;
            ensure!(output.success(), "{output:?}");
            Ok(())
        })?;
        let nodes = wait_until("SQL to answer", PATIENCE, || self.cluster.pool_nodes())?;
        let shown = nodes.iter().find(|row| row.id == node).context("the node is gone")?.summary();
        ensure!(is_so(&shown), "{words} succeeded, and SQL shows {shown}");
        Ok(())
    }

    #[expect(clippy::print_stderr, reason = "progress, for whoever waits")]
    fn tell(&self, what: &str) {
        eprintln!(
            "Pgpool {}, {:.0} s: {what}",
            self.cluster.version().series(),
            self.started.elapsed().as_secs_f64()
        );
    }

    #[expect(clippy::print_stdout, reason = "this is what it is for")]
    fn show_exits(&self) {
        for ((verb, code), count) in self.exits.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            println!("{verb}: {count} with exit code {code}");
        }
    }

    /// Prints the figures, and says what grew.
    #[expect(clippy::print_stdout, reason = "this is what it is for")]
    fn judge(&self, sizes: &[Size]) -> Result<()> {
        let (first, last) = (sizes.first().context("no failover was done")?, sizes.last().context("likewise")?);
        println!("{} failovers; a process that ran all the time: {first:?}, then {last:?}", sizes.len());
        let workers = wait_until("the server's connections to end", Duration::from_secs(30), || {
            let script = "pgrep --count --full '^pgpool: PCP: ' || true";
            let count = self.cluster.pgpool().host().exec(["bash", "-c", script])?.stdout;
            let count: usize = count.trim().parse()?;
            ensure!(count <= 1, "{count} PCP processes");
            Ok(count)
        })?;
        println!("PCP processes on the server in the end: {workers}");
        ensure!(last.descriptors <= first.descriptors + 1, "descriptors grow");
        ensure!(last.kilobytes <= first.kilobytes + 2048, "memory grows");
        Ok(())
    }
}

impl Size {
    fn of(process: &Running) -> Result<Self> {
        let path = Path::new("/proc").join(process.id().to_string());
        let status = fs::read_to_string(path.join("status")).context("it has ended")?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no size")?;
        let kilobytes = line.split_whitespace().next().context("no number")?.parse()?;
        Ok(Self { descriptors: fs::read_dir(path.join("fd"))?.count(), kilobytes })
    }
}
