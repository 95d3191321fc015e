//! The configuration file, EFM's properties, and what is said about mistakes in them.

use anyhow::Result;
use pcp_client::sandbox::World;

use crate::support::{Dir, Pgpool, bare};

#[test]
fn a_file_says_everything_that_flags_would() -> Result<()> {
    let pgpool = Pgpool::start()?;
    let dir = Dir::new("config-all")?;
    let password = dir.file("password", World::PASSWORD, 0o600)?;
    let config = dir.file(
        "pcpctl.toml",
        &format!(
            "user = \"{}\"\npassword-file = \"{password}\"\nbackend-port = 5433\npgpools = [\"127.0.0.1:1\"]\n\
             [nodes]\n\"192.0.2.3\" = \"10.0.0.3:5432\"\n\"192.0.2.2\" = 1\n\
             [profile.test]\npgpools = [\"{}\"]\n",
            World::USER,
            pgpool.endpoint()
        ),
        0o644,
    )?;
    let detach = |node: &str| bare(&["detach", node, "--config", &config]).env("PCPCTL_PROFILE", "test").run();
    for (node, id) in [("192.0.2.3", 2), ("::ffff:192.0.2.2", 1)] {
        let output = detach(node)?;
        assert_eq!(output.code, Some(0), "{output:?}");
        assert!(output.stdout.starts_with(&format!("{node} is detached")), "{output:?}");
        assert!(output.stdout.contains(&format!("[detach {id}]")), "{output:?}");
    }
    // The file's default port of nodes leads nowhere, a flag and a name's own port lead there.
    assert_eq!(detach("10.0.0.1")?.code, Some(6));
    let show = ["is-primary", "10.0.0.1", "--config", &config, "--profile", "test"];
    assert_eq!(bare(&show).run()?.code, Some(6));
    assert_eq!(bare(&[&show[..], &["--backend-port", "5432"]].concat()).run()?.code, Some(0));
    Ok(())
}

#[test]
fn efm_s_own_file_says_how_to_reach_pgpool() -> Result<()> {
    let pgpool = Pgpool::start()?;
    let dir = Dir::new("config-efm")?;
    let passfile = dir.file(".pcppass", &format!("*:*:*:{}", World::PASSWORD), 0o600)?;
    let address = pgpool.sandbox.address();
    let properties = dir.file(
        "efm.properties",
        &format!(
            "# EFM\ndb.port=5432\npcp.user = {}\npcp.host:{}\npcp.port {}\npcp.pass.file=\\\n    {passfile}\n\
             script.load.balancer.detach=/usr/bin/pcpctl detach %h %t\n",
            World::USER,
            address.ip(),
            address.port()
        ),
        0o640,
    )?;
    let output = bare(&["detach", "10.0.0.3", "--efm-properties", &properties]).run()?;
    assert_eq!(output.code, Some(0), "{output:?}");
    let config = dir.file("pcpctl.toml", &format!("[efm]\nproperties = \"{properties}\""), 0o644)?;
    let output = bare(&["detach", "10.0.0.2"]).env("PCPCTL_CONFIG", &config).run()?;
    assert_eq!(output.code, Some(0), "{output:?}");
    Ok(())
}

#[test]
fn a_mistake_is_a_verdict_with_file_and_line_and_without_a_secret() -> Result<()> {
    let dir = Dir::new("config-mistakes")?;
    let typing = dir.file("typing.toml", "port = 9898\n\ndeadlin = \"3s\"\n", 0o644)?;
    let secret = dir.file("secret.toml", "password = \"hunter2\"\n[profile.a]\n", 0o644)?;
    let efm = dir.file("efm.properties", "db.port=5432\npcp.port=none\n", 0o644)?;
    let profiles = dir.file("profiles.toml", "[profile.prod]\n[profile.stage]\n", 0o644)?;
    for (args, reason) in [
        (
            &["--config", &*typing][..],
            format!("{typing}:3: there is no key \"deadlin\"; did you mean \"deadline\"?"),
        ),
        (&["--config", &secret], format!("{secret}:1: password: a password does not belong into this file")),
        (&["--config", "/nonexistent"], "the file /nonexistent cannot be read: No such file".to_owned()),
        (&["--efm-properties", &efm], format!("{efm}:2: pcp.port is \"none\", which is not a port")),
        (
            &["--config", &profiles, "--profile", "test"],
            format!("{profiles} has no profile test; there are prod, stage"),
        ),
    ] {
        for verb in ["detach", "is-primary"] {
            let output = bare(&[&[verb, "2"], args].concat()).run()?;
            assert_eq!(output.code, Some(3), "{output:?}");
            assert!(output.stderr.contains(&reason), "{output:?}");
            let verdict = output.stdout.lines().next().unwrap_or_default();
            assert!(verb == "is-primary" || verdict.contains(&reason), "{output:?}");
            assert!(!output.stdout.contains("hunter2") && !output.stderr.contains("hunter2"), "{output:?}");
        }
    }
    Ok(())
}
