//! `pgpool.conf`: what an external failover manager's manual asks for, spelled as each version wants it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::Ipv4Addr;

use crate::Version;

/// The PostgreSQL nodes' port; not the default, so that nothing works by luck.
pub(crate) const POSTGRES_PORT: u16 = 5433;

/// Settings of a cluster's Pgpool that differ from the defaults below.
///
/// The default is the configuration for a Pgpool whose failovers are decided elsewhere: no health checks, no
/// failover by itself, no failover, failback or follow command, `search_primary_node_timeout = 3`, load balancing,
/// all nodes `ALLOW_TO_FAILOVER`, 8 children.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    changed: BTreeMap<String, String>,
    pgpools: Pgpools,
}

/// The Pgpools before the nodes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Pgpools {
    /// A single one.
    #[default]
    One,
    /// Two that know nothing of each other.
    TwoIndependent,
    /// Three with a watchdog between them.
    ThreeWithWatchdog,
}

impl Pgpools {
    pub(crate) const fn count(self) -> usize {
        match self {
            Self::One => 1,
            Self::TwoIndependent => 2,
            Self::ThreeWithWatchdog => 3,
        }
    }
}

/// The Pgpools of a cluster, and which of them a file is for.
pub(crate) struct Members<'a> {
    pub(crate) all: &'a [Ipv4Addr],
    pub(crate) this: usize,
}

impl Settings {
    /// Ask for three Pgpools with a watchdog between them, instead of a single one. There is no virtual address.
    #[must_use]
    pub fn watchdog(mut self) -> Self {
        self.pgpools = Pgpools::ThreeWithWatchdog;
        self
    }

    /// Ask for two Pgpools that know nothing of each other, instead of a single one.
    #[must_use]
    pub fn independent(mut self) -> Self {
        self.pgpools = Pgpools::TwoIndependent;
        self
    }

    /// Return the Pgpools that the cluster has.
    pub(crate) fn pgpools(&self) -> Pgpools {
        self.pgpools
    }

    /// Set a parameter, named as the newest Pgpool names it; the value is written as given, within quotes,
    /// of which it can hold none: Pgpool has no escape for them.
    ///
    /// Names that were others in 4.1 (`follow_primary_command`) are translated for it.
    #[must_use]
    pub fn set(mut self, name: &str, value: impl ToString) -> Self {
        self.changed.insert(name.to_owned(), value.to_string());
        self
    }

    /// Write the file for nodes at these addresses and one of these Pgpools.
    pub(crate) fn file(&self, version: Version, nodes: &[Ipv4Addr], members: &Members<'_>) -> String {
        let mut settings: BTreeMap<String, String> =
            DEFAULTS.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        for (id, address) in nodes.iter().enumerate() {
            for (name, value) in [
                ("hostname", address.to_string()),
                ("port", POSTGRES_PORT.to_string()),
                ("weight", "1".to_owned()),
                ("flag", "ALLOW_TO_FAILOVER".to_owned()),
                ("data_directory", "/run/pcp-tests/data".to_owned()),
                // Matches the standby's application_name: where replication_state comes from.
                ("application_name", node_name(id)),
            ] {
                settings.insert(format!("backend_{name}{id}"), value);
            }
        }
        if self.pgpools == Pgpools::ThreeWithWatchdog {
            settings.extend(watchdog(version, members));
        }
        settings.extend(self.changed.clone());

        let mut file = String::new();
        for (name, value) in settings {
            for (name, value) in spell(version, &name, &value) {
                // Writing to a String cannot fail.
                let _ = writeln!(file, "{name} = '{value}'");
            }
        }
        file
    }
}

/// Return the name that a node has for its peers.
pub(crate) fn node_name(id: usize) -> String {
    format!("node{id}")
}

// Named as in the newest version.
const DEFAULTS: [(&str, &str); 21] = [
    ("backend_clustering_mode", "streaming_replication"),
    ("load_balance_mode", "on"),
    ("failover_on_backend_error", "off"),
    ("health_check_period", "0"),
    ("failover_command", ""),
    ("failback_command", ""),
    ("search_primary_node_timeout", "3"),
    ("sr_check_period", "10"),
    ("sr_check_user", "pgpool"),
    ("sr_check_database", "postgres"),
    ("health_check_user", "pgpool"),
    ("health_check_database", "postgres"),
    ("listen_addresses", "*"),
    ("port", "9999"),
    ("pcp_listen_addresses", "*"),
    ("pcp_port", "9898"),
    ("num_init_children", "8"),
    ("connection_cache", "on"),
    ("log_destination", "stderr"),
    ("pid_file_name", "/var/lib/pcp-tests/pgpool.pid"),
    ("work_dir", "/var/lib/pcp-tests"),
];

const WATCHDOG_PORT: u16 = 9000;
const HEARTBEAT_PORT: u16 = 9694;

/// Lists what a member of a watchdog needs, with short times. Up to 4.1 each member's file names the others; later
/// all have the same and a file `pgpool_node_id` beside it.
fn watchdog(version: Version, members: &Members<'_>) -> Vec<(String, String)> {
    let mut settings: Vec<(String, String)> = [
        ("use_watchdog", "on"),
        ("wd_lifecheck_method", "heartbeat"),
        ("wd_interval", "1"),
        ("wd_heartbeat_keepalive", "1"),
        ("wd_heartbeat_deadtime", "5"),
        ("wd_ipc_socket_dir", "/tmp"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    let old = version == Version::V4_1;
    if old {
        let own = members.all.get(members.this).map(Ipv4Addr::to_string).unwrap_or_default();
        settings.push(("wd_hostname".to_owned(), own));
        settings.push(("wd_port".to_owned(), WATCHDOG_PORT.to_string()));
        settings.push(("wd_heartbeat_port".to_owned(), HEARTBEAT_PORT.to_string()));
    }
    let named = members.all.iter().enumerate().filter(|(id, _)| !old || *id != members.this);
    let names = if old {
        [
            "other_pgpool_hostname",
            "other_pgpool_port",
            "other_wd_port",
            "heartbeat_destination",
            "heartbeat_destination_port",
        ]
    } else {
        ["hostname", "pgpool_port", "wd_port", "heartbeat_hostname", "heartbeat_port"]
    };
    for (place, (_, address)) in named.enumerate() {
        let address = address.to_string();
        let values = [&address, "9999", &WATCHDOG_PORT.to_string(), &address, &HEARTBEAT_PORT.to_string()]
            .map(str::to_owned);
        settings.extend(names.map(|name| format!("{name}{place}")).into_iter().zip(values));
        settings.push((format!("heartbeat_device{place}"), String::new()));
    }
    settings
}

/// Translates a setting of the newest version to that version's.
fn spell(version: Version, name: &str, value: &str) -> Vec<(String, String)> {
    let renamed = match (version, name) {
        (Version::V4_1, "backend_clustering_mode") => {
            let stream = value == "streaming_replication";
            return vec![
                ("master_slave_mode".to_owned(), if stream { "on" } else { "off" }.to_owned()),
                ("master_slave_sub_mode".to_owned(), if stream { "stream" } else { "logical" }.to_owned()),
            ];
        }
        (Version::V4_1, "follow_primary_command") => "follow_master_command",
        (Version::V4_1 | Version::V4_3 | Version::V4_6, "work_dir") => "logdir",
        _ => name,
    };
    vec![(renamed.to_owned(), value.to_owned())]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(version: Version, settings: &Settings) -> String {
        let pgpools: Vec<Ipv4Addr> = (1..=3).map(|last| Ipv4Addr::new(10, 0, 1, last)).collect();
        settings.file(version, &[Ipv4Addr::new(10, 0, 0, 1)], &Members { all: &pgpools, this: 1 })
    }

    #[test]
    fn spells_each_version_its_own_way() {
        let settings = Settings::default().set("follow_primary_command", "/bin/true");
        let old = file(Version::V4_1, &settings);
        assert!(old.contains("master_slave_mode = 'on'\nmaster_slave_sub_mode = 'stream'\n"), "{old}");
        assert!(old.contains("follow_master_command = '/bin/true'\n"), "{old}");
        let new = file(Version::V4_7, &settings);
        assert!(new.contains("backend_clustering_mode = 'streaming_replication'\n"), "{new}");
        assert!(new.contains("follow_primary_command = '/bin/true'\n"), "{new}");
        assert!(new.contains("work_dir = '/var/lib/pcp-tests'\n") && old.contains("logdir = "), "{new}");
    }

    #[test]
    fn a_changed_setting_replaces_the_default() {
        let file =
            file(Version::V4_3, &Settings::default().set("health_check_period", 5).set("backend_weight0", 0));
        assert!(file.contains("health_check_period = '5'\n"), "{file}");
        assert!(file.contains("backend_weight0 = '0'\n"), "{file}");
        assert_eq!(file.matches("health_check_period ").count(), 1);
    }

    #[test]
    fn a_watchdog_member_names_the_others_or_all() {
        let old = file(Version::V4_1, &Settings::default().watchdog());
        assert!(old.contains("wd_hostname = '10.0.1.2'\n"), "{old}");
        assert!(old.contains("other_pgpool_hostname1 = '10.0.1.3'\n"), "{old}");
        assert!(!old.contains("other_pgpool_hostname2"), "{old}");
        let new = file(Version::V4_3, &Settings::default().watchdog());
        assert!(new.contains("hostname2 = '10.0.1.3'\n") && new.contains("wd_port2 = '9000'\n"), "{new}");
        for without in [Settings::default(), Settings::default().independent()] {
            assert!(!file(Version::V4_3, &without).contains("watchdog"));
        }
    }
}
