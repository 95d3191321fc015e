//! `pcpctl`; everything is in the library.

fn main() {
    pcp_cli::main()
}
