//! Links the unwinder of GCC into the program, where there is one to link: the shared one costs every start more than
//! asking a Pgpool does, and nothing here unwinds.

use std::path::PathBuf;
use std::process::Command;
use std::{env, fs};

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let Some(unwinder) = unwinder() else { return };
    let Some(dir) = env::var_os("OUT_DIR").map(PathBuf::from) else { return };
    // The standard library names libgcc_s; what the linker finds first under that name is this script for it.
    if fs::write(dir.join("libgcc_s.so"), format!("INPUT({})\n", unwinder.display())).is_ok() {
        println!("cargo:rustc-link-search=native={}", dir.display());
    }
}

/// Finds the unwinder's archive, unless this builds for another system.
fn unwinder() -> Option<PathBuf> {
    let is_gnu = env::var("CARGO_CFG_TARGET_ENV").is_ok_and(|env| env == "gnu");
    if !is_gnu || env::var_os("TARGET") != env::var_os("HOST") {
        return None;
    }
    let found = Command::new("cc").arg("-print-file-name=libgcc_eh.a").output().ok()?;
    let path = PathBuf::from(String::from_utf8(found.stdout).ok()?.trim());
    path.is_absolute().then_some(path)
}
