//! `--dry-run`: what a reconcile would do.

use pcp_client::{ErrorKind, Evidence, Failure, FirstThatKnows, Order, forecast_all};
use serde::Serialize;

use super::Run;
use super::look::{Pgpool, Standing};
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
        let (exits, nodes) = self.forecast_knowing(&evidence).await;
        let unseen = self.pgpools.iter().filter_map(|pgpool| {
            let error = pgpool.error()?.clone();
            let failure = match error.kind() {
                ErrorKind::Authentication => Failure::Authentication(error),
                _ => Failure::Unreachable(error),
            };
            Some(PgpoolDryRun::of(pgpool.endpoint(), Err(failure)).1)
        });
        let not_seen = unseen.collect();
        // As a run judges each Pgpool: what is as it should be does not count.
        let of_each = self.pgpools.iter().zip(exits).map(|(pgpool, exits)| match pgpool.error() {
            Some(error) => Exit::from(error),
            None => Exit::combine(exits),
        });
        let of_each: Vec<_> = of_each.collect();
        let done = of_each.iter().filter(|exit| **exit == Exit::Done).count();
        let enough = self.settings.require.is_met(done, of_each.len());
        let mut exit = if enough { Exit::Done } else { Exit::combine(of_each) };
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

    /// Returns what is to be expected for what is not as it should be: an exit for each such node by Pgpool, and the
    /// same by node.
    async fn forecast_knowing<E: Evidence>(&self, evidence: &E) -> (Vec<Vec<Exit>>, Vec<NodeDryRun>) {
        let (mut exits, mut nodes) = (vec![Vec::new(); self.pgpools.len()], Vec::new());
        for (at, goal) in self.wanted.iter().enumerate() {
            let standing = |pgpool: &Pgpool<'_>| pgpool.view().and_then(|_| pgpool.standings.get(at)).cloned();
            if self.pgpools.iter().filter_map(standing).all(|standing| standing.is_fine()) {
                continue;
            }
            let held = self.not_to_be_attached(goal);
            let order = Order {
                held: &held,
                last_node: self.args.hook.last_node(),
                ..Order::new(&goal.name, goal.want, self.settings.options())
            };
            let order = order.with_evidence(evidence);
            let has_it =
                |pgpool: &&Pgpool<'_>| matches!(standing(pgpool), Some(Standing::Met(_) | Standing::Unmet(_)));
            let asked = self.pgpools.iter().filter(has_it);
            let asked = asked.map(|pgpool| (&pgpool.connect, &pgpool.target.credentials));
            let mut told = forecast_all(asked, &order).await.into_iter();
            let mut pgpools = Vec::new();
            for (pgpool, exits) in self.pgpools.iter().zip(&mut exits) {
                let told = match standing(pgpool) {
                    None => continue,
                    Some(Standing::Unmet(_)) => told.next(),
                    Some(Standing::Met(_)) => {
                        told.next();
                        continue;
                    }
                    Some(Standing::Unknown(error)) => Some(Err(Failure::Node(error))),
                    Some(standing) if standing.is_fine() => continue,
                    Some(standing) => Some(Err(Failure::Refused { reason: standing.to_string(), source: None })),
                };
                let Some(told) = told else { continue };
                let (exit, pgpool) = PgpoolDryRun::of(pgpool.endpoint(), told);
                exits.push(exit);
                pgpools.push(pgpool);
            }
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
