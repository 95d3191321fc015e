//! How long the program takes to build where nothing was built before.

use std::fs;
use std::process::Command;
use std::time::Instant;

use anyhow::{Result, ensure};

use crate::row::Amount::Seconds;
use crate::row::{Row, Target};

pub(crate) fn measure() -> Result<Vec<Row>> {
    let target = std::env::temp_dir().join(format!("pcp-benches-build-{}", std::process::id()));
    let started = Instant::now();
    let status = Command::new("cargo")
        .args(["build", "--quiet", "--release", "--locked", "--package", "pcp-cli", "--target-dir"])
        .arg(&target)
        .status()?;
    let elapsed = started.elapsed();
    fs::remove_dir_all(&target)?;
    ensure!(status.success(), "the build failed");
    Ok(vec![Row::alone("a build of it from nothing", Seconds(elapsed.as_secs_f64()), Target::None)])
}
