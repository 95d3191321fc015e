//! Two hooks on one host.

use std::fs;
use std::time::Duration;

use anyhow::{Result, ensure};
use pcp_client::sandbox::Fault;
use pcp_tests::{Running, wait_until};

use crate::support::{Dir, Pgpool, logged_in};

const PATIENCE: Duration = Duration::from_secs(20);

/// Starts a hook and waits until it is held up in the middle of its work.
fn held_up(pgpool: &Pgpool) -> Result<Running> {
    pgpool.sandbox.fault(Fault::NeverSalt);
    let hook = logged_in(&["detach", "1", "-h", &pgpool.endpoint()]).spawn()?;
    wait_until("the first hook to connect", PATIENCE, || {
        ensure!(pgpool.sandbox.connections() == 1, "no connection yet");
        Ok(())
    })?;
    Ok(hook)
}

#[test]
fn a_hook_waits_for_another_and_goes_on_when_that_ends_in_any_way() -> Result<()> {
    for signal in ["TERM", "KILL"] {
        let pgpool = Pgpool::start()?;
        let dir = Dir::new(&format!("queue-{signal}"))?;
        let log = dir.path().join("log");
        let first = held_up(&pgpool)?;
        let endpoint = pgpool.endpoint();
        let args = ["detach", "2", "-h", &endpoint, "--log-file", &log.display().to_string()];
        let second = logged_in(&args).spawn()?;
        wait_until("the second hook to wait", PATIENCE, || {
            let log = fs::read_to_string(&log)?;
            ensure!(log.contains(&format!("waiting for another pcpctl on this host endpoint={endpoint}")), "{log}");
            Ok(())
        })?;
        assert_eq!(pgpool.sandbox.connections(), 1);
        first.signal(signal)?;
        let output = second.wait(PATIENCE)?;
        assert_eq!(output.code, Some(0), "{output:?}");
        let log = fs::read_to_string(&log)?;
        assert!(!log.contains("going on beside it"), "{log}");
    }
    Ok(())
}

#[test]
fn a_hook_that_waits_ends_on_a_signal() -> Result<()> {
    let pgpool = Pgpool::start()?;
    let dir = Dir::new("queue-signal")?;
    let log = dir.path().join("log");
    let _first = held_up(&pgpool)?;
    let args = ["detach", "2", "-h", &pgpool.endpoint(), "--log-file", &log.display().to_string()];
    let second = logged_in(&args).spawn()?;
    wait_until("the second hook to wait", PATIENCE, || {
        ensure!(fs::read_to_string(&log)?.contains("waiting for another pcpctl"), "not yet");
        Ok(())
    })?;
    second.signal("INT")?;
    let output = second.wait(PATIENCE)?;
    assert_eq!(output.code, Some(130), "{output:?}");
    assert!(output.stdout.contains("NOT"), "{output:?}");
    assert_eq!(pgpool.sandbox.with(|world| world.show_pool_nodes()), "0=up/primary 1=up/standby 2=up/standby");
    Ok(())
}

#[test]
fn a_hook_that_waited_long_enough_goes_on_beside_the_other() -> Result<()> {
    let pgpool = Pgpool::start()?;
    let first = held_up(&pgpool)?;
    let args = ["detach", "2", "-v", "--deadline", "4s", "-h", &pgpool.endpoint()];
    let second = logged_in(&args).run()?;
    assert_eq!(second.code, Some(0), "{second:?}");
    assert!(second.stderr.contains("going on beside it"), "{second:?}");
    first.signal("TERM")?;
    assert_eq!(first.wait(PATIENCE)?.code, Some(143));
    Ok(())
}
