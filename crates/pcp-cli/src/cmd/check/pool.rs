use pcp_client::{ChildState, Error, PoolUse, read_pool_use};

use super::Pgpool;
use super::finding::{Finding, Perf, Thresholds};
use crate::args::PoolArgs;

pub(super) async fn check(pgpool: &Pgpool<'_>, args: &PoolArgs) -> Result<Finding, Error> {
    let mut client = pgpool.client().await?;
    let pool = read_pool_use(&mut client).await?;
    client.close().await;
    Ok(judge(&pool, &Thresholds::of(&args.thresholds, Some(80), Some(95))))
}

fn judge(pool: &PoolUse, thresholds: &Thresholds) -> Finding {
    let percent = pool.busy_share() * 100.0;
    let mut text = format!(
        "{} of {} child processes serve clients ({percent:.0} %), {} of {} slots hold connections ({:.0} %)",
        pool.busy,
        pool.children,
        pool.used_slots(),
        pool.slots,
        pool.slot_share() * 100.0,
    );
    let mut perf = vec![
        Perf::new("busy", format_args!("{percent:.2}"), "%").thresholds(thresholds).bounds(0, 100),
        Perf::new("clients", pool.busy, "").bounds(0, pool.children),
        Perf::new("running", pool.running, "").bounds(0, pool.children),
        Perf::new("slots", pool.used_slots(), "").bounds(0, pool.slots),
    ];
    let told = !pool.states.is_empty();
    let in_transaction = pool.states.get(&ChildState::IdleInTransaction).copied().unwrap_or_default();
    if in_transaction > 0 {
        text.push_str(&format!(", {in_transaction} idle in a transaction"));
    }
    if told {
        perf.push(Perf::new("idle_in_transaction", in_transaction, "").bounds(0, pool.children));
    }
    if let Some(idle) = pool.longest_idle {
        perf.push(Perf::new("longest_idle", idle.as_secs(), "s").bounds(0, ""));
    }
    Finding { state: thresholds.state(percent), text, perf }
}
