//! `watch`: events as they come, and the terminal as it was.

use std::io::{BufRead, BufReader, Lines};
use std::process::{Child, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, ensure};
use pcp_client::sandbox::{Age, Fault, Watchdog, World};
use pcp_proto::RequestKind;
use rustix::termios::LocalModes;
use serde_json::Value;
use snapbox::prelude::*;
use snapbox::{assert_data_eq, str};

use crate::support::Pgpool;
use crate::terminal::Terminal;

const PROGRAM: &str = env!("CARGO_BIN_EXE_pcpctl-under-test");

/// A run of `pcpctl watch`.
struct Watch {
    child: Ended,
    lines: Lines<BufReader<ChildStdout>>,
}

/// Detaches a node as another client would.
fn detach(pgpool: &Pgpool, id: usize) {
    let now = pgpool.sandbox.now();
    pgpool.sandbox.with(|world| world.detach(now, id));
}

/// Begins a run that ends by itself before a test would hang for ever.
fn command(hosts: &str, args: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command.env_clear().env("PCP_USER", World::USER).env("PCP_PASSWORD", World::PASSWORD).env("TZ", "UTC");
    command.args(["watch", "--interval", "100ms", "--deadline", "60s", "-h", hosts]).args(args);
    command
}

impl Watch {
    fn start(hosts: &str, args: &[&str]) -> Result<Self> {
        let mut child = Ended(command(hosts, args).stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?);
        let lines = BufReader::new(child.0.stdout.take().context("no pipe")?).lines();
        Ok(Self { child, lines })
    }

    fn line(&mut self) -> Result<String> {
        Ok(self.lines.next().context("it has ended")??)
    }

    fn event(&mut self) -> Result<Value> {
        Ok(serde_json::from_str(&self.line()?)?)
    }

    fn signal(&self, name: &str) -> Result<()> {
        let mut kill = Command::new("/bin/sh");
        kill.args(["-c", "kill -s \"$1\" \"$2\"", "kill", name]).arg(self.child.0.id().to_string());
        ensure!(kill.status()?.success(), "cannot send {name}");
        Ok(())
    }

    fn exit_code(mut self) -> Result<Option<i32>> {
        Ok(self.child.0.wait()?.code())
    }
}

/// A process that does not outlive its test.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ended = self.0.kill();
        let _reaped = self.0.wait();
    }
}

#[test]
fn each_change_is_an_event_after_the_present_state() -> Result<()> {
    let watchdog = Watchdog::of(&["pgpool1", "pgpool2"]);
    let world = World::new(Age::V4_7).node("10.0.0.1", 5432).node("10.0.0.2", 5433);
    let pgpool = Pgpool::start_world(world.configure(|settings| settings.watchdog = Some(watchdog)))?;
    let mut watch = Watch::start(&pgpool.endpoint(), &["-o", "json"])?;
    assert_data_eq!(
        watch.line()?.is_json(),
        str![[r#"
{
  "at": "[..]",
  "endpoint": "[..]",
  "event": "state",
  "nodes": [
    {
      "attached": true,
      "host": "10.0.0.1",
      "id": 0,
      "port": 5432,
      "role": "primary",
      "status": "up"
    },
    {
      "attached": true,
      "host": "10.0.0.2",
      "id": 1,
      "port": 5433,
      "role": "standby",
      "status": "up"
    }
  ],
  "schema_version": 1,
  "server_age": "4.7 or later",
  "watchdog": {
    "alive_node_count": 1,
    "leader_host_name": "pgpool1",
    "quorum": "exists"
  }
}
"#]]
        .is_json()
    );
    let now = pgpool.sandbox.now();
    pgpool.sandbox.with(|world| world.quarantine(now, 1));
    assert_data_eq!(
        watch.line()?.is_json(),
        str![[r#"
{
  "after": {
    "attached": false,
    "role": "standby",
    "status": "quarantine"
  },
  "at": "[..]",
  "before": {
    "attached": true,
    "role": "standby",
    "status": "up"
  },
  "endpoint": "[..]",
  "event": "node",
  "node": {
    "host": "10.0.0.2",
    "id": 1,
    "port": 5433
  },
  "schema_version": 1
}
"#]]
        .is_json()
    );
    pgpool.sandbox.with(|world| {
        if let Some(watchdog) = &mut world.settings_mut().watchdog {
            watchdog.quorum = -1;
        }
    });
    assert_data_eq!(
        watch.line()?.is_json(),
        str![[r#"
{
  "after": {
    "alive_node_count": 1,
    "leader_host_name": "pgpool1",
    "quorum": "absent"
  },
  "at": "[..]",
  "before": {
    "alive_node_count": 1,
    "leader_host_name": "pgpool1",
    "quorum": "exists"
  },
  "endpoint": "[..]",
  "event": "watchdog",
  "schema_version": 1
}
"#]]
        .is_json()
    );

    watch.signal("INT")?;
    assert_eq!(watch.exit_code()?, Some(0));
    Ok(())
}

#[test]
fn a_pgpool_that_goes_away_is_said_to_be_gone_and_found_again() -> Result<()> {
    let pgpool = Pgpool::start()?;
    let endpoint = pgpool.endpoint();
    let mut watch = Watch::start(&endpoint, &["-o", "json"])?;
    assert_eq!(watch.event()?["event"], "state");
    // One that is lost is looked for once more before anybody is told; two are news.
    for _ in 0..2 {
        pgpool.sandbox.fault(Fault::CloseBeforeSalt);
    }
    let gone = watch.event()?;
    assert_eq!((&gone["event"], &gone["endpoint"]), (&"gone".into(), &endpoint.as_str().into()), "{gone}");
    assert!(gone["error"].as_str().is_some_and(|error| !error.is_empty()), "{gone}");
    assert_eq!(watch.event()?["event"], "back");
    pgpool.sandbox.fault(Fault::CloseBeforeSalt);
    detach(&pgpool, 2);
    let change = watch.event()?;
    assert_eq!((&change["event"], &change["node"]["id"]), (&"node".into(), &2.into()), "{change}");
    assert_eq!(
        (&change["before"]["status"], &change["after"]["status"]),
        (&"up".into(), &"down".into()),
        "{change}"
    );
    watch.signal("TERM")?;
    assert_eq!(watch.exit_code()?, Some(143));
    Ok(())
}

#[test]
fn without_a_terminal_each_change_is_a_line() -> Result<()> {
    let pgpool = Pgpool::start_with(Age::V4_1)?;
    let endpoint = pgpool.endpoint();
    let mut watch = Watch::start(&endpoint, &[])?;
    for (id, role) in ["primary", "standby", "standby"].iter().enumerate() {
        let address = id + 1;
        let expected = format!("+00:00 {endpoint} node {id} (10.0.0.{address}:5432) is up {role}");
        let line = watch.line()?;
        assert!(line.starts_with('2') && line.ends_with(&expected), "{line}");
    }
    detach(&pgpool, 2);
    let line = watch.line()?;
    assert!(line.ends_with("node 2 (10.0.0.3:5432): up standby -> down standby"), "{line}");
    Ok(())
}

#[test]
fn no_look_leaves_a_connection_open_or_makes_pgpool_connect() -> Result<()> {
    for age in [Age::V3_5, Age::V4_1, Age::V4_3_1, Age::V4_7] {
        let pgpool = Pgpool::start_with(age)?;
        let mut watch = Watch::start(&pgpool.endpoint(), &["-o", "json"])?;
        assert_eq!(watch.event()?["event"], "state");
        for id in [1, 2] {
            detach(&pgpool, id);
            // An old server would be frozen by a connection that stays.
            assert_eq!(watch.event()?["node"]["id"], id, "{age}");
        }
        assert_eq!(pgpool.sandbox.most_open_connections(), 1, "{age}");
        let dials = age >= Age::V4_3_0;
        let asked = pgpool.sandbox.requests();
        assert!(!(dials && asked.iter().any(|&(_, kind)| kind == RequestKind::READ_NODE_INFO)), "{age}: {asked:?}");
    }
    Ok(())
}

#[test]
fn a_login_that_all_refuse_ends_it_and_a_reader_that_goes_as_well() -> Result<()> {
    let pgpool = Pgpool::start()?;
    let refused = command(&pgpool.endpoint(), &["-o", "json"]).env("PCP_PASSWORD", "wrong").output()?;
    assert_eq!(refused.status.code(), Some(5), "{refused:?}");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("authentication failed"), "{refused:?}");

    // By its exit code `timeout` tells whether it had to end it.
    let (reader, writer) = std::io::pipe()?;
    let mut unread = Command::new("/usr/bin/timeout");
    unread.args(["30", PROGRAM, "watch", "-h", &pgpool.endpoint()]).env_clear();
    unread.env("PCP_USER", World::USER).env("PCP_PASSWORD", World::PASSWORD);
    let mut child = Ended(unread.stdin(Stdio::null()).stdout(writer).spawn()?);
    drop((unread, reader));
    assert_eq!(child.0.wait()?.code(), Some(0));
    Ok(())
}

#[test]
fn the_screen_is_drawn_in_place_and_the_terminal_is_as_it_was() -> Result<()> {
    const ENTER: &str = "\u{1b}[?1049h";
    const LEAVE: &str = "\u{1b}[?1049l";
    let [one, other] = [Pgpool::start()?, Pgpool::start()?];
    let hosts = format!("{},{}", one.endpoint(), other.endpoint());
    let (mut terminal, theirs) = Terminal::open()?;
    let before = terminal.modes()?;
    let mut child = Ended(
        command(&hosts, &["--color", "never"])
            .env("TERM", "xterm")
            .stdin(theirs.try_clone()?)
            .stdout(theirs)
            .spawn()?,
    );
    // One of them may be seen before the other.
    let shown = terminal.read_until(&format!("{}, {}", one.endpoint(), other.endpoint()))?;
    assert!(shown.contains(ENTER), "{shown:?}");
    terminal.read_until("10.0.0.3:5432  up standby")?;
    assert!(!terminal.modes()?.intersects(LocalModes::ECHO | LocalModes::ICANON));

    detach(&one, 2);
    let shown = terminal.read_until("The Pgpools disagree.")?;
    let row = shown.lines().find(|line| line.contains("10.0.0.3:5432  down standby")).context(shown.clone())?;
    assert!(row.starts_with("*  2   10.0.0.3:5432  down standby") && row.contains("up standby"), "{row:?}");
    assert!(!shown.contains("\u{1b}[31m"), "{shown:?}");

    terminal.press("q")?;
    terminal.read_until(LEAVE)?;
    assert_eq!(child.0.wait()?.code(), Some(0));
    assert_eq!(terminal.modes()?, before);
    Ok(())
}
