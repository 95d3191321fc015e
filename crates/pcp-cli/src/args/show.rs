//! What `show` takes.

use std::num::NonZeroU32;
use std::str::FromStr;

use clap::{Args, Subcommand, ValueEnum};

use super::values::NodeArg;
use super::{HelpArg, Lazy, ReadArgs, ends_after};

const EXAMPLES: &str = "\
Examples:
  pcpctl show nodes -h pgpool1,pgpool2
  pcpctl show processes --summary
  pcpctl show config 'health*'";

#[derive(Debug, Args)]
#[command(disable_help_flag = true, after_help = EXAMPLES)]
pub(crate) struct ShowArgs {
    #[command(subcommand)]
    pub(crate) what: ShowCommand,
    #[command(flatten)]
    help: HelpArg,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ShowCommand {
    /// Show the nodes: Pgpool's view, and PostgreSQL's own state where Pgpool asks for it.
    ///
    /// "waiting" means up: no session has used the node yet. PG STATUS and PG ROLE are what PostgreSQL itself answers
    /// Pgpool at this moment: since 4.3, and only with health checks on. Where the two disagree, a line below says so. A
    /// node that does not answer Pgpool hides only its own columns.
    ///
    /// DELAY is what a standby is behind, in bytes of write-ahead log, or as time where Pgpool measures that (since 4.4, by
    /// delay_threshold_by_time). Columns that a narrow terminal has no room for are named; a pipe gets all.
    Nodes(Lazy<ShowNodesArgs>),
    /// Show all that Pgpool knows of one node: state, replication, health checks, its settings.
    ///
    /// Since 4.3, and with health checks on, Pgpool connects to the node to answer: a host that swallows packets costs
    /// up to connect_timeout, and then only what needs that connection is missing.
    Node(Lazy<ShowNodeArgs>),
    /// Show the health check statistics of the nodes, or of one. Needs Pgpool 4.2 or later.
    ///
    /// Answered from memory: no node is connected to. Counters count since Pgpool's start; RETRIES are those of all checks
    /// and the most that one needed. Pgpool tells times of its own host, and not its zone.
    Health(Lazy<ShowHealthArgs>),
    /// Show Pgpool's children and their clients, with a summary: busy, idle, free, pool slots, by database and by user.
    ///
    /// Works while all children are busy and SQL has to wait. Listed are children with a client that fit the filters; the
    /// summary counts all children. Which of them are idle is told since 4.3; where clients come from, and their last
    /// statement, since 4.7. Pgpool tells times of its own host, and since 4.3 not its zone.
    Processes(Lazy<ShowProcessesArgs>),
    /// Show the parameters that Pgpool lists, or those that fit, or what differs between several Pgpools.
    ///
    /// These are the values that Pgpool runs with, not those of its file, and not all parameters there are. Passwords,
    /// passphrases and keys are shown as ******** where they are set. Exit code 1: no parameter fits; with --diff: some
    /// differ.
    Config(Lazy<ShowConfigArgs>),
    /// Show the members of the watchdog's cluster, as the Pgpool that is asked sees them.
    Watchdog(Lazy<ShowWatchdogArgs>),
}

const NODES_EXAMPLES: &str = "\
Examples:
  pcpctl show nodes -h pgpool1,pgpool2
  pcpctl show nodes -o json | jq '.pgpools[].nodes[] | select(.attached | not) | .host'";

#[derive(Debug, Args)]
#[command(disable_help_flag = true, after_help = NODES_EXAMPLES, mut_arg("deadline", |arg| ends_after(arg, "8s")))]
pub(crate) struct ShowNodesArgs {
    #[command(flatten)]
    pub(crate) read: ReadArgs,
    #[command(flatten)]
    pub(crate) help: HelpArg,
}

const NODE_EXAMPLES: &str = "\
Examples:
  pcpctl show node 10.0.0.3
  pcpctl show node 2 -h pgpool1,pgpool2      the id must mean a node on each
  pcpctl show node pg3:5432 -o json";

#[derive(Debug, Args)]
#[command(disable_help_flag = true, after_help = NODE_EXAMPLES, mut_arg("deadline", |arg| ends_after(arg, "8s")))]
pub(crate) struct ShowNodeArgs {
    /// The node: HOST, HOST:PORT, [V6]:PORT or a node id
    #[arg(value_name = "NODE")]
    pub(crate) node: NodeArg,
    /// The port of NODE, where it has none [default: any]
    #[arg(long, value_name = "PORT")]
    pub(crate) backend_port: Option<u16>,
    #[command(flatten)]
    pub(crate) read: ReadArgs,
    #[command(flatten)]
    pub(crate) help: HelpArg,
}

const HEALTH_EXAMPLES: &str = "\
Examples:
  pcpctl show health
  pcpctl show health 10.0.0.3 -o json | jq '.pgpools[].nodes[].average_duration_ms'";

#[derive(Debug, Args)]
#[command(disable_help_flag = true, after_help = HEALTH_EXAMPLES, mut_arg("deadline", |arg| ends_after(arg, "8s")))]
pub(crate) struct ShowHealthArgs {
    /// Only this node: HOST, HOST:PORT, [V6]:PORT or a node id
    #[arg(value_name = "NODE")]
    pub(crate) node: Option<NodeArg>,
    /// The port of NODE, where it has none [default: any]
    #[arg(long, value_name = "PORT")]
    pub(crate) backend_port: Option<u16>,
    #[command(flatten)]
    pub(crate) read: ReadArgs,
    #[command(flatten)]
    pub(crate) help: HelpArg,
}

const PROCESSES_EXAMPLES: &str = "\
Examples:
  pcpctl show processes --summary                    how full is it, and by whom
  pcpctl show processes --status idle-in-transaction
  pcpctl show processes --db-user app --client '10.0.0.*'
  pcpctl show processes 16674                        every slot of one child's pools
  pcpctl show processes -o json | jq '.pgpools[].summary.free'";

#[derive(Debug, Args)]
#[command(disable_help_flag = true, after_help = PROCESSES_EXAMPLES, mut_arg("deadline", |arg| ends_after(arg, "8s")))]
pub(crate) struct ShowProcessesArgs {
    /// Only the child with this process id, and every slot of its pools
    #[arg(value_name = "PID")]
    pub(crate) pid: Option<NonZeroU32>,
    /// Only the summary
    #[arg(long, conflicts_with_all = ["pid", "all"])]
    pub(crate) summary: bool,
    /// List children without a client too
    #[arg(long, help_heading = "Filters")]
    pub(crate) all: bool,
    /// Only sessions of this database user; * and ? stand for any letters and for one
    #[arg(long, value_name = "GLOB", help_heading = "Filters")]
    pub(crate) db_user: Option<GlobArg>,
    /// Only sessions in this database; * and ? as above
    #[arg(long, value_name = "GLOB", help_heading = "Filters")]
    pub(crate) database: Option<GlobArg>,
    /// Only children in one of these states; since 4.3, but for waiting and connected
    #[arg(long, value_enum, value_name = "STATUS", value_delimiter = ',', help_heading = "Filters")]
    pub(crate) status: Vec<ProcessStatusArg>,
    /// Only clients from this host; * and ? as above. Since 4.7
    #[arg(long, value_name = "GLOB", help_heading = "Filters")]
    pub(crate) client: Option<GlobArg>,
    /// List at most so many children
    #[arg(long, value_name = "COUNT", default_value_t = 10_000)]
    pub(crate) limit: usize,
    #[command(flatten)]
    pub(crate) read: ReadArgs,
    #[command(flatten)]
    pub(crate) help: HelpArg,
}

/// What a child does.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum ProcessStatusArg {
    /// It has no client
    Waiting,
    /// A client is about to be let in
    Connecting,
    /// It carries out a statement
    Busy,
    /// Its client does nothing
    Idle,
    /// Its client does nothing, inside a transaction
    IdleInTransaction,
    /// It has a client, whatever that does
    Connected,
}

const CONFIG_EXAMPLES: &str = "\
Examples:
  pcpctl show config 'health*' 'sr_check*'
  pcpctl show config num_init_children
  pcpctl show config --diff -h pgpool1,pgpool2,pgpool3
  pcpctl show config -o json | jq '.pgpools[].parameters | map({(.name): .value}) | add'";

#[derive(Debug, Args)]
#[command(disable_help_flag = true, after_help = CONFIG_EXAMPLES, mut_arg("deadline", |arg| ends_after(arg, "8s")))]
pub(crate) struct ShowConfigArgs {
    /// Only parameters with such a name: * stands for any letters, ? for one
    #[arg(value_name = "GLOB")]
    pub(crate) names: Vec<GlobArg>,
    /// Compare several Pgpools: only what differs, with the value of each
    #[arg(long)]
    pub(crate) diff: bool,
    #[command(flatten)]
    pub(crate) read: ReadArgs,
    #[command(flatten)]
    pub(crate) help: HelpArg,
}

const WATCHDOG_EXAMPLES: &str = "\
Examples:
  pcpctl show watchdog -h pgpool1,pgpool2,pgpool3     does each see the same leader?
  pcpctl show watchdog -o json | jq -e '.pgpools[].quorum == \"exists\"'";

#[derive(Debug, Args)]
#[command(disable_help_flag = true, after_help = WATCHDOG_EXAMPLES, mut_arg("deadline", |arg| ends_after(arg, "8s")))]
pub(crate) struct ShowWatchdogArgs {
    /// Only the member with this id: its pgpool_node_id since 4.2; before, 0 is the Pgpool that is asked
    #[arg(value_name = "ID")]
    pub(crate) member: Option<u8>,
    #[command(flatten)]
    pub(crate) read: ReadArgs,
    #[command(flatten)]
    pub(crate) help: HelpArg,
}

/// A pattern for a whole name, in which `*` stands for any letters and `?` for one. Case makes no difference.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct GlobArg(String);

impl FromStr for GlobArg {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() { Err("it is empty") } else { Ok(Self(text.to_lowercase())) }
    }
}

impl std::fmt::Display for GlobArg {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl GlobArg {
    /// Tells whether a name fits.
    pub(crate) fn fits(&self, name: &str) -> bool {
        let name: Vec<char> = name.to_lowercase().chars().collect();
        let pattern: Vec<char> = self.0.chars().collect();
        fits(&pattern, &name)
    }
}

/// Goes back to the last `*` where the letters behind it do not fit: never more than pattern times name steps.
fn fits(pattern: &[char], name: &[char]) -> bool {
    let (mut p, mut n) = (0, 0);
    let mut star = None;
    while let Some(letter) = name.get(n) {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(wanted) if *wanted == '?' || wanted == letter => (p, n) = (p + 1, n + 1),
            _ => {
                let Some((at, eaten)) = star else { return false };
                star = Some((at, eaten + 1));
                (p, n) = (at + 1, eaten + 1);
            }
        }
    }
    pattern.iter().skip(p).all(|&rest| rest == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_glob_fits_whole_names() {
        for (glob, name, expected) in [
            ("health*", "health_check_period0", true),
            ("health", "health_check_period", false),
            ("*period*", "health_check_period0", true),
            ("*period", "health_check_period0", false),
            ("*_?????d", "health_check_period", true),
            ("delegate_ip", "delegate_IP", true),
            ("DELEGATE*", "delegate_ip", true),
            ("*", "", true),
            ("?", "", false),
            ("a*b*c", "abxbc", true),
            ("a*b*c", "abxb", false),
            ("ü?", "Üx", true),
        ] {
            assert_eq!(glob.parse::<GlobArg>().unwrap().fits(name), expected, "{glob} {name}");
        }
        assert!("".parse::<GlobArg>().is_err());
        // Would take for ever by trying everything.
        let slow = format!("{}b", "*a".repeat(30)).parse::<GlobArg>().unwrap();
        assert!(!slow.fits(&"a".repeat(3000)));
    }
}
