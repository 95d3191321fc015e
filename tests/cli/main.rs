//! The command line against sandboxes: what needs no real Pgpool.

mod hold;
mod hook;
mod password;
mod support;
mod usage;
