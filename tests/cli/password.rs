//! Where the password comes from, and that it goes nowhere else.

use anyhow::Result;
use pcp_client::sandbox::World;

use crate::support::{Dir, Pgpool, bare};

#[test]
fn every_source_of_a_password_works() -> Result<()> {
    let pgpool = Pgpool::start()?;
    let dir = Dir::new("sources")?;
    let endpoint = pgpool.endpoint();
    let passfile = dir.file(".pcppass", &format!("*:*:{}:{}\n", World::USER, World::PASSWORD), 0o600)?;
    let plain = dir.file("password", &format!("{}\n", World::PASSWORD), 0o644)?;
    let home = dir.path().display().to_string();
    let none: (&[&str], &[(&str, &str)]) = (&[], &[]);
    for (args, env) in [
        (&["--passfile", &*passfile][..], none.1),
        (&["--password-file", &plain], none.1),
        (none.0, &[("PCP_PASSWORD", World::PASSWORD)][..]),
        (none.0, &[("PCP_PASSWORD_FILE", &*plain)]),
        (none.0, &[("PCPPASSFILE", &*passfile)]),
        (none.0, &[("HOME", &*home)]),
        // A flag wins over the environment.
        (&["--passfile", &*passfile], &[("PCP_PASSWORD", "wrong")]),
    ] {
        let mut run = bare(&[&["is-primary", "0", "-h", &endpoint, "-U", World::USER], args].concat());
        for (name, value) in env {
            run = run.env(name, value);
        }
        let output = run.run()?;
        assert_eq!(output.code, Some(0), "{args:?} {env:?}: {output:?}");
    }
    Ok(())
}

#[test]
fn a_password_file_that_is_not_used_is_named_with_the_reason() -> Result<()> {
    let dir = Dir::new("reasons")?;
    let open = dir.file("open", "*:*:*:x\n", 0o640)?;
    let other = dir.file("other", "pgpool1:9898:admin:x\n", 0o600)?;
    for (args, reason) in [
        (["--passfile", &*open], "has mode 0640: others have access, so it is not used"),
        (["--passfile", &*other], "has no line for host pgpool9, port 9898, user admin"),
        (["--passfile", "/nonexistent"], "there is no password file /nonexistent"),
        (["--password-file", "/nonexistent"], "the password file /nonexistent cannot be read: No such file"),
    ] {
        let output = bare(&[&["detach", "2", "-h", "pgpool9", "-U", "admin"][..], &args].concat()).run()?;
        assert_eq!(output.code, Some(3), "{output:?}");
        assert!(output.stdout.lines().next().is_some_and(|verdict| verdict.contains(reason)), "{output:?}");
        assert!(output.stderr.contains(reason), "{output:?}");
    }
    Ok(())
}

#[test]
fn the_password_is_in_no_output() -> Result<()> {
    const PASSWORD: &str = "correct-horse-battery-staple";
    let pgpool = Pgpool::start()?;
    for verb in [&["detach", "2"][..], &["show", "nodes"], &["is-primary", "0"]] {
        let output = bare(&[verb, &["-vvv", "-h", &pgpool.endpoint(), "-U", "admin"]].concat())
            .env("PCP_PASSWORD", PASSWORD)
            .run()?;
        assert_eq!(output.code, Some(5), "{output:?}");
        assert!(output.stderr.lines().count() > 2, "the log is on: {output:?}");
        assert!(!output.stdout.contains(PASSWORD) && !output.stderr.contains(PASSWORD), "{output:?}");
    }
    Ok(())
}

#[test]
fn a_unix_socket_is_named_by_its_directory() -> Result<()> {
    let dir = Dir::new("socket")?;
    let _pgpool = Pgpool::start_unix(dir.path())?;
    let socket_dir = dir.path().display().to_string();
    let passfile = dir.file("pcppass", &format!("{socket_dir}:9898:*:{}\n", World::PASSWORD), 0o600)?;
    let args = ["detach", "2", "-h", &socket_dir, "-U", World::USER, "--passfile", &passfile];
    let output = bare(&args).run()?;
    assert_eq!(output.code, Some(0), "{output:?}");
    Ok(())
}
