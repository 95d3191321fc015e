//! Names in a `pgpool.conf` that a release passes over without an error.

use pcp_proto::{Release, ServerAge};

use super::finding::Finding;

/// A name, the releases that heed it, and what to write where it is not heeded.
struct Name {
    name: &'static str,
    since: Option<Release>,
    before: Option<Release>,
    instead: &'static str,
}

const fn since(name: &'static str, major: u8, minor: u8, instead: &'static str) -> Name {
    Name { name, since: Some(Release::new(major, minor)), before: None, instead }
}

const fn before(name: &'static str, major: u8, minor: u8, instead: &'static str) -> Name {
    Name { name, since: None, before: Some(Release::new(major, minor)), instead }
}

const NAMES: &[Name] = &[
    // From 4.4 on it means the new one.
    before("fail_over_on_backend_error", 4, 0, "failover_on_backend_error = off"),
    since("failover_on_backend_error", 4, 0, "fail_over_on_backend_error = off"),
    before("follow_master_command", 4, 2, "follow_primary_command = ''"),
    since("follow_primary_command", 4, 2, "follow_master_command = ''"),
    before("master_slave_mode", 4, 2, "backend_clustering_mode = 'streaming_replication'"),
    before("master_slave_sub_mode", 4, 2, "backend_clustering_mode = 'streaming_replication'"),
    since("backend_clustering_mode", 4, 2, "master_slave_mode = on"),
    before("wd_hostname", 4, 2, "hostname0 = 'HOST'"),
    before("other_pgpool_hostname", 4, 2, "hostname0 = 'HOST'"),
    since("failover_on_backend_shutdown", 4, 3, ""),
    since("auto_failback", 4, 1, ""),
    since("detach_false_primary", 4, 0, ""),
];

/// Finds the names in the text of the file that a Pgpool of this age does not heed.
pub(super) fn judge(file: &str, text: &str, age: ServerAge) -> Vec<Finding> {
    let ignored = text.lines().zip(1..).filter_map(|(line, number)| {
        let written = line.trim_start();
        let end = written.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(written.len());
        let written = written.get(..end)?;
        // Some have a number behind them.
        let bare = written.trim_end_matches(|c: char| c.is_ascii_digit());
        let name = NAMES.iter().find(|name| name.name == written || name.name == bare)?;
        name.is_ignored_by(age).then(|| {
            let why = "this Pgpool passes over the line without an error, and the default holds";
            let finding = Finding::warning(written, format!("{file}:{number} sets {written}"), why);
            match name.instead {
                "" => {
                    Finding { why: "this Pgpool is too old for it, and passes over the line".to_owned(), ..finding }
                }
                instead => finding.write(file, instead),
            }
        })
    });
    let ignored: Vec<_> = ignored.collect();
    match ignored.is_empty() {
        true => vec![Finding::ok(file, format!("{file} has no name that this Pgpool is known to pass over"))],
        false => ignored,
    }
}

impl Name {
    fn is_ignored_by(&self, age: ServerAge) -> bool {
        let is_alias = self.name == "fail_over_on_backend_error" && !age.is_before(Release::new(4, 4));
        let too_new = self.before.is_some_and(|before| age.is_at_least(before)) && !is_alias;
        too_new || self.since.is_some_and(|since| age.is_before(since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_ignored_by_the_releases_that_do_not_heed_it() {
        let text = "# follow_master_command = 'x'\nfail_over_on_backend_error = off\n  follow_master_command='x'\n\
                    other_pgpool_hostname0 = 'a'\nauto_failback = off\nbackend_clustering_mode = 'raw' # x\n\
                    failover_on_backend_error_x = 1\n";
        let ignored = |major, minor| {
            let next = Release::new(major, minor + 1);
            let age = ServerAge::between(Release::new(major, minor), next);
            let findings = judge("f", text, age);
            findings.iter().map(|finding| finding.seen.clone()).collect::<Vec<_>>().join("; ")
        };
        assert_eq!(ignored(3, 7), "f:5 sets auto_failback; f:6 sets backend_clustering_mode");
        let old = "f:2 sets fail_over_on_backend_error";
        assert_eq!(ignored(4, 1), format!("{old}; f:6 sets backend_clustering_mode"));
        assert_eq!(
            ignored(4, 3),
            format!("{old}; f:3 sets follow_master_command; f:4 sets other_pgpool_hostname0")
        );
        assert_eq!(ignored(4, 6), "f:3 sets follow_master_command; f:4 sets other_pgpool_hostname0");
        let fine = judge("f", "failover_on_backend_error = off", ServerAge::since(Release::new(4, 7)));
        assert_eq!(fine[0].severity, super::super::finding::Severity::Ok);
    }
}
