//! The settings of a sandbox.

use std::collections::BTreeMap;
use std::time::Duration;

use pcp_proto::Credentials;
use pcp_proto::message::MessageLevel;

use super::watchdog::Watchdog;

/// What `pgpool.conf` and `pcp.conf` would say, and how the sandbox behaves beside.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Settings {
    /// Who may log in; `None` is nobody. [`World::USER`](super::World::USER) with
    /// [`World::PASSWORD`](super::World::PASSWORD) unless set.
    pub credentials: Option<Credentials>,
    /// How long a primary is searched; zero is for ever. 3 s unless set, whole seconds on the wire.
    pub search_primary_node_timeout: Duration,
    /// Zero, the default, turns health checks off, and with them the live part of node info.
    pub health_check_period: Duration,
    /// How often the replication of standbys is looked at, as pool status tells it. 10 s unless set; what is shown of it
    /// is always true here.
    pub sr_check_period: Duration,
    /// What a silent host costs whoever connects to it. 10 s unless set.
    pub connect_timeout: Duration,
    /// The command for standbys after a change of primary; unset when empty. It is not run:
    /// [`World::follow_runs`](super::World::follow_runs) tells what would be.
    pub follow_primary_command: String,
    /// The command that runs when a node goes down.
    pub failover_command: FailoverCommand,
    /// How many children serve SQL sessions. 32 unless set.
    pub num_init_children: usize,
    /// How many pools of connections each child has. 4 unless set.
    pub max_pool: usize,
    /// The process id of the first child; the others follow it. Old servers cut long ones in the process count.
    pub first_process_id: u32,
    /// How long a graceful request waits for the sessions to end. 90 s unless set; servers count it in steps of
    /// three seconds.
    pub recovery_timeout: Duration,
    /// How long online recovery of a node takes, 5 s unless set; `None` is a PostgreSQL without the functions for
    /// it, where recovery fails.
    pub recovery_time: Option<Duration>,
    /// Whether there is a log file that can be rotated.
    pub logging_collector: bool,
    /// Whether there is a query cache that can be emptied.
    pub memory_cache_enabled: bool,
    /// What a connection tells in notices unless it asks for more. From debug1 on there are some, even before the
    /// salt.
    pub client_min_messages: MessageLevel,
    /// What the nodes are to each other.
    pub mode: Mode,
    /// The watchdog, where it is on.
    pub watchdog: Option<Watchdog>,
    /// How long the main process takes from a request to its effect. 2 ms unless set.
    pub operation_delay: Duration,
    /// What pool status shows in the place of its own values, or besides, by the names of the parameters. Nothing else
    /// changes by it.
    pub shown: BTreeMap<String, String>,
    /// Whether workers crash on a second request without a payload, as those of 3.5.23, 3.6.19, 3.7.12, 4.0.7,
    /// 4.1.0 and some releases after each do.
    pub crashes_on_bare_requests: bool,
    /// Whether replacing the PCP process resets the connections that wait for their salt, or the next one that
    /// comes where none waits.
    pub resets_at_replacement: bool,
}

/// What the nodes are to each other: `backend_clustering_mode`, or what was there before it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Mode {
    /// Streaming replication: one primary, and standbys.
    #[default]
    Streaming,
    /// Nothing: the first node that is up is used.
    Raw,
}

/// What the command does that runs when a node goes down; it takes no time here.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum FailoverCommand {
    /// There is none.
    #[default]
    Unset,
    /// It promotes the PostgreSQL that is to follow a primary: the node that a switchover names, or else the first
    /// one that is up.
    Promotes,
}

impl Settings {
    pub(super) fn new(credentials: Option<Credentials>) -> Self {
        Self {
            credentials,
            search_primary_node_timeout: Duration::from_secs(3),
            health_check_period: Duration::ZERO,
            sr_check_period: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(10),
            follow_primary_command: String::new(),
            failover_command: FailoverCommand::default(),
            num_init_children: 32,
            max_pool: 4,
            first_process_id: 21_926,
            recovery_timeout: Duration::from_secs(90),
            recovery_time: Some(Duration::from_secs(5)),
            logging_collector: false,
            memory_cache_enabled: false,
            client_min_messages: MessageLevel::Notice,
            mode: Mode::default(),
            watchdog: None,
            operation_delay: Duration::from_millis(2),
            shown: BTreeMap::new(),
            crashes_on_bare_requests: false,
            resets_at_replacement: false,
        }
    }
}
