//! The directory of links, and what is behind one of its names.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use anyhow::Result;

use crate::support::{Dir, Pgpool, bare};
use pcp_client::sandbox::World;
use pcp_tests::{C_TOOLS, Pcpctl};

#[test]
fn every_tool_is_installed_and_works_through_its_path() -> Result<()> {
    let dir = Dir::new("links")?;
    let links = dir.path().join("new/bin");
    let install = || bare(&["links", "install", &links.display().to_string()]).run();
    let output = install()?;
    assert_eq!(output.code, Some(0), "{output:?}");
    assert!(output.stdout.starts_with(&format!("{} has 15 links to ", links.display())), "{output:?}");
    assert_eq!(names(&links)?, C_TOOLS);
    // Again is no matter, also over the link of another installation.
    fs::remove_file(links.join("pcp_node_count"))?;
    symlink("/nowhere/pcpctl", links.join("pcp_node_count"))?;
    assert_eq!(install()?.code, Some(0));
    assert_eq!(names(&links)?, C_TOOLS);

    let pgpool = Pgpool::start()?;
    let port = pgpool.sandbox.address().port().to_string();
    for name in C_TOOLS {
        let path = links.join(name).display().to_string();
        let help = Pcpctl::new(&path).named(&path).args(["--help"]).run()?;
        assert!(help.stderr.starts_with(&format!("{name} - ")), "{help:?}");
    }
    let path = links.join("pcp_node_count").display().to_string();
    let count = Pcpctl::new(&path).named(&path).args(["-h", "127.0.0.1", "-p", &port, "-w"]);
    let output = count.env("PCP_USER", World::USER).env("PCP_PASSWORD", World::PASSWORD).run()?;
    assert_eq!((output.code, &*output.stdout), (Some(0), "3\n"), "{output:?}");
    Ok(())
}

#[test]
fn what_is_no_link_to_pcpctl_is_left_alone() -> Result<()> {
    let dir = Dir::new("foreign-links")?;
    let path = dir.path().display().to_string();
    let own = dir.file("pcp_node_info", "the real one", 0o755)?;
    symlink("/usr/sbin/pcp_real", dir.path().join("pcp_stop_pgpool"))?;
    let output = bare(&["links", "install", &path]).run()?;
    assert_eq!(output.code, Some(7), "{output:?}");
    assert!(output.stderr.contains(&format!("{own} is there and is no link to pcpctl; nothing was changed")));
    assert_eq!(names(dir.path())?, ["pcp_node_info", "pcp_stop_pgpool"]);

    fs::rename(&own, dir.path().join("aside"))?;
    fs::remove_file(dir.path().join("pcp_stop_pgpool"))?;
    assert_eq!(bare(&["links", "install", &path]).run()?.code, Some(0));
    fs::rename(dir.path().join("aside"), &own)?;
    let output = bare(&["links", "remove", &path]).run()?;
    assert_eq!(output.code, Some(0), "{output:?}");
    assert!(output.stdout.starts_with("14 links removed from ") && output.stdout.contains(&own), "{output:?}");
    assert_eq!(fs::read_to_string(&own)?, "the real one");
    assert_eq!(names(dir.path())?, ["pcp_node_info"]);
    Ok(())
}

fn names(dir: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(dir)? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}
