use std::time::Duration;

use pcp_client::{
    Followers, Node, NodeOperation, Operated, Options, SwitchoverPlan, foresee_switchover, switch_over,
};

use super::confirm;
use super::outcome::{Outcome, PgpoolOutcome, exit, named};
use super::progress::with_elapsed;
use super::start::{Operation, Ran};
use crate::args::SwitchoverArgs;
use crate::exit::Exit;
use crate::lock::Lock;
use crate::output;
use crate::settings::{Env, Layer};

const VERB: &str = "switchover";
/// A promotion, Pgpool's search for it, and a follow command that rewinds.
const LIMIT: Duration = Duration::from_secs(120);

pub(in crate::cmd) fn run(args: &SwitchoverArgs, env: Env<'_>) -> Result<Exit, Exit> {
    confirm::check(VERB, &args.confirm)?;
    let flags = Layer::from_node_flags(&args.read.connection, &args.change);
    let operation = Operation::start(VERB, flags, &args.read, LIMIT, env)?;
    let target = operation.only_target(
        "one has to do it: name it with -h. A watchdog tells the other members; elsewhere pcpctl promote makes the new \
         primary known",
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
    operation.consent(&args.confirm, &format!("switched over to {shown}"), endpoint, async |deadline| {
        foresee_switchover(&connect, credentials, &order(deadline)).await.map(|plan| words(&plan))
    })?;
    let ran = operation.act(async |deadline| {
        let _lock = Lock::acquire(settings.endpoints(), settings.limit).await;
        let what = format!("switching over to {shown}");
        with_elapsed(&what, operation.output, switch_over(&connect, credentials, &order(deadline))).await
    })?;
    let (exit, verdict, pgpools) = match ran {
        Ran::Until(signal) => {
            let verdict = format!(
                "{shown} is NOT known to be the primary: ended before it was verified; Pgpool goes on with a switchover \
                 that has begun"
            );
            (signal, verdict, Vec::new())
        }
        Ran::ToItsEnd(operated) => {
            (exit(&operated), sentence(&shown, &operated), vec![PgpoolOutcome::of(endpoint.to_string(), &operated)])
        }
    };
    Ok(operation.finish(Outcome::new(VERB, exit, true, verdict, pgpools).about(shown)))
}

fn words(plan: &SwitchoverPlan) -> Vec<String> {
    let SwitchoverPlan { node, old_primary, followers, fate, failover_command, replication_shown: _ } = plan;
    if plan.is_needless() {
        return Vec::new();
    }
    let mut words = vec![
        format!(
            "node {old_primary}, the primary, is DETACHED; its PostgreSQL is left running unless failover_command stops it"
        ),
        format!("node {node} is promoted by failover_command: {failover_command}"),
        "every session of Pgpool's clients is ended".to_owned(),
    ];
    words.extend(match (fate, &followers[..]) {
        (_, []) => None,
        (Followers::ByCommand, nodes) => Some(format!(
            "set DOWN, until follow_primary_command has made each follow the new primary and attached it: {}",
            named(nodes)
        )),
        (Followers::StayUp, nodes) => Some(format!(
            "left up, although follow_primary_command is not set: unless failover_command makes them follow the new \
             primary, they serve OLD data: {}",
            named(nodes)
        )),
    });
    words
}

fn sentence(shown: &str, operated: &Operated) -> String {
    let primary = |nodes: &[Node]| nodes.iter().find(|node| node.is_primary()).cloned();
    match &operated.result {
        Err(failure) => format!("{shown} is NOT the primary: {}", output::chain(failure)),
        Ok(()) if !operated.asked => format!("{shown} is the primary already"),
        Ok(()) => {
            let old = primary(&operated.before).map(|old| old.id);
            let old = operated.after.iter().find(|node| Some(node.id) == old);
            let old = match old {
                Some(node) if node.is_attached() => format!("; node {node}, the old one, is {}", node.state()),
                Some(node) => format!(
                    "; node {node}, the old one, is down, and has to become a standby before it is attached (when it is \
                     stopped, pcpctl recover {} rebuilds it)",
                    node.id
                ),
                None => String::new(),
            };
            let list = |words: &str, nodes: &[Node]| match nodes {
                [] => String::new(),
                nodes => format!("; {words}: {}", named(nodes)),
            };
            format!(
                "{shown} is the primary: read back{}{}{}{old}",
                list("NOT back", &operated.left_down),
                list("NOT seen to replicate from it", &operated.not_following),
                list("whether they replicate from it is not shown by this Pgpool", &operated.replication_unseen),
            )
        }
    }
}
