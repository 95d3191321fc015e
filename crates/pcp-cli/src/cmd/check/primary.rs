use pcp_client::{Error, Node, View, resolve};
use pcp_proto::message::NodeInfo;

use super::Pgpool;
use super::finding::{Finding, Perf, State};
use super::nodes::{look, note_ignorance};
use crate::args::PrimaryArgs;
use crate::output;

/// Returns what was found out, and the primary's address.
pub(super) async fn check(pgpool: &Pgpool<'_>, args: &PrimaryArgs) -> Result<(Finding, Option<String>), Error> {
    let (view, infos) = look(pgpool, args.live.dial()).await?;
    let primaries: Vec<_> = view.nodes.iter().filter(|node| node.is_primary() && node.is_attached()).collect();
    let mut finding = judge(&view, &primaries);
    finding.perf.push(Perf::new("primaries", primaries.len(), "").bounds(0, view.nodes.len()));
    if let (Some(expected), [primary]) = (&args.expect, &primaries[..]) {
        expect(&mut finding, resolve(&pgpool.settings.node(expected.0.clone()), &view.nodes).await, primary);
    }
    for (node, info) in view.nodes.iter().zip(&infos) {
        compare(&mut finding, node, info);
    }
    note_ignorance(&mut finding, args.live.dial(), &infos);
    Ok((finding, view.primary().map(Node::address)))
}

/// Says which Pgpool takes which node for the primary, where they do not agree.
pub(super) fn disagreement(told: &[(&str, &Option<String>)]) -> Option<String> {
    let mut primaries = told.iter().filter_map(|(endpoint, primary)| Some((endpoint, primary.as_ref()?)));
    let (_, first) = primaries.next()?;
    primaries.any(|(_, primary)| primary != first).then(|| {
        let each = told.iter().map(|(endpoint, primary)| {
            format!("{endpoint} has {} as the primary", primary.as_deref().unwrap_or("none"))
        });
        each.collect::<Vec<_>>().join(", ")
    })
}

fn judge(view: &View, primaries: &[&Node]) -> Finding {
    match primaries {
        [primary] => Finding::bare(State::Ok, format!("the primary is {primary}")),
        [] if !view.has_primary_role() => Finding::bare(
            State::Unknown,
            "this Pgpool tells no roles, or replicates in another way than by streaming",
        ),
        [] => match view.searching() {
            Some(lost) => {
                let text = format!("no primary: {lost} is down, and Pgpool searches for another");
                Finding::bare(State::Critical, text)
            }
            None => Finding::bare(State::Critical, "no primary"),
        },
        several => {
            let names: Vec<_> = several.iter().map(ToString::to_string).collect();
            Finding::bare(State::Critical, format!("{} primaries: {}", several.len(), names.join(", ")))
        }
    }
}

fn expect(finding: &mut Finding, found: Result<&Node, pcp_client::ResolveError>, primary: &Node) {
    match found {
        Ok(expected) if expected.id == primary.id => {}
        Ok(expected) => finding.worsen(State::Critical, format_args!("expected {expected}")),
        Err(error) => finding.worsen(State::Unknown, output::chain(&error)),
    }
}

/// Compares Pgpool's view of a node with what PostgreSQL itself says.
fn compare(finding: &mut Finding, node: &Node, info: &Result<NodeInfo, Error>) {
    let Ok(info) = info else {
        if node.is_primary() {
            finding.worsen(State::Critical, format_args!("the PostgreSQL of {node} is silent"));
        }
        return;
    };
    let is = |text: &Option<pcp_proto::Text>, word: &str| text.as_ref().is_some_and(|text| *text == word);
    if node.is_primary() && is(&info.pg_status, "down") {
        finding.worsen(State::Critical, format_args!("the PostgreSQL of {node} is down"));
    } else if node.is_primary() && is(&info.pg_role, "standby") {
        finding.worsen(State::Critical, format_args!("the PostgreSQL of {node} is a standby"));
    } else if !node.is_primary() && is(&info.pg_role, "primary") {
        finding.worsen(State::Critical, format_args!("the PostgreSQL of {node} takes writes as well"));
    }
}
