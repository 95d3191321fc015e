//! The command line against sandboxes: what needs no real Pgpool.

mod config;
mod follow;
mod hold;
mod hook;
mod log;
mod notices;
mod operate;
mod password;
mod pcp_conf;
mod queue;
mod reconcile;
mod scripts;
mod support;
mod usage;
