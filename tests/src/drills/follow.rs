//! Pgpool's own `follow_primary_command`: after a change of primary it detaches all the others and runs this for each.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::{Context, Result, anyhow, ensure};

use super::{Drill, PLAIN, Scenario};
use crate::{Agent, Call, Hook, Host};

pub(super) const ALL: &[Scenario] = &[
    Scenario {
        name: "primary database down, follow command set",
        // Long enough that Pgpool finds the promoted node by itself: only then it calls the command.
        settings: &[FOLLOW, ("search_primary_node_timeout", "30")],
        needs: Some("follow"),
        run: failover_followed,
        ..PLAIN
    },
    Scenario {
        name: "late promotion, follow command set",
        settings: &[FOLLOW],
        needs: Some("follow"),
        run: |drill| with_relay(drill, super::failover::late_promotion).map(drop),
        ..PLAIN
    },
];

/// Hands its arguments over to this machine, where `pcpctl` is, and waits until that has run.
const FOLLOW: (&str, &str) = (
    "follow_primary_command",
    "echo %d %P %m >>/var/lib/pcp-tests/follow; \
     for i in $(seq 400); do grep -qx %d /var/lib/pcp-tests/followed && exit; sleep 0.1; done",
);

/// Pgpool asks for the old primary, which is left alone, and for the other standby, which it has set down as well.
fn failover_followed(drill: &mut Drill<'_>) -> Result<()> {
    let count = with_relay(drill, promoted_in_the_search)?;
    ensure!(count == 2, "Pgpool asked for {count} nodes, not for 2");
    Ok(())
}

/// The detach and the promotion go on beside each other: a watchdog's members show the detach only after the search.
fn promoted_in_the_search(drill: &mut Drill<'_>) -> Result<()> {
    let old = drill.kill_primary()?;
    let new = drill.efm.most_advanced()?;
    let detach = drill.efm.begin(Hook::Detach, old)?;
    drill.efm.promote(new)?;
    drill.efm.finish(detach, Some(0))?;
    drill.efm.attach(new)?;
    drill.efm.repoint_standbys()
}

/// Runs what Pgpool asks for while `events` happen, and until Pgpool agrees with PostgreSQL; returns how often it asked.
fn with_relay(drill: &mut Drill<'_>, events: fn(&mut Drill<'_>) -> Result<()>) -> Result<usize> {
    let host = drill.caller()?;
    host.exec(["sh", "-c", "cd /var/lib/pcp-tests && : >follow && : >followed && chown postgres: follow"])?;
    let mut agent = drill.efm.agent();
    agent.reach_pgpools_at(&[host.address().to_string()]);
    let stop = AtomicBool::new(false);
    let (happened, followed) = thread::scope(|scope| {
        let relay = scope.spawn(|| relay(host, &agent, &stop));
        let happened = events(drill).and_then(|()| drill.await_agreement());
        stop.store(true, Ordering::Relaxed);
        (happened, relay.join().map_err(|_| anyhow!("the relay panicked")).flatten())
    });
    let calls = followed?;
    let failed = calls.iter().find(|call| call.code != Some(0)).cloned();
    let count = calls.len();
    drill.efm.add(calls);
    happened?;
    ensure!(failed.is_none(), "{failed:?}");
    Ok(count)
}

impl<'a> Drill<'a> {
    /// Returns the host on which Pgpool runs its commands: in a watchdog cluster only the leader does.
    fn caller(&self) -> Result<&'a Host> {
        let pgpool = match self.cluster.pgpools().count() {
            1 => self.cluster.pgpool(),
            _ => self.cluster.leader()?,
        };
        Ok(pgpool.host())
    }
}

/// Runs `pcpctl follow` for each line that the command wrote.
fn relay(host: &Host, agent: &Agent, stop: &AtomicBool) -> Result<Vec<Call>> {
    let mut calls = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let asked = host.exec(["cat", "/var/lib/pcp-tests/follow"])?.stdout;
        for line in asked.lines().skip(calls.len()) {
            let words: Vec<&str> = line.split_whitespace().collect();
            let call = agent.run("follow", &words.join(" "))?;
            let node = words.first().context("a follow command without a node")?;
            host.exec(["sh", "-c", &format!("echo {node} >>/var/lib/pcp-tests/followed")])?;
            calls.push(call);
        }
    }
    Ok(calls)
}
