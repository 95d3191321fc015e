//! The command line against sandboxes: what needs no real Pgpool.

mod check;
mod compat;
mod config;
mod doctor;
mod exporter;
mod follow;
mod help;
mod hold;
mod hook;
mod hostile;
mod log;
mod notices;
mod operate;
mod password;
mod pcp_conf;
mod queue;
mod reconcile;
mod scripts;
mod secrets;
mod show;
mod show_processes;
mod support;
mod terminal;
mod threads;
mod usage;
mod watch;
