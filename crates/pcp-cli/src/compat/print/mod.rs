//! Answers as the tools print them: bytes, for what servers tell has any encoding.

mod health_check_stats;
mod node_count;
mod node_info;
mod pool_status;
mod process_count;
mod process_info;
mod row;
mod watchdog_info;

use jiff::Timestamp;

use crate::local_zone::local_zone;

pub(super) use health_check_stats::health_check_stats;
pub(super) use node_count::node_count;
pub(super) use node_info::node_infos;
pub(super) use pool_status::pool_status;
pub(super) use process_count::process_count;
pub(super) use process_info::process_infos;
pub(super) use watchdog_info::watchdog_info;

/// How much is wanted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Detail {
    /// A line for each row.
    Brief,
    /// A line for each value, with its title: `-v`.
    Verbose,
}

/// Which rows are wanted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Rows {
    InUse,
    /// `-a`
    All,
}

/// Shows a time in the zone of this host.
fn local_time(seconds: i64) -> String {
    match Timestamp::from_second(seconds) {
        Ok(time) => time.to_zoned(local_zone()).strftime("%Y-%m-%d %H:%M:%S").to_string(),
        Err(_) => seconds.to_string(),
    }
}
