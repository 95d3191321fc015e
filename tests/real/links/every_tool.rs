//! Every tool that a server's package has, in every form that its help names, beside its link.

use std::collections::BTreeSet;
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use pcp_tests::{C_TOOLS, Session, Settings, Version, wait_until};

use super::pair::{Form, Pair, Turn, Who};
use crate::support::{HEALTHY, add_recovery_functions};

/// What an earlier release lacks, by the first one that has it.
const LATER: [(Version, &[&str]); 2] = [
    (Version::V4_3, &["pcp_health_check_stats", "pcp_reload_config"]),
    (Version::V4_6, &["pcp_invalidate_query_cache", "pcp_log_rotate"]),
];

const LOG: &str = "/var/lib/pcp-tests/log";
const DOWN: [&str; 3] = ["0 attached primary", "1 attached standby", "2 down standby"];
const PROMOTED: [&str; 3] = ["0 down standby", "1 attached primary", "2 down standby"];
/// What commands are run with: both options at once, for neither changes what the other says.
const FORMS: [(Who, &[&str]); 2] = [(Who::Link, &[]), (Who::LegacyLink, &["-v", "-d"])];

pub(super) fn every_tool_is_compared_in_every_form(version: Version) -> Result<()> {
    let mut settings = Settings::default().set("recovery_user", "postgres");
    settings = settings.set("recovery_1st_stage_command", "first").set("health_check_period", 3600);
    if version >= Version::V4_6 {
        settings = settings.set("logging_collector", "on").set("log_directory", LOG);
        settings = settings.set("memory_cache_enabled", "on");
    }
    let pair = Pair::start(version, settings)?;
    pair.reads()?;
    pair.changes_nodes()?;
    if version >= Version::V4_3 {
        pair.reloads()?;
    }
    if version >= Version::V4_6 {
        pair.rotates_its_log()?;
        pair.invalidates_its_cache()?;
    }
    pair.stops(version)?;
    pair.has_compared_everything(version)
}

impl Pair {
    fn reads(&self) -> Result<()> {
        let session = Session::open(self.cluster.pgpool().sql_address(), "postgres")?;
        for tool in C_TOOLS {
            let (operand, code): (&[_], _) = match tool {
                "pcp_node_count" | "pcp_pool_status" | "pcp_proc_count" | "pcp_proc_info" => (&[], 0),
                "pcp_node_info" => (&["1"], 0),
                "pcp_health_check_stats" if self.is_there(tool)? => (&["1"], 0),
                "pcp_watchdog_info" => (&[], 7),
                _ => continue,
            };
            for form in self.forms(tool)? {
                let option = form.option();
                let words = [option].into_iter().filter(|word| !word.is_empty()).chain(operand.iter().copied());
                self.alike(tool, &words.collect::<Vec<_>>(), code)?;
            }
        }
        drop(session);
        Ok(())
    }

    fn changes_nodes(&self) -> Result<()> {
        // The scripts of this test copy nothing: node 2 runs as it is.
        add_recovery_functions(&self.cluster)?;
        for name in ["first", "pgpool_remote_start"] {
            self.cluster.node(0)?.add_script(name, "true")?;
        }
        let detach = Turn { before: &[], after: DOWN, undo: &[("pcp_attach_node", "2")] };
        let attach = Turn { before: &[("pcp_detach_node", "2")], after: HEALTHY, undo: &[] };
        // No PostgreSQL is promoted, so that node 0 is found to be the primary when it is attached again.
        let undo = [("pcp_attach_node", "0"), ("pcp_attach_node", "2")];
        let promote = Turn { before: &[], after: PROMOTED, undo: &undo };
        for (link, form) in FORMS {
            for (tool, node, turn) in [
                ("pcp_detach_node", "2", &detach),
                ("pcp_attach_node", "2", &attach),
                ("pcp_promote_node", "1", &promote),
                ("pcp_recovery_node", "2", &attach),
            ] {
                self.change_in_turn(link, tool, &[form, &[node]].concat(), turn)?;
                self.cluster.await_summary(&HEALTHY)?;
            }
        }
        Ok(())
    }

    /// Changes a parameter in the file before each, and waits until Pgpool shows it.
    fn reloads(&self) -> Result<()> {
        let mut values = ["on", "off"].into_iter().cycle();
        for (link, args) in
            FORMS.into_iter().chain([(Who::Link, &["-s", "local"][..]), (Who::Link, &["--scope=l"])])
        {
            self.in_turn(link, "pcp_reload_config", args, |who| {
                let value = values.next().context("there is always one")?;
                let script = format!("echo log_disconnections = {value} >>/var/lib/pcp-tests/pgpool.conf");
                let written = self.cluster.pgpool().host().exec(["sh", "-c", &script])?;
                ensure!(written.success(), "{written:?}");
                let output = self.run(who, "pcp_reload_config", args)?;
                let shown = format!("name : log_disconnections\nvalue: {}\n", u8::from(value == "on"));
                wait_until("the reload to be seen", Duration::from_secs(15), || {
                    let status = self.run(Who::Link, "pcp_pool_status", &[])?;
                    ensure!(status.stdout.contains(&shown), "{status:?}");
                    Ok(())
                })?;
                Ok(output)
            })?;
        }
        Ok(())
    }

    /// Moves the log away before each: the next one is begun by nothing else.
    fn rotates_its_log(&self) -> Result<()> {
        let host = self.cluster.pgpool().host();
        for (link, args) in FORMS.into_iter().chain([(Who::Link, &["-s", "local"][..])]) {
            self.in_turn(link, "pcp_log_rotate", args, |who| {
                let moved = host.exec(["sh", "-c", &format!("rm {LOG}/*")])?;
                ensure!(moved.success(), "{moved:?}");
                let output = self.run(who, "pcp_log_rotate", args)?;
                wait_until("a new log", Duration::from_secs(15), || {
                    let listed = host.exec(["ls", LOG])?;
                    ensure!(!listed.stdout.is_empty(), "{listed:?}");
                    Ok(())
                })?;
                Ok(output)
            })?;
        }
        Ok(())
    }

    /// Fills the cache before each, and looks whether it was emptied.
    fn invalidates_its_cache(&self) -> Result<()> {
        let pgpool = self.cluster.pgpool();
        let entries = || -> Result<u32> {
            let cache = pgpool.sql("SHOW POOL_CACHE")?;
            cache.split('|').nth(5).and_then(|entries| entries.parse().ok()).with_context(|| cache.clone())
        };
        self.cluster.node(0)?.sql("CREATE TABLE cached (id int)")?;
        for (link, args) in FORMS {
            self.in_turn(link, "pcp_invalidate_query_cache", args, |who| {
                // A standby may not have the table yet, and Pgpool may keep an answer just after the client has it.
                wait_until("the cache to be emptied", Duration::from_secs(15), || {
                    pgpool.sql("SELECT * FROM cached")?;
                    let before = entries()?;
                    let output = self.run(who, "pcp_invalidate_query_cache", args)?;
                    let now = entries()?;
                    ensure!(now < before, "{now} entries, and {before} before");
                    Ok(output)
                })
            })?;
        }
        Ok(())
    }

    fn stops(&self, version: Version) -> Result<()> {
        let local: &[_] = if version >= Version::V4_3 { &["-s", "local"] } else { &[] };
        let modes = [&[][..], &["-m", "fast"], &["-mi"]];
        for ((link, form), mode) in FORMS.into_iter().flat_map(|form| modes.map(|mode| (form, mode))) {
            let args = [form, mode, local].concat();
            self.in_turn(link, "pcp_stop_pgpool", &args, |who| {
                let output = self.run(who, "pcp_stop_pgpool", &args)?;
                self.await_end()?;
                self.cluster.start_pgpool()?;
                self.cluster.await_summary(&HEALTHY)?;
                Ok(output)
            })?;
        }
        Ok(())
    }

    fn await_end(&self) -> Result<()> {
        wait_until("Pgpool to be gone", Duration::from_secs(30), || {
            let processes = self.cluster.pgpool().host().exec(["pgrep", "--exact", "--list-full", "pgpool"])?;
            ensure!(!processes.success(), "{processes:?}");
            ensure!(TcpStream::connect(self.cluster.pgpool().pcp_address()).is_err(), "its port is open");
            Ok(())
        })
    }

    /// Fails when a tool of this server's package was not compared, or not in a form that its help names.
    fn has_compared_everything(&self, version: Version) -> Result<()> {
        let compared = self.compared();
        let names = self.tools.names()?;
        for tool in &names {
            for form in self.forms(tool)? {
                ensure!(compared.contains(&(tool.clone(), form)), "{tool} was not compared: {form:?}");
            }
        }
        let missing = LATER.into_iter().filter(|&(since, _)| version < since).flat_map(|(_, tools)| tools);
        let known: BTreeSet<_> = names.iter().map(String::as_str).chain(missing.copied()).collect();
        ensure!(known == BTreeSet::from(C_TOOLS), "{known:?}");
        Ok(())
    }

    fn is_there(&self, tool: &str) -> Result<bool> {
        Ok(self.tools.names()?.iter().any(|name| name == tool))
    }

    /// Returns the forms that the tool's own help names.
    fn forms(&self, tool: &str) -> Result<Vec<Form>> {
        let help = self.tools.run_bare(tool, &["--help"])?;
        ensure!(help.success() && help.stderr.starts_with(tool), "{help:?}");
        Ok(Form::ALL.into_iter().filter(|form| help.stderr.contains(form.option())).collect())
    }
}
