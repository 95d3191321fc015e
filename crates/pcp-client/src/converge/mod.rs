//! The goal engine: makes Pgpool's state what the caller asked for, and proves it by reading it back.
//!
//! Pgpool answers a change as soon as it is queued, and some changes that it refuses, too. So a caller does not
//! send changes here but names the state it wants. The engine reads the state, acts only where it differs, and
//! reads it again, in short fresh connections, until it is so; or says why not. A goal that is checked against what
//! is there is right in any order, twice, and raced.
//!
//! [`plan`] decides, and is pure; [`converge`] does what it says.

mod drive;
mod goal;
mod memory;
mod plan;

pub use drive::{Failure, Options, Report, converge};
pub use goal::{Change, Goal, Want};
pub use memory::Memory;
pub use plan::{Step, Time, plan};
