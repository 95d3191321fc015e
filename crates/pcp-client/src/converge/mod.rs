//! The goal engine: makes Pgpool's state what the caller asked for, and proves it by reading it back.
//!
//! Pgpool answers a change as soon as it is queued, and some changes that it refuses, too. So a caller does not
//! send changes here but names the state it wants. The engine reads the state, acts only where it differs, and
//! reads it again, in short fresh connections, until it is so; or says why not. A goal that is checked against what
//! is there is right in any order, twice, and raced.
//!
//! [`plan`] decides, and is pure; [`converge`] does what it says.

mod act;
mod ask;
mod attach;
mod change;
mod drive;
mod forecast;
mod goal;
mod memory;
mod order;
mod pauses;
mod plan;
mod primary;
mod read_back;
mod report;
mod restore;
mod see;
mod stop;
#[cfg(test)]
mod test;
mod turn;

pub use change::{Change, Reason};
pub use drive::converge;
pub(crate) use drive::converge_in_seat;
pub use forecast::{Forecast, Sessions, forecast, forecast_all};
pub use goal::{Goal, LastNode, Proof, Want};
pub use memory::{Answer, Memory, Question};
pub use order::{Options, Order};
pub(crate) use pauses::Pauses;
pub use plan::{Step, Time, plan};
pub use read_back::read_back;
pub use report::{Failure, Remark, Report};
pub use stop::Stop;
