//! The public interface of the libraries is what the listings beside this file say, so that nobody changes it by
//! accident.
//!
//! `API=write cargo test -p pcp-tests --test api` writes them anew; what docs/stability.md says of a change has to be
//! done then.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

#[test]
fn the_interface_of_pcp_proto_is_as_listed() -> Result<()> {
    check("pcp-proto", &[])
}

#[test]
fn the_interface_of_pcp_client_is_as_listed() -> Result<()> {
    check("pcp-client", &["blocking", "efm", "postgres", "sandbox"])
}

fn check(package: &str, features: &[&str]) -> Result<()> {
    let found = listing(package, features)?;
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("api").join(format!("{package}.txt"));
    if std::env::var_os("API").is_some_and(|wish| wish == "write") {
        return fs::write(&path, found).with_context(|| format!("cannot write {}", path.display()));
    }
    let listed = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let (found, listed): (BTreeSet<_>, BTreeSet<_>) = (found.lines().collect(), listed.lines().collect());
    let gone = listed.difference(&found).map(|line| format!("- {line}"));
    let new = found.difference(&listed).map(|line| format!("+ {line}"));
    let changes: Vec<_> = gone.chain(new).collect();
    ensure!(
        changes.is_empty(),
        "the interface of {package} is not what {} says; docs/stability.md tells what to do:\n{}",
        path.display(),
        changes.join("\n")
    );
    Ok(())
}

/// Lists the public items, one a line.
fn listing(package: &str, features: &[&str]) -> Result<String> {
    let json = rustdoc_json(package, features)?;
    let api =
        public_api::Builder::from_rustdoc_json(&json).omit_blanket_impls(true).build().with_context(|| {
            format!("{} is not understood: is there a public-api for this compiler?", json.display())
        })?;
    let mut lines: Vec<String> = api.items().map(ToString::to_string).filter(|line| says_something(line)).collect();
    lines.sort_unstable();
    lines.dedup();
    lines.push(String::new());
    Ok(lines.join("\n"))
}

/// Tells whether a line says more than others do: methods of traits that compilers derive follow from the trait, and
/// of the auto traits only those are promised that let a value go to another thread.
fn says_something(line: &str) -> bool {
    const DERIVED: [&str; 8] = [
        "::assert_receiver_is_total_eq(",
        "::clone(",
        "::cmp(",
        "::eq(",
        "::fmt(",
        "::hash<",
        "::partial_cmp(",
        "::source(",
    ];
    const AUTO: [&str; 5] = ["Freeze for", "RefUnwindSafe for", "UnsafeUnpin for", "UnwindSafe for", "Unpin for"];
    let is_derived = line.starts_with("pub fn ") && DERIVED.iter().any(|method| line.contains(method));
    let is_auto = line.contains("impl") && AUTO.iter().any(|name| line.contains(name));
    !is_derived && !is_auto && !line.contains("StructuralPartialEq")
}

/// Has rustdoc describe a package; only in that form is its output for programs, and only for compilers that are, or
/// believe to be, nightly ones. What is built for it does not get in the way of other builds.
fn rustdoc_json(package: &str, features: &[&str]) -> Result<PathBuf> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let target = workspace.join("target/api");
    let output = Command::new(env!("CARGO"))
        .args(["rustdoc", "--locked", "--quiet", "--lib", "--package", package, "--features", &features.join(",")])
        .arg("--target-dir")
        .arg(&target)
        .args(["--", "-Z", "unstable-options", "--output-format", "json"])
        .current_dir(&workspace)
        .env("RUSTC_BOOTSTRAP", "1")
        .output()
        .context("cannot start cargo")?;
    ensure!(output.status.success(), "cargo rustdoc: {}", String::from_utf8_lossy(&output.stderr));
    Ok(target.join("doc").join(format!("{}.json", package.replace('-', "_"))))
}
