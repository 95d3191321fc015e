//! Servers whose every text is hostile, and callers, files and commands that are.

mod files;
mod input;
mod relay;

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use pcp_client::sandbox::{Age, Watchdog, World};
use pcp_tests::{Output, Pcpctl, wait_until};
use serde_json::Value;

use crate::support::{Dir, Pgpool, logged_in};
use crate::terminal::Terminal;

const PATIENCE: Duration = Duration::from_secs(60);

/// Clears a screen, colours it with a control character of one byte, turns the direction of text, breaks lines in four
/// ways, and ends quotes, labels, fields and commands.
const EVIL: &str =
    "\u{1b}[2J\u{9b}31m\u{202e}\u{61c}\u{2066}\u{2028}\r\nFORGED is attached\t'|\"=;,\\{}$(id)`\u{7f}\u{ad}日本";

/// A Pgpool with hostile nodes, parameters, watchdog, sessions, notices and errors.
struct Evil {
    /// Where the hostile one is.
    endpoint: String,
    port: String,
    _pgpool: Pgpool,
}

impl Evil {
    fn start() -> Result<Self> {
        // A word of each kind of text, so that the text behind it is theirs.
        let mut world = World::new(Age::V4_7).node("HOST1", 5432).node("HOST2", 5432).node("HOST3", 5432);
        world = world.configure(|settings| {
            settings.watchdog = Some(Watchdog::of(&["WATCH1", "WATCH2", "WATCH3"]));
            settings.shown.insert("EVILNAME".to_owned(), "EVILVALUE".to_owned());
            settings.num_init_children = 2;
        });
        world.open_session(Duration::ZERO);
        let pgpool = Pgpool::start_world(world)?;
        let words = ["HOST1", "HOST3", "EVILNAME", "EVILVALUE", "10.0.0.100", "SELECT 1", "postgres"];
        let messages = ["processing PCP request", "PCP setting parameter", "invalid node ID", "could not"];
        let words = words.into_iter().chain(messages).map(|word| (word, format!("{word}{EVIL}")));
        // In JSON it has to be escaped to arrive.
        let in_json = serde_json::to_string(EVIL)?;
        let in_json = in_json.trim_matches('"').to_owned();
        let members = ["WATCH1", "WATCH2", "WATCH3"].map(|word| (word, format!("{word}{in_json}")));
        let address = relay::start(pgpool.sandbox.address(), words.chain(members).collect())?;
        Ok(Self { endpoint: address.to_string(), port: address.port().to_string(), _pgpool: pgpool })
    }

    fn run(&self, args: &[&str]) -> Pcpctl {
        let args = [args, &["-h", &self.endpoint, "--deadline", "5s"]].concat();
        logged_in(&args).env("PCPCTL_CONFIG", "/dev/null").limit(PATIENCE)
    }
}

/// Tells whether a character could do harm on a terminal.
fn steers(c: char) -> bool {
    let hidden =
        ['\u{ad}', '\u{61c}', '\u{200b}', '\u{200f}', '\u{202e}', '\u{2028}', '\u{2029}', '\u{2066}', '\u{feff}'];
    (c.is_control() && c != '\n') || hidden.contains(&c)
}

/// Fails where text could steer a terminal, or where a line of it is the server's.
fn harmless(text: &str, place: &str) -> Result<()> {
    ensure!(!text.contains(steers), "{place} could steer a terminal: {text:?}");
    let forged = text.lines().find(|line| line.trim_start().starts_with("FORGED"));
    ensure!(forged.is_none(), "{place} has a line of the server's: {text:?}");
    Ok(())
}

const VERBS: [&[&str]; 18] = [
    &["show", "nodes"],
    &["show", "node", "0"],
    &["show", "health"],
    &["show", "processes"],
    &["show", "processes", "--summary"],
    &["show", "config"],
    &["show", "watchdog"],
    &["is-primary", "0"],
    &["detach", "HOST2", "--settle", "0"],
    &["attach", "HOST2", "--settle", "0"],
    &["attach", "nowhere"],
    &["detach", "0", "--dry-run"],
    &["promote", "0", "--settle", "0"],
    &["switchover", "nowhere", "--yes"],
    &["recover", "0", "--yes"],
    &["reload", "--expect", "EVILNAME=1", "--settle", "0"],
    &["doctor", "127.0.0.1"],
    &["hold", "0", "--reason", EVIL],
];

fn has_log_file(verb: &[&str]) -> bool {
    ["attach", "detach", "promote"].iter().any(|hook| verb.first() == Some(hook))
}

#[test]
fn no_text_of_a_server_steers_a_terminal_or_forges_a_line() -> Result<()> {
    let evil = Evil::start()?;
    let dir = Dir::new("hostile-text")?;
    let state = dir.path().join("state").display().to_string();
    let mut told = String::new();
    for verb in VERBS {
        for verbosity in ["-v", "-vvv"] {
            let output =
                evil.run(&[verb, &[verbosity, "--color=always"][..usize::from(is_read(verb)) + 1]].concat());
            let output = output.env("PCPCTL_STATE_DIR", &state).run()?;
            ensure!(output.code != Some(101) && output.code.is_some(), "{verb:?}: {output:?}");
            // Our own colours are the only sequences.
            let stdout = ["0", "1", "7", "31", "33"]
                .iter()
                .fold(output.stdout.clone(), |text, code| text.replace(&format!("\u{1b}[{code}m"), ""));
            harmless(&stdout, &format!("stdout of {verb:?}"))?;
            harmless(&output.stderr, &format!("stderr of {verb:?}"))?;
            told.push_str(&stdout);
            told.push_str(&output.stderr);
        }
    }
    // It came through, in each of its kinds.
    for word in ["HOST1", "HOST3", "EVILNAME", "EVILVALUE", "10.0.0.100", "postgres", "WATCH2"] {
        ensure!(told.contains(&format!("{word}\\u{{1b}}[2J\\u{{9b}}31m\\u{{202e}}")), "{word} was told by no verb");
    }
    // What is logged was escaped once before.
    ensure!(told.contains("PCP setting parameter\\x1b[2J"), "no notice was told");
    Ok(())
}

fn is_read(verb: &[&str]) -> bool {
    verb.first()
        .is_some_and(|verb| ["show", "is-primary", "switchover", "recover", "reload", "doctor"].contains(verb))
}

#[test]
fn in_json_it_is_escaped_and_whole() -> Result<()> {
    let evil = Evil::start()?;
    let dir = Dir::new("hostile-json")?;
    let state = dir.path().join("state").display().to_string();
    let mut whole = 0;
    for verb in VERBS {
        let output = evil.run(&[verb, &["-o", "json"]].concat()).env("PCPCTL_STATE_DIR", &state).run()?;
        ensure!(output.stdout.lines().count() == 1, "{verb:?}: {output:?}");
        harmless(&output.stdout, &format!("stdout of {verb:?}"))?;
        harmless(&output.stderr, &format!("stderr of {verb:?}"))?;
        let document: Value = serde_json::from_str(&output.stdout).with_context(|| format!("{output:?}"))?;
        whole += usize::from(strings(&document).iter().any(|text| text.contains(EVIL)));
    }
    ensure!(whole >= 14, "{whole} documents had it whole");
    Ok(())
}

fn strings(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(values) => values.iter().flat_map(strings).collect(),
        Value::Object(members) => members.values().flat_map(strings).collect(),
        _ => Vec::new(),
    }
}

#[test]
fn in_the_log_it_begins_no_line() -> Result<()> {
    let evil = Evil::start()?;
    let dir = Dir::new("hostile-log")?;
    let file = dir.path().join("pcpctl.log").display().to_string();
    for verb in VERBS.iter().filter(|verb| has_log_file(verb)) {
        evil.run(&[verb, &["-vvv", "--log-file", &file][..]].concat()).run()?;
    }
    let log = std::fs::read_to_string(&file)?;
    harmless(&log, "the log")?;
    ensure!(log.contains("HOST1\\u{1b}[2J"), "{log}");
    for line in log.lines() {
        let time = line.split(' ').next().unwrap_or_default();
        ensure!(time.len() == "2026-01-01T00:00:00.000+00:00".len() && line.contains(" pcpctl["), "{line}");
    }
    Ok(())
}

#[test]
fn a_monitoring_system_reads_one_line_with_data_that_is_ours() -> Result<()> {
    let evil = Evil::start()?;
    for check in ["ping", "nodes", "primary", "health", "pool", "watchdog"] {
        // Twice the same: with several Pgpools each has its name in the labels.
        for hosts in [evil.endpoint.clone(), format!("{0},{0}", evil.endpoint)] {
            let output = logged_in(&["check", check, "-h", &hosts]).env("PCPCTL_CONFIG", "/dev/null").run()?;
            let line = output.stdout.strip_suffix('\n').context("no line")?;
            ensure!(!line.contains('\n'), "{output:?}");
            harmless(&output.stdout, check)?;
            let mut parts = line.split(" | ");
            let text = parts.next().unwrap_or_default();
            ensure!(!text.contains('|'), "{output:?}");
            let data = parts.next().unwrap_or_default();
            ensure!(parts.next().is_none() && is_performance_data(data), "{data:?} of {output:?}");
        }
    }
    let output = logged_in(&["check", "nodes", "-h", &evil.endpoint]).run()?;
    ensure!(output.stdout.contains("WARNING") || output.stdout.contains("OK"), "{output:?}");
    Ok(())
}

/// Tells whether text is `'label'=value;…` as often as it likes.
fn is_performance_data(text: &str) -> bool {
    let mut rest = text;
    while !rest.is_empty() {
        let Some(label) = rest.strip_prefix('\'') else { return false };
        // A quote in a label is doubled.
        let Some((label, behind)) = label.split_once("'=") else { return false };
        if label.contains(['|', '=']) || label.replace("''", "").contains('\'') {
            return false;
        }
        let end = behind.find(' ').unwrap_or(behind.len());
        let (value, after) = behind.split_at(end);
        if !value.chars().all(|c| c.is_ascii_alphanumeric() || ".;:@~%-".contains(c)) {
            return false;
        }
        rest = after.trim_start();
    }
    true
}

#[test]
fn metrics_are_lines_that_prometheus_reads() -> Result<()> {
    let evil = Evil::start()?;
    let output = evil.run(&["exporter", "--once"]).run()?;
    ensure!(output.code == Some(0), "{output:?}");
    harmless(&output.stderr, "stderr")?;
    for line in output.stdout.split('\n').filter(|line| !line.is_empty() && !line.starts_with('#')) {
        ensure!(is_sample(line), "{line:?}");
    }
    let escaped = EVIL.replace('\\', "\\\\").replace('\n', "\\n").replace('"', "\\\"");
    ensure!(output.stdout.contains(&format!("HOST1{escaped}")), "{output:?}");
    Ok(())
}

/// Tells whether a line is `name{label="value",…} number`.
fn is_sample(line: &str) -> bool {
    let is_name =
        |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let Some((name, mut rest)) = line.split_once('{') else {
        return line.split_once(' ').is_some_and(|(name, value)| is_name(name) && value.parse::<f64>().is_ok());
    };
    while let Some((label, value)) = rest.split_once("=\"") {
        let mut chars = value.char_indices();
        let end = loop {
            match chars.next() {
                Some((_, '\\')) if !matches!(chars.next(), Some((_, '\\' | 'n' | '"'))) => return false,
                Some((place, '"')) => break place,
                Some(_) => {}
                None => return false,
            }
        };
        if !is_name(label) {
            return false;
        }
        rest = value.get(end + 1..).unwrap_or_default();
        match rest.strip_prefix(',') {
            Some(more) => rest = more,
            None => break,
        }
    }
    is_name(name) && rest.strip_prefix("} ").is_some_and(|value| value.parse::<f64>().is_ok())
}

/// What programs read is what Pgpool's own tools would print, byte for byte; a terminal is not steered.
#[test]
fn links_pass_text_on_to_programs_and_not_to_terminals() -> Result<()> {
    let evil = Evil::start()?;
    let dir = Dir::new("hostile-links")?;
    let links = dir.path().join("links");
    ensure!(crate::support::bare(&["links", "install", &links.display().to_string()]).run()?.code == Some(0));
    for (tool, more, word) in [
        ("pcp_node_info", &["-n", "0"][..], "HOST1"),
        ("pcp_pool_status", &[], "EVILVALUE"),
        ("pcp_proc_info", &["-a", "-v"], "10.0.0.100"),
        ("pcp_watchdog_info", &["-v"], "WATCH2"),
        ("pcp_health_check_stats", &["-n", "0"], "HOST1"),
    ] {
        let link = links.join(tool);
        let args = [&["-h", "127.0.0.1", "-p", &evil.port, "-U", World::USER, "-w"], more].concat();
        let run = || Pcpctl::new(&link).named(&link).args(&args).env("PCP_PASSWORD", World::PASSWORD);
        let output = run().run()?;
        ensure!(output.code == Some(0), "{tool}: {output:?}");
        ensure!(output.stdout.contains(&format!("{word}{EVIL}")), "{tool}: {output:?}");

        let shown = shown_on_a_terminal(&link, &args, &[("PCP_PASSWORD", World::PASSWORD)])?;
        let text = shown.replace("\r\n", "\n");
        ensure!(!text.contains(steers), "{tool}: {text:?}");
        ensure!(text.contains(&format!("{word}\\u{{1b}}[2J")), "{tool}: {text:?}");
    }
    Ok(())
}

/// Runs a program that shows what it has to say on a terminal, and returns all of it.
fn shown_on_a_terminal(program: &Path, args: &[&str], env: &[(&str, &str)]) -> Result<String> {
    let (mut terminal, theirs) = Terminal::open()?;
    let mut command = Command::new(program);
    command.arg0(program).args(args).env_clear().envs(env.iter().copied()).stdin(Stdio::null());
    let mut child = command.stdout(theirs.try_clone()?).stderr(theirs).spawn()?;
    // Our own copies of the other end: reading would never end.
    drop(command);
    let shown = terminal.read_to_end();
    child.wait()?;
    Ok(shown)
}

#[test]
fn a_terminal_shows_verdicts_tables_and_the_live_view_unharmed() -> Result<()> {
    let evil = Evil::start()?;
    let env = [("PCP_USER", World::USER), ("PCP_PASSWORD", World::PASSWORD), ("TERM", "xterm")];
    let program = Path::new(env!("CARGO_BIN_EXE_pcpctl-under-test"));
    for verb in VERBS.iter().filter(|verb| verb.first() != Some(&"hold")) {
        let args = [verb, &["-h", &evil.endpoint, "--deadline", "5s"][..]].concat();
        let shown = shown_on_a_terminal(program, &args, &env)?;
        let mut text = shown.replace("\r\n", "\n");
        for code in
            ["\u{1b}[0m", "\u{1b}[1m", "\u{1b}[7m", "\u{1b}[31m", "\u{1b}[33m", "\r\u{1b}[K", "\u{1b}[K", "\r"]
        {
            text = text.replace(code, "");
        }
        harmless(&text, &format!("the terminal of {verb:?}"))?;
    }
    Ok(())
}

#[test]
fn a_watch_of_events_is_lines_of_ours() -> Result<()> {
    let evil = Evil::start()?;
    for format in ["table", "json"] {
        let watch = evil.run(&["watch", "--interval", "100ms", "-o", format]);
        let watch = watch.spawn()?;
        wait_until("an event", PATIENCE, || {
            ensure!(watch.stdout_so_far().contains("HOST3"), "not yet");
            Ok(())
        })?;
        watch.signal("TERM")?;
        let output: Output = watch.wait(PATIENCE)?;
        harmless(&output.stdout, "stdout")?;
        harmless(&output.stderr, "stderr")?;
    }
    Ok(())
}
