//! The command line against sandboxes: what needs no real Pgpool.

mod config;
mod hook;
mod password;
mod support;
mod usage;
