//! Files and names that somebody has laid in our way.

use std::fs;
use std::io::Write;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::symlink;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::Path;
use std::process::Command;
use std::thread;

use anyhow::{Result, ensure};
use pcp_client::sandbox::World;

use crate::support::{Dir, Pgpool, bare};

fn make_pipe(path: &Path) -> Result<()> {
    ensure!(Command::new("/usr/bin/mkfifo").arg(path).status()?.success(), "no pipe");
    Ok(())
}

#[test]
fn a_log_is_written_through_no_link_and_waits_for_no_pipe() -> Result<()> {
    let pgpool = Pgpool::start()?;
    let dir = Dir::new("attack-log")?;
    let nowhere = dir.path().join("nowhere");
    symlink(&nowhere, dir.path().join("link"))?;
    make_pipe(&dir.path().join("pipe"))?;
    for name in ["link", "pipe"] {
        let file = dir.path().join(name).display().to_string();
        let output = pgpool.run(&["detach", "10.0.0.3", "--log-file", &file])?;
        ensure!(output.code == Some(0) && output.stderr.contains("cannot log to "), "{name}: {output:?}");
    }
    ensure!(!nowhere.exists(), "a link was followed");
    Ok(())
}

#[test]
fn a_password_file_that_others_can_change_or_that_is_none_is_not_used() -> Result<()> {
    let pgpool = Pgpool::start()?;
    let dir = Dir::new("attack-passfile")?;
    let line = format!("*:*:{}:{}\n", World::USER, World::PASSWORD);
    dir.file("open", &line, 0o604)?;
    dir.file("closed", &line, 0o600)?;
    dir.file("long", &line.repeat(100_000), 0o600)?;
    symlink(dir.path().join("open"), dir.path().join("to-open"))?;
    symlink(dir.path().join("closed"), dir.path().join("to-closed"))?;
    symlink(dir.path().join("loop"), dir.path().join("loop"))?;
    make_pipe(&dir.path().join("pipe"))?;
    for (name, code, reason) in [
        ("to-closed", 0, ""),
        ("open", 3, "has mode 0604"),
        ("to-open", 3, "has mode 0604"),
        ("long", 3, "it is longer than 1 MiB"),
        ("loop", 3, "symbolic link"),
        ("pipe", 3, "is not a plain file"),
        ("", 3, "is not a plain file"),
    ] {
        let passfile = dir.path().join(name).display().to_string();
        let args = ["detach", "2", "-h", &pgpool.endpoint(), "-U", World::USER, "--passfile", &passfile];
        let output = bare(&args).run()?;
        ensure!(output.code == Some(code) && output.stdout.contains(reason), "{name}: {output:?}");
    }
    Ok(())
}

#[test]
fn a_password_comes_through_a_pipe_and_a_pipe_without_one_is_left() -> Result<()> {
    let pgpool = Pgpool::start()?;
    let dir = Dir::new("attack-password")?;
    let path = dir.path().join("pipe");
    make_pipe(&path)?;
    let pipe = path.display().to_string();
    let args = ["is-primary", "0", "-h", &pgpool.endpoint(), "-U", World::USER, "--password-file", &pipe];
    let writer = thread::spawn(move || -> Result<()> {
        let mut pipe = fs::OpenOptions::new().write(true).open(path)?;
        pipe.write_all(World::PASSWORD.as_bytes())?;
        Ok(pipe.write_all(b"\n")?)
    });
    let output = bare(&args).run()?;
    ensure!(output.code == Some(0), "{output:?}");
    writer.join().map_err(|_| anyhow::anyhow!("it panicked"))??;

    let empty =
        ["detach", "2", "--deadline", "1s", "-h", &pgpool.endpoint(), "-U", World::USER, "--password-file", &pipe];
    let output = bare(&empty).run()?;
    ensure!(output.code == Some(8), "a hook ends by its deadline: {output:?}");
    for (file, reason) in [("/dev/zero", "it has more than 1 MiB"), ("/", "Is a directory")] {
        let output = bare(&["detach", "2", "-h", &pgpool.endpoint(), "-U", "u", "--password-file", file]).run()?;
        ensure!(output.code == Some(3) && output.stdout.contains(reason), "{file}: {output:?}");
    }
    Ok(())
}

#[test]
fn marks_are_kept_behind_no_link() -> Result<()> {
    let pgpool = Pgpool::start()?;
    let dir = Dir::new("attack-marks")?;
    let elsewhere = dir.path().join("elsewhere");
    fs::create_dir(&elsewhere)?;
    fs::create_dir(dir.path().join("state"))?;
    symlink(&elsewhere, dir.path().join("state/holds"))?;
    let state = dir.path().join("state").display().to_string();
    let output = pgpool.run(&["hold", "2", "--state-dir", &state])?;
    ensure!(output.code != Some(0) && output.stderr.contains("is not a directory"), "{output:?}");
    ensure!(fs::read_dir(&elsewhere)?.count() == 0, "a link was followed");

    // What reconcile needs to know is refused rather than taken from elsewhere.
    fs::write(dir.path().join("desired.json"), r#"{"schema_version":1,"nodes":[]}"#)?;
    let desired = dir.path().join("desired.json").display().to_string();
    let output = pgpool.run(&["reconcile", "--desired", &desired, "--state-dir", &state])?;
    ensure!(output.code != Some(0), "{output:?}");
    Ok(())
}

#[test]
fn a_page_of_metrics_replaces_a_link_and_is_not_written_through_it() -> Result<()> {
    let pgpool = Pgpool::start()?;
    let dir = Dir::new("attack-textfile")?;
    let target = dir.file("target", "untouched", 0o600)?;
    let page = dir.path().join("pgpool.prom");
    symlink(&target, &page)?;
    let output = pgpool.run(&["exporter", "--once", "--textfile", &page.display().to_string()])?;
    ensure!(output.code == Some(0), "{output:?}");
    ensure!(fs::read_to_string(&target)? == "untouched", "it was written through the link");
    ensure!(fs::symlink_metadata(&page)?.is_file() && fs::read_to_string(&page)?.starts_with("# HELP"));
    Ok(())
}

/// Any user of the host can take the name of the lock: a hook waits for its share of the time, and goes on.
#[test]
fn a_lock_that_somebody_keeps_costs_time_and_nothing_else() -> Result<()> {
    let pgpool = Pgpool::start()?;
    let name = format!("pcpctl/{}", pgpool.endpoint());
    let _squatter = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(name)?)?;
    let output = pgpool.run(&["detach", "10.0.0.3", "-v", "--deadline", "4s"])?;
    ensure!(output.code == Some(0), "{output:?}");
    ensure!(output.stderr.contains("another pcpctl on this host still works on this Pgpool"), "{output:?}");
    Ok(())
}

#[test]
fn links_are_made_over_nothing_that_is_not_ours() -> Result<()> {
    let dir = Dir::new("attack-links")?;
    let target = dir.file("target", "untouched", 0o755)?;
    let path = dir.path().display().to_string();
    for what in ["a link elsewhere", "a link to nowhere", "a directory"] {
        let place = dir.path().join("pcp_node_info");
        match what {
            "a link elsewhere" => symlink(&target, &place)?,
            "a link to nowhere" => symlink("/nonexistent/tool", &place)?,
            _ => fs::create_dir(&place)?,
        }
        let output = bare(&["links", "install", &path]).run()?;
        ensure!(output.code == Some(7), "{what}: {output:?}");
        ensure!(fs::read_dir(dir.path())?.count() == 2, "{what}: something was made");
        let _directory = fs::remove_dir(&place);
        let _link = fs::remove_file(&place);
    }
    ensure!(fs::read_to_string(&target)? == "untouched");
    Ok(())
}
