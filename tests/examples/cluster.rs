//! Starts a real cluster to try things on by hand, and removes it at the end of standard input (Ctrl-D).
//!
//! `cargo run -p pcp-tests --example cluster -- 4.7 health_check_period=5`; the word `watchdog` starts three Pgpools with
//! one, and `independent` two that know nothing of each other.

use std::io::Read;

use anyhow::{Context, Result};
use pcp_tests::{Cluster, PCP_PASSWORD, PCP_USER, Settings, Version};

#[expect(clippy::print_stdout, reason = "this is what it is for")]
fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let wanted = args.next().unwrap_or_else(|| "4.7".to_owned());
    let version = Version::ALL
        .into_iter()
        .find(|version| version.pgpool().starts_with(&wanted))
        .with_context(|| format!("there is no image of Pgpool {wanted}"))?;
    let settings = args.try_fold(Settings::default(), |settings, arg| match &*arg {
        "watchdog" => Ok(settings.watchdog()),
        "independent" => Ok(settings.independent()),
        _ => {
            let (name, value) = arg.split_once('=').with_context(|| format!("{arg} is not NAME=VALUE"))?;
            Ok::<_, anyhow::Error>(settings.set(name, value))
        }
    })?;
    let cluster = Cluster::start(version, settings)?;
    let hosts: Vec<_> = cluster.pgpools().map(|pgpool| format!("127.0.0.1:{}", pgpool.pcp_port())).collect();
    println!("export PCP_HOST={} PCP_USER={PCP_USER} PCP_PASSWORD={PCP_PASSWORD}", hosts.join(","));
    for pgpool in cluster.pgpools() {
        println!("# {}: SQL on port {}", pgpool.host().name(), pgpool.sql_port());
    }
    for id in 0..3 {
        println!("# node {id}: {}", cluster.address(id));
    }
    println!("# such as: pcpctl detach {0}; pcpctl attach {0} s; pcpctl show nodes", cluster.address(2));
    println!("# Ctrl-D removes it");
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}
