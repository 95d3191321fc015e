//! Hostile callers: arguments, environment, files of settings, and what EFM's command prints.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use pcp_tests::{Output, wait_until};

use super::{EVIL, PATIENCE, harmless};
use crate::support::{Dir, Pgpool, logged_in};

/// What a shell, a template or an attacker may make of a host name.
fn names() -> Vec<OsString> {
    let texts =
        ["%h", "%t", "-1", "-x", "--", "$(id)", "`id`", "a b", "a\nb", EVIL, "日本", "\u{202e}1.0.0.01", "[", "]"];
    let more =
        ["[::1", ":", "::", "a:99999", "a:-1", "/etc/passwd", "../../x", "128", "-0", "0x0", "10.0.0.3%eth0", "*"];
    let long = ["x".repeat(100_000), "1.".repeat(50_000), "9".repeat(100_000)];
    let texts = texts.into_iter().chain(more).map(OsString::from).chain(long.map(OsString::from));
    texts.chain([OsString::from_vec(vec![0xff, 0x1b, b'[', b'2', b'J'])]).collect()
}

/// Fails unless a run ended by itself, with a mistake, and told it unharmed.
fn is_refused(output: &Output, place: &str) -> Result<()> {
    ensure!(matches!(output.code, Some(2..=8)), "{place}: {output:?}");
    harmless(&output.stdout, &format!("stdout of {place}"))?;
    harmless(&output.stderr, &format!("stderr of {place}"))
}

#[test]
fn a_hostile_name_means_no_node_and_no_host() -> Result<()> {
    let pgpool = Pgpool::start()?;
    let endpoint = OsString::from(pgpool.endpoint());
    for name in names() {
        for verb in ["detach", "attach", "promote", "is-primary", "show node"] {
            let args = verb.split(' ').map(OsString::from).chain(["--deadline".into(), "3s".into(), "-h".into()]);
            let args = args.chain([endpoint.clone(), name.clone()]);
            is_refused(&logged_in(&[]).args(args).run()?, &format!("{verb} {}", shortened(&name)))?;
        }
        let failed =
            ["promote".into(), "--deadline=3s".into(), "-h".into(), endpoint.clone(), "0".into(), name.clone()];
        let failed = logged_in(&[]).args(failed).run()?;
        harmless(&format!("{}{}", failed.stdout, failed.stderr), "promote")?;
    }
    ensure!(pgpool.sandbox.with(|world| world.operations().is_empty()), "something was done");
    Ok(())
}

#[test]
fn a_hostile_host_user_or_variable_is_a_mistake_that_is_told() -> Result<()> {
    for name in names() {
        let mut host = OsString::from("-h=");
        host.push(&name);
        let output = logged_in(&["is-primary", "0", "--deadline", "3s", "-p", "1"]).args([host]).run()?;
        is_refused(&output, &format!("the host {}", shortened(&name)))?;
    }
    for variable in
        ["PCP_HOST", "PCP_PORT", "PCP_USER", "PCPCTL_DEADLINE", "PCPCTL_CONFIG", "PCP_PASSWORD_FILE", "HOME"]
    {
        for value in [EVIL, "\u{1b}]0;title\u{7}", "\n", &"x".repeat(100_000)] {
            let run =
                logged_in(&["detach", "0", "--connect-timeout", "1s", "-p", "1"]).env("PCPCTL_DEADLINE", "2s");
            let output = run.env("PCP_HOST", "127.0.0.1").env(variable, value).run()?;
            is_refused(&output, &format!("{variable} {value:.20}"))?;
        }
    }
    Ok(())
}

#[test]
fn a_hostile_file_of_settings_is_a_mistake_that_is_told() -> Result<()> {
    let dir = Dir::new("hostile-settings")?;
    let nested = |open: &str| open.repeat(200_000);
    for (number, text) in [
        format!("pgpools = {}", nested("[")),
        format!("nodes = {}", nested("{a=")),
        format!("[{}]", nested("a.")),
        format!("user = \"{EVIL}"),
        format!("[{EVIL}]"),
        format!("\"{}\" = 1", EVIL.escape_default()),
        "port = 1e999999".to_owned(),
        "deadline = \"99999999999999999999999y\"".to_owned(),
        "pgpools = [\"\\u001b[2J\"]".to_owned(),
        "user = \"u\"\nuser = \"u\"".to_owned(),
        "\0\u{7f}\u{feff}".to_owned(),
        "x".repeat((1 << 20) + 1),
    ]
    .into_iter()
    .enumerate()
    {
        let file = dir.file(&format!("{number}.toml"), &text, 0o644)?;
        let output = logged_in(&["detach", "0", "--config", &file]).run()?;
        ensure!(output.code == Some(3), "{number}: {output:?}");
        is_refused(&output, &format!("file {number}"))?;
    }
    for path in ["/dev/zero", "/dev/stdin", "/proc/self", "/proc/self/mem"] {
        let output = logged_in(&["detach", "0", "--config", path]).run()?;
        ensure!(output.code == Some(3), "{path}: {output:?}");
    }
    // EFM's properties: nothing in them but ports and hosts can be wrong.
    for text in [format!("pcp.port={EVIL}"), format!("pcp.host={EVIL}"), "pcp.port=\\u001b[2J".to_owned()] {
        let file = dir.file("efm.properties", &text, 0o644)?;
        let output = logged_in(&["detach", "0", "--efm-properties", &file]).run()?;
        ensure!(output.code == Some(3), "{text:?}: {output:?}");
        is_refused(&output, &text)?;
    }
    let long = dir.file("long.properties", &"\\\n".repeat(500_000), 0o644)?;
    let output =
        logged_in(&["detach", "0", "-h", "127.0.0.1", "-p", "1", "--deadline", "2s", "--efm-properties", &long]);
    is_refused(&output.run()?, "properties of one long line")
}

#[test]
fn a_hostile_desired_state_is_a_mistake_that_is_told() -> Result<()> {
    let dir = Dir::new("hostile-desired")?;
    for text in [
        "[".repeat(200_000),
        "{\"nodes\":".repeat(100_000),
        format!(
            "{{\"schema_version\":1,\"nodes\":[{{\"address\":{},\"state\":\"detached\"}}]}}",
            serde_json::to_string(EVIL)?
        ),
        "{\"schema_version\":1e999999}".to_owned(),
    ] {
        let file = dir.file("desired.json", &text, 0o644)?;
        let output = logged_in(&["reconcile", "--desired", &file]).env("PCPCTL_CONFIG", "/dev/null").run()?;
        is_refused(&output, &format!("{text:.40}"))?;
    }
    Ok(())
}

/// Runs `reconcile` with an `efm` of this script, which may leave its process id in the file `pid`.
fn reconcile(dir: &Dir, script: &str) -> Result<Output> {
    let path = dir.path().display();
    let efm = dir.file("efm", &format!("#!/bin/sh\necho $$ >{path}/pid\n{script}\n"), 0o755)?;
    let config = format!("state-dir = \"{path}/state\"\n[efm]\ncluster = \"main\"\ncommand = \"{efm}\"\n");
    let config = dir.file("pcpctl.toml", &config, 0o644)?;
    let args = ["reconcile", "--efm", "--config", &config, "-h", "127.0.0.1", "-p", "1", "--deadline", "4s"];
    logged_in(&args).limit(PATIENCE).run()
}

#[test]
fn what_efm_prints_is_bounded_and_read_with_care() -> Result<()> {
    let dir = Dir::new("hostile-efm")?;
    let json = dir.path().join("json");
    let evil = serde_json::to_string(EVIL)?;
    for text in [
        "[".repeat(500_000),
        "{\"nodes\":".repeat(100_000),
        format!("{{\"nodes\":{{{evil}:{{\"type\":{evil},\"db\":{evil}}}}}}}"),
        "{\"nodes\":{\"a\":{\"type\":1e999999,\"db\":-1e999999}}}".to_owned(),
        "{\"nodes\":{\"a\":{\"type\":\"Primary\",\"db\":\"UP\"},\"a\":{\"type\":\"Standby\",\"db\":\"UP\"}}}"
            .to_owned(),
        "{\"nodes\":{},\"nodes\":{}}".to_owned(),
        "\0".repeat(1000),
    ] {
        fs::write(&json, &text)?;
        let output = reconcile(&dir, &format!("exec /bin/cat {}", json.display()))?;
        is_refused(&output, &format!("{text:.40}"))?;
    }
    let output = reconcile(&dir, "printf 'a\\033[2J\\233b\\rFORGED\\n' >&2; exit 1")?;
    is_refused(&output, "what efm says on stderr")?;
    Ok(())
}

#[test]
fn an_efm_that_never_ends_is_killed() -> Result<()> {
    let dir = Dir::new("hostile-endless")?;
    for (name, script) in [
        ("output", "exec /bin/cat /dev/zero"),
        ("output that no closed pipe ends", "trap '' PIPE; while :; do echo x; done 2>/dev/null"),
        ("words", "exec /bin/cat /dev/zero >&2"),
        ("silence", "exec /bin/sleep 1000"),
    ] {
        let output = reconcile(&dir, script)?;
        is_refused(&output, name)?;
        let pid = fs::read_to_string(dir.path().join("pid")).context(name)?;
        let stat = Path::new("/proc").join(pid.trim()).join("stat");
        wait_until("its end", PATIENCE, || {
            let stat = fs::read_to_string(&stat).unwrap_or_default();
            ensure!(stat.is_empty() || stat.contains(") Z "), "{name} lives: {stat}");
            Ok(())
        })?;
    }
    Ok(())
}

fn shortened(name: &OsString) -> String {
    name.to_string_lossy().chars().take(30).collect()
}
