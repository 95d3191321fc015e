//! The exporter as a writer of files.

use std::fs;
use std::time::Duration;

use anyhow::{Result, ensure};
use pcp_tests::wait_until;

use crate::support::{Dir, Pgpool, logged_in};

const PATIENCE: Duration = Duration::from_secs(30);

#[test]
fn the_file_is_written_once() -> Result<()> {
    let pgpool = Pgpool::start()?;
    let dir = Dir::new("textfile-once")?;
    let path = dir.file("pgpool.prom", "old", 0o644)?;
    let output = pgpool.run(&["exporter", "--once", "--textfile", &path])?;
    assert_eq!((output.code, output.stdout.as_str()), (Some(0), ""), "{output:?}");
    let page = fs::read_to_string(&path)?;
    assert!(page.starts_with("# HELP pgpool2_up ") && page.ends_with('\n'), "{page}");
    assert_eq!(fs::read_dir(dir.path())?.count(), 1, "nothing is left beside it");

    let nowhere = dir.path().join("none/pgpool.prom").display().to_string();
    let output = pgpool.run(&["exporter", "--once", "--textfile", &nowhere])?;
    assert_eq!(output.code, Some(3), "{output:?}");
    assert!(output.stderr.contains(&format!("cannot write {nowhere}: ")), "{output:?}");
    Ok(())
}

#[test]
fn the_file_is_written_again_and_again() -> Result<()> {
    let pgpool = Pgpool::start()?;
    let dir = Dir::new("textfile-often")?;
    let path = dir.path().join("pgpool.prom");
    let args =
        ["exporter", "--textfile", &path.display().to_string(), "--interval", "1s", "-h", &pgpool.endpoint()];
    let exporter = logged_in(&args).spawn()?;
    for times in ["1", "2"] {
        wait_until("the file", PATIENCE, || {
            let page = fs::read_to_string(&path)?;
            let count = page.lines().find(|line| line.starts_with("pgpool2_scrapes_total{")).unwrap_or_default();
            ensure!(count.ends_with(&format!(" {times}")), "{count}");
            Ok(())
        })?;
    }
    // What cannot be written is tried again.
    fs::remove_dir_all(dir.path())?;
    wait_until("a complaint", PATIENCE, || {
        ensure!(pgpool.sandbox.connections() >= 4, "not yet");
        Ok(())
    })?;
    fs::create_dir_all(dir.path())?;
    wait_until("the file again", PATIENCE, || Ok(fs::read_to_string(&path)?))?;
    exporter.signal("TERM")?;
    let output = exporter.wait(PATIENCE)?;
    assert_eq!(output.code, Some(0), "{output:?}");
    assert_eq!(output.stderr.lines().count(), 1, "said once: {output:?}");
    assert_eq!(fs::read_dir(dir.path())?.count(), 1);
    Ok(())
}
