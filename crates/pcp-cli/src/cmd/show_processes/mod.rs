mod census;
mod child;
mod text;

use pcp_client::Client;
use pcp_proto::message::{ReadPoolStatus, ReadProcessInfo};
use pcp_proto::{Release, Requirement, ServerAge};
use serde::Serialize;

use super::read::{self, Pgpool, Unread};
use crate::args::{ProcessStatusArg, ShowProcessesArgs};
use crate::exit::Exit;
use crate::settings::Env;
use census::{Census, Room, Summary};
use child::Child;

/// The first release that tells what a child does.
const STATUS_SINCE: Release = Release::new(4, 3);
/// The first release that tells where clients come from.
const CLIENT_SINCE: Release = Release::new(4, 7);

pub(super) fn run(args: &ShowProcessesArgs, env: Env<'_>) -> Exit {
    read::run(&args.read, env, async |pgpool| ask(&pgpool, args).await)
}

#[derive(Serialize)]
struct Processes {
    server_age: String,
    /// `null` where one child was asked for.
    summary: Option<Summary>,
    /// `null` where only the summary was asked for.
    processes: Option<Vec<Child>>,
    /// Children that fit and are not listed, for there are too many.
    not_listed: usize,
    #[serde(skip)]
    with_slots: bool,
}

async fn ask(pgpool: &Pgpool<'_>, args: &ShowProcessesArgs) -> Result<Processes, Unread> {
    let mut client = Client::connect(&pgpool.connect, pgpool.credentials, pgpool.settings.deadline).await?;
    let status = client.send(ReadPoolStatus).await?;
    let age = ServerAge::of(&status);
    check(age, args)?;
    let number = |name: &str| status.number(name).and_then(|number| usize::try_from(number).ok());
    let room = Room { num_init_children: number("num_init_children"), max_pool: number("max_pool") };
    let mut census = Census::new(args);
    // Row by row, for there may be hundreds of thousands.
    let mut rows = client.rows(args.pid.map_or(ReadProcessInfo::All, ReadProcessInfo::Process));
    while let Some(slot) = rows.next().await {
        census.add(slot?);
    }
    client.close().await;
    let (summary, listed, not_listed) = census.end(room);
    Ok(Processes {
        server_age: age.to_string(),
        summary: args.pid.is_none().then_some(summary),
        processes: (!args.summary).then_some(listed),
        not_listed,
        with_slots: args.pid.is_some(),
    })
}

/// Refuses filters by what the server does not tell: they would let nothing through.
fn check(age: ServerAge, args: &ShowProcessesArgs) -> Result<(), Unread> {
    use ProcessStatusArg::{Connected, Waiting};
    let by_status = args.status.iter().any(|status| !matches!(status, Waiting | Connected));
    let by_status = by_status.then_some(Requirement { what: "--status with this value", since: STATUS_SINCE });
    let by_client = args.client.is_some().then_some(Requirement { what: "--client", since: CLIENT_SINCE });
    for requirement in by_status.into_iter().chain(by_client) {
        age.check(requirement).map_err(|too_old| Unread { exit: Exit::Refused, reason: too_old.to_string() })?;
    }
    Ok(())
}
