//! That no verb tells a password: not in what it prints or logs, not to what it runs, not in what others can look at.

mod process;

use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use pcp_client::sandbox::{Age, Fault, World};
use pcp_proto::{Credentials, PasswordHash};
use pcp_tests::{Output, Pcpctl};

use crate::support::{Dir, Pgpool, bare};

const PASSWORD: &str = "correct-horse-battery-staple";
const WRONG: &str = "wrong-horse-battery-staple";
const OF_POSTGRES: &str = "elephant-never-forgets";
const PATIENCE: Duration = Duration::from_secs(60);

/// What may be found nowhere: the passwords, and what lets somebody in instead of them.
fn secrets() -> Vec<String> {
    let mut secrets = vec![OF_POSTGRES.to_owned()];
    for password in [PASSWORD, WRONG] {
        let hash = PasswordHash::of(password.as_bytes());
        let with_user = PasswordHash::of([hash.expose(), World::USER].concat().as_bytes());
        secrets.extend([password, hash.expose(), with_user.expose()].map(str::to_owned));
    }
    secrets
}

/// How to run each verb; `{DIR}` is a directory of its own. Every one of the command line has to be here.
fn arguments(verb: &str) -> Option<&'static [&'static str]> {
    Some(match verb {
        "attach" => &["2", "s", "--settle", "0"],
        "detach" | "promote" => &["2", "--settle", "0"],
        "follow" => &["2", "0", "1", "--settle", "0"],
        "reconcile" => &["--efm", "main", "--state-dir", "{DIR}/state", "--settle", "0"],
        "hold" => &["2", "--state-dir", "{DIR}/state", "--reason", "a disk"],
        "release" => &["2", "--state-dir", "{DIR}/state"],
        "is-primary" | "show node" => &["0"],
        "recover" | "switchover" => &["2", "--yes", "--settle", "0"],
        "stop-pgpool" => &["--yes", "--mode", "fast"],
        "reload" => &["--expect", "num_init_children=32", "--settle", "0"],
        "exporter" => &["--once"],
        "doctor" => &["127.0.0.1"],
        "check ping" | "check nodes" | "check primary" | "check watchdog" | "check pool" | "check health" => &[],
        "show nodes" | "show health" | "show processes" | "show config" | "show watchdog" => &[],
        "rotate-log" | "invalidate-cache" => &[],
        "pcp-conf hash" => &[World::USER, "--password-file", "{DIR}/password"],
        "pcp-conf verify" => &[World::USER, "--password-file", "{DIR}/password", "--file", "{DIR}/pcp.conf"],
        "completions" => &["bash"],
        "links install" | "links remove" => &["{DIR}/links"],
        "sandbox drill" => &[],
        // They run until they are told to end, and have tests of their own below.
        "watch" | "sandbox serve" => &[],
        _ => return None,
    })
}

/// Whether a verb speaks to a Pgpool, and can be told to log all.
fn is_remote(verb: &str) -> bool {
    !["pcp-conf", "completions", "links", "sandbox"].iter().any(|local| verb.starts_with(local))
}

fn has_log_file(verb: &str) -> bool {
    ["attach", "detach", "promote", "follow", "reconcile"].contains(&verb)
}

fn has_json(verb: &str) -> bool {
    is_remote(verb) && verb != "exporter" && !verb.starts_with("check")
}

/// Lists the verbs of the command line: those that have none below them.
fn verbs() -> Vec<String> {
    let mut verbs = Vec::new();
    let mut open = vec![(String::new(), pcp_cli::command())];
    while let Some((path, command)) = open.pop() {
        match command.has_subcommands() {
            true => open.extend(
                command
                    .get_subcommands()
                    .map(|below| (format!("{path} {}", below.get_name()).trim_start().to_owned(), below.clone())),
            ),
            false => verbs.push(path),
        }
    }
    verbs
}

/// What goes well or wrong, and where the password comes from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Case {
    Passfile,
    PasswordFile,
    Environment,
    WrongPassword,
    Cut,
    InTheConfiguration,
    BadPassfile,
}

const CASES: [Case; 7] = [
    Case::Passfile,
    Case::PasswordFile,
    Case::Environment,
    Case::WrongPassword,
    Case::Cut,
    Case::InTheConfiguration,
    Case::BadPassfile,
];

impl Case {
    fn world(self) -> World {
        World::new(Age::V4_7).node("127.0.0.1", 1).node("127.0.0.2", 1).node("127.0.0.3", 1).configure(|settings| {
            settings.credentials = Credentials::new(World::USER, PASSWORD.as_bytes()).ok();
            for (name, value) in [
                ("health_check_password", PASSWORD),
                ("wd_authkey", PASSWORD),
                ("recovery_1st_stage_command", "psql postgresql://u:correct-horse-battery-staple@h/db"),
                ("failover_command", "PGPASSWORD=correct-horse-battery-staple psql"),
            ] {
                settings.shown.insert(name.to_owned(), value.to_owned());
            }
        })
    }

    /// Sets what says how to log in, and returns the path of the configuration.
    fn prepare(self, run: Pcpctl, dir: &Dir) -> Result<(Pcpctl, String)> {
        let path = dir.path().display();
        let efm = dir.file(
            "efm",
            &format!("#!/bin/sh\n/usr/bin/tr '\\0' '\\n' </proc/self/environ >{path}/environ\n/bin/cat /proc/$PPID/cmdline >{path}/cmdline\n"),
            0o755,
        )?;
        let of_postgres = dir.file("of-postgres", OF_POSTGRES, 0o600)?;
        let wrong_key = match self {
            Self::InTheConfiguration => format!("password = \"{PASSWORD}\"\n"),
            _ => String::new(),
        };
        let config = dir.file(
            "pcpctl.toml",
            &format!(
                "{wrong_key}[postgres]\nuser = \"u\"\npassword-file = \"{of_postgres}\"\n\
                 [efm]\ncommand = \"{efm}\"\n[log]\nfile = \"{path}/pcpctl.log\"\nlevel = \"trace\"\n"
            ),
            0o644,
        )?;
        let user = World::USER;
        let run = match self {
            Self::Passfile | Self::Cut => {
                let passfile = dir.file("pcppass", &format!("*:*:x:y\n*:*:{user}:{PASSWORD}\n"), 0o600)?;
                run.env("PCPPASSFILE", passfile)
            }
            Self::BadPassfile => {
                let bad = format!("{PASSWORD}\n*:{PASSWORD}\n{PASSWORD}:9898:{PASSWORD}\n");
                run.env("PCPPASSFILE", dir.file("pcppass", &bad, 0o600)?)
            }
            Self::PasswordFile => run.env("PCP_PASSWORD_FILE", dir.file("password", PASSWORD, 0o600)?),
            Self::WrongPassword => run.env("PCP_PASSWORD", WRONG),
            Self::Environment | Self::InTheConfiguration => run.env("PCP_PASSWORD", PASSWORD),
        };
        Ok((run, config))
    }
}

/// Looks for secrets in a text.
fn search(text: &[u8], place: &str) -> Result<()> {
    for secret in secrets() {
        let found = text.windows(secret.len()).any(|part| part.eq_ignore_ascii_case(secret.as_bytes()));
        ensure!(!found, "{place} holds {secret}:\n{}", String::from_utf8_lossy(text));
    }
    Ok(())
}

/// Looks for secrets in what a run printed, and in every file that it has written.
fn search_all(output: &Output, dir: &Dir, given: &[&str], place: &str) -> Result<()> {
    search(output.stdout.as_bytes(), &format!("stdout of {place}"))?;
    search(output.stderr.as_bytes(), &format!("stderr of {place}"))?;
    let mut dirs = vec![dir.path().to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            search(name.as_bytes(), place)?;
            match path.symlink_metadata()? {
                file if file.is_dir() => dirs.push(path),
                file if file.is_file() && !given.contains(&&*name) => {
                    search(&fs::read(&path)?, &format!("{} of {place}", path.display()))?;
                }
                _ => {}
            }
        }
    }
    Ok(())
}

/// The files that hold a secret by intent.
const GIVEN: [&str; 5] = ["pcppass", "password", "of-postgres", "pcpctl.toml", "pcp.conf"];

fn run_verb(verb: &str, case: Case, json: bool) -> Result<()> {
    let place = format!("{verb}, {case:?}, json {json}");
    let pgpool = Pgpool::start_world(case.world())?;
    if case == Case::Cut {
        (0..20).for_each(|_| pgpool.sandbox.fault(Fault::CloseAfter(30)));
    }
    let dir = Dir::new(&format!("secrets-{}-{case:?}-{json}", verb.replace(' ', "-")))?;
    let own =
        arguments(verb).with_context(|| format!("no arguments are known for the verb {verb}: add them here"))?;
    let own = own.iter().map(|arg| arg.replace("{DIR}", &dir.path().display().to_string()));
    let mut args: Vec<String> = verb.split(' ').map(str::to_owned).chain(own).collect();
    let (run, config) = case.prepare(bare(&[]).env("RUST_LOG", "trace").env("PCPCTL_LOG", "trace"), &dir)?;
    if is_remote(verb) {
        let common = ["-vvv", "--config", &config, "-h", &pgpool.endpoint(), "-U", World::USER, "--deadline", "4s"];
        args.extend(common.map(str::to_owned));
    } else {
        dir.file("password", PASSWORD, 0o600)?;
        dir.file("pcp.conf", &format!("x\n{}:{PASSWORD}\n", World::USER), 0o600)?;
    }
    if json {
        args.extend(["-o", "json"].map(str::to_owned));
    }
    let mut output = run.args(&args).limit(PATIENCE).run()?;
    ensure!(output.code.is_some_and(|code| code != 101), "{place}: {output:?}");
    if verb == "pcp-conf hash" {
        // This is what it is for.
        let line = format!("{}:{}\n", World::USER, PasswordHash::of(PASSWORD.as_bytes()).expose());
        ensure!(output.stdout == line, "{output:?}");
        output.stdout.clear();
    }
    search_all(&output, &dir, &GIVEN, &place)?;
    if has_log_file(verb) && case != Case::InTheConfiguration {
        let log = fs::read_to_string(dir.path().join("pcpctl.log")).context(place.clone())?;
        ensure!(log.contains("]: called: "), "{place}: {log}");
    }
    let logs_in = matches!(case, Case::Passfile | Case::PasswordFile | Case::Environment);
    if logs_in && is_remote(verb) && !["hold", "release", "doctor"].contains(&verb) {
        ensure!(
            output.stderr.contains("TRACE") || output.stderr.contains("DEBUG"),
            "no trace of {place}: {output:?}"
        );
    }
    if verb == "reconcile" && logs_in {
        let environ = fs::read_to_string(dir.path().join("environ"))?;
        ensure!(environ.contains("RUST_LOG=trace"), "the efm command has its environment: {environ}");
        ensure!(!environ.contains("PCP_PASSWORD="), "the efm command is told the password: {environ}");
    }
    Ok(())
}

#[test]
fn no_verb_tells_a_password_whatever_becomes_of_it() -> Result<()> {
    let verbs = verbs();
    ensure!(verbs.len() > 30, "{verbs:?}");
    let mut runs = Vec::new();
    for verb in verbs.iter().filter(|verb| !["watch", "sandbox serve"].contains(&verb.as_str())) {
        for case in CASES.into_iter().filter(|_| is_remote(verb)) {
            runs.push((verb.as_str(), case, has_json(verb) && case != Case::Passfile));
        }
        if !is_remote(verb) {
            runs.push((verb, Case::Environment, false));
        }
    }
    in_parallel(&runs, |&(verb, case, json)| run_verb(verb, case, json))
}

#[test]
fn no_link_tells_a_password_whatever_becomes_of_it() -> Result<()> {
    let dir = Dir::new("secrets-links")?;
    let links = dir.path().join("links");
    ensure!(bare(&["links", "install", &links.display().to_string()]).run()?.code == Some(0));
    let mut runs = Vec::new();
    for link in fs::read_dir(&links)? {
        let link = link?.path();
        for case in CASES {
            runs.push((link.clone(), case));
        }
    }
    ensure!(runs.len() == 15 * CASES.len());
    in_parallel(&runs, |(link, case)| run_link(link, *case))
}

fn run_link(link: &Path, case: Case) -> Result<()> {
    let name = link.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let pgpool = Pgpool::start_world(case.world())?;
    if case == Case::Cut {
        (0..20).for_each(|_| pgpool.sandbox.fault(Fault::CloseAfter(30)));
    }
    let dir = Dir::new(&format!("secrets-{name}-{case:?}"))?;
    let port = pgpool.sandbox.address().port().to_string();
    let run = Pcpctl::new(link).named(link).args(["-d", "-w", "-h", "127.0.0.1", "-p", &port, "-U", World::USER]);
    let (run, config) = case.prepare(run.env("RUST_LOG", "trace").env("PCPCTL_COMPAT", "4.7"), &dir)?;
    let node: &[&str] = match &*name {
        "pcp_attach_node" | "pcp_detach_node" | "pcp_promote_node" | "pcp_recovery_node" | "pcp_node_info" => {
            &["-n", "2"]
        }
        "pcp_pool_status" | "pcp_health_check_stats" | "pcp_node_count" | "pcp_proc_count" => &[],
        _ => &[],
    };
    let run = run.env("PCPCTL_CONFIG", config).env("PCPCTL_DEADLINE", "4s").args(node).limit(PATIENCE);
    let mut output = run.run()?;
    let place = format!("{name}, {case:?}");
    ensure!(output.code.is_some_and(|code| code != 101), "{place}: {output:?}");
    if name == "pcp_pool_status" {
        // It prints what Pgpool lists, the passwords that old releases list as well: as Pgpool's own does.
        output.stdout = output.stdout.lines().filter(|line| !line.starts_with("value:")).collect();
    }
    search_all(&output, &dir, &GIVEN, &place)
}

/// Runs all of them, several at a time, and tells the first failure.
fn in_parallel<T: Sync>(runs: &[T], run: impl Fn(&T) -> Result<()> + Sync) -> Result<()> {
    const AT_A_TIME: usize = 6;
    let next = std::sync::atomic::AtomicUsize::new(0);
    thread::scope(|scope| {
        let worker = || -> Result<()> {
            while let Some(item) = runs.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed)) {
                run(item)?;
            }
            Ok(())
        };
        let workers: Vec<_> = (0..AT_A_TIME).map(|_| scope.spawn(worker)).collect();
        for worker in workers {
            worker.join().map_err(|_| anyhow::anyhow!("a run panicked"))??;
        }
        Ok(())
    })
}
