//! Many questions on one connection.

use anyhow::Result;
use pcp_tests::{Settings, Version};

use crate::place::Place;
use crate::row::Amount::Count;
use crate::row::{Row, Target};

const REQUESTS: usize = 10_000;

pub(crate) fn measure() -> Result<Vec<Row>> {
    let place = Place::start(Version::V4_3, Settings::default())?;
    let rate = |nanoseconds: f64| Count((REQUESTS as f64 / nanoseconds * 1e9).round());
    let (mut ours, mut peer) = (f64::MAX, f64::MAX);
    for _ in 0..3 {
        peer = peer.min(place.number(&format!("libpcp_rate 127.0.0.1 9898 pcpadmin secret {REQUESTS}"))?);
        ours = ours.min(place.number(&format!("inside pipeline 127.0.0.1:9898 {REQUESTS}"))?);
    }
    Ok(vec![Row::new(
        "node infos in a second on one connection; the peer is libpcp, one after the other",
        rate(ours),
        rate(peer),
        Target::AtLeast(3.0),
    )])
}
