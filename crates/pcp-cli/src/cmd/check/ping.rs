use std::time::Instant;

use pcp_client::Error;
use pcp_proto::message::ReadNodeCount;

use super::Pgpool;
use super::finding::{Finding, Perf, Thresholds};
use crate::args::PingArgs;

pub(super) async fn check(pgpool: &Pgpool<'_>, args: &PingArgs) -> Result<Finding, Error> {
    let thresholds = Thresholds::of(&args.thresholds, None, None);
    let start = Instant::now();
    let count = pgpool.client().await?.finish(ReadNodeCount).await?;
    let seconds = start.elapsed().as_secs_f64();
    Ok(Finding {
        state: thresholds.state(seconds),
        text: format!("answered in {:.1} ms, {} nodes", seconds * 1000.0, count.0),
        perf: vec![Perf::new("time", format_args!("{seconds:.6}"), "s").thresholds(&thresholds).bounds(0, "")],
    })
}
