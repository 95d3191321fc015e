//! What a start takes, before anything is asked.

use anyhow::Result;
use pcp_tests::{Settings, Version};

use crate::hyperfine;
use crate::place::{LINKS, Place};
use crate::row::Amount::Milliseconds;
use crate::row::{Row, Target};

pub(crate) fn measure() -> Result<Vec<Row>> {
    let place = Place::start(Version::V4_3, Settings::default())?;
    let link = format!("{LINKS}/pcp_node_info --version");
    let [peer, pcpctl, link] =
        hyperfine::pair(place.host(), ["pcp_node_info --version", "pcpctl --version", &link], 500)?;
    let row = |what: &str, ours: f64, target| Row::new(what, Milliseconds(ours), Milliseconds(peer.wall), target);
    Ok(vec![
        row("`pcpctl --version`: wall", pcpctl.wall, Target::AtMost(1.5)),
        row("a link's `--version`: wall", link.wall, Target::None),
    ])
}
