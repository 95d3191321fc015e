//! `doctor`: what it finds, what it prints and how it ends.

use anyhow::{Context, Result};
use pcp_client::sandbox::{Age, FailoverCommand, World};
use serde_json::{Value, json};

use crate::support::{Dir, Pgpool, bare, logged_in};

const ADDRESSES: [&str; 3] = ["10.0.0.1", "10.0.0.2", "10.0.0.3"];

fn passfile(dir: &Dir) -> Result<String> {
    dir.file(".pcppass", &format!("*:*:{}:{}\n", World::USER, World::PASSWORD), 0o600)
}

#[test]
fn the_lines_that_it_proposes_work_and_have_nothing_to_mend() -> Result<()> {
    for age in [Age::V3_7, Age::V4_1, Age::V4_2, Age::V4_7] {
        let pgpool = Pgpool::start_with(age)?;
        let dir = Dir::new(&format!("doctor-lines-{age}"))?;
        let (endpoint, passfile) = (pgpool.endpoint(), passfile(&dir)?);
        let login = ["-h", &endpoint, "-U", World::USER, "--passfile", &passfile];
        let doctor = [&["doctor"][..], &login, &ADDRESSES].concat();
        let first = bare(&doctor).run()?;
        assert_eq!(first.code, Some(0), "{first:?}");
        assert!(first.stdout.starts_with("nothing to mend: 0 CRITICAL, 0 WARNING, "), "{first:?}");

        let (_, lines) = first.stdout.split_once("witnesses too:\n").context("no lines")?;
        let options = format!("-h {endpoint} -U {} --passfile {passfile} %h %t", World::USER);
        assert!(lines.contains(&format!("pcpctl-under-test attach {options}\n")), "{lines}");
        let properties = dir.file("efm.properties", &format!("db.port=5432\n{lines}"), 0o644)?;
        let second = bare(&[&doctor[..], &["--efm-properties", &properties]].concat()).run()?;
        assert_eq!(second.code, Some(0), "{second:?}");
        assert!(second.stdout.contains("OK        script.load.balancer.detach is as it should be"), "{second:?}");
        // The hook itself, as EFM starts it.
        let line = lines.lines().find_map(|line| line.trim().strip_prefix("script.load.balancer.detach="));
        let line = line.context("no detach line")?.replace("%h", "10.0.0.3").replace("%t", "s");
        let words: Vec<_> = line.split(' ').collect();
        let hook = bare(&words[1..]).run()?;
        assert_eq!(hook.code, Some(0), "{hook:?}");
        let asked: String = pgpool.sandbox.requests().iter().map(|(_, kind)| kind.to_string()).collect();
        assert_eq!(asked.matches(['C', 'D', 'J']).count(), 1, "only the hook changes anything: {asked}");
    }
    Ok(())
}

#[test]
fn its_exit_code_tells_what_it_could_see_and_whether_there_is_something_to_mend() -> Result<()> {
    let fine = Pgpool::start()?;
    let world = World::new(Age::V4_7).node("10.0.0.1", 5432).node("10.0.0.2", 5432).node("10.0.0.3", 5432);
    let bad =
        Pgpool::start_world(world.configure(|settings| settings.failover_command = FailoverCommand::Promotes))?;
    let (fine, bad) = (fine.endpoint(), bad.endpoint());
    let dead = "127.0.0.1:1";
    for (hosts, password, code, verdict, finding) in [
        (fine.clone(), World::PASSWORD, 0, "nothing to mend", "OK        pcpadmin can log in"),
        (bad.clone(), World::PASSWORD, 1, "something to mend: 1 CRITICAL", "-> pgpool.conf: failover_command = ''"),
        (format!("{fine},{bad}"), World::PASSWORD, 1, "something to mend: 1 CRITICAL, 1 WARNING", "differs"),
        (dead.to_owned(), World::PASSWORD, 4, "0 of 1 Pgpools could be read", "pcp_listen_addresses = '*'"),
        (fine.clone(), "wrong", 5, "0 of 1 Pgpools could be read", "-> pcp.conf: pcpadmin:MD5_OF_THE_PASSWORD"),
        (
            format!("{fine},{dead}"),
            World::PASSWORD,
            10,
            "1 of 2 Pgpools could be read",
            "CRITICAL  127.0.0.1:1: cannot connect",
        ),
    ] {
        let args = [&["doctor", "-h", &hosts][..], &ADDRESSES].concat();
        let output = logged_in(&args).env("PCP_PASSWORD", password).run()?;
        assert_eq!(output.code, Some(code), "{output:?}");
        assert!(output.stdout.starts_with(verdict), "{output:?}");
        assert!(output.stdout.contains(finding), "{output:?}");
        assert!(!output.stdout.contains(World::PASSWORD), "{output:?}");

        let json = logged_in(&[&args[..], &["-o", "json"]].concat()).env("PCP_PASSWORD", password).run()?;
        let document: Value = serde_json::from_str(&json.stdout)?;
        assert_eq!(document["exit_code"], code, "{document}");
        assert_eq!(document["schema_version"], 1);
        assert_eq!(document["pgpools"].as_array().map(Vec::len), Some(hosts.split(',').count()));
    }
    let quiet = logged_in(&[&["doctor", "-q", "-h", &fine][..], &ADDRESSES].concat()).run()?;
    assert_eq!((quiet.code, &*quiet.stdout), (Some(0), ""), "{quiet:?}");
    Ok(())
}

#[test]
fn a_password_file_that_hooks_cannot_use_is_loud() -> Result<()> {
    let pgpool = Pgpool::start()?;
    let dir = Dir::new("doctor-passfile")?;
    let open = dir.file("open", "*:*:pcpadmin:secret\n", 0o640)?;
    let other = dir.file("other", "*:*:somebody:secret\n", 0o600)?;
    let missing = dir.path().join("missing").display().to_string();
    let endpoint = pgpool.endpoint();
    let port = pgpool.sandbox.address().port();
    for (file, seen, line) in [
        (&open, "has mode 0640: others have access", format!("-> a shell: chmod 600 {open}")),
        (&other, "has no line for host 127.0.0.1", format!("-> {other}: 127.0.0.1:{port}:pcpadmin:THE_PASSWORD")),
        (&missing, "there is no password file", format!("install -m 0600 -o efm -g efm /dev/null {missing}")),
    ] {
        let args = ["doctor", "-h", &endpoint, "-U", "pcpadmin", "--passfile", file];
        let output = bare(&args).run()?;
        assert_eq!(output.code, Some(3), "{output:?}");
        assert!(output.stdout.starts_with("no Pgpool was asked: 1 CRITICAL"), "{output:?}");
        let text = output.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(text.contains(seen) && text.contains(&line), "{output:?}");
        assert!(!output.stdout.contains("secret"), "{output:?}");
    }
    Ok(())
}

#[test]
fn the_files_of_efm_and_of_pgpool_are_read() -> Result<()> {
    let pgpool = Pgpool::start()?;
    let dir = Dir::new("doctor-files")?;
    let (endpoint, passfile) = (pgpool.endpoint(), passfile(&dir)?);
    let program = pcp_tests_program();
    let properties = dir.file(
        "main.properties",
        &format!(
            "script.load.balancer.attach={program} attach -h {endpoint} -U pcpadmin --passfile /nonexistent %h %t\n\
             script.load.balancer.detach={program} detach -h {endpoint} -U pcpadmin --passfil {passfile} %h %t\n\
             script.fence={program} promote %p\npgpool.enable=true\n"
        ),
        0o644,
    )?;
    let pgpool_conf = dir.file("pgpool.conf", "port = 9999\nfollow_master_command = '/x'\n", 0o644)?;
    let args = ["doctor", "-h", &endpoint, "-U", "pcpadmin", "--passfile", &passfile, "10.0.0.1"];
    let files = ["--efm-properties", &properties, "--pgpool-conf", &pgpool_conf, "-o", "json"];
    let output = bare(&[&args[..], &files].concat()).run()?;
    let document: Value = serde_json::from_str(&output.stdout)?;
    assert_eq!(output.code, Some(1), "{document}");
    let findings = document["findings"].as_array().context("no findings")?;
    for (severity, seen) in [
        ("CRITICAL", "script.load.balancer.attach fails before it calls Pgpool: no password for user pcpadmin"),
        ("CRITICAL", "script.load.balancer.detach fails before it calls Pgpool: error: unexpected argument"),
        ("CRITICAL", "script.fence runs pcpctl"),
        ("CRITICAL", "pgpool.enable is true beside the hooks"),
        ("WARNING", &format!("{pgpool_conf}:2 sets follow_master_command")),
        // The name of the file is that of the cluster, and there is no EFM here.
        ("NOTE", "main: there is no efm command on this host"),
    ] {
        let found = findings.iter().find(|finding| finding["seen"].as_str().is_some_and(|s| s.starts_with(seen)));
        let found = found.with_context(|| format!("{seen}: {document}"))?;
        assert_eq!(found["severity"], severity, "{found}");
        assert!(severity == "NOTE" || found["why"] != "", "{found}");
    }
    Ok(())
}

/// EFM lists a witness, a member whose address Pgpool does not know, and one that is missing; node 2 is in no list of its.
#[test]
fn each_member_that_efm_lists_is_looked_up() -> Result<()> {
    let pgpool = Pgpool::start()?;
    let dir = Dir::new("doctor-efm")?;
    let status = json!({
        "nodes": {
            "10.0.0.1": {"type": "Primary", "agent": "UP", "db": "UP"},
            "10.0.0.2": {"type": "Standby", "agent": "UP", "db": "UP"},
            "10.0.0.8": {"type": "Standby", "agent": "UP", "db": "UP"},
            "10.0.0.9": {"type": "Witness", "agent": "UP", "db": "N/A"},
        },
        "missingnodes": ["10.0.0.7"],
    });
    let script = format!("#!/bin/sh\n[ \"$*\" = \"cluster-status-json main\" ] && echo '{status}'\nexit 1\n");
    let efm = dir.file("efm", &script, 0o755)?;
    let config = dir.file("pcpctl.toml", &format!("[efm]\ncluster = \"main\"\ncommand = \"{efm}\"\n"), 0o644)?;
    let output = pgpool.run(&["doctor", "--config", &config, "-o", "json"])?;
    let document: Value = serde_json::from_str(&output.stdout)?;
    let findings = document["findings"].as_array().context("no findings")?;
    for (severity, seen) in [
        ("OK", "10.0.0.1 is node 0"),
        ("OK", "10.0.0.2 is node 1"),
        ("CRITICAL", "Pgpool has no node 10.0.0.8"),
        ("NOTE", "EFM lists 10.0.0.7, but Pgpool has no node"),
        ("WARNING", "EFM lists no address of node 2 (10.0.0.3:5432)"),
    ] {
        let found = findings.iter().find(|finding| finding["seen"].as_str().is_some_and(|s| s.starts_with(seen)));
        assert_eq!(found.with_context(|| format!("{seen}: {document:#}"))?["severity"], severity, "{document:#}");
    }
    assert!(!output.stdout.contains("10.0.0.9"), "{document:#}");
    Ok(())
}

/// The program under test, by the path under which it sees itself.
fn pcp_tests_program() -> String {
    std::fs::canonicalize(env!("CARGO_BIN_EXE_pcpctl-under-test"))
        .map(|path| path.display().to_string())
        .unwrap_or_default()
}
