//! What hooks log, and that no log is worth a hook.

use std::fs;
use std::os::unix::fs::symlink;

use anyhow::Result;
use pcp_tests::Output;

use crate::support::{Dir, Pgpool, bare, logged_in};

fn logged(dir: &Dir) -> String {
    fs::read_to_string(dir.path().join("pcpctl.log")).unwrap_or_default()
}

#[test]
fn the_log_tells_who_called_what_was_done_and_what_came_of_it() -> Result<()> {
    let pgpool = Pgpool::start()?;
    let dir = Dir::new("log-tells")?;
    let file = dir.path().join("pcpctl.log").display().to_string();
    let run = |args: &[&str]| -> Result<Output> { pgpool.run(&[args, &["--log-file", &file]].concat()) };
    let detached = run(&["detach", "10.0.0.3", "s"])?;
    assert_eq!((detached.code, &*detached.stderr), (Some(0), ""), "{detached:?}");
    let first = logged(&dir);
    let endpoint = pgpool.endpoint();
    for part in [
        "]: called: ",
        " detach 10.0.0.3 s --log-file ",
        " version=",
        "]: resolved ",
        "10.0.0.3:5432",
        &format!("]: accepted endpoint={endpoint} change=\"detach 2\""),
        &format!("]: {endpoint}  node 2 (10.0.0.3:5432)  up standby -> down standby  [detach 2]"),
        "]: 10.0.0.3 is detached: verified on 1 Pgpool exit=0 ",
    ] {
        assert!(first.contains(part), "{part}: {first}");
    }
    let uid = fs::metadata("/proc/self").map(|process| std::os::unix::fs::MetadataExt::uid(&process))?;
    assert!(first.contains(&format!(" uid={uid} ")), "{first}");

    assert_eq!(run(&["detach", "10.0.0.4"])?.code, Some(6));
    assert_eq!(run(&["detach", "10.0.0.4", "--config", "/nonexistent"])?.code, Some(3));
    let all = logged(&dir);
    assert!(all.starts_with(&first), "{all}");
    for part in [" ERROR pcpctl[", "10.0.0.4 is NOT detached", "exit=6", "/nonexistent cannot be read", "exit=3"] {
        assert!(all.contains(part), "{part}: {all}");
    }
    // Each line has its time, with the zone.
    for line in all.lines() {
        let time = line.split(' ').next().unwrap_or_default();
        let is_time = time.len() == "2026-01-01T00:00:00.000+00:00".len() && time.contains('T');
        assert!(is_time && line.contains(" pcpctl["), "{line}");
    }
    Ok(())
}

#[test]
fn a_log_that_cannot_be_written_is_one_warning() -> Result<()> {
    let pgpool = Pgpool::start()?;
    let dir = Dir::new("log-fails")?;
    let target = dir.file("target", "", 0o600)?;
    let link = dir.path().join("link").display().to_string();
    symlink(&target, &link)?;
    let directory = dir.path().display().to_string();
    for (file, reason) in [
        (&*link, "it is a symbolic link"),
        (&directory, "Is a directory"),
        ("/nonexistent/pcpctl.log", "No such file"),
        ("/dev/full", "it is not a plain file"),
    ] {
        let output = pgpool.run(&["detach", "10.0.0.3", "--log-file", file])?;
        assert_eq!(output.code, Some(0), "{output:?}");
        assert!(output.stdout.starts_with("10.0.0.3 is detached"), "{output:?}");
        let warning = format!("pcpctl: warning: cannot log to {file}: {reason}");
        assert!(output.stderr.starts_with(&warning) && output.stderr.lines().count() == 1, "{output:?}");
    }
    assert_eq!(fs::read_to_string(&target)?, "");
    Ok(())
}

#[test]
fn the_file_says_where_and_how_much_is_logged_and_no_secret_is() -> Result<()> {
    const PASSWORD: &str = "correct-horse-battery-staple";
    let pgpool = Pgpool::start()?;
    let dir = Dir::new("log-trace")?;
    let file = dir.path().join("pcpctl.log").display().to_string();
    let config = dir.file("pcpctl.toml", &format!("[log]\nfile = \"{file}\"\nlevel = \"trace\"\n"), 0o644)?;
    let password = dir.file("password", PASSWORD, 0o600)?;
    let args = ["detach", "2", "-vvv", "-h", &pgpool.endpoint(), "-U", "admin", "--config", &config];
    let given = bare(&args).env("PCP_PASSWORD", PASSWORD).run()?;
    let read = bare(&[&args[..], &["--password-file", &password]].concat()).run()?;
    let log = logged(&dir);
    assert!(log.contains(" TRACE pcpctl[") && log.matches("]: called: ").count() == 2, "{log}");
    for output in [given, read] {
        assert_eq!(output.code, Some(5), "{output:?}");
        assert!(!output.stdout.contains(PASSWORD) && !output.stderr.contains(PASSWORD), "{output:?}");
    }
    assert!(!log.contains(PASSWORD), "{log}");

    let config = dir.file("quiet.toml", &format!("[log]\nfile = \"{file}\"\nlevel = \"error\"\n"), 0o644)?;
    let output = logged_in(&["detach", "2", "-h", &pgpool.endpoint(), "--config", &config]).run()?;
    assert_eq!((output.code, logged(&dir) == log), (Some(0), true), "{}", logged(&dir));
    Ok(())
}
