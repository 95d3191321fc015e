//! Locks between test processes: files locked with `flock`, which the kernel releases when their holder dies.

use std::env;
use std::fs::{self, File, TryLockError};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::wait_until;

// A cluster is four containers; on two cores a third one still fills the pauses of the others.
const CLUSTERS: usize = 3;

/// Wait for the lock of that name and hold it until the returned file is dropped.
pub(crate) fn exclusive(name: &str) -> Result<File> {
    let file = open(name)?;
    file.lock().with_context(|| format!("cannot lock {name}"))?;
    Ok(file)
}

/// Wait until fewer than the permitted number of clusters run on this machine, and count as one until it is
/// dropped.
///
/// `PCP_TESTS_CLUSTERS` changes the number.
pub(crate) fn cluster_slot() -> Result<File> {
    let slots = match env::var("PCP_TESTS_CLUSTERS") {
        Ok(text) => text.parse().with_context(|| format!("PCP_TESTS_CLUSTERS is no number: {text:?}"))?,
        Err(_) => CLUSTERS,
    };
    ensure!(slots > 0, "PCP_TESTS_CLUSTERS must not be 0");
    wait_until("one of the other clusters to end", Duration::from_secs(1800), || {
        for slot in 0..slots {
            let file = open(&format!("cluster-{slot}"))?;
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => bail!("cannot lock cluster slot {slot}: {error}"),
            }
        }
        bail!("{slots} clusters run")
    })
}

// One folder per user: a sticky /tmp does not let one user open another's files for writing.
fn open(name: &str) -> Result<File> {
    let user = fs::metadata("/proc/self").context("cannot read /proc/self")?.uid();
    let folder: PathBuf = env::temp_dir().join(format!("pcp-tests-{user}"));
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let path = folder.join(format!("{name}.lock"));
    File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .with_context(|| format!("cannot open {}", path.display()))
}
