//! Every metric. docs/exporter.md has the same list; a test compares them.

use super::page::{Kind, Metric};

/// Declares the metrics, and a list of them in their order.
macro_rules! metrics {
    ($($id:ident: $kind:ident $name:literal $help:literal;)*) => {
        $(pub(super) const $id: Metric = Metric { name: $name, kind: Kind::$kind, help: $help };)*

        /// Every metric, in the order of the page.
        pub(super) const ALL: &[Metric] = &[$($id),*];
    };
}

metrics! {
    // As pgpool2_exporter names them.
    UP: Gauge "pgpool2_up" "Whether Pgpool answers on its PCP port (1 for yes, 0 for no).";
    LAST_SCRAPE_DURATION: Gauge "pgpool2_last_scrape_duration_seconds" "How long the last reading of this Pgpool took.";
    LAST_SCRAPE_ERROR: Gauge "pgpool2_last_scrape_error" "Whether any part of the last reading of this Pgpool failed (1 for yes, 0 for no).";
    SCRAPES: Counter "pgpool2_scrapes_total" "Readings of this Pgpool since the exporter's start.";
    NODE_STATUS: Gauge "pgpool2_pool_nodes_status" "Whether the node is up or waiting (1) or down, in quarantine or unused (0).";
    NODE_DELAY: Gauge "pgpool2_pool_nodes_replication_delay" "How far the node is behind the primary, in bytes; absent where Pgpool measures a time.";
    HEALTH_STATUS: Gauge "pgpool2_pool_health_check_stats_status" "Whether the node is up or waiting (1) or down, in quarantine or unused (0).";
    HEALTH_TOTAL: Gauge "pgpool2_pool_health_check_stats_total_count" "Health checks of the node since Pgpool's start.";
    HEALTH_SUCCESS: Gauge "pgpool2_pool_health_check_stats_success_count" "Health checks that succeeded.";
    HEALTH_FAIL: Gauge "pgpool2_pool_health_check_stats_fail_count" "Health checks that failed.";
    HEALTH_SKIP: Gauge "pgpool2_pool_health_check_stats_skip_count" "Health checks that were skipped because the node was down.";
    HEALTH_RETRY: Gauge "pgpool2_pool_health_check_stats_retry_count" "Retries of health checks.";
    HEALTH_AVERAGE_RETRY: Gauge "pgpool2_pool_health_check_stats_average_retry_count" "Retries per health check; absent before the first one.";
    HEALTH_MAX_RETRY: Gauge "pgpool2_pool_health_check_stats_max_retry_count" "The most retries of one health check.";
    HEALTH_MAX_DURATION: Gauge "pgpool2_pool_health_check_stats_max_duration" "The longest health check, in milliseconds.";
    HEALTH_MIN_DURATION: Gauge "pgpool2_pool_health_check_stats_min_duration" "The shortest health check, in milliseconds.";
    HEALTH_AVERAGE_DURATION: Gauge "pgpool2_pool_health_check_stats_average_duration" "The mean duration of a health check, in milliseconds; absent before the first one.";
    FRONTEND_TOTAL: Gauge "pgpool2_frontend_total" "Child processes that there is room for: num_init_children.";
    FRONTEND_USED: Gauge "pgpool2_frontend_used" "Child processes that serve a client, by its user and database.";
    FRONTEND_USED_RATIO: Gauge "pgpool2_frontend_used_ratio" "The part of the child processes that serve a client, 0 to 1.";
    BACKEND_TOTAL: Gauge "pgpool2_backend_total" "Connections to nodes that there is room for: num_init_children x max_pool x nodes.";
    BACKEND_USED: Gauge "pgpool2_backend_used" "Connections to nodes in the pools, whether or not a client uses them.";
    BACKEND_USED_RATIO: Gauge "pgpool2_backend_used_ratio" "The part of the connections that there is room for, 0 to 1.";

    // Our own.
    SERVER_INFO: Gauge "pgpool2_pcp_server_info" "Always 1; the labels tell how old Pgpool is, as far as PCP tells.";
    SCRAPE_ERRORS: Counter "pgpool2_pcp_scrape_errors_total" "Readings of this Pgpool that failed as a whole, by the reason.";
    COLLECTOR_SUCCESS: Gauge "pgpool2_pcp_collector_success" "Whether this part of the last reading succeeded (1 for yes, 0 for no).";
    NODE_STATE: Gauge "pgpool2_pcp_node_state" "1 for the state that the node is in, 0 for the others.";
    NODE_PRIMARY: Gauge "pgpool2_pcp_node_primary" "Whether Pgpool takes the node for the primary, be it up or down; absent where Pgpool tells no role.";
    NODE_WEIGHT: Gauge "pgpool2_pcp_node_weight_ratio" "The part of the load that is for the node, 0 to 1.";
    NODE_DELAY_SECONDS: Gauge "pgpool2_pcp_node_replication_delay_seconds" "How far the node is behind the primary; absent where Pgpool measures bytes.";
    NODE_CHANGED: Gauge "pgpool2_pcp_node_last_status_change_timestamp_seconds" "When the status of the node changed last.";
    NODE_PROTECTED: Gauge "pgpool2_pcp_node_failover_disallowed" "Whether the node has the flag DISALLOW_TO_FAILOVER.";
    NODE_REPLICATION: Gauge "pgpool2_pcp_node_replication_info" "Always 1; the labels tell how the node replicates. Absent where Pgpool would have to connect to it, without --live.";
    NODE_POSTGRES_UP: Gauge "pgpool2_pcp_node_postgres_up" "Whether PostgreSQL itself answered Pgpool (1 for yes, 0 for no); only with --live.";
    NODE_POSTGRES_PRIMARY: Gauge "pgpool2_pcp_node_postgres_primary" "Whether PostgreSQL itself is no standby (1) or is one (0); only with --live.";
    PRIMARIES_UP: Gauge "pgpool2_pcp_primaries_up" "Nodes that Pgpool takes for the primary and that are up; absent where Pgpool tells no role.";
    HEALTH_LAST: Gauge "pgpool2_pcp_health_check_last_timestamp_seconds" "When the node was checked last.";
    HEALTH_LAST_SUCCESS: Gauge "pgpool2_pcp_health_check_last_success_timestamp_seconds" "When a check of the node succeeded last.";
    HEALTH_LAST_FAILURE: Gauge "pgpool2_pcp_health_check_last_failure_timestamp_seconds" "When a check of the node failed last.";
    HEALTH_LAST_SKIP: Gauge "pgpool2_pcp_health_check_last_skip_timestamp_seconds" "When a check of the node was skipped last.";
    CHILDREN: Gauge "pgpool2_pcp_children" "Child processes by what they do; since 4.3.";
    CHILDREN_RUNNING: Gauge "pgpool2_pcp_children_running" "Child processes that run.";
    LONGEST_IDLE: Gauge "pgpool2_pcp_client_longest_idle_seconds" "The longest time for which a client has been idle; since 4.3, absent without clients.";
    BACKEND_CONNECTIONS: Gauge "pgpool2_pcp_backend_connections" "Connections to the node in the pools, whether or not a client uses them.";
    SETTING: Gauge "pgpool2_pcp_setting" "Settings of Pgpool, in the units of pool_status.";
    WATCHDOG_ENABLED: Gauge "pgpool2_pcp_watchdog_enabled" "Whether use_watchdog is on.";
    WATCHDOG_QUORUM: Gauge "pgpool2_pcp_watchdog_quorum_status" "1 the quorum exists, 0 it is on the edge, -1 it is absent, -2 there is no leader.";
    WATCHDOG_ESCALATED: Gauge "pgpool2_pcp_watchdog_escalated" "Whether this Pgpool is escalated: it holds the virtual address, where there is one.";
    WATCHDOG_LEADER: Gauge "pgpool2_pcp_watchdog_leader" "Whether this Pgpool leads.";
    WATCHDOG_LEADER_INFO: Gauge "pgpool2_pcp_watchdog_leader_info" "Always 1; the labels tell whom this Pgpool takes for the leader.";
    WATCHDOG_MEMBERS: Gauge "pgpool2_pcp_watchdog_members" "Members of the cluster, this Pgpool included.";
    WATCHDOG_REMOTE_ALIVE: Gauge "pgpool2_pcp_watchdog_remote_members_alive" "Members beside this Pgpool that are alive.";
    WATCHDOG_REQUIRED: Gauge "pgpool2_pcp_watchdog_quorum_members" "Members that a quorum needs; since 4.3.";
    WATCHDOG_MEMBER_STATE: Gauge "pgpool2_pcp_watchdog_member_state" "The state of the member: 4 leader, 7 standby, 8 lost, 10 shut down, and others.";
    WATCHDOG_MEMBER_LOST: Gauge "pgpool2_pcp_watchdog_member_lost" "Whether the member takes no part: dead, lost, in network trouble, shut down or isolated.";
    BUILD_INFO: Gauge "pgpool2_pcp_exporter_build_info" "Always 1; the label tells the version of pcpctl.";
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    const DOCS: &str = include_str!("../../../../../docs/exporter.md");
    const RULES: &str = include_str!("../../../../../packaging/prometheus/pcpctl.rules.yml");
    const DASHBOARD: &str = include_str!("../../../../../packaging/grafana/pcpctl.json");

    #[test]
    fn the_docs_list_every_metric_and_no_other() {
        for Metric { name, kind, help } in ALL {
            let kind = if *kind == Kind::Counter { "counter" } else { "gauge" };
            let row = format!("| `{name}` | {kind} | ");
            let line = DOCS.lines().find(|line| line.starts_with(&row)).unwrap_or_else(|| panic!("{name}"));
            assert!(line.ends_with(&format!(" | {} |", help.trim_end_matches('.'))), "{line}");
        }
        let rows = DOCS.lines().filter(|line| line.starts_with("| `pgpool2_"));
        assert_eq!(rows.count(), ALL.len());
    }

    #[test]
    fn rules_and_dashboard_ask_for_metrics_that_there_are() {
        let known: HashSet<_> = ALL.iter().map(|metric| metric.name).collect();
        for text in [RULES, DASHBOARD] {
            let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            let metrics: Vec<_> = words.filter(|word| word.starts_with("pgpool2_")).collect();
            assert!(metrics.len() > 20);
            assert!(metrics.iter().all(|metric| known.contains(metric)), "{metrics:?}");
        }
        assert!(serde_json::from_str::<serde_json::Value>(DASHBOARD).is_ok());
    }

    #[test]
    fn names_keep_the_rules_of_prometheus() {
        for Metric { name, kind, help } in ALL {
            assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_'));
            assert!(!help.contains(['\\', '\n']), "{name}: would have to be escaped");
            if *kind == Kind::Counter {
                assert!(name.ends_with("_total"), "{name}");
            }
        }
    }
}
