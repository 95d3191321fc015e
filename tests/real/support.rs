//! What the tests of the command line share.

use anyhow::{Context, Result, ensure};
use pcp_tests::{Cluster, Output, Pcpctl, pcpctl};
use serde_json::Value;

/// The nodes of a healthy cluster.
pub(crate) const HEALTHY: [&str; 3] = ["0 attached primary", "1 attached standby", "2 attached standby"];

/// Runs `pcpctl` on the cluster's Pgpool.
pub(crate) fn run(cluster: &Cluster, args: &[&str]) -> Result<Output> {
    command(args).to(cluster).run()
}

/// Begins a run of `pcpctl`.
pub(crate) fn command(args: &[&str]) -> Pcpctl {
    pcpctl!().args(args)
}

/// Returns the id of the process that forks a worker for each PCP connection.
pub(crate) fn pcp_process(cluster: &Cluster) -> Result<String> {
    let host = cluster.pgpool().host();
    Ok(host.exec(["pgrep", "--oldest", "--full", "pgpool: PCP: wait for connection request"])?.stdout)
}

/// Gives the primary the extension that recovery needs, where Pgpool looks for it: in template1, and from 4.7 on in
/// `recovery_database`, which is postgres.
pub(crate) fn add_recovery_functions(cluster: &Cluster) -> Result<()> {
    for database in ["template1", "postgres"] {
        let create = ["psql", "-X", "-p", "5433", "-U", "postgres", "-c", "CREATE EXTENSION pgpool_recovery"];
        let created = cluster.node(0)?.host().exec(create.into_iter().chain([database]))?;
        ensure!(created.success(), "{created:?}");
    }
    Ok(())
}

/// Checks the exit code and returns the first line of stdout: what EFM mails.
#[track_caller]
pub(crate) fn verdict(output: &Output, code: i32) -> String {
    assert_eq!(output.code, Some(code), "{output:?}");
    output.stdout.lines().next().unwrap_or_default().to_owned()
}

/// Runs `pcpctl … -o json` on the cluster's Pgpool, checks that the document tells the exit code, and returns it.
pub(crate) fn json(cluster: &Cluster, args: &[&str]) -> Result<Value> {
    let output = run(cluster, &[args, &["-o", "json"]].concat())?;
    let document: Value = serde_json::from_str(&output.stdout).with_context(|| format!("{output:?}"))?;
    ensure!(document["exit_code"] == output.code.map_or(Value::Null, Value::from), "{output:?}");
    ensure!(document["schema_version"] == 1, "{document}");
    Ok(document)
}
