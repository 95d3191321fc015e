//! Faults: what goes wrong, at every place where it can, and what comes of it.

mod binary;
mod command;
mod fault;
mod net;
mod page;
mod pipe;
mod real;
mod report;
mod run;
mod verb;

pub use self::binary::{Ports, try_program};
pub use self::command::{Command, WITHOUT_PGPOOL, commands, names};
pub use self::fault::{Fault, Kind, Meets, Places, Way};
pub use self::page::page;
pub use self::real::{Ran, RealOutcome, Scenario, on_real_servers, run_on_real_server};
pub use self::report::Table;
pub use self::run::{Cell, Extent, try_everywhere};
pub use self::verb::{Verb, verbs};
