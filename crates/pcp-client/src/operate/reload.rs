//! Reading the configuration files again.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use pcp_proto::message::{PoolStatus, ReloadConfig, Scope};
use pcp_proto::{Credentials, Text};
use tokio::time::Instant;

use super::refuse;
use super::site::{Decision, Seen, Sent, Site, check_watchdog};
use crate::converge::Pauses;
use crate::observe::{Node, View};
use crate::{Connect, Failure, Options};

/// Parameters that change by themselves.
const STATES: [&str; 2] = ["backend_status", "standby_delay"];

/// What to reload, and what has to come of it.
#[derive(Debug)]
pub struct Reload<'a> {
    /// Which Pgpools do it.
    pub scope: Scope,
    /// What the Pgpool that is asked has to show afterwards.
    pub expect: &'a [Expectation],
    /// How the run is bounded. Without expectations, changes are looked for as long as `settle`.
    pub options: Options,
}

/// A parameter and the value that pool status shows of it; `on` and `off` are 1 and 0.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Expectation {
    name: String,
    value: String,
}

/// What became of a reload on the Pgpool that was asked.
#[derive(Clone, Debug)]
pub struct Reloaded {
    /// Whether Pgpool took it and what was expected was read back; if not, why.
    pub result: Result<(), Failure>,
    /// What pool status showed differently afterwards.
    pub changed: Vec<ChangedParameter>,
    /// Nodes that are new, and down: Pgpool does not attach them by itself.
    pub new_nodes: Vec<Node>,
    /// How long it took.
    pub elapsed: Duration,
}

/// A parameter that another value is shown of than before; `None` where it was not there, or is not any more.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ChangedParameter {
    /// Its name.
    pub name: Text,
    /// The value before the reload.
    pub before: Option<Text>,
    /// The value after it.
    pub after: Option<Text>,
}

/// Has Pgpool, or every member of its watchdog's cluster, read its configuration files again, and tells which parameters
/// of the one that is asked changed by it. Since 4.2.
///
/// Success without an expectation means that Pgpool took the request. What it made of its files stands in its log only: a
/// file with a mistake changes nothing, and neither does a parameter that needs a restart.
///
/// # Cancel safety
///
/// Dropping the future closes the connection; Pgpool may carry the request out all the same.
pub async fn reload<C: Connect>(connect: &C, credentials: &Credentials, order: &Reload<'_>) -> Reloaded {
    let started = Instant::now();
    let site = Site::new(connect, credentials, order.options.deadline);
    let reloaded = run(&site, order).await.unwrap_or_else(|failure| Reloaded::of(Err(failure)));
    Reloaded { elapsed: started.elapsed(), ..reloaded }
}

async fn run<C: Connect>(site: &Site<'_, C>, order: &Reload<'_>) -> Result<Reloaded, Failure> {
    let decide = |view: &View, status: &PoolStatus| {
        if order.scope == Scope::Cluster {
            check_watchdog(view)?;
        }
        for Expectation { name, .. } in order.expect {
            if status.value(name).is_none() {
                return Err(refuse(format!("Pgpool shows no parameter {name}: nothing was reloaded")));
            }
        }
        Ok(Decision::Send(ReloadConfig { scope: order.scope }))
    };
    let (sent, before, settings) = site.carry_out(decide).await?;
    if let Sent::Unknown(error) = sent {
        return Err(Failure::NotVerified { awaited: "Pgpool's answer".to_owned(), source: Some(error) });
    }
    let mut reloaded = Reloaded::of(Ok(()));
    let asked = Instant::now();
    let mut pauses = Pauses::default();
    let mut unmet = None;
    loop {
        let seen = site.look().await;
        let Ok(Seen { client, view, status }) = seen else {
            reloaded.result = unmet.map_or_else(|| seen.map(drop).map_err(unread), Err);
            return Ok(reloaded);
        };
        client.close().await;
        reloaded.changed = changes(&settings, &status);
        reloaded.new_nodes = new_nodes(&before, &view);
        unmet = order.expect.iter().find_map(|expectation| expectation.unmet(&status));
        let is_done = match order.expect {
            [] => !reloaded.changed.is_empty() || asked.elapsed() >= order.options.settle,
            _ => unmet.is_none(),
        };
        if is_done {
            return Ok(reloaded);
        }
        if !site.pause(&mut pauses).await {
            reloaded.result = unmet.map_or(Ok(()), Err);
            return Ok(reloaded);
        }
    }
}

/// It is no longer true that nothing was changed.
fn unread(failure: Failure) -> Failure {
    match failure {
        Failure::Unreachable(error) | Failure::Authentication(error) => {
            Failure::NotVerified { awaited: "what Pgpool shows after the reload".to_owned(), source: Some(error) }
        }
        other => other,
    }
}

impl Reloaded {
    fn of(result: Result<(), Failure>) -> Self {
        Self { result, changed: Vec::new(), new_nodes: Vec::new(), elapsed: Duration::ZERO }
    }
}

impl Expectation {
    /// Tells what is shown instead.
    fn unmet(&self, status: &PoolStatus) -> Option<Failure> {
        let wanted = match self.value.to_ascii_lowercase().as_str() {
            "on" | "true" | "yes" => "1",
            "off" | "false" | "no" => "0",
            _ => &self.value,
        };
        let shown = status.value(&self.name);
        let is_met = shown.is_some_and(|shown| *shown == *self.value || *shown == *wanted);
        let shown = shown.map(Text::to_string).unwrap_or_default();
        let awaited = format!("{self}, but Pgpool shows \"{shown}\"");
        (!is_met).then_some(Failure::NotVerified { awaited, source: None })
    }
}

impl FromStr for Expectation {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, value) = text.split_once('=').ok_or("it is NAME=VALUE")?;
        match (name.trim(), value.trim()) {
            ("", _) => Err("it is NAME=VALUE"),
            (name, value) => Ok(Self { name: name.to_owned(), value: value.to_owned() }),
        }
    }
}

impl fmt::Display for Expectation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to be \"{}\"", self.name, self.value)
    }
}

fn changes(before: &PoolStatus, after: &PoolStatus) -> Vec<ChangedParameter> {
    let is_setting = |name: &Text| !STATES.iter().any(|state| name.as_bytes().starts_with(state.as_bytes()));
    let values = |status: &PoolStatus| {
        let settings = status.parameters.iter().filter(|parameter| is_setting(&parameter.name));
        let settings = settings.map(|it| (it.name.as_bytes().to_vec(), (it.name.clone(), it.value.clone())));
        settings.collect::<BTreeMap<_, _>>()
    };
    let (before, after) = (values(before), values(after));
    let gone = before.iter().filter(|(key, _)| !after.contains_key(*key));
    let gone = gone.map(|(_, (name, value))| (name, Some(value), None));
    let there =
        after.iter().map(|(key, (name, value))| (name, before.get(key).map(|(_, value)| value), Some(value)));
    gone.chain(there)
        .filter(|(_, before, after)| before != after)
        .map(|(name, before, after)| ChangedParameter {
            name: name.clone(),
            before: before.cloned(),
            after: after.cloned(),
        })
        .collect()
}

fn new_nodes(before: &View, after: &View) -> Vec<Node> {
    let is_new = |node: &&Node| before.node(node.id).is_none() && !node.is_attached();
    after.nodes.iter().filter(is_new).cloned().collect()
}
