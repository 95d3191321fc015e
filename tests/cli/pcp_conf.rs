//! pcp-conf and completions: what asks no Pgpool.

use anyhow::Result;
use pcp_proto::PasswordHash;
use pcp_tests::Output;

use crate::support::{Dir, bare};

/// The hash of "s3cret-word".
fn hash() -> String {
    PasswordHash::of(b"s3cret-word").expose().to_owned()
}

fn hides_the_password(output: &Output) {
    assert!(!format!("{output:?}").contains("s3cret-word"), "{output:?}");
}

#[test]
fn a_line_is_made_of_a_password_from_a_pipe_or_a_file() -> Result<()> {
    let dir = Dir::new("pcp-conf-hash")?;
    let file = dir.file("password", "s3cret-word\n", 0o600)?;
    let line = format!("pcpadmin:{}\n", hash());
    for input in ["s3cret-word", "s3cret-word\n", "s3cret-word\r\n"] {
        let output = bare(&["pcp-conf", "hash", "pcpadmin", "--stdin"]).input(input).run()?;
        assert_eq!((output.code, &output.stdout, &*output.stderr), (Some(0), &line, ""), "{output:?}");
    }
    let output = bare(&["pcp-conf", "hash", "pcpadmin", "--password-file", &file]).run()?;
    assert_eq!((output.code, &output.stdout), (Some(0), &line), "{output:?}");
    Ok(())
}

#[test]
fn without_a_password_or_with_a_user_that_cannot_be_there_is_no_line() -> Result<()> {
    for (args, code, words) in [
        (&["hash", "pcpadmin"][..], 2, "give --stdin or --password-file"),
        (&["verify", "pcpadmin", "--file", "/dev/null"], 2, "give --stdin or --password-file"),
        (&["hash", "pcpadmin", "--password-file", "/nonexistent"], 3, "the file /nonexistent cannot be read"),
        (&["verify", "pcpadmin", "--file", "/nonexistent", "--stdin"], 3, "the file /nonexistent cannot be read"),
        (&["hash", "a:b", "--stdin"], 2, "holds no colon"),
        (&["hash", "u", "--stdin", "--password-file", "x"], 2, "cannot be used with"),
    ] {
        let output = bare(&[&["pcp-conf"], args].concat()).run()?;
        assert_eq!((output.code, &*output.stdout), (Some(code), ""), "{output:?}");
        assert!(output.stderr.contains(words), "{output:?}");
    }
    Ok(())
}

#[test]
fn a_file_is_said_to_let_a_user_in_or_why_not() -> Result<()> {
    let dir = Dir::new("pcp-conf-verify")?;
    let good = format!("# users\npcpadmin:{}\n", hash());
    for (contents, code, words) in [
        (good.as_str(), 0, "yes: line 2 of "),
        ("other:x\n", 1, "no line is this user's"),
        ("pcpadmin:s3cret-word\n", 1, "line 1 holds no MD5 hash"),
        ("pcpadmin:00000000000000000000000000000000\n", 1, "line 1 holds the hash of another password"),
    ] {
        let file = dir.file("pcp.conf", contents, 0o600)?;
        let output =
            bare(&["pcp-conf", "verify", "pcpadmin", "--file", &file, "--stdin"]).input("s3cret-word\n").run()?;
        assert_eq!(output.code, Some(code), "{output:?}");
        assert!(output.stdout.contains(words), "{output:?}");
        hides_the_password(&output);
    }
    Ok(())
}

#[test]
fn every_shell_gets_a_script_that_knows_the_commands() -> Result<()> {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = bare(&["completions", shell]).run()?;
        assert_eq!((output.code, &*output.stderr), (Some(0), ""), "{output:?}");
        for word in ["switchover", "stop-pgpool", "dry-run"] {
            assert!(output.stdout.contains(word), "{shell} {word}");
        }
    }
    let unknown = bare(&["completions", "tcsh"]).run()?;
    assert_eq!(unknown.code, Some(2), "{unknown:?}");
    Ok(())
}
