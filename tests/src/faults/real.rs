//! Faults of processes, machines and networks, on real servers.

use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use pcp_proto::RequestKind;

use crate::{Cluster, Output, PCP_PASSWORD, PCP_USER, Pcpctl, Proxy, Running, Settings, Version, wait_until};

/// How much later than its deadline a run may end.
const GRACE: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(90);

/// Something that happens to a real Pgpool.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// What happens.
    pub name: &'static str,
    /// Makes it happen, and returns what came of each verb.
    run: fn(&Site) -> Result<Vec<Ran>>,
}

/// What came of it.
#[derive(Debug)]
pub struct RealOutcome {
    /// What happened.
    pub name: &'static str,
    /// On which Pgpool.
    pub version: Version,
    /// What came of each verb, or what must not be.
    pub result: Result<Vec<Ran>, String>,
}

/// How a verb ended.
#[derive(Clone, Debug)]
pub struct Ran {
    /// What was run: `detach 2, during it`.
    pub verb: String,
    /// The exit code.
    pub code: i32,
    /// How long it took.
    pub elapsed: Duration,
    /// What it said in the end: the first line.
    pub said: String,
}

/// Returns all of them.
#[must_use]
pub fn on_real_servers() -> Vec<Scenario> {
    vec![
        Scenario { name: "kill -9 of every process of Pgpool, and a start", run: killed },
        Scenario { name: "kill -9 of Pgpool while a verb verifies, and a start", run: killed_while_verifying },
        Scenario { name: "kill -9 of the PCP process", run: pcp_process_killed },
        Scenario { name: "kill -9 of a PCP worker", run: worker_killed },
        Scenario { name: "SIGSTOP, later SIGCONT", run: stopped },
        Scenario { name: "the host is paused, and goes on", run: paused },
        Scenario { name: "the network is cut both ways, and mended", run: cut },
        Scenario { name: "the network is cut one way, then the other", run: cut_one_way },
        Scenario { name: "replies are lost from the change on", run: replies_lost },
        Scenario { name: "three packets of ten are lost", run: lossy },
        Scenario { name: "the disk of the log is full", run: log_full },
        Scenario { name: "somebody's idle connection", run: idle_connection },
        Scenario { name: "three hundred connections wait", run: crowded },
        Scenario { name: "Pgpool has no descriptors left", run: without_descriptors },
        Scenario { name: "the hook is killed at every step, and run again", run: hook_killed },
    ]
}

/// Runs these, one after the other, on one cluster, which is healthy before each.
///
/// # Errors
///
/// When there is no cluster.
pub fn run_on_real_server(scenarios: &[Scenario], version: Version, program: &Path) -> Result<Vec<RealOutcome>> {
    if scenarios.is_empty() {
        return Ok(Vec::new());
    }
    let cluster = Cluster::start(version, Settings::default())?;
    let site = Site { cluster, program: program.to_owned() };
    let mut outcomes = Vec::new();
    for scenario in scenarios {
        let result = (scenario.run)(&site).and_then(|ran| site.heal().map(|()| ran));
        let result = result.map_err(|error| format!("{error:#}"));
        outcomes.push(RealOutcome { name: scenario.name, version, result });
    }
    Ok(outcomes)
}

/// A healthy cluster.
#[derive(Debug)]
struct Site {
    cluster: Cluster,
    program: PathBuf,
}

impl Site {
    fn pgpool(&self) -> SocketAddr {
        self.cluster.pgpool().pcp_address()
    }

    fn start(&self, words: &str, to: SocketAddr) -> Result<Running> {
        let host = to.to_string();
        let args = words.split(' ').chain(["-h", &host, "--config", "/dev/null"]);
        Pcpctl::new(&self.program).args(args).env("PCP_USER", PCP_USER).env("PCP_PASSWORD", PCP_PASSWORD).spawn()
    }

    /// Runs a verb, which has to end by its deadline and with one of these codes.
    fn run(&self, words: &str, codes: &[i32]) -> Result<Ran> {
        ended(words, self.start(words, self.pgpool())?.wait(PATIENCE)?, codes)
    }

    /// Runs something on Pgpool's host.
    fn on_host(&self, script: &str) -> Result<String> {
        let output = self.cluster.pgpool().host().exec(["bash", "-c", script])?;
        ensure!(output.success(), "{script}: {output:?}");
        Ok(output.stdout)
    }

    /// Asks SQL, not PCP, what Pgpool shows.
    fn shows(&self, third: &str) -> Result<()> {
        self.cluster.await_summary(&["0 attached primary", "1 attached standby", &format!("2 {third}")])
    }

    /// Brings everything back.
    fn heal(&self) -> Result<()> {
        self.run("attach 2 s", &[0])?;
        self.shows("attached standby")
    }
}

/// Judges how a verb ended.
fn ended(words: &str, output: Output, codes: &[i32]) -> Result<Ran> {
    let limit = words.split(' ').skip_while(|word| *word != "--deadline").nth(1);
    let usual = if words.starts_with("attach") { 60 } else { 30 };
    let limit: u64 = limit.and_then(|limit| limit.trim_end_matches('s').parse().ok()).unwrap_or(usual);
    ensure!(output.elapsed <= Duration::from_secs(limit) + GRACE, "{words} outlasts its deadline: {output:?}");
    ensure!(!output.stderr.contains("panicked"), "{words} panics: {output:?}");
    let code = output.code.with_context(|| format!("{words} was ended by a signal: {output:?}"))?;
    ensure!(codes.contains(&code), "{words} ends with {code}, not with one of {codes:?}: {output:?}");
    ensure!(code == 0 || !output.stderr.is_empty(), "{words} gives no reason: {output:?}");
    let said = output.stdout.lines().next().unwrap_or_default().to_owned();
    Ok(Ran { verb: words.to_owned(), code, elapsed: output.elapsed, said })
}

fn killed(site: &Site) -> Result<Vec<Ran>> {
    site.cluster.kill_pgpool()?;
    let gone = site.run("detach 2 --deadline 3s", &[4])?;
    let hook = site.start("detach 2", site.pgpool())?;
    site.cluster.start_pgpool()?;
    let back = ended("detach 2", hook.wait(PATIENCE)?, &[0])?;
    site.shows("down standby")?;
    Ok(vec![gone, back])
}

fn killed_while_verifying(site: &Site) -> Result<Vec<Ran>> {
    let relay = Proxy::start(site.pgpool())?;
    let before = site.run("detach 2", &[0])?;
    let hook = site.start("attach 2 s --settle 4s", loopback(&relay))?;
    await_request(&relay, RequestKind::ATTACH_NODE)?;
    site.cluster.kill_pgpool()?;
    site.cluster.start_pgpool()?;
    // Pgpool may have written down that the node is down, or not: what the verb says has to be so.
    let ran = ended("attach 2 s --settle 4s", hook.wait(PATIENCE)?, &[0, 8])?;
    if ran.code == 0 {
        site.shows("attached standby")?;
    }
    Ok(vec![before, ran])
}

fn pcp_process_killed(site: &Site) -> Result<Vec<Ran>> {
    let kill = "pkill -KILL --oldest --full 'pgpool: PCP: wait for connection request'";
    site.on_host(kill)?;
    let detach = site.run("detach 2", &[0])?;
    site.shows("down standby")?;
    site.on_host(kill)?;
    let shown = site.run("show nodes", &[0, 4])?;
    Ok(vec![detach, shown])
}

fn worker_killed(site: &Site) -> Result<Vec<Ran>> {
    let idle = TcpStream::connect(site.pgpool())?;
    let pcp = site.on_host("pgrep --oldest --full 'pgpool: PCP: wait for connection request'")?;
    let kill = format!("pkill -KILL --parent {}", pcp.trim());
    wait_until("a worker to kill", PATIENCE, || site.on_host(&kill))?;
    let detach = site.run("detach 2", &[0])?;
    drop(idle);
    site.shows("down standby")?;
    Ok(vec![detach])
}

fn stopped(site: &Site) -> Result<Vec<Ran>> {
    site.on_host("pkill -STOP -u postgres -x pgpool")?;
    let silent = site.run("detach 2 --deadline 3s", &[4])?;
    let asked = site.run("show nodes --deadline 2s", &[4])?;
    let hook = site.start("detach 2", site.pgpool())?;
    site.on_host("pkill -CONT -u postgres -x pgpool")?;
    let on = ended("detach 2", hook.wait(PATIENCE)?, &[0])?;
    site.shows("down standby")?;
    Ok(vec![silent, asked, on])
}

fn paused(site: &Site) -> Result<Vec<Ran>> {
    let host = site.cluster.pgpool().host();
    host.pause()?;
    let silent = site.run("detach 2 --deadline 3s", &[4]);
    let hook = site.start("detach 2", site.pgpool());
    host.unpause()?;
    let on = ended("detach 2", hook?.wait(PATIENCE)?, &[0])?;
    site.shows("down standby")?;
    Ok(vec![silent?, on])
}

fn cut(site: &Site) -> Result<Vec<Ran>> {
    let host = site.cluster.pgpool().host();
    host.swallow_packets(&[])?;
    let silent = site.run("detach 2 --deadline 3s", &[4]);
    let hook = site.start("detach 2", site.pgpool());
    host.restore_packets()?;
    let on = ended("detach 2", hook?.wait(PATIENCE)?, &[0])?;
    site.shows("down standby")?;
    Ok(vec![silent?, on])
}

fn cut_one_way(site: &Site) -> Result<Vec<Ran>> {
    let mut ran = Vec::new();
    for (way, port, words) in [("input", "dport", "detach 2"), ("output", "sport", "attach 2 s")] {
        site.on_host(&format!(
            "nft 'table inet one-way {{ chain cut {{ type filter hook {way} priority -300; tcp {port} 9898 drop; }}; }}'"
        ))?;
        let silent = site.run(&format!("{words} --deadline 3s"), &[4]);
        let hook = site.start(words, site.pgpool());
        site.on_host("nft delete table inet one-way")?;
        ran.push(silent?);
        ran.push(ended(words, hook?.wait(PATIENCE)?, &[0])?);
    }
    site.shows("attached standby")?;
    Ok(ran)
}

fn replies_lost(site: &Site) -> Result<Vec<Ran>> {
    let relay = Proxy::silent_after(site.pgpool(), RequestKind::DETACH_NODE)?;
    let words = "detach 2 --deadline 3s";
    let unknown = ended(words, site.start(words, loopback(&relay))?.wait(PATIENCE)?, &[8])?;
    site.shows("down standby")?;
    let again = site.run("detach 2", &[0])?;
    Ok(vec![unknown, again])
}

fn lossy(site: &Site) -> Result<Vec<Ran>> {
    let rules = "table inet lossy {
        chain incoming { type filter hook input priority -300
            tcp dport 9898 numgen random mod 10 < 3 drop
        }
        chain outgoing { type filter hook output priority -300
            tcp sport 9898 numgen random mod 10 < 3 drop
        }
    }";
    site.on_host(&format!("nft '{rules}'"))?;
    let ran = (|| -> Result<Vec<Ran>> {
        let mut ran = Vec::new();
        for words in ["detach 2", "attach 2 s", "show nodes", "detach 2"] {
            // What could not be verified in time is said to be so.
            ran.push(site.run(words, &[0, 4, 8])?);
        }
        Ok(ran)
    })();
    site.on_host("nft delete table inet lossy")?;
    let ran = ran?;
    if ran.last().is_some_and(|last| last.code == 0) {
        site.shows("down standby")?;
    }
    Ok(ran)
}

/// Writes the log to a disk of its own, which only the hook sees, and which holds nothing more.
fn log_full(site: &Site) -> Result<Vec<Ran>> {
    const FULL: &str =
        "mount -t tmpfs -o size=16k none /mnt && head -c 16k /dev/zero >/mnt/full && exec -a pcpctl \"$@\"";
    let (words, host) = ("detach 2 --log-file /mnt/log", site.pgpool().to_string());
    let hook = Pcpctl::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "bash", "-c", FULL, "bash"])
        .args([&site.program])
        .args(words.split(' ').chain(["-h", &host, "--config", "/dev/null"]))
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("PCP_USER", PCP_USER)
        .env("PCP_PASSWORD", PCP_PASSWORD);
    let output = hook.run()?;
    ensure!(output.stderr.contains("cannot log to /mnt/log: No space left"), "{output:?}");
    let full = ended(words, output, &[0])?;
    site.shows("down standby")?;
    Ok(vec![full])
}

fn idle_connection(site: &Site) -> Result<Vec<Ran>> {
    let idle = TcpStream::connect(site.pgpool())?;
    let first = site.run("detach 2", &[0])?;
    // Before 4.5 Pgpool waits for that connection about a second after the change.
    let freezes = site.cluster.version() < Version::V4_6;
    if freezes {
        wait_until("Pgpool to freeze", PATIENCE, || site.run("show nodes --deadline 2s", &[4]))?;
    }
    let second = site.run("attach 2 s --deadline 8s", if freezes { &[4] } else { &[0] })?;
    ensure!(!freezes || second.said.contains("somebody else's PCP connection stayed open"), "{second:?}");
    drop(idle);
    let after = site.run("attach 2 s", &[0])?;
    Ok(vec![first, second, after])
}

fn crowded(site: &Site) -> Result<Vec<Ran>> {
    // Those that find no room are refused, or go on trying, which is as good.
    let crowd: Vec<_> = thread::scope(|scope| {
        let connect = || TcpStream::connect_timeout(&site.pgpool(), Duration::from_secs(3)).ok();
        let connecting: Vec<_> = (0..300).map(|_| scope.spawn(connect)).collect();
        connecting.into_iter().filter_map(|thread| thread.join().ok().flatten()).collect()
    });
    let during = site.run("detach 2 --deadline 15s", &[0, 4, 8])?;
    let held = crowd.len();
    drop(crowd);
    let after = site.run("detach 2", &[0])?;
    site.shows("down standby")?;
    let during = Ran { verb: format!("{} beside {held} connections", during.verb), ..during };
    Ok(vec![during, after])
}

fn without_descriptors(site: &Site) -> Result<Vec<Ran>> {
    let pcp = site.on_host("pgrep --oldest --full 'pgpool: PCP: wait for connection request'")?;
    // Its own user may lower the soft limit and raise it again.
    let limit = |count: u32| {
        let user = "setpriv --reuid=postgres --regid=postgres --clear-groups";
        site.on_host(&format!("{user} prlimit --pid {} --nofile={count}:", pcp.trim()))
    };
    limit(3)?;
    let during = site.run("detach 2 --deadline 4s", &[0, 4, 8])?;
    // It may have given up, and another one be there.
    limit(1024).ok();
    let after = site.run("detach 2", &[0])?;
    site.shows("down standby")?;
    Ok(vec![during, after])
}

/// Kills the hook once Pgpool has been asked so many requests, one more each time, until it is quicker.
fn hook_killed(site: &Site) -> Result<Vec<Ran>> {
    let mut ran = Vec::new();
    for step in 1..40 {
        let relay = Proxy::start(site.pgpool())?;
        let words = if step % 2 == 1 { "detach 2" } else { "attach 2 s" };
        let hook = site.start(words, loopback(&relay))?;
        let killed = wait_until("so many requests", Duration::from_secs(3), || {
            let asked = relay.asked().iter().map(Vec::len).sum::<usize>();
            ensure!(asked >= step, "{asked} requests");
            Ok(())
        });
        hook.signal("KILL").ok();
        drop(hook);
        let again = site.run(words, &[0])?;
        site.shows(if step % 2 == 1 { "down standby" } else { "attached standby" })?;
        let verb = format!("{words}, again after a kill at request {step}");
        ran.push(Ran { verb, ..again });
        if killed.is_err() {
            break;
        }
    }
    Ok(ran)
}

fn loopback(relay: &Proxy) -> SocketAddr {
    ([127, 0, 0, 1], relay.port()).into()
}

fn await_request(relay: &Proxy, kind: RequestKind) -> Result<()> {
    wait_until("the request", PATIENCE, || {
        let asked = relay.asked();
        ensure!(asked.iter().flatten().any(|asked| *asked == kind), "{asked:?}");
        Ok(())
    })
}
