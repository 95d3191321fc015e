//! Where the addresses lead by which EFM names the nodes.

use std::path::Path;

use futures_util::future::join_all;
use pcp_client::truth::{EfmStatus, MemberType};
use pcp_client::{Node, NodeName, ResolveError, resolve};

use super::finding::Finding;
use super::look::Told;
use crate::cmd::efm;
use crate::output;
use crate::settings::Settings;

/// An address, and what it is to EFM.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Address {
    pub(super) name: NodeName,
    pub(super) kind: Kind,
}

/// Who named it, and so how sure it is that there is a database.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    /// Whoever called.
    Given,
    /// The address map.
    Mapped,
    /// EFM, as a node with a database.
    Database,
    /// EFM, which does not tell whether there is a database.
    Unclear,
}

/// Where an address leads on one Pgpool.
pub(super) struct Lead<'a> {
    pub(super) endpoint: &'a str,
    pub(super) node: Result<&'a Node, ResolveError>,
}

/// Asks EFM for its members, where its cluster is known: by the configuration, or by the name of its properties.
pub(super) async fn ask_efm(
    settings: &Settings,
    properties: Option<&Path>,
) -> Result<Option<EfmStatus>, Box<Finding>> {
    let stem = || Some(properties?.file_stem()?.to_str()?.to_owned());
    let Some(cluster) = settings.efm.cluster.clone().or_else(stem) else { return Ok(None) };
    let note = |seen: String| {
        let why = "its addresses were not tried: give them as arguments, or run this where EFM's agent runs";
        Box::new(Finding::note("EFM", seen, why))
    };
    if !settings.efm.command.iter().any(|command| command.exists()) {
        return Err(note(format!("{cluster}: there is no efm command on this host")));
    }
    let command = efm::command(Some(&cluster), settings).map_err(|reason| note(format!("{cluster}: {reason}")))?;
    command.status(settings.deadline).await.map(Some).map_err(|error| note(output::chain(&error)))
}

/// Puts the addresses together, each once.
pub(super) fn collect(given: Vec<NodeName>, mapped: Vec<NodeName>, efm: Option<&EfmStatus>) -> Vec<Address> {
    let given = given.into_iter().map(|name| Address { name, kind: Kind::Given });
    let members = efm.into_iter().flat_map(|status| {
        let members = status.members.iter().filter_map(|member| {
            let kind = match member.member_type {
                MemberType::Primary | MemberType::Standby | MemberType::Promoting => Kind::Database,
                MemberType::Witness => return None,
                _ => Kind::Unclear,
            };
            Some((member.address.clone(), kind))
        });
        members.chain(status.missing.iter().map(|address| (address.clone(), Kind::Unclear)))
    });
    let members = members.map(|(host, kind)| Address { name: NodeName::Address { host, port: None }, kind });
    let mapped = mapped.into_iter().map(|name| Address { name, kind: Kind::Mapped });
    let mut addresses: Vec<Address> = Vec::new();
    for address in given.chain(members).chain(mapped) {
        if !addresses.iter().any(|known| known.name == address.name) {
            addresses.push(address);
        }
    }
    addresses
}

/// Looks each address up on each Pgpool, as a hook would.
pub(super) async fn lead<'a>(
    address: &Address,
    pgpools: &[(&'a str, &'a Told)],
    settings: &Settings,
) -> Vec<Lead<'a>> {
    let name = settings.node(address.name.clone());
    join_all(
        pgpools
            .iter()
            .map(async |&(endpoint, told)| Lead { endpoint, node: resolve(&name, &told.view.nodes).await }),
    )
    .await
}

/// Judges where one address leads.
pub(super) fn judge(address: &Address, leads: &[Lead<'_>]) -> Vec<Finding> {
    const ABOUT: &str = "addresses";
    let name = &address.name;
    leads
        .iter()
        .map(|lead| {
            let finding = match (&lead.node, address.kind) {
                (Ok(node), _) => Finding::ok(ABOUT, format!("{name} is node {node}")),
                (Err(error @ ResolveError::Unknown { .. }), Kind::Unclear) => {
                    let why = "if there is a database, hooks for it fail (exit 6); a witness has none";
                    Finding::note(ABOUT, format!("EFM lists {name}, but {error}"), why)
                }
                (Err(error @ ResolveError::Ambiguous { .. }), _) => {
                    let why = "hooks for this address fail (exit 6), for EFM tells no port";
                    Finding::critical(ABOUT, error.to_string(), why)
                        .write("pcpctl.toml", "backend-port = PORT".to_owned())
                }
                (Err(error), _) => {
                    let finding =
                        Finding::critical(ABOUT, error.to_string(), "hooks for this address fail (exit 6)");
                    match port_of_same_host(error) {
                        Some(port) => finding.write("pcpctl.toml", format!("backend-port = {port}")),
                        None => finding
                            .write("pcpctl.toml", "[nodes]")
                            .write("pcpctl.toml", format!("\"{name}\" = \"BACKEND_HOSTNAME:BACKEND_PORT\"")),
                    }
                }
            };
            finding.on(lead.endpoint)
        })
        .collect()
}

/// Returns the port that the node of this name has, where only the port is another.
fn port_of_same_host(error: &ResolveError) -> Option<u16> {
    let ResolveError::Unknown { name: NodeName::Address { host, port: Some(_) }, nodes } = error else {
        return None;
    };
    nodes.iter().find(|node| node.host == host.as_str()).map(|node| node.port)
}

/// Finds nodes of a Pgpool to which no address leads, where EFM has told all that it has.
pub(super) fn unnamed(endpoint: &str, nodes: &[Node], leads: &[Vec<Lead<'_>>]) -> Vec<Finding> {
    let is_named = |node: &Node| {
        let leads = leads.iter().flatten().filter(|lead| lead.endpoint == endpoint);
        leads.filter_map(|lead| lead.node.as_ref().ok()).any(|found| found.id == node.id)
    };
    let unnamed = nodes.iter().filter(|node| !is_named(node));
    unnamed
        .map(|node| {
            let why = "no hook is ever called for it: EFM does not watch it, or knows it by another address";
            Finding::warning("addresses", format!("EFM lists no address of node {node}"), why).on(endpoint)
        })
        .collect()
}
