//! The command line against sandboxes: what needs no real Pgpool.

mod config;
mod doctor;
mod follow;
mod hold;
mod hook;
mod log;
mod notices;
mod password;
mod queue;
mod reconcile;
mod scripts;
mod support;
mod usage;
