//! Base images: Debian's own where a registry can be reached, else one made with `debootstrap`.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::docker::{Docker, tail};
use crate::{image, process};

/// Return an image of that suite with little more than apt in it; make it first if it does not exist.
///
/// The caller holds the suite's lock.
pub(crate) fn ensure(suite: &str) -> Result<String> {
    let base = format!("pcp-tests-base:{suite}");
    if image::exists(&base)? {
        return Ok(base);
    }
    if let Err(unreachable) = pull(suite, &base) {
        bootstrap(suite, &base).with_context(|| format!("no base image could be pulled ({unreachable:#})"))?;
    }
    Ok(base)
}

fn pull(suite: &str, base: &str) -> Result<()> {
    let debian = format!("debian:{suite}");
    Docker::new(["pull", "--quiet", &debian]).run()?;
    Docker::new(["tag", &debian, base]).run().map(drop)
}

fn bootstrap(suite: &str, base: &str) -> Result<()> {
    let user = fs::metadata("/proc/self").context("cannot read /proc/self")?.uid();
    ensure!(
        user == 0,
        "debootstrap, which makes one, needs root: run as root or where docker can pull debian:{suite}"
    );
    let root = Root::new(suite)?;
    // --force-check-gpg: a host without Debian's keyring is told so, instead of trusting whatever it gets.
    let mut debootstrap = Command::new("debootstrap");
    debootstrap.args(["--force-check-gpg", "--variant=minbase", suite]).arg(&root.path);
    let output = process::run(debootstrap, None, Duration::from_secs(900))
        .context("debootstrap makes one: install it with `apt-get install debootstrap debian-archive-keyring`")?;
    ensure!(
        output.success(),
        "debootstrap {suite} failed; an unknown key means that the package debian-archive-keyring is missing or older \
         than the suite:\n{}",
        tail(&format!("{}\n{}", output.stdout, output.stderr)),
    );
    root.import(base)
}

/// A root file system in the making. Not under /tmp, which may be mounted without device files.
struct Root {
    path: PathBuf,
}

impl Root {
    /// Makes room, and removes what killed runs have left. The name holds this process's id, since a debootstrap
    /// whose caller was killed may still be writing into that one's folder.
    fn new(suite: &str) -> Result<Self> {
        let parent = Path::new("/var/tmp");
        let prefix = format!("pcp-tests-base-{suite}-");
        for entry in fs::read_dir(parent).context("cannot read /var/tmp")?.flatten() {
            let name = entry.file_name();
            let Some(pid) = name.to_str().and_then(|name| name.strip_prefix(&prefix)) else { continue };
            if !Path::new("/proc").join(pid).exists() {
                clear(&entry.path());
            }
        }
        let root = Self { path: parent.join(format!("{prefix}{}", std::process::id())) };
        clear(&root.path);
        ensure!(!root.path.exists(), "cannot remove {}", root.path.display());
        Ok(root)
    }

    fn import(&self, base: &str) -> Result<()> {
        let mut tar = Command::new("tar")
            .arg("-C")
            .arg(&self.path)
            .args(["--numeric-owner", "-c", "."])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start tar")?;
        let archive = tar.stdout.take().context("tar has no output")?;
        let import = Command::new("docker")
            .args(["import", "-", base])
            .stdin(archive)
            .output()
            .context("cannot start docker")?;
        let packed = tar.wait().context("cannot wait for tar")?;
        ensure!(
            packed.success() && import.status.success(),
            "cannot import {}: {}",
            self.path.display(),
            String::from_utf8_lossy(&import.stderr),
        );
        Ok(())
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        clear(&self.path);
    }
}

// What debootstrap has mounted inside must not be entered by rm. Failures show when the place is needed again.
fn clear(path: &Path) {
    for mounted in ["proc", "sys"] {
        Command::new("umount").arg("-lq").arg(path.join(mounted)).stderr(Stdio::null()).status().ok();
    }
    Command::new("rm").args(["-rf", "--one-file-system"]).arg(path).status().ok();
}
