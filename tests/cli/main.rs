//! The command line against sandboxes: what needs no real Pgpool.

mod hook;
mod notices;
mod password;
mod support;
mod usage;
