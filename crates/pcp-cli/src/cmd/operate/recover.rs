use std::time::Duration;

use pcp_client::{NodeOperation, Options, RecoveryPlan, foresee_recovery, recover};

use super::confirm;
use super::outcome::{Outcome, PgpoolOutcome, exit};
use super::progress::{clock, with_elapsed};
use super::start::{Operation, Ran};
use crate::args::RecoverArgs;
use crate::exit::Exit;
use crate::output;
use crate::settings::{Env, Layer};

const VERB: &str = "recover";
/// As long as a base backup may take.
const LIMIT: Duration = Duration::from_secs(2 * 3600);

pub(in crate::cmd) fn run(args: &RecoverArgs, env: Env<'_>) -> Result<Exit, Exit> {
    confirm::check(VERB, &args.confirm)?;
    let flags = Layer::from_node_flags(&args.read.connection, &args.change);
    let operation = Operation::start(VERB, flags, &args.read, LIMIT, env)?;
    let target = operation.only_target(
        "one has to rebuild the node: name it with -h, and attach the node on the others afterwards",
    )?;
    let (connect, credentials) = (operation.connect(target), &target.credentials);
    let settings = &operation.settings;
    let (shown, name) = (args.node.0.to_string(), settings.node(args.node.0.clone()));
    let order = |deadline| NodeOperation {
        node: &name,
        options: Options { deadline, settle: settings.settle },
        caution: args.change.caution(),
        evidence: &settings.postgres,
    };

    let endpoint = &target.connector.endpoint;
    operation.consent(&args.confirm, &format!("recovered: {shown}"), endpoint, async |deadline| {
        foresee_recovery(&connect, credentials, &order(deadline)).await.map(|plan| words(&plan))
    })?;
    let ran = operation.act(async |deadline| {
        let what = format!("recovering {shown}");
        with_elapsed(&what, operation.output, recover(&connect, credentials, &order(deadline))).await
    })?;
    let (exit, verdict, pgpools) = match ran {
        Ran::Until(signal) => {
            let verdict = format!(
                "{shown} is NOT known to be recovered: ended before it was verified; Pgpool goes on with a recovery \
                 that has begun, and pcpctl show nodes tells when the node is up"
            );
            (signal, verdict, Vec::new())
        }
        Ran::ToItsEnd(operated) => {
            let verdict = match &operated.result {
                Ok(()) => format!("{shown} is recovered: read back as up after {}", clock(operated.elapsed)),
                Err(failure) => format!("{shown} is NOT recovered: {}", output::chain(failure)),
            };
            (exit(&operated), verdict, vec![PgpoolOutcome::of(endpoint.to_string(), &operated)])
        }
    };
    Ok(operation.finish(Outcome::new(VERB, exit, true, verdict, pgpools).about(shown)))
}

fn words(plan: &RecoveryPlan) -> Vec<String> {
    let RecoveryPlan { node, source, first_stage_command } = plan;
    let source = match source {
        Some(source) => format!("the primary, node {source}"),
        None => "the primary".to_owned(),
    };
    let first = match first_stage_command.as_deref() {
        Some("") => format!(
            "node {node}: Pgpool copies NOTHING, for its recovery_1st_stage_command is empty, and only has the node \
             started by pgpool_remote_start"
        ),
        Some(command) => {
            format!(
                "node {node}: its data is REPLACED by a copy of {source}'s, by recovery_1st_stage_command {command}"
            )
        }
        None => format!("node {node}: its data is REPLACED by a copy of {source}'s, by recovery_1st_stage_command"),
    };
    vec![first, "then it is started, and Pgpool attaches it; no other recovery can run meanwhile".to_owned()]
}
