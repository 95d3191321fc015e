//! Who owns a container or network, and how it goes away when the owner dies without a word.
//!
//! Three nets: a cluster removes its own on drop; a detached reaper process removes what is left when this process
//! is gone (a pipe tells it, so SIGKILL and Ctrl-C count too); and each process first starts a reaper for what is left of
//! processes that no longer exist, for the case that theirs was killed with them.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::process::CommandExt;
use std::process::{self, Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;

use anyhow::{Context, Result, anyhow};

use crate::docker::Docker;

const LABEL: &str = "pcp-tests.owner";

// A `docker run` that was under way when its caller died finishes a little later: hence several rounds.
const REAPER: &str = r#"
trap '' HUP INT TERM
cat >/dev/null
rounds=0 empty=0
while [ $empty -lt 4 ] && [ $rounds -lt 60 ]; do
    containers=$(docker ps --all --quiet --filter "label=$1")
    [ -z "$containers" ] || docker rm --force --volumes $containers
    networks=$(docker network ls --quiet --filter "label=$1")
    [ -z "$networks" ] || docker network rm $networks
    if [ -z "$containers$networks" ]; then empty=$((empty + 1)); else empty=0; fi
    rounds=$((rounds + 1))
    sleep 1
done
"#;

/// Return the label that marks this process's containers and networks, with the reaper for them running.
pub(crate) fn label() -> Result<&'static str> {
    static REGISTERED: OnceLock<Result<(String, ChildStdin), String>> = OnceLock::new();
    match REGISTERED.get_or_init(|| register().map_err(|error| format!("{error:#}"))) {
        Ok((label, _pipe)) => Ok(label),
        Err(error) => Err(anyhow!("{error}")),
    }
}

fn register() -> Result<(String, ChildStdin)> {
    sweep()?;
    let label = label_of(&Owner::this()?.to_string());
    let pipe = reap(&label, Stdio::piped())?.stdin.take().context("the reaper has no pipe")?;
    Ok((label, pipe))
}

/// Has what dead processes left removed, without waiting for it: Docker was seen to take more than a minute over the
/// containers of one killed run.
fn sweep() -> Result<()> {
    let this = Owner::this()?;
    let mut dead = BTreeSet::new();
    for list in [&["ps", "--all"][..], &["network", "ls"][..]] {
        let filter = format!("label={LABEL}");
        let format = format!("{{{{.Label {LABEL:?}}}}}");
        let owners = Docker::new(list.iter().copied().chain(["--filter", &filter, "--format", &format])).run()?;
        dead.extend(owners.lines().filter(|owner| this.knows_dead(owner)).map(str::to_owned));
    }
    for owner in dead {
        reap(&label_of(&owner), Stdio::null())?;
    }
    Ok(())
}

/// Starts a process that removes everything with that label once `alive` ends.
fn reap(label: &str, alive: Stdio) -> Result<Child> {
    Command::new("sh")
        .args(["-c", REAPER, "pcp-tests-reaper", label])
        .process_group(0)
        .stdin(alive)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("cannot start the reaper")
}

fn label_of(owner: &str) -> String {
    format!("{LABEL}={owner}")
}

/// A process, told from every other one, earlier, later and elsewhere.
struct Owner {
    boot: String,
    namespace: String,
    pid: u32,
    start: String,
}

impl Owner {
    fn this() -> Result<Self> {
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").context("cannot read the boot id")?;
        let namespace = fs::read_link("/proc/self/ns/pid").context("cannot read the pid namespace")?;
        let pid = process::id();
        Ok(Self {
            boot: boot.trim().to_owned(),
            namespace: namespace.to_string_lossy().chars().filter(char::is_ascii_digit).collect(),
            pid,
            start: start_of(&pid.to_string()).context("this process has no start time")?,
        })
    }

    /// Tells whether the owner written as `text` is certainly gone. A process of another pid namespace is not
    /// visible.
    fn knows_dead(&self, text: &str) -> bool {
        let mut parts = text.split('.');
        let (Some(boot), Some(namespace), Some(pid), Some(start)) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return false;
        };
        boot != self.boot || (namespace == self.namespace && start_of(pid).is_none_or(|now| now != start))
    }
}

impl std::fmt::Display for Owner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}.{}.{}", self.boot, self.namespace, self.pid, self.start)
    }
}

// Field 22 of /proc/PID/stat; counted behind the command's name, which may hold blanks and parentheses.
fn start_of(pid: &str) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, behind_name) = stat.rsplit_once(')')?;
    behind_name.split_whitespace().nth(19).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_the_living_from_the_dead() {
        let this = Owner::this().unwrap();
        assert!(!this.knows_dead(&this.to_string()));

        let mut ended = Command::new("true").spawn().unwrap();
        let pid = ended.id();
        ended.wait().unwrap();
        let gone = Owner { pid, ..Owner::this().unwrap() };
        assert!(this.knows_dead(&gone.to_string()), "an ended process");

        let namesake = Owner { start: "1".to_owned(), ..Owner::this().unwrap() };
        assert!(this.knows_dead(&namesake.to_string()), "a later process with the same id");

        let elsewhere = Owner { namespace: "1".to_owned(), pid, ..Owner::this().unwrap() };
        assert!(!this.knows_dead(&elsewhere.to_string()), "a process that cannot be seen");
        assert!(!this.knows_dead("something else"));
    }
}
