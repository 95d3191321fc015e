//! What `hold` and `release` share: what NODE is, and how marks are printed.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use futures_util::future::join_all;
use pcp_client::{Client, Node, NodeName, ResolveError, observe, resolve};
use serde::Serialize;

use crate::args::{Ask, MarkArgs, OutputArgs, OutputFormat};
use crate::exit::Exit;
use crate::hold::{self, Hold};
use crate::output;
use crate::settings::{Env, Layer, Settings, SettingsError, Target, gather};

/// How long Pgpool is asked for what NODE is.
const LIMIT: Duration = Duration::from_secs(8);

/// What NODE is.
pub(super) enum Found {
    /// The node of a Pgpool.
    Node { node: Node, endpoint: String },
    /// Nobody could be asked.
    AsTyped { name: NodeName, reason: String },
}

impl Found {
    /// Returns the name under which it is kept: the address as Pgpool has it, for an id may mean another node tomorrow.
    pub(super) fn name(&self) -> NodeName {
        match self {
            Self::Node { node, .. } => {
                NodeName::Address { host: node.host.to_string_lossy().into_owned(), port: Some(node.port) }
            }
            Self::AsTyped { name, .. } => name.clone(),
        }
    }

    /// Says where the name is from.
    pub(super) fn note(&self) -> String {
        match self {
            Self::Node { node, endpoint } => format!("node {} on {endpoint}", node.id),
            Self::AsTyped { reason, .. } => format!("taken as typed, for no Pgpool could be asked: {reason}"),
        }
    }
}

/// Where the marks are, and whom to ask what a node is.
pub(super) struct Place {
    pub(super) dir: PathBuf,
    settings: Result<Settings, SettingsError>,
    backend_port: Option<u16>,
}

impl Place {
    /// Works out the settings. Only where the marks are has to be known.
    ///
    /// # Errors
    ///
    /// A configuration file or variable that makes no sense.
    pub(super) fn new(args: &MarkArgs, env: Env<'_>) -> Result<Self, SettingsError> {
        let layer = gather(Layer::from_mark_flags(args), &args.connection.config, env)?;
        let (dir, backend_port) = (layer.state_dir(), layer.backend_port);
        Ok(Self { dir, settings: Settings::new(layer, Ask::Never, LIMIT), backend_port })
    }

    /// Asks the Pgpools what the name means; the first that can tell decides.
    ///
    /// # Errors
    ///
    /// Those that answered have no such node, or several.
    pub(super) async fn find(&self, name: &NodeName) -> Result<Found, ResolveError> {
        match &self.settings {
            Ok(settings) => find(&settings.node(name.clone()), settings).await,
            Err(error) => {
                let name = name.clone().with_default_port(self.backend_port);
                Ok(Found::AsTyped { name, reason: output::chain(error) })
            }
        }
    }
}

async fn find(name: &NodeName, settings: &Settings) -> Result<Found, ResolveError> {
    let asked = join_all(settings.targets.iter().map(|target| nodes(target, settings))).await;
    let mut reasons = Vec::new();
    let mut refusal = None;
    for (target, nodes) in settings.targets.iter().zip(asked) {
        let endpoint = target.connector.endpoint.to_string();
        match nodes {
            Ok(nodes) => match resolve(name, &nodes).await {
                Ok(node) => return Ok(Found::Node { node: node.clone(), endpoint }),
                Err(error) => refusal = refusal.or(Some(error)),
            },
            Err(error) => reasons.push(format!("{endpoint}: {}", output::chain(&error))),
        }
    }
    match refusal {
        Some(error) => Err(error),
        None => Ok(Found::AsTyped { name: name.clone(), reason: reasons.join("; ") }),
    }
}

async fn nodes(target: &Target, settings: &Settings) -> Result<Vec<Node>, pcp_client::Error> {
    let mut client = Client::connect(&target.connector, &target.credentials, settings.deadline).await?;
    let view = observe(&mut client).await?;
    client.close().await;
    Ok(view.nodes)
}

/// How to say what became of it.
pub(super) struct Report<'a> {
    pub(super) command: &'static str,
    pub(super) output: &'a OutputArgs,
    pub(super) now: SystemTime,
}

#[derive(Serialize)]
struct Document<'a> {
    schema_version: u32,
    command: &'a str,
    exit_code: i32,
    verdict: &'a str,
    holds: Vec<HoldJson>,
}

#[derive(Serialize)]
struct HoldJson {
    node: Option<String>,
    over: bool,
    by: Option<String>,
    since: Option<String>,
    until: Option<String>,
    reason: Option<String>,
    damage: Option<String>,
    file: String,
}

impl Report<'_> {
    /// Prints the verdict, then what belongs to it.
    pub(super) fn done(&self, verdict: &str, notes: &[String], holds: &[Hold]) -> Exit {
        if self.output.output == OutputFormat::Table && !self.output.quiet {
            output::line(verdict);
            notes.iter().for_each(|note| output::line(format_args!("  {note}")));
        }
        self.json(Exit::Done, verdict, holds)
    }

    /// Prints the marks there are.
    pub(super) fn list(&self, holds: &[Hold]) -> Exit {
        let held = holds.iter().filter(|hold| !hold.is_over(self.now)).count();
        let verdict = match held {
            0 => "no node is held on this host".to_owned(),
            1 => "1 node is held on this host".to_owned(),
            _ => format!("{held} nodes are held on this host"),
        };
        let line = |hold: &Hold| {
            let over = if hold.is_over(self.now) { "no longer " } else { "" };
            format!("{}  {over}{hold}", hold.shown_node())
        };
        self.done(&verdict, &holds.iter().map(line).collect::<Vec<_>>(), holds)
    }

    /// Prints why it was not done.
    pub(super) fn failed(&self, exit: Exit, reason: &str) -> Exit {
        output::err_line(format_args!("pcpctl {}: {reason}", self.command));
        self.json(exit, reason, &[])
    }

    fn json(&self, exit: Exit, verdict: &str, holds: &[Hold]) -> Exit {
        if self.output.output == OutputFormat::Json {
            output::json(&Document {
                schema_version: output::SCHEMA_VERSION,
                command: self.command,
                exit_code: exit.code(),
                verdict,
                holds: holds.iter().map(|hold| HoldJson::of(hold, self.now)).collect(),
            });
        }
        exit
    }
}

impl HoldJson {
    fn of(hold: &Hold, now: SystemTime) -> Self {
        let mark = hold.mark.as_ref().ok();
        Self {
            node: hold.node.as_ref().map(ToString::to_string),
            over: hold.is_over(now),
            by: mark.map(|mark| mark.by.clone()),
            since: mark.map(|mark| hold::time(mark.since).to_string()),
            until: mark.and_then(|mark| mark.until).map(|until| hold::time(until).to_string()),
            reason: mark.and_then(|mark| mark.reason.clone()),
            damage: hold.mark.as_ref().err().cloned(),
            file: hold.path.display().to_string(),
        }
    }
}
