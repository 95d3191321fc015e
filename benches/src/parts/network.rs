//! One question over a network with a delay.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

use anyhow::{Context, Result, ensure};
use pcp_tests::{Settings, Version};

use crate::hyperfine;
use crate::place::{LINKS, Place};
use crate::row::Amount::{Count, Milliseconds};
use crate::row::{Row, Target};

const FAR: &str = "10.99.0.2";

pub(crate) fn measure() -> Result<Vec<Row>> {
    let place = Place::start(Version::V4_3, Settings::default())?;
    let mut rows = Vec::new();
    for (delay, target) in [(1, Target::None), (10, Target::AtMost(0.85)), (50, Target::AtMost(0.85))] {
        let _network = Network::start(&place, delay)?;
        let peer = format!("pcp_node_info -h {FAR} -p 9898 -U pcpadmin -w 1");
        let [link, peer] = hyperfine::pair(place.host(), [&format!("{LINKS}/{peer}"), &peer], 50)?;
        let round_trip = place.number(&format!("inside connect {FAR}:9898 10"))? / 1e6;
        rows.push(
            Row::new(
                format!("link `pcp_node_info 1` at {delay} ms: wall"),
                Milliseconds(link.wall),
                Milliseconds(peer.wall),
                target,
            )
            .with_limit(Milliseconds(3.0 * round_trip)),
        );
        if delay == 50 {
            let what = |who: &str| format!("{who} at 50 ms, in round trips");
            rows.push(Row::alone(what("the same"), Count(link.wall / round_trip), Target::AtMost(3.1)));
            rows.push(Row::alone(what("Pgpool's own tool"), Count(peer.wall / round_trip), Target::None));
        }
    }
    Ok(rows)
}

/// The slow network, which goes with this.
struct Network(Child);

impl Network {
    fn start(place: &Place, round_trip: u32) -> Result<Self> {
        let mut command = place.in_its_network("benches/target/release/inside")?;
        let child = command.args(["delay", &round_trip.to_string()]).stdout(Stdio::piped()).spawn()?;
        let mut network = Self(child);
        let mut line = String::new();
        let output = network.0.stdout.take().context("an output")?;
        BufReader::new(output).read_line(&mut line)?;
        ensure!(line == "ready\n", "the network did not come up");
        Ok(network)
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}
