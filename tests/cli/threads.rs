//! Which commands start threads: what only reads from an address or a socket does not.

use std::fs;
use std::time::Duration;

use anyhow::{Result, ensure};
use pcp_client::sandbox::{Fault, World};
use pcp_tests::{Pcpctl, pcpctl, wait_until};

use crate::support::{Dir, Pgpool};

#[test]
fn what_only_reads_starts_no_thread() -> Result<()> {
    let dir = Dir::new("threads")?;
    let (tcp, unix) = (Pgpool::start()?, Pgpool::start_unix(dir.path())?);
    let socket = dir.path().display().to_string();
    for args in [&["show", "nodes"][..], &["is-primary", "2"]] {
        assert_eq!(threads(&tcp, pcpctl!().args(args).args(["-h", &tcp.endpoint()]))?, 1, "{args:?}");
        assert_eq!(threads(&unix, pcpctl!().args(args).args(["-h", &socket]))?, 1, "{args:?}");
    }
    let port = tcp.sandbox.address().port().to_string();
    for (tool, args) in [("pcp_node_info", &["1"][..]), ("pcp_proc_info", &[])] {
        let link = |host: &str, port: &str| pcpctl!().named(tool).args(["-w", "-h", host, "-p", port]).args(args);
        assert_eq!(threads(&tcp, link("127.0.0.1", &port))?, 1, "{tool}");
        assert_eq!(threads(&unix, link(&socket, "9898"))?, 1, "{tool}");
    }
    // What ends a change where something hangs.
    let change = pcpctl!().named("pcp_detach_node").args(["-w", "-h", "127.0.0.1", "-p", &port, "2"]);
    assert_eq!(threads(&tcp, change)?, 2);
    Ok(())
}

/// Counts the threads of a run that is connected and waits for an answer.
fn threads(pgpool: &Pgpool, run: Pcpctl) -> Result<usize> {
    pgpool.sandbox.fault(Fault::NeverSalt);
    let before = pgpool.sandbox.connections();
    let running = run.env("PCP_USER", World::USER).env("PCP_PASSWORD", World::PASSWORD).spawn()?;
    wait_until("it to connect", Duration::from_secs(10), || {
        ensure!(pgpool.sandbox.connections() > before, "no connection yet");
        Ok(())
    })?;
    Ok(fs::read_dir(format!("/proc/{}/task", running.id()))?.count())
}
