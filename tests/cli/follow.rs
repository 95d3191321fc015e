//! `follow`, as Pgpool's follow_primary_command calls it, and dry runs.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::thread;
use std::time::Duration;

use anyhow::{Result, ensure};
use pcp_client::sandbox::{Age, Fault, World};
use pcp_proto::RequestKind;
use pcp_tests::wait_until;
use serde_json::{Value, json};

use crate::support::{Dir, Pgpool, Refusing, bare, logged_in};

/// A PostgreSQL, as far as an `SSLRequest` goes.
fn postgres() -> Result<SocketAddr> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _gone = stream.read_exact(&mut [0; 8]).and_then(|()| stream.write_all(b"N"));
        }
    });
    Ok(address)
}

/// Node 2 is down; it and node 1 answer, and no login is known.
fn cluster() -> Result<Pgpool> {
    let (one, two) = (postgres()?, postgres()?);
    let world = World::new(Age::V4_7).node("127.0.0.1", 1);
    let world = world.node("127.0.0.1", one.port()).node("127.0.0.1", two.port());
    let pgpool = Pgpool::start_world(world)?;
    assert_eq!(pgpool.run(&["detach", "2"])?.code, Some(0));
    Ok(pgpool)
}

fn attaches(pgpool: &Pgpool) -> usize {
    pgpool.sandbox.requests().iter().filter(|(_, kind)| *kind == RequestKind::ATTACH_NODE).count()
}

#[test]
fn a_follower_is_attached_when_another_node_was_the_primary() -> Result<()> {
    let pgpool = cluster()?;
    let output = pgpool.run(&["follow", "2", "1", "0"])?;
    assert_eq!(output.code, Some(0), "{output:?}");
    assert!(output.stdout.starts_with("2 is attached as a follower: verified on 1 Pgpool"), "{output:?}");
    let again = pgpool.run(&["follow", " 2", "1", "0"])?;
    assert_eq!((again.code, attaches(&pgpool)), (Some(0), 1), "{again:?}");
    Ok(())
}

/// Pgpool runs it inside its own failover, and may not answer an attach on this host before it has ended.
#[test]
fn it_does_not_queue_behind_an_attach_that_may_wait_for_it() -> Result<()> {
    let pgpool = cluster()?;
    let dir = Dir::new("follow-queue")?;
    let log = |name: &str| dir.path().join(name).display().to_string();
    let run = |args: &[&str], name: &str| {
        logged_in(&[args, &["-h", &pgpool.endpoint(), "--log-file", &log(name)]].concat()).spawn()
    };
    let patience = Duration::from_secs(20);
    let before = pgpool.sandbox.connections();
    pgpool.sandbox.fault(Fault::NeverSalt);
    let attach = run(&["attach", "1", "s"], "attach")?;
    wait_until("the attach to connect, with the lock in its hands", patience, || {
        ensure!(pgpool.sandbox.connections() == before + 1, "no connection yet");
        Ok(())
    })?;
    // Every other hook queues.
    let detach = run(&["detach", "2"], "detach")?;
    wait_until("a detach to wait", patience, || {
        let log = fs::read_to_string(log("detach"))?;
        ensure!(log.contains("waiting for another pcpctl on this host"), "{log}");
        Ok(())
    })?;
    let followed = run(&["follow", "2", "1", "0", "-v"], "follow")?.wait(patience)?;
    assert_eq!(followed.code, Some(0), "{followed:?}");
    assert!(!fs::read_to_string(log("follow"))?.contains("another pcpctl"), "{followed:?}");
    assert_eq!(attaches(&pgpool), 1);
    detach.signal("KILL")?;
    attach.signal("KILL")
}

#[test]
fn a_node_that_may_be_the_old_primary_is_left_alone() -> Result<()> {
    let pgpool = cluster()?;
    for ids in [&["2", "-1", "0"][..], &["2", "\"\"", "0"], &["2", "0", "0"], &["2", "0"], &["--", "2", "-1"]] {
        let host = pgpool.endpoint();
        let output = logged_in(&[&["follow", "-h", &host], ids].concat()).run()?;
        assert_eq!(output.code, Some(7), "{ids:?}: {output:?}");
        assert!(output.stdout.contains("may be the old primary"), "{ids:?}: {output:?}");
    }
    for (ids, reason) in [(["2", "2", "0"], "it is the old primary"), (["2", "0", "2"], "it is the new primary")] {
        let output = pgpool.run(&[&["follow"], &ids[..]].concat())?;
        assert_eq!((output.code, output.stdout), (Some(0), format!("2 is left alone: {reason}\n")));
    }
    assert_eq!(attaches(&pgpool), 0);
    Ok(())
}

/// A witness on Pgpool's host can ask EFM, and one of its standbys is one.
#[test]
fn efm_s_word_is_a_proof_where_it_has_a_majority() -> Result<()> {
    let pgpool = cluster()?;
    let port = pgpool.sandbox.with(|world| world.nodes()[2].port).to_string();
    let dir = Dir::new("follow-efm")?;
    let path = dir.path().display();
    // It exits with 1 while any database is down.
    let script =
        format!("#!/bin/sh\n[ \"$*\" = \"cluster-status-json main\" ] && /bin/cat {path}/status\nexit 1\n");
    let command = dir.file("efm", &script, 0o755)?;
    let config = format!("[efm]\ncluster = \"main\"\ncommand = \"{command}\"\n");
    let config = dir.file("pcpctl.toml", &config, 0o644)?;
    let follow = |member: Value, missing: Value| {
        let nodes = json!({"127.0.0.1": member, "10.0.0.9": {"type": "Primary", "db": "UP"}});
        dir.file("status", &json!({"nodes": nodes, "missingnodes": missing}).to_string(), 0o644)?;
        pgpool.run(&["follow", "2", "-1", "0", "--config", &config, "--backend-port", &port])
    };
    let standby = || json!({"type": "Standby", "db": "UP"});
    for (member, missing, reason) in [
        (json!({"type": "Idle", "db": "UP"}), json!([]), "EFM shows 127.0.0.1 neither"),
        (json!({"type": "Primary", "db": "UP"}), json!([]), "is not in recovery"),
        (standby(), json!(["10.0.0.7", "10.0.0.8"]), "2 of 4 members"),
    ] {
        let output = follow(member, missing)?;
        assert!(output.code == Some(7) && output.stdout.contains(reason), "{reason}: {output:?}");
    }
    assert_eq!(attaches(&pgpool), 0);
    let output = follow(standby(), json!([]))?;
    assert_eq!((output.code, attaches(&pgpool)), (Some(0), 1), "{output:?}");
    Ok(())
}

#[test]
fn ids_that_are_none_and_several_pgpools_are_refused() -> Result<()> {
    for (args, code, reason) in [
        (&["follow", "-1", "0", "1"][..], 2, "it is no node"),
        (&["follow", "2"], 2, "<OLD_PRIMARY_ID>"),
        (&["follow", "%d", "0"], 2, "a number from 0 to 127"),
        (&["follow", "2", "0", "1", "-h", "a,b"], 3, "the Pgpool that runs it only"),
    ] {
        let output = logged_in(args).run()?;
        assert!(output.code == Some(code) && output.stdout.contains(reason), "{args:?}: {output:?}");
    }
    Ok(())
}

#[test]
fn the_pgpool_that_runs_it_is_asked_and_not_those_of_the_configuration() -> Result<()> {
    let dir = Dir::new("follow")?;
    let config =
        dir.file("pcpctl.toml", "pgpools = [\"192.0.2.1\", \"192.0.2.2\"]\nuser = \"u\"\nport = 1\n", 0o644)?;
    let output = bare(&["follow", "2", "0", "1", "--config", &config, "--deadline", "1"])
        .env("PCP_PASSWORD", "secret")
        .run()?;
    assert_eq!(output.code, Some(4), "{output:?}");
    assert!(output.stdout.contains("localhost:1") && !output.stdout.contains("192.0.2"), "{output:?}");
    Ok(())
}

#[test]
fn a_dry_run_tells_the_first_step_and_changes_nothing() -> Result<()> {
    let pgpool = cluster()?;
    let output = pgpool.run(&["detach", "1", "--dry-run"])?;
    assert_eq!(output.code, Some(0), "{output:?}");
    assert!(output.stdout.starts_with("DRY RUN: nothing was changed; 1 would be detached, exit code 0\n"));
    assert!(output.stdout.contains("first: detach 1; sessions dropped: those on the node"), "{output:?}");
    let output = pgpool.run(&["follow", "2", "-1", "0", "--dry-run", "-o", "json"])?;
    assert_eq!(output.code, Some(7), "{output:?}");
    let document: Value = serde_json::from_str(&output.stdout)?;
    assert_eq!(document["dry_run"], json!(true));
    assert_eq!(document["pgpools"][0]["before"], json!({"status": "down", "role": "standby"}));
    assert!(document["pgpools"][0]["step"].as_str().is_some_and(|step| step.starts_with("refused: ")));
    let unknown = pgpool.run(&["detach", "9", "--dry-run"])?;
    assert_eq!(unknown.code, Some(6), "{unknown:?}");
    assert_eq!(pgpool.sandbox.with(|world| world.show_pool_nodes()), "0=up/primary 1=up/standby 2=down/standby");
    Ok(())
}

#[test]
fn the_last_node_is_detached_by_force_only() -> Result<()> {
    let postgres = postgres()?;
    let pgpool = Pgpool::start_world(World::new(Age::V4_7).node("127.0.0.1", postgres.port()))?;
    let output = pgpool.run(&["detach", "0"])?;
    assert!(output.code == Some(7) && output.stdout.contains("its PostgreSQL answers"), "{output:?}");
    assert_eq!(pgpool.run(&["detach", "0", "--force"])?.code, Some(0));
    // Nothing listens.
    let refusing = Refusing::new()?;
    let dead = refusing.address;
    let pgpool = Pgpool::start_world(World::new(Age::V4_7).node("127.0.0.1", dead.port()))?;
    assert_eq!(pgpool.run(&["detach", "0"])?.code, Some(0));
    Ok(())
}

/// What only some verbs need sometimes is no reason for a hook to do nothing.
#[test]
fn a_login_that_cannot_be_used_is_named_where_it_would_be_needed() -> Result<()> {
    let pgpool = cluster()?;
    let dir = Dir::new("login")?;
    let config =
        dir.file("pcpctl.toml", "[postgres]\nuser = \"u\"\npassword-file = \"/nonexistent/password\"\n", 0o644)?;
    let follow = pgpool.run(&["follow", "2", "-1", "0", "--config", &config])?;
    assert!(follow.code == Some(7) && follow.stdout.contains("/nonexistent/password cannot be read"), "{follow:?}");
    let attach = pgpool.run(&["attach", "2", "s", "--config", &config])?;
    assert_eq!(attach.code, Some(0), "{attach:?}");
    Ok(())
}
