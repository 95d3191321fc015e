//! `pcp-conf`: the file of PCP's users.

use std::io::{self, IsTerminal};
use std::path::PathBuf;

use pcp_client::pcp_conf;
use secrecy::{ExposeSecret, SecretSlice};

use crate::args::{PasswordArgs, PcpConfHashArgs, PcpConfVerifyArgs};
use crate::exit::Exit;
use crate::{output, prompt, secret};

/// Where packages put it, and a build from source.
const FILES: [&str; 3] = ["/etc/pgpool2/pcp.conf", "/etc/pgpool-II/pcp.conf", "/usr/local/etc/pcp.conf"];

/// How often a password is typed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Typed {
    Once,
    Twice,
}

pub(super) fn hash(args: &PcpConfHashArgs) -> Exit {
    let line = password(&args.user, &args.password, Typed::Twice).and_then(|password| {
        pcp_conf::line(&args.user, password.expose_secret()).map_err(|error| (Exit::Usage, error.to_string()))
    });
    match line {
        Ok(line) => {
            output::out(format_args!("{line}\n"));
            Exit::Done
        }
        Err((exit, reason)) => fail("hash", exit, &reason),
    }
}

pub(super) fn verify(args: &PcpConfVerifyArgs) -> Exit {
    let path = args.file.clone().or_else(|| FILES.map(PathBuf::from).into_iter().find(|path| path.exists()));
    let Some(path) = path else {
        return fail("verify", Exit::Config, &format!("there is none of {}: give --file", FILES.join(", ")));
    };
    let contents = match secret::read_file(&path) {
        Ok(contents) => contents,
        Err(error) => {
            return fail("verify", Exit::Config, &format!("the file {} cannot be read: {error}", path.display()));
        }
    };
    let password = match password(&args.user, &args.password, Typed::Once) {
        Ok(password) => password,
        Err((exit, reason)) => return fail("verify", exit, &reason),
    };
    match pcp_conf::check(&contents, &args.user, password.expose_secret()) {
        Ok(line) => {
            output::line(format_args!("yes: line {line} of {} lets {} in", path.display(), args.user));
            Exit::Done
        }
        Err(problems) => {
            output::line(format_args!("no: {} does not let {} in", path.display(), args.user));
            problems.iter().for_each(|problem| output::line(format_args!("  {problem}")));
            Exit::No
        }
    }
}

fn fail(verb: &str, exit: Exit, reason: &str) -> Exit {
    output::err_line(format_args!("pcpctl pcp-conf {verb}: {reason}"));
    exit
}

fn password(user: &str, args: &PasswordArgs, typed: Typed) -> Result<SecretSlice<u8>, (Exit, String)> {
    let unreadable =
        |what: String| move |error: io::Error| (Exit::Config, format!("{what} cannot be read: {error}"));
    if let Some(path) = &args.password_file {
        return secret::read_file(path)
            .map(|text| bare(&text))
            .map_err(unreadable(format!("the file {}", path.display())));
    }
    if args.stdin {
        let password = secret::read(io::stdin().lock()).map(|text| bare(&text));
        return password.map_err(unreadable("standard input".to_owned()));
    }
    if !io::stdin().is_terminal() {
        let reason = "there is no terminal to ask for the password on: give --stdin or --password-file";
        return Err((Exit::Usage, reason.to_owned()));
    }
    let ask = |question: String| prompt::password(&question).map_err(unreadable("the password".to_owned()));
    let password = ask(format!("Password of {user}: "))?;
    if typed == Typed::Twice {
        let again = ask(format!("Password of {user} again: "))?;
        if again.expose_secret() != password.expose_secret() {
            return Err((Exit::Usage, "the two passwords differ".to_owned()));
        }
    }
    Ok(password)
}

/// Drops one line break at the end.
fn bare(text: &[u8]) -> SecretSlice<u8> {
    secret::keep(match text.strip_suffix(b"\n") {
        Some(text) => text.strip_suffix(b"\r").unwrap_or(text),
        None => text,
    })
}
