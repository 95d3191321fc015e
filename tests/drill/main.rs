//! One of the drills, as a test: the one that everything else is for. `cargo run -p pcp-tests --example drills` runs all.

use std::path::Path;

use anyhow::{Result, anyhow};
use pcp_tests::Version;
use pcp_tests::drills::{OLD_PRIMARY_BACK, PRIMARY_DATABASE_DOWN, run};

#[test]
fn a_failover_and_the_return_of_the_old_primary() -> Result<()> {
    let program = Path::new(env!("CARGO_BIN_EXE_pcpctl-under-test"));
    let outcomes = run(&[PRIMARY_DATABASE_DOWN, OLD_PRIMARY_BACK], Version::V4_7, program, |_| ())?;
    assert_eq!(outcomes.len(), 2);
    for outcome in outcomes {
        outcome.result.map_err(|failure| anyhow!("{}: {failure}", outcome.scenario.name))?;
    }
    Ok(())
}
