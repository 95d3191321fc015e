//! Images: one per version, made when the recipe in `docker/` has changed, else taken from Docker's store.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::docker::Docker;
use crate::{Version, base, lock};

// The slowest was seen to take less than a minute; a slow archive may take ten times that.
const BUILD_LIMIT: Duration = Duration::from_secs(1200);

/// Return the image of a host of that version; build it first if it does not exist.
///
/// Safe to call from several threads and processes: the first one builds, the others wait for it.
pub(crate) fn ensure(version: Version) -> Result<String> {
    let folder = recipe_folder();
    let image = format!("pcp-tests:{}-{:016x}", version.suite(), recipe_hash(&folder, version)?);
    if exists(&image)? {
        return Ok(image);
    }
    let _lock = lock::exclusive(&format!("image-{}", version.suite()))?;
    if !exists(&image)? {
        build(&image, &folder, version).with_context(|| format!("cannot build the image for {version}"))?;
    }
    Ok(image)
}

/// Tell whether Docker has an image of that name.
pub(crate) fn exists(image: &str) -> Result<bool> {
    Ok(!Docker::new(["image", "ls", "--quiet", image]).run()?.is_empty())
}

fn build(image: &str, folder: &Path, version: Version) -> Result<()> {
    let base = base::ensure(version.suite())?;
    // --force-rm: a step that fails leaves no container behind.
    let mut args = ["build", "--force-rm", "--tag", image].map(str::to_owned).to_vec();
    let mut settings = vec![
        format!("BASE={base}"),
        format!("PGPOOL_SERIES={}", version.series()),
        format!("APT_SETTINGS={}", apt_settings()),
    ];
    // Known to Docker without being declared, and left out of the image; without a value it takes this process's.
    settings.extend(["http_proxy", "https_proxy", "no_proxy"].map(str::to_owned).into_iter().filter(is_set));
    for setting in settings {
        args.extend(["--build-arg".to_owned(), setting]);
    }
    args.push(folder.display().to_string());
    Docker::new(args).limit(BUILD_LIMIT).run().map(drop)
}

fn is_set(variable: &String) -> bool {
    env::var_os(variable).is_some()
}

/// Returns how this machine's own apt reaches the archive, as far as a container must do the same: through which
/// proxy, and whether a mirror that stands still (sid's index expires after a week) is accepted. Empty on most
/// machines.
fn apt_settings() -> String {
    const CARRIED: [&str; 4] =
        ["Acquire::http::Proxy ", "Acquire::https::Proxy ", "Acquire::Check-Valid-Until ", "Acquire::Check-Date "];
    let Ok(output) = Command::new("apt-config").arg("dump").output() else {
        return String::new(); // not a Debian: nothing to carry over
    };
    let dump = String::from_utf8_lossy(&output.stdout);
    let carried: Vec<&str> =
        dump.lines().filter(|line| CARRIED.iter().any(|name| line.starts_with(name))).collect();
    carried.join("\n")
}

fn recipe_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docker")
}

/// Hashes the suite and every file of the recipe, so that the same recipe has the same tag on any day.
fn recipe_hash(folder: &Path, version: Version) -> Result<u64> {
    let unreadable = || format!("cannot read {}", folder.display());
    let mut files =
        fs::read_dir(folder).and_then(Iterator::collect::<Result<Vec<_>, _>>).with_context(unreadable)?;
    files.sort_by_key(fs::DirEntry::file_name);
    let mut hash = fnv1a(FNV_START, version.suite().as_bytes());
    for file in files {
        hash = fnv1a(hash, file.file_name().as_encoded_bytes());
        hash = fnv1a(hash, &fs::read(file.path()).with_context(unreadable)?);
    }
    Ok(hash)
}

const FNV_START: u64 = 0xcbf2_9ce4_8422_2325;

// FNV-1a, since the standard library's hash may change with the compiler. The length keeps neighbours apart.
fn fnv1a(hash: u64, bytes: &[u8]) -> u64 {
    let length = (bytes.len() as u64).to_le_bytes();
    length.iter().chain(bytes).fold(hash, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_tells_suites_and_contents_apart() {
        let folder = env::temp_dir().join(format!("pcp-tests-recipe-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let hash_with = |text: &str, version| {
            fs::write(folder.join("Dockerfile"), text).unwrap();
            recipe_hash(&folder, version).unwrap()
        };
        let first = hash_with("FROM a", Version::V4_1);
        assert_eq!(first, hash_with("FROM a", Version::V4_1));
        assert_ne!(first, hash_with("FROM a", Version::V4_7));
        assert_ne!(first, hash_with("FROM b", Version::V4_1));
        fs::remove_dir_all(folder).unwrap();
    }
}
