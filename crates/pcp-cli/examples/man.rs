//! Writes a man page for `pcpctl` and for each of its commands into a directory.
//!
//! `cargo run -p pcp-cli --example man -- DIR`

use std::io;
use std::path::PathBuf;

fn main() -> io::Result<()> {
    let dir = std::env::args_os().nth(1).map(PathBuf::from);
    let dir = dir.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "usage: man DIR"))?;
    std::fs::create_dir_all(&dir)?;
    clap_mangen::generate_to(pcp_cli::command(), dir)
}
