//! Answers as the tools print them: bytes, for what servers tell has any encoding.

mod health_check_stats;
mod node_count;
mod node_info;
mod pool_status;
mod process_count;
mod process_info;
mod row;
mod time;
mod watchdog_info;

pub(super) use health_check_stats::health_check_stats;
pub(super) use node_count::node_count;
pub(super) use node_info::node_infos;
pub(super) use pool_status::pool_status;
pub(super) use process_count::process_count;
pub(super) use process_info::process_infos;
use time::local_time;
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
