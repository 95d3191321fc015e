//! Pool status: the parameters that each age lists.

use std::fmt::Display;
use std::time::Duration;

use pcp_proto::Release;
use pcp_proto::message::{MessageLevel, Parameter, PoolStatus};

use super::{FailoverCommand, Mode, Node, World, layout};

/// Since and before which release a parameter is listed.
type Life = (Option<Release>, Option<Release>);

/// A parameter: its name, when it is listed, its value and its description.
type Row = (&'static str, Life, Value, &'static str);

/// Where a parameter's value comes from.
#[derive(Clone, Copy)]
enum Value {
    Text(&'static str),
    Of(fn(&World) -> String),
}

use Value::{Of, Text};

const ALWAYS: Life = (None, None);

const fn since(major: u8, minor: u8) -> Life {
    (Some(Release::new(major, minor)), None)
}

const fn before(major: u8, minor: u8) -> Life {
    (None, Some(Release::new(major, minor)))
}

const fn between((major, minor): (u8, u8), (before_major, before_minor): (u8, u8)) -> Life {
    (since(major, minor).0, before(before_major, before_minor).1)
}

/// A part of what real servers list, in their order; some 100 parameters that nothing here depends on are left out.
#[rustfmt::skip]
const ROWS: &[Row] = &[
    ("backend_clustering_mode", since(4, 3), Of(clustering_mode), "clustering mode"),
    ("listen_addresses", ALWAYS, Text("*"), "host name(s) or IP address(es) to listen on"),
    ("port", ALWAYS, Text("9999"), "pgpool accepting port number"),
    ("socket_dir", before(4, 4), Text("/tmp"), "pgpool socket directory"),
    ("unix_socket_directories", since(4, 4), Text("/tmp"), "pgpool socket directories"),
    ("pcp_listen_addresses", ALWAYS, Text("*"), "host name(s) or IP address(es) for pcp process to listen on"),
    ("pcp_port", ALWAYS, Text("9898"), "PCP port # to bind"),
    ("pcp_socket_dir", ALWAYS, Text("/tmp"), "PCP socket directory"),
    ("enable_pool_hba", ALWAYS, Text("0"), "if true, use pool_hba.conf for client authentication"),
    ("authentication_timeout", before(3, 7), Text("60"), "maximum time in seconds to complete client authentication"),
    ("authentication_timeout", between((3, 7), (4, 3)), Text("0"), "maximum time in seconds to complete client authentication"),
    ("authentication_timeout", since(4, 3), Text("60"), "maximum time in seconds to complete client authentication"),
    ("ssl", ALWAYS, Text("0"), "SSL support"),
    ("num_init_children", before(4, 4), Of(|world| world.settings().num_init_children.to_string()), "# of children initially pre-forked"),
    ("listen_backlog_multiplier", before(3, 7), Text("2"), "determines the size of the queue for pending connections"),
    ("listen_backlog_multiplier", between((3, 7), (4, 3)), Text("32"), "determines the size of the queue for pending connections"),
    ("listen_backlog_multiplier", since(4, 3), Text("2"), "determines the size of the queue for pending connections"),
    ("serialize_accept", ALWAYS, Text("0"), "whether to serialize accept() call"),
    ("reserved_connections", since(4, 1), Text("0"), "number of reserved connections"),
    ("max_pool", ALWAYS, Of(|world| world.settings().max_pool.to_string()), "max # of connection pool per child"),
    ("num_init_children", since(4, 4), Of(|world| world.settings().num_init_children.to_string()), "# of children initially pre-forked"),
    ("child_life_time", ALWAYS, Text("300"), "if idle for this seconds, child exits"),
    ("connection_life_time", ALWAYS, Text("0"), "if idle for this seconds, connection closes"),
    ("client_min_messages", ALWAYS, Of(client_min_messages), "controls which message should be sent to client"),
    ("log_pcp_processes", between((4, 5), (4, 6)), Text("1"), "if true, print PCP process forks and anormal exit status to the log"),
    ("log_pcp_processes", between((4, 6), (4, 7)), Text("1"), "if true, print PCP process forks and a normal exit status to the log"),
    ("log_pcp_processes", since(4, 7), Text("0"), "if true, print PCP process forks and a normal exit status to the log"),
    ("log_client_messages", since(4, 0), Text("0"), "if non 0, logs any client messages"),
    ("log_backend_messages", since(4, 6), Text("1"), "if non 0, logs any backend messages"),
    ("logdir", before(4, 7), Text("/tmp"), "PgPool status file logging directory"),
    ("work_dir", since(4, 7), Text("/tmp"), "directory to create pgpool_status and lock files"),
    ("replication_mode", before(4, 3), Text("0"), "non 0 if operating in replication mode"),
    ("load_balance_mode", ALWAYS, Text("1"), "non 0 if operating in load balancing mode"),
    ("master_slave_mode", before(4, 2), Of(master_slave_mode), "if true, operate in master/slave mode"),
    ("master_slave_sub_mode", before(4, 2), Of(master_slave_sub_mode), "master/slave sub mode"),
    ("sr_check_period", ALWAYS, Of(|world| seconds(world.settings().sr_check_period)), "sr check period"),
    ("sr_check_user", ALWAYS, Text("pgpool"), "sr check user"),
    ("delay_threshold", ALWAYS, Text("0"), "standby delay threshold"),
    ("delay_threshold_by_time", since(4, 4), Of(delay_threshold_by_time), "standby delay threshold by time"),
    ("follow_master_command", before(4, 2), Of(follow_primary_command), "follow master command"),
    ("follow_primary_command", since(4, 2), Of(follow_primary_command), "follow primary command"),
    ("health_check_period", ALWAYS, Of(|world| seconds(world.settings().health_check_period)), "health check period"),
    ("health_check_timeout", ALWAYS, Text("20"), "health check timeout"),
    ("health_check_max_retries", ALWAYS, Text("0"), "health check max retries"),
    ("connect_timeout", ALWAYS, Of(|world| world.settings().connect_timeout.as_millis().to_string()), "connect timeout"),
    ("failover_command", ALWAYS, Of(failover_command), "failover command"),
    ("failback_command", ALWAYS, Text(""), "failback command"),
    ("fail_over_on_backend_error", before(4, 0), Text("0"), "fail over on backend error"),
    ("failover_on_backend_error", since(4, 0), Text("0"), "failover on backend error"),
    ("failover_on_backend_shutdown", between((4, 3), (4, 6)), Text("1"), "failover on backend shutdown"),
    ("failover_on_backend_shutdown", since(4, 6), Text("0"), "failover on backend shutdown"),
    ("detach_false_primary", since(4, 0), Text("0"), "detach false primary"),
    ("auto_failback", since(4, 1), Text("0"), "auto_failback"),
    ("recovery_timeout", ALWAYS, Of(|world| seconds(world.settings().recovery_timeout)), "max time in seconds to wait for the recovering node's postmaster"),
    ("search_primary_node_timeout", ALWAYS, Of(|world| seconds(world.settings().search_primary_node_timeout)), "max time in seconds to search for primary node after failover"),
    ("relcache_expire", ALWAYS, Text("0"), "relation cache expiration time in seconds"),
    ("use_watchdog", ALWAYS, Of(|world| flag(world.settings().watchdog.is_some())), "non 0 if operating in use_watchdog"),
    ("delegate_IP", before(4, 2), Text(""), "delegate IP address of master pgpool"),
    ("delegate_IP", between((4, 2), (4, 5)), Text(""), "delegate IP address of leader pgpool"),
    ("delegate_ip", since(4, 5), Text(""), "delegate IP address of leader pgpool"),
    ("wd_lifecheck_password", before(4, 3), Text("postgres"), "password for watchdog user in lifecheck"),
    ("wd_priority", ALWAYS, Text("1"), "watchdog priority"),
    ("memory_cache_enabled", ALWAYS, Of(|world| flag(world.settings().memory_cache_enabled)), "If true, use the memory cache functionality, false by default"),
];

impl World {
    /// Returns what pool status says.
    pub(super) fn pool_status(&self) -> PoolStatus {
        let release = self.age().release();
        let is_listed = |&&(_, (since, before), _, _): &&Row| {
            since.is_none_or(|since| release >= since) && before.is_none_or(|before| release < before)
        };
        let settings = ROWS.iter().filter(is_listed).map(|&(name, _, value, description)| match value {
            Text(value) => parameter(name, value, description),
            Of(value) => parameter(name, value(self), description),
        });
        let nodes = self.nodes().iter().enumerate().flat_map(|(id, node)| self.rows_of(id, node));
        let mut parameters: Vec<_> = settings.chain(nodes).collect();
        for (name, value) in &self.settings().shown {
            match parameters.iter_mut().find(|parameter| parameter.name == name.as_str()) {
                Some(parameter) => parameter.value = value.as_str().into(),
                None => parameters.push(parameter(name, value, "")),
            }
        }
        PoolStatus { parameters }
    }

    fn rows_of(&self, id: usize, node: &Node) -> Vec<Parameter> {
        let release = self.age().release();
        let status = match release < Release::new(3, 7) {
            true => node.status.code().to_string(),
            false => self.status_word(node).to_string(),
        };
        let row = |name: &str, value: &dyn Display, description: String| {
            parameter(&format!("{name}{id}"), value, &description)
        };
        let share = format!("{:.6}", self.weight_share(node));
        let mut rows = vec![
            row("backend_hostname", &node.host, format!("backend #{id} hostname")),
            row("backend_port", &node.port, format!("backend #{id} port number")),
            row("backend_weight", &share, format!("weight of backend #{id}")),
            row("backend_data_directory", &"/var/lib/postgresql/data", format!("data directory for backend #{id}")),
            row("backend_status", &status, format!("status of backend #{id}")),
            row("standby_delay", &layout::delay(node), format!("standby delay of backend #{id}")),
            row("backend_flag", &node.flag.word(), format!("backend #{id} flag")),
        ];
        if release >= Release::new(4, 1) {
            let name = format!("server{id}");
            rows.push(row("backend_application_name", &name, format!("application_name for backend #{id}")));
        }
        rows
    }
}

fn parameter(name: &str, value: impl Display, description: &str) -> Parameter {
    Parameter { name: name.into(), value: value.to_string().into(), description: description.into() }
}

fn clustering_mode(world: &World) -> String {
    match world.settings().mode {
        Mode::Streaming => "1",
        Mode::Raw => "5",
    }
    .to_owned()
}

fn master_slave_mode(world: &World) -> String {
    flag(world.settings().mode == Mode::Streaming)
}

/// 3.5 sends the word of `pgpool.conf`, later servers a code.
fn master_slave_sub_mode(world: &World) -> String {
    if world.age().release() < Release::new(3, 7) { "stream" } else { "2" }.to_owned()
}

/// The level's number among all levels that servers know; those that only a log has come first.
fn client_min_messages(world: &World) -> String {
    let level = world.settings().client_min_messages;
    (10 + MessageLevel::ALL.into_iter().take_while(|&other| other != level).count()).to_string()
}

fn delay_threshold_by_time(world: &World) -> String {
    if world.nodes().iter().any(layout::is_time) { "1000" } else { "0" }.to_owned()
}

fn failover_command(world: &World) -> String {
    match world.settings().failover_command {
        FailoverCommand::Unset => "",
        FailoverCommand::Promotes => "/etc/pgpool-II/failover.sh",
    }
    .to_owned()
}

fn follow_primary_command(world: &World) -> String {
    world.settings().follow_primary_command.clone()
}

fn seconds(time: Duration) -> String {
    time.as_secs().to_string()
}

fn flag(is_on: bool) -> String {
    u8::from(is_on).to_string()
}

#[cfg(test)]
mod tests {
    use pcp_proto::ServerAge;
    use pcp_proto::message::{NodeStatus, ReadPoolStatus};

    use super::super::test::Drill;
    use super::super::{Age, FailoverFlag};
    use super::*;

    fn status(age: Age) -> PoolStatus {
        let world = World::new(age).node("10.0.0.1", 5432);
        let world = world.node_with("10.0.0.2", 5433, |node| {
            node.status = NodeStatus::Waiting;
            node.flag = FailoverFlag::DisallowToFailover;
        });
        let world = world.configure(|settings| {
            settings.follow_primary_command = "follow".to_owned();
            settings.health_check_period = Duration::from_secs(5);
        });
        Drill::new(world).ask(&ReadPoolStatus).unwrap()
    }

    #[test]
    fn the_age_is_read_back_from_the_names() {
        let markers = [(3, 5), (4, 0), (4, 1), (4, 2), (4, 3), (4, 4), (4, 5), (4, 6), (4, 7)];
        let markers = markers.map(|(x, y)| Release::new(x, y));
        for age in Age::ALL {
            let expected = markers.into_iter().filter(|&marker| marker <= age.release()).max();
            assert_eq!(Some(ServerAge::of(&status(age)).at_least), expected, "{age}");
        }
    }

    #[test]
    fn nodes_are_listed_in_the_form_of_the_age() {
        for age in Age::ALL {
            let status = status(age);
            let node = &status.nodes().unwrap()[1];
            assert_eq!((&node.host, node.port, node.status), (&"10.0.0.2".into(), 5433, Some(NodeStatus::Waiting)));
            assert_eq!(node.flag, "DISALLOW_TO_FAILOVER");
            let word = if age == Age::V3_5 { "1" } else { "waiting" };
            assert_eq!(status.value("backend_status1"), Some(&word.into()), "{age}");
            assert_eq!(status.value("backend_weight0"), Some(&"0.500000".into()));
        }
    }

    #[test]
    fn values_are_shown_as_told() {
        let world = World::new(Age::V4_7).node("10.0.0.1", 5432).configure(|settings| {
            settings.shown.insert("auto_failback".to_owned(), "1".to_owned());
            settings.shown.insert("new_name".to_owned(), "x".to_owned());
        });
        let status = Drill::new(world).ask(&ReadPoolStatus).unwrap();
        assert_eq!((status.number("auto_failback"), status.value("new_name")), (Some(1), Some(&"x".into())));
        assert_eq!(status.parameters.iter().filter(|parameter| parameter.name == "auto_failback").count(), 1);
    }

    #[test]
    fn settings_are_listed_under_the_names_of_the_age() {
        for age in Age::ALL {
            let status = status(age);
            let has = |name: &str| status.value(name).is_some();
            let number = |name: &str| status.number(name);
            assert_eq!(number("search_primary_node_timeout"), Some(3));
            assert_eq!(number("health_check_period"), Some(5));
            assert_eq!(number("connect_timeout"), Some(10_000));
            assert_eq!(number("use_watchdog"), Some(0));
            let (old, new) = ("follow_master_command", "follow_primary_command");
            let (listed, other) = if age < Age::V4_2 { (old, new) } else { (new, old) };
            assert_eq!((status.value(listed), has(other)), (Some(&"follow".into()), false), "{age}");
            assert_eq!(has("fail_over_on_backend_error"), age < Age::V4_0);
            assert_eq!(has("backend_clustering_mode"), age >= Age::V4_3_0);
            assert_eq!(has("master_slave_mode"), age < Age::V4_2);
        }
    }
}
