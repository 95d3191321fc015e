//! `show processes`: every layout, filters, the summary.

use std::time::Duration;

use anyhow::{Context, Result};
use pcp_client::sandbox::{Age, World};
use serde_json::Value;
use snapbox::prelude::*;
use snapbox::{assert_data_eq, str};

use crate::support::Pgpool;

/// Four children with two pools each: the first is busy, the second was, the others never were.
fn start(age: Age) -> Result<Pgpool> {
    let world = World::new(age).node("10.0.0.1", 5432).node("10.0.0.2", 5432);
    let mut world = world.configure(|settings| {
        settings.num_init_children = 4;
        settings.max_pool = 2;
    });
    world.open_session(Duration::ZERO);
    world.open_session(Duration::from_millis(1));
    world.close_session(Duration::from_millis(2));
    Pgpool::start_world(world)
}

fn json(pgpool: &Pgpool, args: &[&str]) -> Result<Value> {
    let output = pgpool.run(&[&["show", "processes", "-o", "json"], args].concat())?;
    let document: Value = serde_json::from_str(&output.stdout).with_context(|| format!("{output:?}"))?;
    document.pointer("/pgpools/0").cloned().context("no Pgpool")
}

#[test]
fn processes_in_json() -> Result<()> {
    let pgpool = start(Age::V4_7)?;
    let output = pgpool.run(&["show", "processes", "-o", "json"])?;
    assert_data_eq!(
        output.stdout.is_json(),
        str![[r#"
{
  "exit_code": 0,
  "pgpools": [
    {
      "endpoint": "[..]",
      "error": null,
      "not_listed": 0,
      "processes": [
        {
          "client_connection_count": 0,
          "client_host": "10.0.0.100",
          "client_port": "43900",
          "pid": 21926,
          "pools": [
            {
              "backends": [
                {
                  "backend_pid": 7210,
                  "connection_local": "2026-01-01 00:00:00",
                  "connection_unix_seconds": null,
                  "load_balance_node": false,
                  "node_id": 0,
                  "statement": null
                },
                {
                  "backend_pid": 7211,
                  "connection_local": "2026-01-01 00:00:00",
                  "connection_unix_seconds": null,
                  "load_balance_node": true,
                  "node_id": 1,
                  "statement": "SELECT 1"
                }
              ],
              "client_connection_local": "2026-01-01 00:00:00",
              "client_disconnection_local": null,
              "client_idle_seconds": 0,
              "connected": true,
              "database": "app",
              "pool_counter": 1,
              "pool_id": 0,
              "user": "postgres"
            }
          ],
          "start_local": "2026-01-01 00:00:00",
          "start_unix_seconds": null,
          "status": "idle"
        }
      ],
      "server_age": "4.7 or later",
      "summary": {
        "backend_connections": [
          {
            "connections": 2,
            "node_id": 0
          },
          {
            "connections": 2,
            "node_id": 1
          }
        ],
        "busy": 0,
        "children": 4,
        "connecting": 0,
        "databases": [
          {
            "name": "app",
            "pool_slots": 2,
            "sessions": 1
          }
        ],
        "free": 3,
        "idle": 1,
        "idle_in_transaction": 0,
        "num_init_children": 4,
        "pool_slots": 8,
        "pool_slots_used": 2,
        "sessions": 1,
        "users": [
          {
            "name": "postgres",
            "pool_slots": 2,
            "sessions": 1
          }
        ]
      }
    }
  ],
  "schema_version": 1
}
"#]]
        .is_json()
    );
    let old = start(Age::V4_2)?;
    let output = old.run(&["show", "processes", "-o", "json"])?;
    assert_data_eq!(
        output.stdout.is_json(),
        str![[r#"
{
  "exit_code": 0,
  "pgpools": [
    {
      "endpoint": "[..]",
      "error": null,
      "not_listed": 0,
      "processes": [
        {
          "client_connection_count": null,
          "client_host": null,
          "client_port": null,
          "pid": 21926,
          "pools": [
            {
              "backends": [
                {
                  "backend_pid": 7210,
                  "connection_local": null,
                  "connection_unix_seconds": 1767225600,
                  "load_balance_node": null,
                  "node_id": 0,
                  "statement": null
                },
                {
                  "backend_pid": 7211,
                  "connection_local": null,
                  "connection_unix_seconds": 1767225600,
                  "load_balance_node": null,
                  "node_id": 1,
                  "statement": null
                }
              ],
              "client_connection_local": null,
              "client_disconnection_local": null,
              "client_idle_seconds": null,
              "connected": true,
              "database": "app",
              "pool_counter": 1,
              "pool_id": 0,
              "user": "postgres"
            }
          ],
          "start_local": null,
          "start_unix_seconds": 1767225600,
          "status": "connected"
        }
      ],
      "server_age": "4.2 or later, before 4.3",
      "summary": {
        "backend_connections": [
          {
            "connections": 2,
            "node_id": 0
          },
          {
            "connections": 2,
            "node_id": 1
          }
        ],
        "busy": null,
        "children": 4,
        "connecting": null,
        "databases": [
          {
            "name": "app",
            "pool_slots": 2,
            "sessions": 1
          }
        ],
        "free": 3,
        "idle": null,
        "idle_in_transaction": null,
        "num_init_children": 4,
        "pool_slots": 8,
        "pool_slots_used": 2,
        "sessions": 1,
        "users": [
          {
            "name": "postgres",
            "pool_slots": 2,
            "sessions": 1
          }
        ]
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
fn processes_as_tables() -> Result<()> {
    let pgpool = start(Age::V4_7)?;
    assert_data_eq!(
        pgpool.run(&["show", "processes", "--all"])?.stdout,
        str![[r#"
PID    STATUS   DATABASE  USER      CLIENT            IDLE  SINCE                NODE  POOLS  SERVED  STATEMENT
21926  idle     app       postgres  10.0.0.100:43900  0 s   2026-01-01 00:00:00  1     1      0       SELECT 1
21927  waiting  -         -         -                 -     -                    -     1      1       -
21928  waiting  -         -         -                 -     -                    -     0      0       -
21929  waiting  -         -         -                 -     -                    -     0      0       -
Times are those of Pgpool's host.

1 of 4 children have a client (0 busy, 1 idle, 0 idle in transaction, 0 connecting), 3 are free
2 of 8 pool slots are used; connections: 2 to node 0, 2 to node 1

DATABASE  SESSIONS  POOL SLOTS
app       1         2

USER      SESSIONS  POOL SLOTS
postgres  1         2

"#]]
    );
    assert_data_eq!(
        pgpool.run(&["show", "processes", "21927"])?.stdout,
        str![[r#"
child 21927: waiting, started 2026-01-01 00:00:00
POOL  NODE  DATABASE  USER      IN USE  READS  BACKEND PID  CONNECTED SINCE      USES  STATEMENT
0     0     app       postgres  no      no     7212         2026-01-01 00:00:00  1     -
0     1     app       postgres  no      no     7213         2026-01-01 00:00:00  1     DISCARD ALL
1     -     (free)    -         -       -      -            -                    -     -
Times are those of Pgpool's host.

"#]]
    );
    Ok(())
}

#[test]
fn every_age_is_counted_alike() -> Result<()> {
    for age in Age::ALL {
        let pgpool = start(age)?;
        let summary = &json(&pgpool, &["--summary"])?["summary"];
        for (name, expected) in
            [("children", 4), ("sessions", 1), ("free", 3), ("pool_slots", 8), ("pool_slots_used", 2)]
        {
            assert_eq!(summary[name], expected, "{age}: {name}: {summary}");
        }
        assert_eq!(summary["idle"], if age < Age::V4_3_0 { Value::Null } else { 1.into() }, "{age}");
        assert_eq!(summary["backend_connections"][1]["connections"], 2, "{age}");
        let app = &summary["databases"][0];
        assert_eq!((&app["name"], &app["sessions"], &app["pool_slots"]), (&"app".into(), &1.into(), &2.into()));
    }
    Ok(())
}

#[test]
fn filters_let_through_what_fits_and_the_summary_counts_all() -> Result<()> {
    let pgpool = start(Age::V4_7)?;
    for (args, expected) in [
        (&[][..], &[21_926][..]),
        (&["--all"], &[21_926, 21_927, 21_928, 21_929]),
        (&["--status", "waiting"], &[21_927, 21_928, 21_929]),
        (&["--status", "idle,busy"], &[21_926]),
        (&["--status", "connected"], &[21_926]),
        (&["--status", "busy"], &[]),
        (&["--database", "app"], &[21_926]),
        (&["--database", "ap"], &[]),
        (&["--database", "a*", "--all"], &[21_926, 21_927]),
        (&["--db-user", "POST*"], &[21_926]),
        (&["--db-user", "pcpadmin"], &[]),
        (&["--client", "10.0.0.1??"], &[21_926]),
        (&["--client", "10.0.0.1"], &[]),
        (&["21928"], &[21_928]),
    ] {
        let pgpool = json(&pgpool, args)?;
        let listed: Vec<_> = pgpool["processes"]
            .as_array()
            .context("no processes")?
            .iter()
            .map(|child| child["pid"].as_u64())
            .collect();
        let expected: Vec<_> = expected.iter().map(|&pid| Some(pid)).collect();
        assert_eq!(listed, expected, "{args:?}");
        let is_one = args == ["21928"];
        assert_eq!(pgpool["summary"]["children"], if is_one { Value::Null } else { 4.into() }, "{args:?}");
    }
    let limited = json(&pgpool, &["--all", "--limit", "1"])?;
    assert_eq!((limited["processes"].as_array().map(Vec::len), &limited["not_listed"]), (Some(1), &3.into()));
    assert_eq!(json(&pgpool, &["--summary"])?["processes"], Value::Null);

    let stranger = pgpool.run(&["show", "processes", "1"])?;
    assert_eq!(stranger.code, Some(7), "{stranger:?}");
    assert!(stranger.stderr.contains("invalid process ID"), "{stranger:?}");
    Ok(())
}

#[test]
fn a_great_many_slots_are_counted() -> Result<()> {
    let world = World::new(Age::V4_7).node("10.0.0.1", 5432).node("10.0.0.2", 5432).node("10.0.0.3", 5432);
    let pgpool = Pgpool::start_world(world.configure(|settings| {
        settings.num_init_children = 4000;
        settings.max_pool = 4;
    }))?;
    let summary = &json(&pgpool, &["--summary", "--deadline", "60s"])?["summary"];
    assert_eq!((&summary["free"], &summary["pool_slots"]), (&4000.into(), &16_000.into()));
    Ok(())
}
