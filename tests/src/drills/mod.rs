//! Failovers on real servers, from end to end: a stand-in for EFM decides, the hooks tell Pgpool, a client writes
//! all the while.
//!
//! After each one `SHOW POOL_NODES` on every Pgpool has to agree with what PostgreSQL itself says, and a write
//! through each has to reach the real primary. A drill takes the cluster as the one before left it, whichever nodes
//! have which roles by then.

mod drill;
mod failover;
mod follow;
mod order;
mod pgpools;
mod reconcile;
mod report;
mod standby;

use std::fmt;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

pub use drill::Drill;
pub use failover::{OLD_PRIMARY_BACK, PRIMARY_DATABASE_DOWN};
pub use report::report;

use crate::{Call, Cluster, Pcpctl, Pgpool, Settings, Version, Writer};

/// A sequence of events, and what the hooks have to make of it.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// What happens, in a few words.
    pub name: &'static str,
    /// What Pgpools there are.
    pub pgpools: Group,
    /// How the cluster has to be before.
    begins: Begins,
    /// What differs in `pgpool.conf`.
    settings: &'static [(&'static str, &'static str)],
    /// A verb that it needs and that `pcpctl` may not have yet.
    needs: Option<&'static str>,
    run: fn(&mut Drill<'_>) -> Result<()>,
}

/// What Pgpools stand before the nodes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Group {
    /// A single one.
    One,
    /// Two that know nothing of each other.
    TwoIndependent,
    /// Three with a watchdog.
    ThreeWithWatchdog,
}

/// How a scenario finds the nodes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Begins {
    /// All in service.
    Healthy,
    /// The primary failed, another node was promoted.
    PrimaryFailed,
    /// A standby failed.
    StandbyFailed,
}

/// What came of a scenario.
#[derive(Debug)]
pub struct Outcome {
    /// The scenario.
    pub scenario: Scenario,
    /// On which Pgpool.
    pub version: Version,
    /// The figures, or why there are none.
    pub result: Result<Figures, Failure>,
    /// The hooks that were called.
    pub calls: Vec<Call>,
}

/// What was measured.
#[derive(Clone, Debug)]
pub struct Figures {
    /// The longest time between two writes that a client got through.
    pub without_writes: Duration,
    /// What it was told in that time.
    pub failures: Vec<String>,
    /// How many writes were acknowledged that the primary does not have in the end.
    pub lost: usize,
}

/// Why a scenario has no figures.
#[derive(Debug)]
pub enum Failure {
    /// `pcpctl` does not have this verb; nothing was done.
    Unable(&'static str),
    /// It failed; the cluster is left in any state.
    Other(anyhow::Error),
}

/// What a hook says that could not verify its state on all Pgpools: "done in part".
const IN_PART: i32 = 10;

/// Everything between a scenario with the usual settings and its particulars.
const PLAIN: Scenario = Scenario {
    name: "",
    pgpools: Group::One,
    begins: Begins::Healthy,
    settings: &[],
    needs: None,
    run: |_| Ok(()),
};

/// Return all scenarios, in the order in which they follow each other best: what happens to one Pgpool happens to a
/// watchdog cluster too.
#[must_use]
pub fn all() -> Vec<Scenario> {
    let all = [failover::ALL, standby::ALL, order::ALL, follow::ALL, pgpools::ALL, reconcile::ALL].concat();
    let on = |group| all.iter().filter(move |scenario| scenario.pgpools == group).copied();
    let repeated = on(Group::One).map(|scenario| Scenario { pgpools: Group::ThreeWithWatchdog, ..scenario });
    on(Group::One).chain(on(Group::TwoIndependent)).chain(repeated).chain(on(Group::ThreeWithWatchdog)).collect()
}

/// Run scenarios on a version, one after the other, and tell `done` of each; `program` is the `pcpctl` to call.
///
/// Those with the same Pgpools share a cluster until one fails.
///
/// # Errors
///
/// When a cluster does not start. A scenario that fails is no error.
pub fn run(
    scenarios: &[Scenario],
    version: Version,
    program: &Path,
    mut done: impl FnMut(&Outcome),
) -> Result<Vec<Outcome>> {
    let mut outcomes = Vec::new();
    for group in [Group::One, Group::TwoIndependent, Group::ThreeWithWatchdog] {
        let mut left = scenarios.iter().filter(|scenario| scenario.pgpools == group).peekable();
        while left.peek().is_some() {
            let cluster = Cluster::start(version, group.settings())?;
            let mut drill = Drill::start(&cluster, program)?;
            for scenario in left.by_ref() {
                let result = match scenario.missing_verb(program)? {
                    Some(verb) => Err(Failure::Unable(verb)),
                    None => attempt(scenario, &mut drill).map_err(Failure::Other),
                };
                let broken = matches!(result, Err(Failure::Other(_)));
                let calls = drill.efm.take_calls();
                let outcome = Outcome { scenario: *scenario, version, result, calls };
                done(&outcome);
                outcomes.push(outcome);
                if broken {
                    break;
                }
            }
        }
    }
    Ok(outcomes)
}

fn attempt(scenario: &Scenario, drill: &mut Drill<'_>) -> Result<Figures> {
    drill.prepare(scenario).context("before it began")?;
    drill.efm.take_calls();
    let writer = Writer::start(drill.cluster.pgpools().map(Pgpool::sql_address).collect())?;
    (scenario.run)(drill)?;
    drill.verify()?;
    let writes = writer.stop()?;
    let lost = drill.lost(&writes)?;
    let agent = drill.efm.agent();
    let failures = writes.failures.iter().map(|failure| agent.named(failure)).collect();
    Ok(Figures { without_writes: writes.longest_gap, failures, lost })
}

impl Scenario {
    /// Returns the verb that it needs, if `pcpctl` does not have it.
    fn missing_verb(&self, program: &Path) -> Result<Option<&'static str>> {
        let Some(verb) = self.needs else { return Ok(None) };
        let help = Pcpctl::new(program).args([verb, "--help"]).run()?;
        Ok((!help.success()).then_some(verb))
    }
}

impl Group {
    fn settings(self) -> Settings {
        match self {
            Self::One => Settings::default(),
            Self::TwoIndependent => Settings::default().independent(),
            Self::ThreeWithWatchdog => Settings::default().watchdog(),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unable(verb) => write!(f, "pcpctl has no {verb} yet"),
            Self::Other(error) => write!(f, "{error:#}"),
        }
    }
}
