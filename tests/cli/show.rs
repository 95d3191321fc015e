//! `show`: its JSON as documented, its tables, and what it refuses.

use std::time::Duration;

use anyhow::Result;
use pcp_client::sandbox::{Age, Watchdog, World};
use pcp_proto::message::NodeStatus;
use pcp_tests::Output;
use snapbox::data::Data;
use snapbox::prelude::*;
use snapbox::{assert_data_eq, str};

use crate::support::{Pgpool, logged_in};

/// Two nodes up and checked, one down whose PostgreSQL is up, and one SQL session.
fn world(age: Age) -> World {
    let world = World::new(age).node("10.0.0.1", 5432).node("10.0.0.2", 5432);
    let world = world.node_with("10.0.0.3", 5432, |node| node.status = NodeStatus::Down);
    let mut world = world.configure(|settings| {
        settings.health_check_period = Duration::from_secs(3600);
        settings.num_init_children = 3;
        settings.max_pool = 2;
    });
    world.open_session(Duration::ZERO);
    world
}

fn start(age: Age) -> Result<Pgpool> {
    Pgpool::start_world(world(age))
}

/// Runs `show` in a zone that every machine has.
fn show(pgpools: &[&Pgpool], args: &[&str]) -> Result<Output> {
    let hosts: Vec<_> = pgpools.iter().map(|pgpool| pgpool.endpoint()).collect();
    logged_in(&[&["show"], args, &["-h", &hosts.join(",")]].concat()).env("TZ", "UTC").run()
}

/// Returns the JSON of a run that succeeds.
#[track_caller]
fn json(output: &Output) -> Data {
    assert_eq!(output.code, Some(0), "{output:?}");
    assert_eq!(output.stdout.lines().count(), 1, "{output:?}");
    output.stdout.clone().is_json()
}

#[test]
fn nodes_in_json() -> Result<()> {
    let pgpool = start(Age::V4_7)?;
    let output = show(&[&pgpool], &["nodes", "-o", "json"])?;
    assert_data_eq!(
        json(&output),
        str![[r#"
{
  "exit_code": 0,
  "pgpools": [
    {
      "endpoint": "[..]",
      "error": null,
      "nodes": [
        {
          "attached": true,
          "error": null,
          "host": "10.0.0.1",
          "id": 0,
          "last_status_change_unix_seconds": 1767225600,
          "pg_role": "primary",
          "pg_status": "up",
          "port": 5432,
          "quarantine": false,
          "replication_delay_bytes": 0,
          "replication_delay_microseconds": null,
          "replication_state": null,
          "replication_sync_state": null,
          "role": "primary",
          "status": "up",
          "weight": 0.333333
        },
        {
          "attached": true,
          "error": null,
          "host": "10.0.0.2",
          "id": 1,
          "last_status_change_unix_seconds": 1767225600,
          "pg_role": "standby",
          "pg_status": "up",
          "port": 5432,
          "quarantine": false,
          "replication_delay_bytes": 0,
          "replication_delay_microseconds": null,
          "replication_state": "streaming",
          "replication_sync_state": "async",
          "role": "standby",
          "status": "up",
          "weight": 0.333333
        },
        {
          "attached": false,
          "error": null,
          "host": "10.0.0.3",
          "id": 2,
          "last_status_change_unix_seconds": 1767225600,
          "pg_role": "standby",
          "pg_status": "up",
          "port": 5432,
          "quarantine": false,
          "replication_delay_bytes": 0,
          "replication_delay_microseconds": null,
          "replication_state": "streaming",
          "replication_sync_state": "async",
          "role": "standby",
          "status": "down",
          "weight": 0.333333
        }
      ],
      "server_age": "4.7 or later"
    }
  ],
  "schema_version": 1
}
"#]]
        .is_json()
    );
    Ok(())
}

#[test]
fn a_node_in_json() -> Result<()> {
    let pgpool = start(Age::V4_7)?;
    let output = show(&[&pgpool], &["node", "10.0.0.2", "-o", "json"])?;
    assert_data_eq!(
        json(&output),
        str![[r#"
{
  "exit_code": 0,
  "pgpools": [
    {
      "endpoint": "[..]",
      "error": null,
      "health": {
        "average_duration_ms": 2.75,
        "average_retry_count": 0.0,
        "fail_count": 0,
        "health_check_period_seconds": 3600,
        "host": "10.0.0.2",
        "id": 1,
        "last_failed_health_check_local": null,
        "last_health_check_local": "2026-01-01 00:00:00",
        "last_skip_health_check_local": null,
        "last_status_change_local": "2026-01-01 00:00:00",
        "last_successful_health_check_local": "2026-01-01 00:00:00",
        "max_duration_ms": 5,
        "max_retry_count": 0,
        "min_duration_ms": 2,
        "port": 5432,
        "retry_count": 0,
        "role": "standby",
        "skip_count": 0,
        "status": "up",
        "success_count": 1,
        "total_count": 1
      },
      "node": {
        "attached": true,
        "error": null,
        "host": "10.0.0.2",
        "id": 1,
        "last_status_change_unix_seconds": 1767225600,
        "pg_role": "standby",
        "pg_status": "up",
        "port": 5432,
        "quarantine": false,
        "replication_delay_bytes": 0,
        "replication_delay_microseconds": null,
        "replication_state": "streaming",
        "replication_sync_state": "async",
        "role": "standby",
        "status": "up",
        "weight": 0.333333
      },
      "server_age": "4.7 or later",
      "settings": {
        "backend_application_name": "server1",
        "backend_data_directory": "/var/lib/postgresql/data",
        "backend_flag": "ALLOW_TO_FAILOVER"
      }
    }
  ],
  "schema_version": 1
}
"#]]
        .is_json()
    );
    let old = start(Age::V4_1)?;
    let output = show(&[&old], &["node", "2", "-o", "json"])?;
    assert_data_eq!(
        json(&output),
        str![[r#"
{
  "exit_code": 0,
  "pgpools": [
    {
      "endpoint": "[..]",
      "error": null,
      "health": null,
      "node": {
        "attached": false,
        "error": null,
        "host": "10.0.0.3",
        "id": 2,
        "last_status_change_unix_seconds": 1767225600,
        "pg_role": null,
        "pg_status": null,
        "port": 5432,
        "quarantine": null,
        "replication_delay_bytes": 0,
        "replication_delay_microseconds": null,
        "replication_state": "streaming",
        "replication_sync_state": "async",
        "role": "standby",
        "status": "down",
        "weight": 0.333333
      },
      "server_age": "4.1 or later, before 4.2",
      "settings": {
        "backend_application_name": "server2",
        "backend_data_directory": "/var/lib/postgresql/data",
        "backend_flag": "ALLOW_TO_FAILOVER"
      }
    }
  ],
  "schema_version": 1
}
"#]]
        .is_json()
    );
    Ok(())
}

#[test]
fn health_in_json() -> Result<()> {
    let pgpool = start(Age::V4_2)?;
    let output = show(&[&pgpool], &["health", "10.0.0.3:5432", "-o", "json"])?;
    assert_data_eq!(
        json(&output),
        str![[r#"
{
  "exit_code": 0,
  "pgpools": [
    {
      "endpoint": "[..]",
      "error": null,
      "nodes": [
        {
          "average_duration_ms": 0.0,
          "average_retry_count": 0.0,
          "fail_count": 0,
          "health_check_period_seconds": 3600,
          "host": "10.0.0.3",
          "id": 2,
          "last_failed_health_check_local": null,
          "last_health_check_local": "2026-01-01 00:00:00",
          "last_skip_health_check_local": "2026-01-01 00:00:00",
          "last_status_change_local": "2026-01-01 00:00:00",
          "last_successful_health_check_local": null,
          "max_duration_ms": 0,
          "max_retry_count": 0,
          "min_duration_ms": 0,
          "port": 5432,
          "retry_count": 0,
          "role": "standby",
          "skip_count": 1,
          "status": "down",
          "success_count": 0,
          "total_count": 1
        }
      ],
      "server_age": "4.2 or later, before 4.3"
    }
  ],
  "schema_version": 1
}
"#]]
        .is_json()
    );
    Ok(())
}

#[test]
fn config_in_json() -> Result<()> {
    let pgpool = start(Age::V4_1)?;
    let output = show(&[&pgpool], &["config", "search_*", "*PASSWORD", "-o", "json"])?;
    assert_data_eq!(
        json(&output),
        str![[r#"
{
  "exit_code": 0,
  "pgpools": [
    {
      "endpoint": "[..]",
      "error": null,
      "parameters": [
        {
          "description": "max time in seconds to search for primary node after failover",
          "hidden": false,
          "name": "search_primary_node_timeout",
          "value": "3"
        },
        {
          "description": "password for watchdog user in lifecheck",
          "hidden": true,
          "name": "wd_lifecheck_password",
          "value": null
        }
      ],
      "server_age": "4.1 or later, before 4.2"
    }
  ],
  "schema_version": 1
}
"#]]
        .is_json()
    );
    Ok(())
}

#[test]
fn watchdog_in_json() -> Result<()> {
    let world =
        world(Age::V4_7).configure(|settings| settings.watchdog = Some(Watchdog::of(&["pgpool1", "pgpool2"])));
    let pgpool = Pgpool::start_world(world)?;
    let output = show(&[&pgpool], &["watchdog", "1", "-o", "json"])?;
    assert_data_eq!(
        json(&output),
        str![[r#"
{
  "exit_code": 0,
  "pgpools": [
    {
      "alive_node_count": 1,
      "endpoint": "[..]",
      "error": null,
      "escalated": true,
      "leader_host_name": "pgpool1",
      "leader_node_name": "pgpool1:9999 Linux pgpool1",
      "members": [
        {
          "delegate_ip": null,
          "host_name": "pgpool2",
          "id": 1,
          "membership": "MEMBER",
          "node_name": "pgpool2:9999 Linux pgpool2",
          "pgpool_port": 9999,
          "priority": 1,
          "state": 7,
          "state_name": "STANDBY",
          "wd_port": 9000
        }
      ],
      "nodes_require_for_quorum": 2,
      "quorum": "exists",
      "quorum_status": 1
    }
  ],
  "schema_version": 1
}
"#]]
        .is_json()
    );
    let table = show(&[&pgpool], &["watchdog"])?;
    assert_data_eq!(
        table.stdout,
        str![[r#"
quorum exists, 1 other members alive, leader pgpool1, this Pgpool holds the virtual address
ID  NAME                        HOST     PORT  WD PORT  PRIORITY  STATE    MEMBERSHIP
0   pgpool1:9999 Linux pgpool1  pgpool1  9999  9000     1         LEADER   MEMBER
1   pgpool2:9999 Linux pgpool2  pgpool2  9999  9000     1         STANDBY  MEMBER

"#]]
    );
    Ok(())
}

#[test]
fn what_differs_in_json() -> Result<()> {
    let [one, other] = [start(Age::V4_7)?, start(Age::V4_7)?];
    other.sandbox.with(|world| world.settings_mut().max_pool = 3);
    let output = show(&[&one, &other], &["config", "--diff", "-o", "json"])?;
    assert_eq!(output.code, Some(1), "{output:?}");
    assert_data_eq!(
        output.stdout.is_json(),
        str![[r#"
{
  "exit_code": 1,
  "parameters": [
    {
      "name": "max_pool",
      "values": [
        {
          "hidden": false,
          "value": "2"
        },
        {
          "hidden": false,
          "value": "3"
        }
      ]
    }
  ],
  "pgpools": [
    {
      "endpoint": "[..]",
      "error": null,
      "server_age": "4.7 or later"
    },
    {
      "endpoint": "[..]",
      "error": null,
      "server_age": "4.7 or later"
    }
  ],
  "schema_version": 1
}
"#]]
        .is_json()
    );
    Ok(())
}

#[test]
fn tables_without_a_terminal_are_plain_and_whole() -> Result<()> {
    let pgpool = start(Age::V4_7)?;
    assert_data_eq!(
        show(&[&pgpool], &["nodes"])?.stdout,
        str![[r#"
ID  ADDRESS        STATUS  ROLE     PG STATUS  PG ROLE  WEIGHT  DELAY  REPLICATION      LAST CHANGE
0   10.0.0.1:5432  up      primary  up         primary  0.333   0 B    -                2026-01-01 00:00:00+00:00
1   10.0.0.2:5432  up      standby  up         standby  0.333   0 B    streaming async  2026-01-01 00:00:00+00:00
2   10.0.0.3:5432  down    standby  up         standby  0.333   0 B    streaming async  2026-01-01 00:00:00+00:00
node 2: not up for Pgpool, but PostgreSQL answers it (role standby)

"#]]
    );
    assert_data_eq!(
        show(&[&pgpool], &["node", "2"])?.stdout,
        str![[r#"
NODE                 2
address              10.0.0.3:5432
status               down
role                 standby
PostgreSQL's status  up
PostgreSQL's role    standby
replication          streaming async
delay                0 B
weight               0.333
last change          2026-01-01 00:00:00+00:00 ([..] ago)
flag                 ALLOW_TO_FAILOVER
application name     server2
data directory       /var/lib/postgresql/data
health checks        1 made: 0 succeeded, 0 failed, 1 skipped
retries              0
last check           2026-01-01 00:00:00 (the time of Pgpool's host)
last skip            2026-01-01 00:00:00 (the time of Pgpool's host)
not up for Pgpool, but PostgreSQL answers it (role standby)

"#]]
    );
    assert_data_eq!(
        show(&[&pgpool], &["health"])?.stdout,
        str![[r#"
ID  ADDRESS        STATUS  ROLE     CHECKS  FAILED  SKIPPED  RETRIES  MS (MIN/AVG/MAX)  LAST CHECK           LAST SUCCESS         LAST SKIP
0   10.0.0.1:5432  up      primary  1       0       0        0        2 / 2.8 / 5       2026-01-01 00:00:00  2026-01-01 00:00:00  -
1   10.0.0.2:5432  up      standby  1       0       0        0        2 / 2.8 / 5       2026-01-01 00:00:00  2026-01-01 00:00:00  -
2   10.0.0.3:5432  down    standby  1       0       1        0        -                 2026-01-01 00:00:00  -                    2026-01-01 00:00:00
Times are those of Pgpool's host.

"#]]
    );
    assert_data_eq!(
        show(&[&pgpool], &["config", "num_*", "backend_port?"])?.stdout,
        str![[r#"
PARAMETER          VALUE  DESCRIPTION
num_init_children  3      # of children initially pre-forked
backend_port0      5432   backend #0 port number
backend_port1      5432   backend #1 port number
backend_port2      5432   backend #2 port number

"#]]
    );
    Ok(())
}

#[test]
fn colours_mark_what_is_down_and_the_primary_and_only_when_asked() -> Result<()> {
    let pgpool = start(Age::V4_7)?;
    pgpool.sandbox.with(|world| world.quarantine(Duration::ZERO, 1));
    let colored = show(&[&pgpool], &["nodes", "--color", "always"])?.stdout;
    for part in ["\u{1b}[31mdown\u{1b}[0m", "\u{1b}[33mquarantine\u{1b}[0m", "\u{1b}[1mprimary\u{1b}[0m"] {
        assert!(colored.contains(part), "{part:?}: {colored:?}");
    }
    for args in [&["nodes"][..], &["nodes", "--color", "auto"], &["nodes", "--color", "never"]] {
        let plain = show(&[&pgpool], args)?.stdout;
        assert!(!plain.contains('\u{1b}'), "{args:?}: {plain:?}");
    }
    Ok(())
}

#[test]
fn what_only_old_servers_lack_is_told_with_the_version() -> Result<()> {
    let pgpool = start(Age::V4_1)?;
    for (args, needed) in [
        (&["health"][..], "reading health check statistics needs Pgpool 4.2 or later"),
        (&["health", "2"], "reading health check statistics needs Pgpool 4.2 or later"),
        (&["processes", "--status", "idle"], "--status with this value needs Pgpool 4.3 or later"),
        (&["processes", "--client", "10.*"], "--client needs Pgpool 4.7 or later"),
    ] {
        let output = show(&[&pgpool], args)?;
        assert_eq!((output.code, &*output.stdout), (Some(7), ""), "{args:?}: {output:?}");
        assert!(output.stderr.contains(needed), "{args:?}: {output:?}");
        assert!(output.stderr.contains("this server is 4.1 or later, before 4.2"), "{args:?}: {output:?}");
    }
    Ok(())
}

#[test]
fn a_node_that_is_not_there_is_unknown() -> Result<()> {
    let pgpool = start(Age::V4_7)?;
    for args in [["node", "10.0.0.9"], ["health", "9"]] {
        let output = show(&[&pgpool], &args)?;
        assert_eq!((output.code, &*output.stdout), (Some(6), ""), "{args:?}: {output:?}");
    }
    Ok(())
}

#[test]
fn a_secret_is_shown_nowhere_and_a_difference_of_secrets_is() -> Result<()> {
    let [one, other] = [start(Age::V4_1)?, start(Age::V4_7)?];
    one.sandbox.with(|world| {
        world.settings_mut().shown.insert("wd_lifecheck_password".to_owned(), "hunter2".to_owned());
    });
    for args in
        [&["config"][..], &["config", "-o", "json"], &["config", "--diff"], &["config", "--diff", "-o", "json"]]
    {
        let output = show(&[&one, &other], &[args, &["-vvv"]].concat())?;
        assert!(output.stdout.contains("wd_lifecheck_password"), "{args:?}: {output:?}");
        assert!(output.stderr.contains("kind: POOL_STATUS"), "{args:?}: {output:?}");
        assert!(!format!("{output:?}").contains("hunter2"), "{args:?}: {output:?}");
    }
    let table = show(&[&one], &["config", "*password"])?.stdout;
    assert!(table.contains("wd_lifecheck_password  ********"), "{table}");
    Ok(())
}

#[test]
fn parameters_that_are_the_same_do_not_differ() -> Result<()> {
    let [one, other] = [start(Age::V4_7)?, start(Age::V4_7)?];
    let same = show(&[&one, &other], &["config", "--diff", "*period*"])?;
    assert_eq!((same.code, &*same.stdout), (Some(0), "0 of 2 parameters differ between 2 Pgpools\n"), "{same:?}");
    other.sandbox.with(|world| world.settings_mut().health_check_period = Duration::from_secs(7));
    let output = show(&[&one, &other], &["config", "--diff"])?;
    assert_eq!(output.code, Some(1), "{output:?}");
    assert!(output.stdout.contains("health_check_period  3600 "), "{output:?}");

    let gone = logged_in(&["show", "config", "--diff", "-h", &one.endpoint(), "-h", "/nonexistent"]).run()?;
    assert_eq!((gone.code, &*gone.stdout), (Some(10), ""), "{gone:?}");
    let alone = show(&[&one], &["config", "--diff"])?;
    assert_eq!(alone.code, Some(2), "{alone:?}");
    assert!(alone.stderr.contains("name at least two"), "{alone:?}");
    let none = show(&[&one], &["config", "helth*"])?;
    assert_eq!(none.code, Some(1), "{none:?}");
    assert!(none.stdout.ends_with("parameters fits helth*\n"), "{none:?}");
    Ok(())
}
