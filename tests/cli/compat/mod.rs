//! Links to `pcpctl` under the names of Pgpool's own tools.

// clippy.toml allows these in tests, but takes only functions with #[test] for such.
#![allow(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

mod arguments;
mod captures;
mod change;
mod expected;
mod links;
mod release;
mod replay;
mod terminal;
