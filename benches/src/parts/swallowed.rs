//! A node whose host swallows packets, with health checks on.

use std::time::Instant;

use anyhow::Result;
use pcp_tests::{Settings, Version};

use crate::place::{OPTIONS, Place};
use crate::row::Amount::Milliseconds;
use crate::row::{Row, Target};

pub(crate) fn measure() -> Result<Vec<Row>> {
    // Checked, but not so often that Pgpool itself detaches the node meanwhile.
    let settings = Settings::default().set("health_check_period", 300).set("health_check_max_retries", 100);
    let place = Place::start(Version::V4_7, settings)?;
    place.cluster.swallow_packets(2)?;
    let standby = place.cluster.address(2);
    let ours = time(&place, &format!("pcpctl detach {standby} --settle 0s {OPTIONS}"))?;
    // What is asked is the same whether the node is down by now or not; that it is refused then takes no time.
    let peer = time(&place, &format!("by-address detach {standby} 5433 || true"))?;
    place.cluster.restore_packets(2)?;
    Ok(vec![Row::new(
        "4.7, detach of a node that swallows packets; the peer is a script that calls `pcp_node_info`",
        Milliseconds(ours),
        Milliseconds(peer),
        Target::AtMost(0.05),
    )])
}

fn time(place: &Place, script: &str) -> Result<f64> {
    let started = Instant::now();
    place.sh(script)?;
    Ok(started.elapsed().as_secs_f64() * 1e3)
}
