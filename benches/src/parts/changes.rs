//! Changes of a node by its address: ours read back, the script's only sent.

use anyhow::Result;
use pcp_tests::{Settings, Version};

use crate::hyperfine::{self, PREPARED};
use crate::place::{OPTIONS, Place};
use crate::row::Amount::Milliseconds;
use crate::row::{Row, Target};

/// Where the nodes listen.
const PORT: u16 = 5433;

pub(crate) fn measure() -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    let place = Place::start(Version::V4_3, Settings::default())?;
    rows.extend(both_ways(&place, 3, 8, 0.25)?);
    drop(place);

    let place = Place::start(Version::V4_7, Settings::default())?;
    rows.extend(both_ways(&place, 3, 8, 0.25)?);
    rows.push(settled(&place)?);
    // A pool status of more than 77 nodes damages Pgpool: docs/operations.md.
    grow(&place, 64)?;
    rows.extend(both_ways(&place, 64, 3, 0.03)?);
    Ok(rows)
}

/// Puts nodes that are down before the last standby, which the script finds last.
fn grow(place: &Place, nodes: usize) -> Result<()> {
    place.cluster.stop_pgpool()?;
    let last = nodes - 1;
    let standby = place.cluster.address(2);
    place.sh(&format!(
        "cd /var/lib/pcp-tests && node() {{
             printf \"backend_hostname$1 = '$2'\\nbackend_port$1 = $3\\nbackend_weight$1 = 1\\n\"
             echo \"backend_flag$1 = 'ALLOW_TO_FAILOVER'\"
         }}
         {{
             for id in $(seq 2 {}); do node $id 127.0.1.$id {PORT}; done
             node {last} {standby} {PORT}
         }} >>pgpool.conf
         {{ echo up; echo up; for id in $(seq 2 {}); do echo down; done; echo up; }} >pgpool_status
         chown postgres: pgpool_status",
        last - 1,
        last - 1,
    ))?;
    place.cluster.start_pgpool()
}

fn both_ways(place: &Place, nodes: usize, runs: usize, target: f64) -> Result<Vec<Row>> {
    let standby = place.cluster.address(2);
    let version = place.cluster.version();
    let verb = |verb: &str| format!("pcpctl {verb} {standby} s --settle 0s {OPTIONS}");
    let mut rows = Vec::new();
    for (change, undo) in [("detach", "attach"), ("attach", "detach")] {
        let script = format!("by-address {change} {standby} {PORT}");
        let prepare = prepared_by(&verb(undo));
        let [ours, peer] = hyperfine::prepared(place.host(), &prepare, [&verb(change), &script], runs)?;
        let what =
            format!("{version}, {nodes} nodes, {change} by address, verified; the peer is a script that is not");
        rows.push(Row::new(what, Milliseconds(ours), Milliseconds(peer), Target::AtMost(target)));
    }
    place.sh(&format!("{} && sleep 1.5", verb("attach")))?;
    Ok(rows)
}

/// Returns what puts the node back: when what came before is carried out, and long enough that nothing is left to do.
fn prepared_by(verb: &str) -> String {
    format!("sh -c 'sleep 0.5; {verb} >{PREPARED} 2>&1 && sleep 1.5'")
}

/// Attaches as hooks do, who wait a while whether the state lasts.
fn settled(place: &Place) -> Result<Row> {
    let standby = place.cluster.address(2);
    let prepare = prepared_by(&format!("pcpctl detach {standby} {OPTIONS}"));
    let attach = format!("pcpctl attach {standby} s {OPTIONS}");
    let [ours] = hyperfine::prepared(place.host(), &prepare, [&attach], 3)?;
    let what = format!("{}, 3 nodes, attach with the default settle of 1.5 s", place.cluster.version());
    Ok(Row::alone(what, Milliseconds(ours), Target::None))
}
