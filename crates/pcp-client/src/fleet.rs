//! Several Pgpools.

use futures_util::future::join_all;
use pcp_proto::Credentials;

use crate::{Connect, NodeName, Options, Report, Want, converge};

/// Makes every Pgpool show the wanted state of a node, all at the same time, and returns a report for each in their
/// order.
///
/// The name is resolved on each, for ids may differ. A Pgpool that is dead does not delay the others, but the call
/// returns when the last one is through.
///
/// # Cancel safety
///
/// That of [`converge`].
pub async fn converge_all<'a, C: Connect + 'a>(
    pgpools: impl IntoIterator<Item = (&'a C, &'a Credentials)>,
    name: &NodeName,
    want: Want,
    options: Options,
) -> Vec<Report> {
    let run = |(connect, credentials)| converge(connect, credentials, name, want, options);
    join_all(pgpools.into_iter().map(run)).await
}
