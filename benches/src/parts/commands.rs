//! One question, at no delay.

use anyhow::Result;
use pcp_tests::{Settings, Version};

use crate::hyperfine;
use crate::place::{C_OPTIONS, LINKS, OPTIONS, Place};
use crate::row::Amount::{Count, Kibibytes, Milliseconds};
use crate::row::{Row, Target};

pub(crate) fn measure() -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for version in [Version::V4_3, Version::V4_7] {
        let place = Place::start(version, Settings::default())?;
        rows.extend(question(&place, version)?);
    }
    Ok(rows)
}

fn question(place: &Place, version: Version) -> Result<Vec<Row>> {
    let peer_command = format!("pcp_node_info {C_OPTIONS} 1");
    let link_command = format!("{LINKS}/{peer_command}");
    let own_command = format!("pcpctl is-primary 0 {OPTIONS}");
    let table_command = format!("pcpctl show nodes {OPTIONS}");
    let commands = [&*peer_command, &*link_command, &*own_command, &*table_command];
    let [peer, link, own, table] = hyperfine::pair(place.host(), commands, 400)?;
    let limit = place.number("inside exchange 127.0.0.1:9898 200")? / 1e6;

    let (_, peer_memory) = place.usage(&peer_command)?;
    let (_, link_memory) = place.usage(&link_command)?;
    let (_, own_memory) = place.usage(&own_command)?;
    let calls = |command: &str| place.system_calls(command).map(Count);
    let name = |what: &str| format!("{version}, {what}");
    let time =
        |what: &str, ours, peer, target| Row::new(name(what), Milliseconds(ours), Milliseconds(peer), target);
    let memory = |what: &str, ours, target| Row::new(name(what), Kibibytes(ours), Kibibytes(peer_memory), target);
    Ok(vec![
        time("link `pcp_node_info 1`: wall", link.wall, peer.wall, Target::AtMost(1.0))
            .with_limit(Milliseconds(limit)),
        time("the same: CPU", link.cpu, peer.cpu, Target::AtMost(1.2)),
        memory("the same: peak memory", link_memory, Target::AtMost(1.3)),
        Row::new(
            name("the same: system calls"),
            calls(&format!("{LINKS}/{peer_command}"))?,
            calls(&peer_command)?,
            Target::Below(1.0),
        ),
        time("`pcpctl is-primary 0`: wall", own.wall, peer.wall, Target::None),
        time("the same: CPU", own.cpu, peer.cpu, Target::AtMost(1.5)),
        memory("the same: peak memory", own_memory, Target::AtMost(1.8)),
        time("`pcpctl show nodes`, which asks for all nodes: wall", table.wall, peer.wall, Target::None),
        time("the same: CPU", table.cpu, peer.cpu, Target::None),
    ])
}
