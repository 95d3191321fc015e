//! Links to `pcpctl` beside Pgpool's own tools, on real servers: same words, same columns, and a truer exit code.

mod every_tool;
mod pair;
mod watchdog;

use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use pcp_tests::{Session, Settings, Version, wait_until};

use self::every_tool::every_tool_is_compared_in_every_form;
use self::pair::{Pair, Who};
use self::watchdog::what_concerns_a_whole_watchdog_cluster_is_done_alike;
use crate::support::{HEALTHY, add_recovery_functions};

for_each_version!(
    every_tool_is_compared_in_every_form,
    what_concerns_a_whole_watchdog_cluster_is_done_alike,
    links_print_what_the_tools_print,
    links_change_what_the_tools_change,
    scripts_find_the_same_in_the_columns_of_both,
);

fn links_print_what_the_tools_print(version: Version) -> Result<()> {
    let pair = Pair::start(version, Settings::default())?;
    let session = Session::open(pair.cluster.pgpool().sql_address(), "postgres")?;
    for args in [&[][..], &["-v"], &["-d"], &["extra"]] {
        for tool in ["pcp_node_count", "pcp_pool_status", "pcp_proc_count"] {
            pair.alike(tool, args, 0)?;
        }
    }
    for args in [&["0"][..], &["-n", "1"], &["--node-id=2", "--verb"], &["-v", "-d", "0"]] {
        pair.alike("pcp_node_info", args, 0)?;
    }
    for node in ["3", "99"] {
        pair.alike("pcp_node_info", &[node], 7)?;
        pair.alike("pcp_node_info", &["-d", node], 7)?;
    }
    for args in [&[][..], &["-v"], &["-a"], &["-a", "-v"], &["--all"]] {
        pair.alike("pcp_proc_info", args, 0)?;
    }
    pair.alike("pcp_proc_info", &["-P", "1"], 7)?;
    for args in [&[][..], &["-v"], &["0"]] {
        pair.alike("pcp_watchdog_info", args, 7)?;
    }
    if version >= Version::V4_3 {
        for args in [&[][..], &["-a"], &["-a", "-v"]] {
            pair.alike("pcp_node_info", args, 0)?;
        }
        for args in [&["0"][..], &["-v", "2"]] {
            pair.alike("pcp_health_check_stats", args, 0)?;
        }
        for node in ["3", "99"] {
            pair.alike("pcp_health_check_stats", &[node], 7)?;
        }
    }
    drop(session);
    for (args, code) in [(&["-z"][..], 2), (&["--p"], 2), (&["-n"], 2), (&["-n", "-1"], 2), (&["-p", "80"], 2)] {
        pair.alike("pcp_node_info", args, code)?;
    }
    pair.alike("pcp_attach_node", &[], 2)?;
    pair.alike("pcp_stop_pgpool", &["-m", "now"], 2)
}

fn links_change_what_the_tools_change(version: Version) -> Result<()> {
    let pair = Pair::start(version, Settings::default().set("recovery_user", "postgres"))?;
    // Once by the tool and once by the link, and each time what was done before is undone by the other.
    for [detaching, attaching] in [[Who::Tool, Who::Link], [Who::Link, Who::Tool]] {
        pair.changes(detaching, "pcp_detach_node", &["2"])?;
        pair.cluster.await_summary(&["0 attached primary", "1 attached standby", "2 down standby"])?;
        // What is down already: the server says so, and that is what was wanted.
        pair.alike("pcp_detach_node", &["2"], 0)?;
        pair.alike("pcp_detach_node", &["-g", "2"], 0)?;
        pair.changes(attaching, "pcp_attach_node", &["2"])?;
        pair.cluster.await_summary(&HEALTHY)?;
        pair.alike("pcp_attach_node", &["-d", "2"], 0)?;
    }
    for who in [Who::Tool, Who::Link] {
        pair.changes(who, "pcp_detach_node", &["-g", "1"])?;
        pair.cluster.await_summary(&["0 attached primary", "1 down standby", "2 attached standby"])?;
        pair.changes(who, "pcp_attach_node", &["1"])?;
        pair.cluster.await_summary(&HEALTHY)?;
    }
    pair.alike("pcp_promote_node", &["0"], 7)?;
    for node in ["3", "99"] {
        pair.alike("pcp_promote_node", &[node], 7)?;
        for tool in ["pcp_attach_node", "pcp_detach_node"] {
            let output = pair.run(Who::Link, tool, &[node])?;
            ensure!(output.code == Some(6) && output.stdout.is_empty(), "{output:?}");
        }
    }
    for node in ["0", "1", "2", "99"] {
        pair.alike("pcp_recovery_node", &[node], 7)?;
    }
    if version >= Version::V4_3 {
        pair.alike("pcp_reload_config", &["-s", "local"], 0)?;
    } else {
        // A server that does not know the request says so.
        let output = pair.run(Who::Link, "pcp_reload_config", &[])?;
        ensure!(output.code == Some(7) && output.stderr.contains("unknown PCP packet type"), "{output:?}");
        let output = pair.run(Who::Link, "pcp_promote_node", &["-s", "1"])?;
        ensure!(output.code == Some(7) && output.stderr.contains("a switchover needs"), "{output:?}");
    }
    if version >= Version::V4_6 {
        pair.alike("pcp_log_rotate", &[], 7)?;
        pair.alike("pcp_invalidate_query_cache", &[], 7)?;
    }
    add_recovery_functions(&pair.cluster)?;
    promotes(&pair)?;
    pair.succeeds(Who::Link, "pcp_stop_pgpool", &["-m", "fast"])?;
    wait_until("Pgpool to be gone", Duration::from_secs(15), || {
        let output = pair.run(Who::Link, "pcp_node_count", &[])?;
        ensure!(output.code == Some(4), "{output:?}");
        Ok(())
    })?;
    pair.alike("pcp_node_count", &[], 4)
}

/// The columns that scripts cut out, with the awk that is at hand.
fn scripts_find_the_same_in_the_columns_of_both(version: Version) -> Result<()> {
    let pair = Pair::start(version, Settings::default().watchdog())?;
    let _session = Session::open(pair.cluster.pgpool().sql_address(), "postgres")?;
    let role = if version == Version::V4_1 { "$6" } else { "$7" };
    let scripts = [
        ("pcp_node_info", &["0"][..], format!("{{print $1, $2, {role}}}")),
        ("pcp_node_info", &["1"], format!("{{print {role}}}")),
        ("pcp_node_info", &["2"], "{print $3; exit}".to_owned()),
        ("pcp_node_info", &["-v", "1"], "-F: /^Status Name/ {print $2}".to_owned()),
        ("pcp_proc_info", &[], "{print $1, $2, NF}".to_owned()),
        ("pcp_proc_info", &["-a"], "END {print NR}".to_owned()),
        ("pcp_watchdog_info", &[], "NR == 1 {print $1, $NF}".to_owned()),
        ("pcp_watchdog_info", &[], "NR > 2 {print $(NF - 2), NF}".to_owned()),
        ("pcp_watchdog_info", &["-v"], "-F: /Status Name/ {print $2}".to_owned()),
        (
            "pcp_watchdog_info",
            &["-v"],
            "-F: /Alive Remote|Quorum state|local node|Local node/ {print $2}".to_owned(),
        ),
    ];
    for (tool, args, script) in scripts {
        let found = pair.both(tool, args)?.map(|output| awk(&script, &output.stdout));
        let [tools, links] = found;
        let (tools, links) = (tools?, links?);
        ensure!(!tools.trim().is_empty(), "{script} finds nothing in {tool} {args:?}");
        assert_eq!(links, tools, "{tool} {args:?}: {script}");
    }
    let primary = awk(&format!("{{print {role}}}"), &pair.run(Who::Link, "pcp_node_info", &["0"])?.stdout)?;
    assert_eq!(primary, "primary\n");
    Ok(())
}

fn awk(script: &str, text: &str) -> Result<String> {
    let (separator, script) = match script.strip_prefix("-F: ") {
        Some(script) => (":", script),
        None => (" ", script),
    };
    let mut awk = Command::new("awk")
        .args(["-F", separator, script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("awk")?;
    std::io::Write::write_all(&mut awk.stdin.take().context("no input")?, text.as_bytes())?;
    Ok(String::from_utf8(awk.wait_with_output()?.stdout)?)
}

/// Promotes node 1, and makes that known to Pgpool by the link.
fn promotes(pair: &Pair) -> Result<()> {
    pair.cluster.promote_postgres(1)?;
    pair.changes(Who::Link, "pcp_promote_node", &["1"])?;
    pair.cluster.await_summary(&["0 down standby", "1 attached primary", "2 down standby"])?;
    pair.alike("pcp_promote_node", &["1"], 7)?;
    pair.changes(Who::Link, "pcp_attach_node", &["2"])?;
    pair.cluster.await_summary(&["0 down standby", "1 attached primary", "2 attached standby"])
}
