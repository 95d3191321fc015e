//! What happens to Pgpool's processes and its network. `examples/faults.rs` has more of it happen.

use std::path::Path;

use anyhow::{Result, bail};
use pcp_tests::Version;
use pcp_tests::faults::{on_real_servers, run_on_real_server};

const QUICK: [&str; 6] = [
    "kill -9 of the PCP process",
    "kill -9 of a PCP worker",
    "SIGSTOP, later SIGCONT",
    "three packets of ten are lost",
    "three hundred connections wait",
    "Pgpool has no descriptors left",
];

mod a_fault_of_pgpool_or_its_network_is_told_and_gone_with_its_cause {
    use super::*;

    #[test]
    fn v4_3() -> Result<()> {
        quick(Version::V4_3)
    }

    #[test]
    fn v4_7() -> Result<()> {
        quick(Version::V4_7)
    }
}

fn quick(version: Version) -> Result<()> {
    let scenarios: Vec<_> =
        on_real_servers().into_iter().filter(|scenario| QUICK.contains(&scenario.name)).collect();
    assert_eq!(scenarios.len(), QUICK.len());
    let program = Path::new(env!("CARGO_BIN_EXE_pcpctl-under-test"));
    for outcome in run_on_real_server(&scenarios, version, program)? {
        if let Err(why) = outcome.result {
            bail!("{}: {why}", outcome.name);
        }
    }
    Ok(())
}
