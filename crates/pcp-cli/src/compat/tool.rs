//! The tools by their names.

use std::ffi::OsStr;
use std::path::Path;

use super::form::Form;
use super::getopt::{Long, Value};

/// One of Pgpool's own command line tools.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Tool {
    AttachNode,
    DetachNode,
    HealthCheckStats,
    InvalidateQueryCache,
    LogRotate,
    NodeCount,
    NodeInfo,
    PoolStatus,
    ProcCount,
    ProcInfo,
    PromoteNode,
    RecoveryNode,
    ReloadConfig,
    StopPgpool,
    WatchdogInfo,
}

use Tool::*;

impl Tool {
    /// Every tool, in the order of their names.
    pub(crate) const ALL: [Self; 15] = [
        AttachNode,
        DetachNode,
        HealthCheckStats,
        InvalidateQueryCache,
        LogRotate,
        NodeCount,
        NodeInfo,
        PoolStatus,
        ProcCount,
        ProcInfo,
        PromoteNode,
        RecoveryNode,
        ReloadConfig,
        StopPgpool,
        WatchdogInfo,
    ];

    /// Finds the tool whose name a program was started under.
    pub(crate) fn started_as(argv0: &OsStr) -> Option<Self> {
        let name = Path::new(argv0).file_name()?;
        Self::ALL.into_iter().find(|tool| name == tool.name())
    }

    /// Returns the name of its program.
    pub(crate) fn name(self) -> &'static str {
        match self {
            AttachNode => "pcp_attach_node",
            DetachNode => "pcp_detach_node",
            HealthCheckStats => "pcp_health_check_stats",
            InvalidateQueryCache => "pcp_invalidate_query_cache",
            LogRotate => "pcp_log_rotate",
            NodeCount => "pcp_node_count",
            NodeInfo => "pcp_node_info",
            PoolStatus => "pcp_pool_status",
            ProcCount => "pcp_proc_count",
            ProcInfo => "pcp_proc_info",
            PromoteNode => "pcp_promote_node",
            RecoveryNode => "pcp_recovery_node",
            ReloadConfig => "pcp_reload_config",
            StopPgpool => "pcp_stop_pgpool",
            WatchdogInfo => "pcp_watchdog_info",
        }
    }

    /// Returns what its help says that it does.
    pub(super) fn description(self, form: Form) -> &'static str {
        match self {
            AttachNode => "attach a node from pgpool-II",
            DetachNode => "detach a node from pgpool-II",
            HealthCheckStats => "display a pgpool-II health check stats data",
            InvalidateQueryCache => "invalidate query cache",
            LogRotate => "rotate the Pgpool-II's log file",
            NodeCount => "display the total number of nodes under pgpool-II's control",
            NodeInfo => "display a pgpool-II node's information",
            PoolStatus => "display pgpool configuration and status",
            ProcCount => "display the list of pgpool-II child process PIDs",
            ProcInfo => "display a pgpool-II child process' information",
            PromoteNode if form.is_at_least(4, 2) => "promote a node as new main from pgpool-II",
            PromoteNode => "promote a node as new master from pgpool-II",
            RecoveryNode => "recover a node",
            ReloadConfig => "reload a pgpool-II config file",
            StopPgpool => "terminate pgpool-II",
            WatchdogInfo => "display a pgpool-II watchdog's information",
        }
    }

    /// Returns its short options as getopt takes them.
    pub(super) fn short_options(self, form: Form) -> &'static str {
        match self {
            AttachNode | HealthCheckStats | RecoveryNode | WatchdogInfo => "n:h:p:U:wWvd",
            DetachNode => "n:h:p:U:gwWvd",
            InvalidateQueryCache | LogRotate | ReloadConfig => "h:p:U:s:wWvd",
            NodeCount | PoolStatus | ProcCount => "h:p:U:wWvd",
            NodeInfo if form.is_at_least(4, 3) => "n:h:p:U:awWvd",
            NodeInfo => "n:h:p:U:wWvd",
            ProcInfo => "h:p:P:U:awWvd",
            PromoteNode if form.is_at_least(4, 3) => "n:h:p:U:gswWvd",
            PromoteNode => "n:h:p:U:gwWvd",
            StopPgpool if form.is_at_least(4, 2) => "m:h:p:U:s:wWvda",
            StopPgpool => "m:h:p:U:wWvd",
        }
    }

    /// Tells whether nothing can be asked without a node id.
    pub(super) fn needs_node(self, form: Form) -> bool {
        match self {
            AttachNode | DetachNode | HealthCheckStats | PromoteNode | RecoveryNode => true,
            NodeInfo => !form.is_at_least(4, 3),
            _ => false,
        }
    }

    /// Tells whether it can act on a whole watchdog cluster.
    pub(super) fn has_scope(self, form: Form) -> bool {
        matches!(self, StopPgpool | ReloadConfig | LogRotate) && form.is_at_least(4, 2)
    }
}

/// Returns the long options, the same for every tool.
pub(super) fn long_options(form: Form) -> impl Iterator<Item = Long> {
    const OPTIONS: [(Long, (u8, u8)); 17] = [
        (Long { name: "help", value: Value::None, short: '?' }, (3, 5)),
        (Long { name: "debug", value: Value::None, short: 'd' }, (3, 5)),
        (Long { name: "version", value: Value::None, short: 'V' }, (3, 5)),
        (Long { name: "host", value: Value::Required, short: 'h' }, (3, 5)),
        (Long { name: "port", value: Value::Required, short: 'p' }, (3, 5)),
        (Long { name: "process-id", value: Value::Required, short: 'P' }, (3, 5)),
        (Long { name: "username", value: Value::Required, short: 'U' }, (3, 5)),
        (Long { name: "no-password", value: Value::None, short: 'w' }, (3, 5)),
        (Long { name: "password", value: Value::None, short: 'W' }, (3, 5)),
        (Long { name: "mode", value: Value::Required, short: 'm' }, (3, 5)),
        (Long { name: "scope", value: Value::Required, short: 's' }, (4, 2)),
        (Long { name: "gracefully", value: Value::None, short: 'g' }, (3, 5)),
        (Long { name: "switchover", value: Value::None, short: 's' }, (4, 3)),
        (Long { name: "verbose", value: Value::None, short: 'v' }, (3, 5)),
        (Long { name: "all", value: Value::None, short: 'a' }, (3, 5)),
        (Long { name: "node-id", value: Value::Required, short: 'n' }, (3, 5)),
        (Long { name: "watchdog-id", value: Value::Required, short: 'n' }, (3, 5)),
    ];
    let known = OPTIONS.into_iter().filter(move |&(_, (major, minor))| form.is_at_least(major, minor));
    known.map(|(option, _)| option)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_is_known_by_the_last_part_of_its_path() {
        for (argv0, tool) in [
            ("pcp_node_info", Some(NodeInfo)),
            ("/usr/lib/pcpctl/pcp_node_info", Some(NodeInfo)),
            ("./pcp_stop_pgpool", Some(StopPgpool)),
            ("pcpctl", None),
            ("pcp_node_info/pcpctl", None),
            ("pcp_node_infos", None),
            ("", None),
        ] {
            assert_eq!(Tool::started_as(argv0.as_ref()), tool, "{argv0}");
        }
        let names = Tool::ALL.map(Tool::name);
        assert!(names.is_sorted() && names.iter().all(|name| name.starts_with("pcp_")));
    }
}
