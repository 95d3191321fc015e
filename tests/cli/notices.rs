//! What Pgpool itself tells of each request: `-vv` asks for it.

use anyhow::{Context, Result};
use pcp_client::sandbox::Age;
use pcp_proto::RequestKind;
use pcp_tests::Output;

use crate::support::Pgpool;

const VERBS: [&[&str]; 3] = [&["show", "nodes"], &["show", "watchdog"], &["is-primary", "0"]];

#[test]
fn two_vs_ask_pgpool_what_it_does() -> Result<()> {
    for age in [Age::V3_5, Age::V4_1, Age::V4_3_1, Age::V4_7] {
        for verb in VERBS {
            let pgpool = Pgpool::start_with(age)?;
            let output = pgpool.run(&[verb, &["-vv"]].concat())?;
            for connection in 0..pgpool.sandbox.connections() {
                let of_it = pgpool.sandbox.requests().into_iter().filter(|&(of, _)| of == connection);
                let asked = of_it.map(|(_, kind)| kind).nth(2).context("nothing was asked")?;
                assert_eq!(asked, RequestKind::SET_PARAMETER, "{age} {verb:?}, behind salt and login");
            }
            let notices = notices(&output);
            let endpoint = format!("pgpool{{endpoint={}}}", pgpool.endpoint());
            assert!(notices.iter().all(|line| line.contains(&endpoint)), "{age} {verb:?}: {output:?}");
            // The goodbye is the last thing that a server tells of.
            for text in ["PCP setting parameter", "client disconnecting (closing PCP connection"] {
                let tells = |line: &&str| line.contains(text) && line.contains("DEBUG: ");
                assert!(notices.iter().any(tells), "{age} {verb:?}, {text}: {output:?}");
            }
        }
    }
    Ok(())
}

#[test]
fn nothing_is_asked_for_a_quieter_log() -> Result<()> {
    for verb in VERBS {
        for quiet in [&[][..], &["-v"]] {
            let pgpool = Pgpool::start()?;
            let output = pgpool.run(&[verb, quiet].concat())?;
            assert!(notices(&output).is_empty(), "{output:?}");
            assert!(pgpool.sandbox.requests().iter().all(|&(_, kind)| kind != RequestKind::SET_PARAMETER));
        }
    }
    Ok(())
}

fn notices(output: &Output) -> Vec<&str> {
    output.stderr.lines().filter(|line| line.contains("Pgpool says: ")).collect()
}
