//! `pcpctl`; everything is in the library.
use std::process::ExitCode;
fn main() -> ExitCode {
    pcp_cli::main()
}
