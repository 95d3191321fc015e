//! What `reconcile` takes.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{ArgGroup, Args};

use super::values::duration;
use super::{HelpArg, HookArgs, ends_after};

/// The whole time of a reconcile.
const LIMIT: Duration = Duration::from_secs(30);
/// The whole time of a monitor, which EFM ends after custom.monitor.timeout: 30 s in our guide.
pub(crate) const MONITOR_LIMIT: Duration = Duration::from_secs(20);
/// How long a monitor waits at most before it looks, so that the hosts do not all do it at once.
const MONITOR_JITTER: Duration = Duration::from_secs(2);
/// How long a monitor leaves things alone after a change of its own.
const MONITOR_MIN_INTERVAL: Duration = Duration::from_secs(30);

const RECONCILE_HELP: &str = concat!(
    "Examples:\n",
    "  pcpctl reconcile --efm main                      every node as EFM's cluster \"main\" says\n",
    "  pcpctl reconcile --efm main --dry-run            what would be done, and what not, and why\n",
    "  pcpctl reconcile --desired /etc/pcpctl/nodes.json\n",
    "  pcpctl reconcile --efm main --jitter 10s         by a timer on several hosts\n\n",
    exit_codes!()
);

#[derive(Debug, Args)]
#[command(disable_help_flag = true,
    group(ArgGroup::new("truth").args(["desired", "efm"]).required(true)), after_help = RECONCILE_HELP, mut_arg("deadline", |arg| ends_after(arg, "30s; with --monitor 20s")))]
pub(crate) struct ReconcileArgs {
    /// Take what should be from this file: docs/desired-state.md
    #[arg(long, value_name = "FILE", help_heading = "Source of truth")]
    desired: Option<PathBuf>,
    /// Ask `efm cluster-status-json CLUSTER` [default CLUSTER: cluster under [efm] in the configuration]
    #[arg(long, value_name = "CLUSTER", num_args = 0..=1, help_heading = "Source of truth")]
    efm: Option<Option<String>>,
    /// Always exit 0, as EFM's custom monitor has to: EFM fails a healthy database over otherwise. The verdict tells.
    /// The deadline, 20s then, has to be shorter than custom.monitor.timeout
    #[arg(long)]
    monitor: bool,
    /// Wait a random time first, at most this and half of the deadline [default: 0; with --monitor 2s]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    jitter: Option<Duration>,
    /// Change nothing when a reconcile on this host changed something less than this ago: exit 8 [default: 0; with
    /// --monitor 30s]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    min_interval: Option<Duration>,
    /// The directory of this host's marks [env: PCPCTL_STATE_DIR] [default: /var/lib/pcpctl]
    #[arg(long, value_name = "DIR")]
    pub(crate) state_dir: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) hook: HookArgs,
    #[command(flatten)]
    pub(crate) help: HelpArg,
}

/// Who says what should be.
#[derive(Clone, Copy, Debug)]
pub(crate) enum TruthArg<'a> {
    /// This file.
    Desired(&'a Path),
    /// EFM; this cluster of it, or the one that the configuration names.
    Efm(Option<&'a str>),
}

/// What an exit code is taken for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Caller {
    /// A person, a timer or a unit: it tells how it went.
    Any,
    /// EFM's custom monitor: whatever is not 0 is a database that has failed.
    Monitor,
}

impl ReconcileArgs {
    pub(crate) fn truth(&self) -> TruthArg<'_> {
        match &self.desired {
            Some(path) => TruthArg::Desired(path),
            None => TruthArg::Efm(self.efm.as_ref().and_then(Option::as_deref).filter(|name| !name.is_empty())),
        }
    }

    pub(crate) fn caller(&self) -> Caller {
        if self.monitor { Caller::Monitor } else { Caller::Any }
    }

    /// Returns the whole time that it has where nothing else is set.
    pub(crate) fn limit(&self) -> Duration {
        if self.monitor { MONITOR_LIMIT } else { LIMIT }
    }

    pub(crate) fn jitter(&self) -> Duration {
        self.jitter.unwrap_or(if self.monitor { MONITOR_JITTER } else { Duration::ZERO })
    }

    pub(crate) fn min_interval(&self) -> Duration {
        self.min_interval.unwrap_or(if self.monitor { MONITOR_MIN_INTERVAL } else { Duration::ZERO })
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Typed {
        #[command(flatten)]
        args: ReconcileArgs,
    }

    fn typed(args: &[&str]) -> Result<ReconcileArgs, clap::Error> {
        Typed::try_parse_from([&["reconcile"], args].concat()).map(|typed| typed.args)
    }

    #[test]
    fn exactly_one_source_of_truth_is_named() {
        assert!(typed(&[]).is_err());
        assert!(typed(&["--efm", "--desired", "/f"]).is_err());
        assert!(matches!(typed(&["--desired", "/f"]).unwrap().truth(), TruthArg::Desired(_)));
        for (args, cluster) in [
            (&["--efm"][..], None),
            (&["--efm", ""], None),
            (&["--efm", "c"], Some("c")),
            (&["--efm", "-hx"], None),
        ] {
            assert!(matches!(typed(args).unwrap().truth(), TruthArg::Efm(found) if found == cluster), "{args:?}");
        }
    }

    #[test]
    fn a_monitor_takes_its_time_and_nobody_else_does() {
        let times = |args: &[&str]| typed(args).map(|args| (args.jitter(), args.min_interval())).unwrap();
        assert_eq!(times(&["--efm"]), (Duration::ZERO, Duration::ZERO));
        assert_eq!(times(&["--efm", "--monitor"]), (MONITOR_JITTER, MONITOR_MIN_INTERVAL));
        assert_eq!(typed(&["--efm"]).unwrap().limit(), Duration::from_secs(30));
        assert_eq!(typed(&["--efm", "--monitor"]).unwrap().limit(), Duration::from_secs(20));
        let given = times(&["--efm", "--monitor", "--jitter", "0", "--min-interval", "1m"]);
        assert_eq!(given, (Duration::ZERO, Duration::from_secs(60)));
    }
}
