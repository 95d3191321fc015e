//! What the commands that only read share: ask every Pgpool, print what came, one exit code for all.

use std::time::Duration;

use futures_util::future::join_all;
use pcp_client::{Connector, Error, WithNotices};
use pcp_proto::Credentials;
use serde::Serialize;
use tracing::{Instrument, error_span};

use super::{block_on, with_notices};
use crate::args::{OutputFormat, ReadArgs};
use crate::exit::Exit;
use crate::page::{Page, Shown, Style};
use crate::settings::{Env, Layer, Settings, gather};
use crate::{log, output};

/// The whole time of a command that reads.
const LIMIT: Duration = Duration::from_secs(8);

/// An answer from one Pgpool, in the shape that is printed.
pub(super) trait Answer: Serialize {
    /// Shows it to people.
    fn text(&self, page: Page) -> Shown;

    /// Tells how the command ends where this is the only answer.
    fn exit(&self) -> Exit {
        Exit::Done
    }
}

/// A Pgpool that is asked.
pub(super) struct Pgpool<'a> {
    pub(super) connect: WithNotices<Connector>,
    pub(super) credentials: &'a Credentials,
    pub(super) settings: &'a Settings,
}

/// What could not be read, with its exit code.
pub(super) struct Unread {
    pub(super) exit: Exit,
    pub(super) reason: String,
}

impl From<Error> for Unread {
    fn from(error: Error) -> Self {
        Self { exit: (&error).into(), reason: output::chain(&error) }
    }
}

#[derive(Serialize)]
struct Document<A> {
    schema_version: u32,
    exit_code: i32,
    pgpools: Vec<Entry<A>>,
}

#[derive(Serialize)]
struct Entry<A> {
    endpoint: String,
    error: Option<String>,
    #[serde(flatten)]
    answer: Option<A>,
}

/// Asks every Pgpool at the same time and prints the answers in the order in which the Pgpools were given.
pub(super) fn run<A: Answer>(
    args: &ReadArgs,
    env: Env<'_>,
    ask: impl AsyncFn(Pgpool<'_>) -> Result<A, Unread>,
) -> Exit {
    run_with(Layer::from_flags(&args.connection), args, env, ask)
}

/// As [`run`], with flags that are not among the shared ones.
pub(super) fn run_with<A: Answer>(
    flags: Layer,
    args: &ReadArgs,
    env: Env<'_>,
    ask: impl AsyncFn(Pgpool<'_>) -> Result<A, Unread>,
) -> Exit {
    ask_all(flags, args, env, ask, |answers| print(args, Page::stdout(args.color, env), answers))
}

/// What came from one Pgpool.
pub(super) struct Answered<A> {
    pub(super) endpoint: String,
    pub(super) answer: Result<A, Unread>,
}

/// Asks every Pgpool at the same time, and gives the answers on in the order in which the Pgpools were given.
pub(super) fn ask_all<A>(
    flags: Layer,
    args: &ReadArgs,
    env: Env<'_>,
    ask: impl AsyncFn(Pgpool<'_>) -> Result<A, Unread>,
    end: impl FnOnce(Vec<Answered<A>>) -> Exit,
) -> Exit {
    log::start_stderr(&args.output);
    let settings = match settings(flags, args, env) {
        Ok(settings) => settings,
        Err(exit) => return exit,
    };
    block_on(async {
        let asked = settings.targets.iter().map(async |target| {
            let pgpool = Pgpool {
                connect: with_notices(&target.connector, &args.output),
                credentials: &target.credentials,
                settings: &settings,
            };
            let endpoint = target.connector.endpoint.to_string();
            let answer = ask(pgpool).instrument(error_span!("pgpool", %endpoint)).await;
            Answered { endpoint, answer }
        });
        end(join_all(asked).await)
    })
}

/// Works out the settings, or says why there are none.
pub(super) fn settings(flags: Layer, args: &ReadArgs, env: Env<'_>) -> Result<Settings, Exit> {
    gather(flags, &args.connection.config, env).and_then(|layer| Settings::new(layer, args.ask(), LIMIT)).map_err(
        |error| {
            output::err_line(format_args!("pcpctl: {}", output::chain(&error)));
            Exit::Config
        },
    )
}

/// Combines how the answers end the command.
fn exit<A: Answer>(answers: &[Answered<A>]) -> Exit {
    Exit::combine(answers.iter().map(|answered| match &answered.answer {
        Ok(answer) => answer.exit(),
        Err(unread) => unread.exit,
    }))
}

fn print<A: Answer>(args: &ReadArgs, page: Page, answers: Vec<Answered<A>>) -> Exit {
    let exit = exit(&answers);
    let several = answers.len() > 1;
    let mut entries = Vec::new();
    for Answered { endpoint, answer } in answers {
        let (answer, error) = match answer {
            Ok(answer) => (Some(answer), None),
            Err(unread) => (None, Some(unread.reason)),
        };
        if let Some(error) = &error {
            output::err_line(format_args!("pcpctl: {endpoint}: {error}"));
        }
        if let (OutputFormat::Table, Some(answer), false) = (args.output.output, &answer, args.output.quiet) {
            if several {
                output::shown(&page.paint(Style::Bold, format_args!("{endpoint}:")));
            }
            output::shown(&answer.text(page));
        }
        entries.push(Entry { endpoint, error, answer });
    }
    if args.output.output == OutputFormat::Json {
        output::json(&Document {
            schema_version: output::SCHEMA_VERSION,
            exit_code: exit.code(),
            pgpools: entries,
        });
    }
    exit
}
