//! `watch` tells what happens, and holds nothing up.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use pcp_tests::{Cluster, Running, Settings, Version, wait_until};
use serde_json::Value;

use crate::support::{command, run, verdict};

const PATIENCE: Duration = Duration::from_secs(20);

for_each_version!(each_change_is_told_and_none_is_held_up);

fn each_change_is_told_and_none_is_held_up(version: Version) -> Result<()> {
    let cluster = Cluster::start(version, Settings::default())?;
    let watch = command(&["watch", "-o", "json", "--interval", "1s", "--deadline", "80s"]).to(&cluster).spawn()?;
    await_event(&watch, |event| event["event"] == "state")?;
    // Servers before 4.5 carry nothing out while a connection stays open.
    verdict(&run(&cluster, &["detach", "2"])?, 0);
    await_event(&watch, |event| event["after"]["status"] == "down" && event["node"]["id"] == 2)?;
    verdict(&run(&cluster, &["attach", "2", "s"])?, 0);
    await_event(&watch, |event| event["after"]["attached"] == true && event["node"]["id"] == 2)?;

    cluster.stop_pgpool()?;
    await_event(&watch, |event| event["event"] == "gone")?;
    cluster.start_pgpool()?;
    await_event(&watch, |event| event["event"] == "back")?;

    watch.signal("INT")?;
    let output = watch.wait(Duration::from_secs(90))?;
    assert_eq!(output.code, Some(0), "{output:?}");
    assert_eq!(output.stderr, "", "{output:?}");
    Ok(())
}

fn await_event(watch: &Running, is_wanted: impl Fn(&Value) -> bool) -> Result<()> {
    wait_until("an event", PATIENCE, || {
        let seen = watch.stdout_so_far();
        for line in seen.lines().filter(|line| line.ends_with('}')) {
            let event: Value = serde_json::from_str(line).with_context(|| line.to_owned())?;
            ensure!(event["schema_version"] == 1, "{event}");
            if is_wanted(&event) {
                return Ok(());
            }
        }
        anyhow::bail!("{seen}")
    })
}
