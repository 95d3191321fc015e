//! What goes to every member of a watchdog cluster, by the tool and by the link.

use std::time::Duration;

use anyhow::{Result, ensure};
use pcp_tests::{Pgpool, Settings, Version, wait_until};

use super::pair::{Pair, Who};

const LOG: &str = "/var/lib/pcp-tests/log";

pub(super) fn what_concerns_a_whole_watchdog_cluster_is_done_alike(version: Version) -> Result<()> {
    let mut settings = Settings::default().watchdog();
    if version >= Version::V4_6 {
        settings = settings.set("logging_collector", "on").set("log_directory", LOG);
    }
    let pair = Pair::start(version, settings)?;
    for args in [&[][..], &["-v"], &["-d"], &["0"], &["-n", "1"], &["-v", "-n", "2"], &["-n", "9"], &["-v", "9"]] {
        pair.alike("pcp_watchdog_info", args, 0)?;
    }
    if version < Version::V4_3 {
        // These tools have no scope, and a link's request for one is refused before it is sent.
        let refused = pair.run(Who::Tool, "pcp_stop_pgpool", &["-s", "cluster"])?;
        ensure!(refused.code == Some(1), "{refused:?}");
        return Ok(());
    }
    pair.reloads_all()?;
    if version >= Version::V4_6 {
        pair.rotates_all_logs()?;
    }
    pair.stops_all()
}

impl Pair {
    fn reloads_all(&self) -> Result<()> {
        let mut values = [0, 1].into_iter().cycle();
        for (link, args) in [(Who::Link, &["-s", "cluster"][..]), (Who::LegacyLink, &["--scope", "c", "-v", "-d"])]
        {
            self.in_turn(link, "pcp_reload_config", args, |who| {
                let value = values.next().unwrap_or_default();
                let script = format!("echo log_disconnections = {value} >>/var/lib/pcp-tests/pgpool.conf");
                for pgpool in self.cluster.pgpools() {
                    let written = pgpool.host().exec(["sh", "-c", &script])?;
                    ensure!(written.success(), "{written:?}");
                }
                let output = self.run(who, "pcp_reload_config", args)?;
                let shown = format!("name : log_disconnections\nvalue: {value}\n");
                wait_until("every member to have reloaded", Duration::from_secs(15), || {
                    for pgpool in self.cluster.pgpools() {
                        let status = self.run_on(pgpool.pcp_address(), Who::Link, "pcp_pool_status", &[])?;
                        ensure!(status.stdout.contains(&shown), "{}: {status:?}", pgpool.host().name());
                    }
                    Ok(())
                })?;
                Ok(output)
            })?;
        }
        Ok(())
    }

    fn rotates_all_logs(&self) -> Result<()> {
        self.in_turn(Who::Link, "pcp_log_rotate", &["-s", "cluster"], |who| {
            for pgpool in self.cluster.pgpools() {
                let removed = pgpool.host().exec(["sh", "-c", &format!("rm {LOG}/*")])?;
                ensure!(removed.success(), "{removed:?}");
            }
            let output = self.run(who, "pcp_log_rotate", &["-s", "cluster"])?;
            wait_until("every member to have a new log", Duration::from_secs(15), || {
                for pgpool in self.cluster.pgpools() {
                    let listed = pgpool.host().exec(["ls", LOG])?;
                    ensure!(!listed.stdout.is_empty(), "{}: {listed:?}", pgpool.host().name());
                }
                Ok(())
            })?;
            Ok(output)
        })
    }

    fn stops_all(&self) -> Result<()> {
        for (link, args) in
            [(Who::Link, &["-s", "cluster", "-m", "f"][..]), (Who::LegacyLink, &["-s", "c", "-v", "-d", "-m", "i"])]
        {
            self.in_turn(link, "pcp_stop_pgpool", args, |who| {
                let output = self.run(who, "pcp_stop_pgpool", args)?;
                wait_until("every member to stop serving", Duration::from_secs(30), || {
                    for pgpool in self.cluster.pgpools() {
                        let serving = pgpool.host().exec(["pgrep", "--full", "--list-full", "^pgpool: PCP"])?;
                        ensure!(!serving.success(), "{}: {serving:?}", pgpool.host().name());
                    }
                    Ok(())
                })?;
                // A member may hang from here on, whoever asked.
                self.cluster.pgpools().try_for_each(Pgpool::kill)?;
                self.cluster.pgpools().try_for_each(Pgpool::start)?;
                self.cluster.await_watchdog()?;
                Ok(output)
            })?;
        }
        Ok(())
    }
}
