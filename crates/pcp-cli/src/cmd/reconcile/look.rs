//! What every Pgpool shows, and how that compares with what it should.

use std::fmt;
use std::time::{Duration, SystemTime};

use futures_util::future::join_all;
use pcp_client::{
    Change, Client, Connector, Deadline, Error, Failure, Goal, Node, NodeName, Remark, Report, ResolveError, View,
    Want, WithNotices, observe, resolve,
};
use tokio::time::{Instant, sleep};
use tracing::debug;

use super::Wanted;
use crate::args::OutputArgs;
use crate::cmd::with_notices;
use crate::hold::Holds;
use crate::output;
use crate::settings::Target;

/// How long one that does not answer is asked again while others do: its PCP port is closed while it starts.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long the first attempt may take, so that a dead Pgpool does not delay the others. The next ones take longer.
const FIRST_ATTEMPT: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(250);

/// Whose answers are waited for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Patience {
    UntilOneAnswers,
    UntilAllAnswer,
}

/// One Pgpool, and what was seen of it.
pub(super) struct Pgpool<'a> {
    pub(super) target: &'a Target,
    pub(super) connect: WithNotices<Connector>,
    /// What it showed last, or why it did not; `None` while it is to be looked at.
    look: Option<Result<View, Error>>,
    /// One for each node that is wanted, as it was seen last.
    pub(super) standings: Vec<Standing>,
    /// One for each node that is wanted.
    pub(super) histories: Vec<History>,
    /// The nodes that are held, with who holds them and why.
    pub(super) held: Vec<(Node, String)>,
    /// The requests of the looks, a string for each connection.
    pub(super) asked: Vec<String>,
}

/// A node of one Pgpool, beside what it should be.
#[derive(Clone, Debug)]
pub(super) enum Standing {
    Met(Node),
    Unmet(Node),
    /// It is to be detached, and this Pgpool does not have it.
    Absent,
    /// It is left alone, for the reason that its mark gives.
    Held(Node, String),
    /// The name leads to no node, or to several.
    Unknown(ResolveError),
    /// Another name leads to the same node, and nobody knows which of them counts.
    Shared(Node, NodeName),
}

/// What was done about a node.
#[derive(Clone, Debug, Default)]
pub(super) struct History {
    pub(super) before: Option<Node>,
    pub(super) changes: Vec<Change>,
    pub(super) failure: Option<Failure>,
    pub(super) remarks: Vec<Remark>,
    pub(super) asked: Vec<String>,
}

impl<'a> Pgpool<'a> {
    pub(super) fn new(target: &'a Target, output: &OutputArgs) -> Self {
        Self {
            target,
            connect: with_notices(&target.connector, output),
            look: None,
            standings: Vec::new(),
            histories: Vec::new(),
            held: Vec::new(),
            asked: Vec::new(),
        }
    }

    pub(super) fn endpoint(&self) -> String {
        self.target.connector.endpoint.to_string()
    }

    pub(super) fn view(&self) -> Option<&View> {
        self.look.as_ref()?.as_ref().ok()
    }

    /// Returns why it could not be looked at.
    pub(super) fn error(&self) -> Option<&Error> {
        self.look.as_ref()?.as_ref().err()
    }

    pub(super) fn forget_view(&mut self) {
        self.look = None;
    }

    pub(super) fn was_changed(&self) -> bool {
        self.histories.iter().any(|history| !history.changes.is_empty())
    }

    async fn look(&mut self, deadline: Deadline) {
        let look = async {
            let mut client = Client::connect(&self.connect, &self.target.credentials, deadline).await?;
            let view = observe(&mut client).await;
            self.asked.push(output::letters(client.asked()));
            let view = view?;
            client.close().await;
            Ok(view)
        };
        let look = look.await;
        if let Err(error) = &look {
            debug!(endpoint = %self.target.connector.endpoint, %error, "cannot look");
        }
        self.look = Some(look);
    }

    fn is_worth_a_look(&self) -> bool {
        match &self.look {
            None => true,
            Some(Ok(_)) => false,
            Some(Err(error)) => error.is_retryable(),
        }
    }
}

impl Standing {
    /// Returns the node that it is about.
    pub(super) fn node(&self) -> Option<&Node> {
        match self {
            Self::Met(node) | Self::Unmet(node) | Self::Held(node, _) | Self::Shared(node, _) => Some(node),
            Self::Absent | Self::Unknown(_) => None,
        }
    }

    pub(super) fn is_fine(&self) -> bool {
        matches!(self, Self::Met(_) | Self::Absent | Self::Held(..))
    }
}

/// Says what is wrong, or what is to be known.
impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Met(_) => f.write_str("it is as it should be"),
            Self::Unmet(node) => write!(f, "it is {}", node.state()),
            Self::Absent => f.write_str("this Pgpool does not have it"),
            Self::Held(_, reason) => f.write_str(reason),
            Self::Unknown(error) => error.fmt(f),
            Self::Shared(node, other) => {
                write!(f, "{other} leads to the same node {node}: add the ports, or map the addresses")
            }
        }
    }
}

impl History {
    pub(super) fn add(&mut self, report: Report) {
        self.changes.extend(report.changes);
        self.failure = report.result.err();
        self.remarks.extend(report.remarks);
        self.asked.extend(report.asked.iter().map(|kinds| output::letters(kinds)));
    }
}

/// Looks at those of the chosen Pgpools that were not seen yet, all at the same time, each over one connection.
pub(super) async fn at_unseen(
    pgpools: &mut [Pgpool<'_>],
    chosen: &[usize],
    deadline: Deadline,
    patience: Patience,
) {
    let started = Instant::now();
    // Behind the start of a watchdog cluster all are closed until it has elected a leader.
    let limit = if patience == Patience::UntilOneAnswers { deadline.remaining() } else { PATIENCE };
    let mut attempt = FIRST_ATTEMPT;
    loop {
        let end = Deadline::after(attempt.min(deadline.remaining()));
        let unseen = pgpools.iter_mut().enumerate().filter(|(at, _)| chosen.contains(at)).map(|(_, pgpool)| pgpool);
        join_all(unseen.filter(|pgpool| pgpool.is_worth_a_look()).map(|pgpool| pgpool.look(end))).await;
        let mut left = pgpools.iter().enumerate().filter(|(at, _)| chosen.contains(at)).map(|(_, pgpool)| pgpool);
        let is_enough = patience == Patience::UntilOneAnswers && left.clone().any(|pgpool| pgpool.view().is_some());
        let is_through = !left.any(Pgpool::is_worth_a_look);
        if is_enough || is_through || started.elapsed() >= limit || deadline.remaining() <= PAUSE {
            return;
        }
        sleep(PAUSE).await;
        attempt = attempt.saturating_mul(2);
    }
}

/// Compares what was seen with what is wanted.
pub(super) async fn judge(pgpools: &mut [Pgpool<'_>], wanted: &[Wanted], holds: &Holds) {
    join_all(pgpools.iter_mut().map(|pgpool| pgpool.judge(wanted, holds))).await;
}

impl Pgpool<'_> {
    async fn judge(&mut self, wanted: &[Wanted], holds: &Holds) {
        self.histories.resize_with(wanted.len(), History::default);
        let Some(Ok(view)) = &self.look else { return };
        let now = SystemTime::now();
        let held = view.nodes.iter().map(async |node| {
            let hold = holds.on(node, now).await?;
            Some((node.clone(), hold.to_string()))
        });
        self.held = join_all(held).await.into_iter().flatten().collect();
        let found = join_all(wanted.iter().map(|wanted| resolve(&wanted.name, &view.nodes))).await;
        self.standings = wanted
            .iter()
            .zip(&found)
            .map(|(this, node)| {
                let node = match node {
                    Ok(node) => *node,
                    Err(ResolveError::Unknown { .. }) if this.want == Want::Detached => return Standing::Absent,
                    Err(error) => return Standing::Unknown(error.clone()),
                };
                let same_node = |found: &Result<&Node, _>| found.as_ref().is_ok_and(|found| found.id == node.id);
                let mut others = wanted.iter().zip(&found).filter(|(other, _)| !std::ptr::eq(*other, this));
                if let Some((other, _)) = others.find(|(_, found)| same_node(found)) {
                    return Standing::Shared(node.clone(), other.shown.clone());
                }
                match self.held.iter().find(|(held, _)| held.id == node.id) {
                    Some((_, reason)) => Standing::Held(node.clone(), reason.clone()),
                    None if Goal::new(node.id, this.want).is_met(view) => Standing::Met(node.clone()),
                    None => Standing::Unmet(node.clone()),
                }
            })
            .collect();
        for (history, standing) in self.histories.iter_mut().zip(&self.standings) {
            history.before = history.before.take().or_else(|| standing.node().cloned());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use pcp_client::Endpoint;
    use pcp_proto::Credentials;

    use super::*;
    use crate::args::OutputFormat;

    #[tokio::test(start_paused = true)]
    async fn pgpools_that_start_are_waited_for_longer_where_there_is_no_other() {
        let closed = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap();
        let target = Target {
            connector: Connector {
                endpoint: Endpoint::parse(&closed.to_string(), 9898).unwrap(),
                connect_timeout: Duration::from_secs(3),
            },
            credentials: Credentials::new("pcpadmin", b"secret").unwrap(),
        };
        let output = OutputArgs { output: OutputFormat::Table, quiet: false, verbose: 0 };
        for (patience, least, most) in [(Patience::UntilAllAnswer, 10, 14), (Patience::UntilOneAnswers, 29, 30)] {
            let mut pgpools = [Pgpool::new(&target, &output)];
            let started = Instant::now();
            at_unseen(&mut pgpools, &[0], Deadline::after(Duration::from_secs(30)), patience).await;
            let elapsed = started.elapsed().as_secs_f64();
            assert!((f64::from(least)..=f64::from(most)).contains(&elapsed), "{patience:?}: {elapsed}");
            assert!(pgpools[0].error().is_some());
        }
    }
}
