//! The main job without a Pgpool: a failover as EFM's hooks see it, against the sandbox.

use std::time::Duration;

use pcp_client::sandbox::{Age, Sandbox, World};
use pcp_client::{
    Client, Connector, Deadline, Endpoint, Error, NodeName, Options, Order, Report, View, Want, converge, observe,
};
use pcp_proto::Credentials;

use super::block_on;
use crate::args::SandboxDrillArgs;
use crate::exit::Exit;
use crate::output::{self, table};

const LIMIT: Duration = Duration::from_secs(60);
const SETTLE: Duration = Duration::from_millis(1500);
const LETTERS: &str = "\
\"asked\" has the PCP requests of each connection: B pool status, H health check statistics, I node info,
D detach, C attach.
";

/// Makes a cluster of a primary and two standbys.
pub(super) fn world(age: Age) -> World {
    World::new(age).node("10.0.0.1", 5432).node("10.0.0.2", 5432).node("10.0.0.3", 5432)
}

pub(super) fn run(args: &SandboxDrillArgs) -> Exit {
    block_on(async {
        match drill(args.age).await {
            Ok(exit) => exit,
            Err(error) => {
                output::err_line(format_args!("pcpctl: the drill failed: {}", output::chain(&*error)));
                Exit::NotVerified
            }
        }
    })
}

async fn drill(age: Age) -> Result<Exit, Box<dyn std::error::Error>> {
    let sandbox = Sandbox::start(world(age)).await?;
    let address = sandbox.address();
    let drill = Drill {
        connector: Connector {
            endpoint: Endpoint::Tcp { host: address.ip().to_string(), port: address.port() },
            connect_timeout: Duration::from_secs(3),
        },
        credentials: Credentials::new("pcpadmin", b"secret")?,
    };
    output::lines(format_args!("Pgpool {age} (sandbox) on {address}: a primary and two standbys."));
    output::lines(LETTERS);
    drill.show("Before").await?;

    sandbox.with(|world| world.kill_postgres(0));
    output::lines("PostgreSQL on 10.0.0.1, the primary, dies.\n");
    let mut exits = vec![drill.step("10.0.0.1", Want::Detached).await?];

    sandbox.with(|world| world.promote_postgres(1));
    output::lines("PostgreSQL on 10.0.0.2 is promoted.\n");
    exits.push(drill.step("10.0.0.2", Want::Primary).await?);

    sandbox.with(|world| world.start_postgres(0, true));
    output::lines("PostgreSQL on 10.0.0.1 is rebuilt as a standby.\n");
    exits.push(drill.step("10.0.0.1", Want::Standby).await?);
    exits.push(drill.step("10.0.0.1", Want::Standby).await?);

    let exit = Exit::combine(exits);
    if exit == Exit::Done {
        output::line("Every state was read back. The last step found nothing to do.");
    }
    Ok(exit)
}

/// How the drill reaches its sandbox.
struct Drill {
    connector: Connector,
    credentials: Credentials,
}

impl Drill {
    /// Takes one step, as the hook of that name would, and shows what came of it.
    async fn step(&self, name: &str, want: Want) -> Result<Exit, Box<dyn std::error::Error>> {
        let (command, name) = (command(name, want), name.parse::<NodeName>()?);
        let options = Options { deadline: Deadline::after(LIMIT), settle: SETTLE };
        let report = converge(&self.connector, &self.credentials, &Order::new(&name, want, options)).await;
        output::line(format_args!("$ {command}"));
        output::lines(asked(&report));
        let exit = match &report.result {
            Ok(()) => Exit::Done,
            Err(failure) => {
                output::err_line(format_args!("  {}", output::chain(failure)));
                failure.into()
            }
        };
        self.show("After").await?;
        Ok(exit)
    }

    async fn show(&self, when: &str) -> Result<(), Error> {
        let deadline = Deadline::after(LIMIT);
        let mut client = Client::connect(&self.connector, &self.credentials, deadline).await?;
        let view = observe(&mut client).await?;
        client.close().await;
        output::lines(format_args!("{when}:\n{}\n", nodes(&view)));
        Ok(())
    }
}

fn command(name: &str, want: Want) -> String {
    match want {
        Want::Follower(_) => format!("pcpctl follow {name}"),
        Want::Detached => format!("pcpctl detach {name}"),
        Want::Primary => format!("pcpctl attach {name} p"),
        Want::Standby => format!("pcpctl attach {name} s"),
        Want::Attached => format!("pcpctl attach {name}"),
    }
}

/// Says what a step asked on the wire.
fn asked(report: &Report) -> String {
    let changes: Vec<_> = report.changes.iter().map(ToString::to_string).collect();
    let first = report.asked.first().map(|kinds| output::letters(kinds)).unwrap_or_default();
    let looks = report.asked.len().saturating_sub(1);
    format!(
        "  {}; asked: {first}{}; {:.1} ms",
        if changes.is_empty() { "nothing to do".to_owned() } else { changes.join(", ") },
        match report.asked.last() {
            Some(last) if looks > 0 => format!(", then {looks} x {}", output::letters(last)),
            _ => String::new(),
        },
        report.elapsed.as_secs_f64() * 1e3,
    )
}

fn nodes(view: &View) -> String {
    let state = |node: &pcp_client::Node| {
        let searching = node.is_primary() && !node.is_attached();
        format!("{}{}", node.state(), if searching { " (Pgpool searches another)" } else { "" })
    };
    let rows = view.nodes.iter().map(|node| vec![format!("  {}", node.id), node.address(), state(node)]);
    table(&["  ID", "ADDRESS", "STATE"], rows)
}
