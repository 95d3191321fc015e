mod diff;

use pcp_client::Client;
use pcp_proto::ServerAge;
use pcp_proto::message::{Parameter, ReadPoolStatus};
use serde::Serialize;

use super::read::{self, Answer, Pgpool, Unread};
use crate::args::{GlobArg, ShowConfigArgs};
use crate::exit::Exit;
use crate::page::{Cell, Column, Fit, Page, Shown, Table};
use crate::settings::{Env, Layer};

/// What stands in the place of a secret that is set.
pub(super) const HIDDEN: &str = "********";

pub(super) fn run(args: &ShowConfigArgs, env: Env<'_>) -> Exit {
    let ask = async |pgpool: Pgpool<'_>| ask(&pgpool, &args.names).await;
    match args.diff {
        false => read::run(&args.read, env, ask),
        true => read::ask_all(Layer::from_flags(&args.read.connection), &args.read, env, ask, |answers| {
            diff::print(args, Page::stdout(args.read.color, env), &answers)
        }),
    }
}

async fn ask(pgpool: &Pgpool<'_>, names: &[GlobArg]) -> Result<Config, Unread> {
    let client = Client::connect(&pgpool.connect, pgpool.credentials, pgpool.settings.deadline).await?;
    let status = client.finish(ReadPoolStatus).await?;
    let all = status.parameters.len();
    let server_age = ServerAge::of(&status).to_string();
    let fits = |parameter: &Shared| names.is_empty() || names.iter().any(|glob| glob.fits(&parameter.name));
    let parameters = status.parameters.into_iter().map(Shared::of).filter(fits).collect();
    Ok(Config { server_age, all, wanted: names.iter().map(ToString::to_string).collect(), parameters })
}

#[derive(Serialize)]
struct Config {
    server_age: String,
    parameters: Vec<Shared>,
    /// How many parameters the server lists.
    #[serde(skip)]
    all: usize,
    /// The patterns asked for.
    #[serde(skip)]
    wanted: Vec<String>,
}

/// A parameter that may be shown: a secret has left it already.
#[derive(Serialize)]
struct Shared {
    name: String,
    /// `null` where it is hidden.
    value: Option<String>,
    /// Whether it is a secret that is set.
    hidden: bool,
    description: String,
    /// Tells whether two hidden values are the same, and nothing else.
    #[serde(skip)]
    sameness: Option<Sameness>,
}

/// A secret that can be compared, and not shown.
#[derive(Eq, PartialEq)]
struct Sameness(pcp_proto::Text);

impl Shared {
    fn of(Parameter { name, value, description }: Parameter) -> Self {
        let hidden = !value.is_empty() && is_secret(&name.to_string_lossy(), &value.to_string_lossy());
        Self {
            name: name.to_string(),
            value: (!hidden).then(|| value.to_string()),
            hidden,
            description: description.to_string(),
            sameness: hidden.then_some(Sameness(value)),
        }
    }

    fn is_same(&self, other: &Self) -> bool {
        self.value == other.value && self.sameness == other.sameness
    }
}

/// Tells whether a value is none that may be shown: by the parameter's name, or by what a command line holds.
pub(super) fn is_secret(name: &str, value: &str) -> bool {
    let has = |text: &str, marks: &[&str]| {
        let text = text.to_lowercase();
        marks.iter().any(|mark| text.contains(mark))
    };
    has(name, &["password", "passphrase", "authkey", "secret"]) || has(value, &["password="]) || has_login(value)
}

/// Tells whether there is an address with a login in it, `postgresql://user:password@host`.
fn has_login(value: &str) -> bool {
    value.split("://").skip(1).any(|behind| {
        let authority = behind.split(['/', '?', ' ', '\'', '"']).next().unwrap_or_default();
        authority.rsplit_once('@').is_some_and(|(login, _)| login.contains(':'))
    })
}

impl Answer for Config {
    fn text(&self, page: Page) -> Shown {
        if self.parameters.is_empty() {
            return Shown::new(format_args!("none of {} parameters fits {}", self.all, self.wanted.join(", ")));
        }
        let mut table = Table::new([
            Column::new("PARAMETER"),
            Column::that("VALUE", Fit::Shorten { rank: 2, least: 30 }),
            Column::that("DESCRIPTION", Fit::Shorten { rank: 1, least: 20 }),
        ]);
        for parameter in &self.parameters {
            table.row([
                Cell::new(&parameter.name),
                Cell::new(parameter.value.as_deref().unwrap_or(HIDDEN)),
                Cell::new(&parameter.description),
            ]);
        }
        table.show(page)
    }

    fn exit(&self) -> Exit {
        if self.parameters.is_empty() { Exit::No } else { Exit::Done }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_known_by_their_names_and_inside_of_commands() {
        for (name, value) in [
            ("health_check_password", "x"),
            ("health_check_password0", "x"),
            ("sr_check_password", "x"),
            ("recovery_password", "x"),
            ("wd_lifecheck_password", "x"),
            ("wd_authkey", "x"),
            ("ssl_passphrase_command", "echo x"),
            ("failover_command", "PGPASSWORD=x psql -c 1"),
            ("follow_primary_command", "psql 'host=a Password=x'"),
            ("failover_command", "curl http://hook/%d; psql postgresql://u:x@h:5432/db -c 1"),
            ("failover_command", "psql 'postgres://u:x@h'"),
        ] {
            assert!(is_secret(name, value), "{name} {value}");
        }
        for (name, value) in [
            ("pool_passwd", "pool_passwd"),
            ("ssl_key", "/etc/ssl/key.pem"),
            ("health_check_user", "postgres"),
            ("allow_clear_text_frontend_auth", "0"),
            ("failover_command", "curl https://hook:8443/down?node=%d&mail=a@b"),
            ("failover_command", "ssh postgres@%h; psql postgresql://u@h:5432/db"),
        ] {
            assert!(!is_secret(name, value), "{name} {value}");
        }
    }
}
