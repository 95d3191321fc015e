use std::time::Duration;

use pcp_client::{Operated, StopPlan, foresee_stop, stop_cluster, stop_pgpool};

use super::confirm;
use super::outcome::{Outcome, PgpoolOutcome, exit};
use super::progress::with_elapsed;
use super::start::{Operation, Ran};
use super::told;
use crate::args::{ModeArg, ScopeArg, StopPgpoolArgs};
use crate::exit::Exit;
use crate::settings::{Env, Layer, Target};
use crate::verdict;

const VERB: &str = "stop-pgpool";
/// What a fast stop never needs. A smart one needs what its clients need.
const LIMIT: Duration = Duration::from_secs(60);

pub(in crate::cmd) fn run(args: &StopPgpoolArgs, env: Env<'_>) -> Result<Exit, Exit> {
    confirm::check(VERB, &args.confirm)?;
    let operation = Operation::start(VERB, Layer::from_flags(&args.read.connection), &args.read, LIMIT, env)?;
    let settings = &operation.settings;
    let first = match args.scope {
        ScopeArg::Local => operation.only_target(
            "they are stopped one at a time: name one with -h, or give --scope cluster where they are one watchdog \
             cluster",
        )?,
        ScopeArg::Cluster => operation.first_target()?,
    };
    let endpoints: Vec<_> = settings.endpoints().map(ToString::to_string).collect();

    operation.consent(&args.confirm, "stopped", &first.connector.endpoint, async |deadline| {
        let plan = foresee_stop(&operation.connect(first), &first.credentials, deadline).await?;
        Ok(words(&plan, args, &endpoints))
    })?;
    let mode = args.mode.into();
    let ran = operation.act(async |deadline| {
        let stop = async {
            match args.scope {
                ScopeArg::Local => {
                    vec![stop_pgpool(&operation.connect(first), &first.credentials, mode, deadline).await]
                }
                ScopeArg::Cluster => {
                    let connects: Vec<_> =
                        settings.targets.iter().map(|target| operation.connect(target)).collect();
                    let credentials = settings.targets.iter().map(|target: &Target| &target.credentials);
                    stop_cluster(connects.iter().zip(credentials), mode, deadline).await
                }
            }
        };
        with_elapsed("waiting for the PCP port to close", operation.output, stop).await
    })?;
    let (exit, verdict, pgpools) = match ran {
        Ran::Until(signal) => {
            let verdict = "Pgpool is NOT known to be stopped: ended before it was verified; a stop that has begun goes \
                           on";
            (signal, verdict.to_owned(), Vec::new())
        }
        Ran::ToItsEnd(stopped) => {
            let pgpools = endpoints.iter().zip(&stopped);
            let pgpools =
                pgpools.map(|(endpoint, operated)| PgpoolOutcome::of(endpoint.clone(), operated)).collect();
            let exit = Exit::combine(stopped.iter().map(exit));
            (exit, sentence(exit, &endpoints, &stopped), pgpools)
        }
    };
    Ok(operation.finish(Outcome::new(VERB, exit, true, verdict, pgpools)))
}

fn words(plan: &StopPlan, args: &StopPgpoolArgs, endpoints: &[String]) -> Vec<String> {
    let whom = match args.scope {
        ScopeArg::Local => format!("Pgpool on {} is STOPPED", endpoints.join(", ")),
        ScopeArg::Cluster => format!(
            "EVERY member of the watchdog cluster is STOPPED: {}; verified is {}",
            plan.members.join(", "),
            endpoints.join(", ")
        ),
    };
    let clients = match plan.clients {
        Some(1) => "1 client is connected to it".to_owned(),
        Some(clients) => format!("{clients} clients are connected to it"),
        None => "how many clients are connected could not be counted".to_owned(),
    };
    let how = match args.mode {
        ModeArg::Smart => "it takes no new ones, and ends when the last of them leaves",
        ModeArg::Fast => "they are disconnected",
        ModeArg::Immediate => "they are disconnected, and Pgpool does not clean up behind itself",
    };
    let own_port = match plan.members.is_empty() || args.scope == ScopeArg::Cluster {
        true => "nothing here starts it again".to_owned(),
        false => "nothing here starts it again; the other members of its watchdog cluster go on".to_owned(),
    };
    vec![whom, format!("{clients}: {how}"), own_port]
}

fn sentence(exit: Exit, endpoints: &[String], stopped: &[Operated]) -> String {
    match told::failures(endpoints, stopped.iter().map(|operated| &operated.result)) {
        None => format!("stopped: nobody listens any more on the PCP port of {}", verdict::pgpools(stopped.len())),
        Some(failures) => format!("{} stopped: {failures}", told::not(exit)),
    }
}
