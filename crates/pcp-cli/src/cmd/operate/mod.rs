//! What people do to a Pgpool beside attaching and detaching: the library does it, here it is asked for and told.

mod confirm;
mod invalidate_cache;
mod outcome;
mod progress;
mod recover;
mod reload;
mod rotate_log;
mod start;
mod stop_pgpool;
mod switchover;
mod told;

pub(super) use invalidate_cache::run as invalidate_cache;
pub(super) use recover::run as recover;
pub(super) use reload::run as reload;
pub(super) use rotate_log::run as rotate_log;
pub(super) use stop_pgpool::run as stop_pgpool;
pub(super) use switchover::run as switchover;

use crate::exit::Exit;

/// Returns the exit of a command that ended well before its end, or at it.
pub(super) fn ended(exit: Result<Exit, Exit>) -> Exit {
    exit.unwrap_or_else(|exit| exit)
}
