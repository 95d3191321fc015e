//! A node whose host swallows packets, with health checks on.

use anyhow::Result;
use pcp_tests::{Settings, Version};

use crate::hyperfine;
use crate::place::{OPTIONS, Place};
use crate::row::Amount::Milliseconds;
use crate::row::{Row, Target};

pub(crate) fn measure() -> Result<Vec<Row>> {
    // Checked, but not so often that Pgpool itself detaches the node meanwhile.
    let settings = Settings::default().set("health_check_period", 300).set("health_check_max_retries", 100);
    let place = Place::start(Version::V4_7, settings)?;
    let standby = place.cluster.address(2);
    let peer = detach(&place, &format!("by-address detach {standby} 5433"))?;
    place.sh(&format!("sleep 2 && pcpctl attach {standby} s {OPTIONS}"))?;
    let ours = detach(&place, &format!("pcpctl detach {standby} --settle 0s {OPTIONS}"))?;
    Ok(vec![Row::new(
        "4.7, detach of a node that swallows packets; the peer is a script that calls `pcp_node_info`",
        Milliseconds(ours),
        Milliseconds(peer),
        Target::AtMost(0.05),
    )])
}

/// Times a detach while the packets of its node are swallowed.
fn detach(place: &Place, command: &str) -> Result<f64> {
    place.cluster.swallow_packets(2)?;
    let [time] = hyperfine::prepared(place.host(), "true", [command], 1)?;
    place.cluster.restore_packets(2)?;
    Ok(time)
}
