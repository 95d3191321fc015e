//! `--dry-run`: what a reconcile would do.

use futures_util::future::join_all;
use pcp_client::{Evidence, Failure, FirstThatKnows, Order, forecast};
use serde::Serialize;

use super::Run;
use super::look::Standing;
use crate::args::OutputFormat;
use crate::cmd::dry_run::PgpoolDryRun;
use crate::exit::Exit;
use crate::output;

#[derive(Serialize)]
struct DryRun {
    schema_version: u32,
    command: &'static str,
    dry_run: bool,
    exit_code: i32,
    verdict: String,
    /// What is not as it should be, each as if it came first: the rest depends on what Pgpool makes of it.
    nodes: Vec<NodeDryRun>,
    held: Vec<String>,
    /// Pgpools that could not be looked at.
    not_seen: Vec<PgpoolDryRun>,
}

#[derive(Serialize)]
struct NodeDryRun {
    node: String,
    want: String,
    pgpools: Vec<PgpoolDryRun>,
}

impl Run<'_> {
    /// Prints what would be done, and returns the exit code to expect.
    pub(super) async fn forecast(&self) -> Exit {
        let efm = self.confirmed.as_ref().and_then(|confirmed| confirmed.evidence.clone());
        let evidence = FirstThatKnows(self.settings.postgres.clone(), efm);
        let (mut exits, nodes) = self.forecast_knowing(&evidence).await;
        let not_seen = self.pgpools.iter().filter_map(|pgpool| {
            let failure = Failure::Unreachable(pgpool.error()?.clone());
            Some(PgpoolDryRun::of(pgpool.endpoint(), Err(failure)))
        });
        let (unseen, not_seen): (Vec<_>, Vec<_>) = not_seen.unzip();
        let seen = self.pgpools.iter().any(|pgpool| pgpool.view().is_some());
        exits.extend(unseen);
        exits.extend((seen && nodes.len() < self.wanted.len()).then_some(Exit::Done));
        let mut exit = Exit::combine(exits);
        let mut verdict = format!(
            "DRY RUN: nothing was changed; {} of {} nodes are not as {} says",
            nodes.len(),
            self.wanted.len(),
            self.source.name()
        );
        if let (false, Err(halt)) = (nodes.is_empty(), self.is_due()) {
            exit = halt.exit;
            verdict.push_str(&format!("; {}", halt.reason));
        }
        let exit_code = self.args.caller().exit(exit).code();
        verdict.push_str(&format!("; a run would end with exit code {exit_code}"));
        let held = self.pgpools.iter().flat_map(|pgpool| &pgpool.held);
        let mut held: Vec<_> = held.map(|(node, reason)| format!("{}: {reason}", node.address())).collect();
        held.sort_unstable();
        held.dedup();
        let document = DryRun {
            schema_version: output::SCHEMA_VERSION,
            command: "reconcile",
            dry_run: true,
            exit_code,
            verdict,
            nodes,
            held,
            not_seen,
        };
        tracing::info!(exit = exit_code, "{}", document.verdict);
        match self.args.hook.output.output {
            OutputFormat::Json => output::json(&document),
            OutputFormat::Table => document.print(),
        }
        exit
    }

    async fn forecast_knowing<E: Evidence>(&self, evidence: &E) -> (Vec<Exit>, Vec<NodeDryRun>) {
        let (mut exits, mut nodes) = (Vec::new(), Vec::new());
        for (at, goal) in self.wanted.iter().enumerate() {
            let seen = self.pgpools.iter().filter(|pgpool| pgpool.view().is_some());
            let open = seen.filter_map(|pgpool| Some((pgpool, pgpool.standings.get(at)?)));
            let open: Vec<_> = open.filter(|(_, standing)| !standing.is_fine()).collect();
            if open.is_empty() {
                continue;
            }
            let held = self.not_to_be_attached(goal);
            let options = self.settings.options();
            let order = Order {
                held: &held,
                last_node: self.args.hook.last_node(),
                ..Order::new(&goal.name, goal.want, options)
            };
            let order = order.with_evidence(evidence);
            let told = join_all(open.into_iter().map(async |(pgpool, standing)| {
                let told = match standing {
                    Standing::Shared(..) => Err(Failure::Refused { reason: standing.to_string(), source: None }),
                    _ => forecast(&pgpool.connect, &pgpool.target.credentials, &order).await,
                };
                PgpoolDryRun::of(pgpool.endpoint(), told)
            }));
            let (expected, pgpools): (Vec<_>, Vec<_>) = told.await.into_iter().unzip();
            exits.extend(expected);
            nodes.push(NodeDryRun { node: goal.shown.to_string(), want: goal.want.to_string(), pgpools });
        }
        (exits, nodes)
    }
}

impl DryRun {
    fn print(&self) {
        output::line(&self.verdict);
        for node in &self.nodes {
            output::line(format_args!("{} is to be {}", node.node, node.want));
            node.pgpools.iter().for_each(|pgpool| output::line(pgpool.text()));
        }
        self.held.iter().for_each(|held| output::line(format_args!("held: {held}")));
        self.not_seen.iter().for_each(|pgpool| output::line(pgpool.text()));
    }
}
