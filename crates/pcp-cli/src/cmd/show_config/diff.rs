//! What differs between several Pgpools.

use std::collections::{HashMap, HashSet};

use serde::Serialize;

use super::super::read::Answered;
use super::{Config, HIDDEN, Shared};
use crate::args::{OutputFormat, ShowConfigArgs};
use crate::exit::Exit;
use crate::output;
use crate::page::{Cell, Column, Fit, Page, Table};

#[derive(Serialize)]
struct Diff<'a> {
    schema_version: u32,
    exit_code: i32,
    pgpools: Vec<Side<'a>>,
    parameters: Vec<Difference<'a>>,
}

/// A Pgpool that was to be compared.
#[derive(Serialize)]
struct Side<'a> {
    endpoint: &'a str,
    error: Option<&'a str>,
    server_age: Option<&'a str>,
}

/// A parameter that is not the same everywhere.
#[derive(Serialize)]
struct Difference<'a> {
    name: &'a str,
    /// One for each Pgpool; `null` where it does not list the parameter, or could not be read.
    values: Vec<Option<Value<'a>>>,
}

#[derive(Serialize)]
struct Value<'a> {
    /// `null` where it is hidden.
    value: Option<&'a str>,
    hidden: bool,
}

impl<'a> From<&'a Shared> for Value<'a> {
    fn from(shared: &'a Shared) -> Self {
        Self { value: shared.value.as_deref(), hidden: shared.hidden }
    }
}

/// Prints what differs between the Pgpools that could be read.
pub(super) fn print(args: &ShowConfigArgs, page: Page, answers: &[Answered<Config>]) -> Exit {
    if answers.len() < 2 {
        output::err_line("pcpctl: --diff compares several Pgpools: name at least two, such as -h pgpool1,pgpool2");
        return Exit::Usage;
    }
    let differences = differences(answers);
    let answered =
        answers.iter().map(|answered| answered.answer.as_ref().map_or_else(|unread| unread.exit, |_| Exit::Done));
    let exit = match Exit::combine(answered) {
        Exit::Done if !differences.is_empty() => Exit::No,
        exit => exit,
    };
    let sides: Vec<_> = answers.iter().map(Side::of).collect();
    for Side { endpoint, error, .. } in &sides {
        if let Some(error) = error {
            output::err_line(format_args!("pcpctl: {endpoint}: {error}"));
        }
    }
    let read: Vec<_> = answers.iter().filter_map(|answered| answered.answer.as_ref().ok()).collect();
    match args.read.output.output {
        OutputFormat::Json => output::json(&Diff {
            schema_version: output::SCHEMA_VERSION,
            exit_code: exit.code(),
            pgpools: sides,
            parameters: differences,
        }),
        OutputFormat::Table if args.read.output.quiet || read.len() < 2 => {}
        OutputFormat::Table => {
            if !differences.is_empty() {
                output::shown(&table(&sides, &differences).show(page));
            }
            let all = read.iter().map(|config| config.parameters.len()).max().unwrap_or_default();
            output::line(format_args!(
                "{} of {all} parameters differ between {} Pgpools",
                differences.len(),
                read.len()
            ));
        }
    }
    exit
}

impl<'a> Side<'a> {
    fn of(Answered { endpoint, answer }: &'a Answered<Config>) -> Self {
        Self {
            endpoint,
            error: answer.as_ref().err().map(|unread| unread.reason.as_str()),
            server_age: answer.as_ref().ok().map(|config| config.server_age.as_str()),
        }
    }
}

/// Lists what is not the same on every Pgpool that could be read, in the order of the first that lists it.
fn differences<'a>(answers: &'a [Answered<Config>]) -> Vec<Difference<'a>> {
    let configs: Vec<Option<HashMap<&str, &'a Shared>>> = answers
        .iter()
        .map(|answered| {
            let parameters = &answered.answer.as_ref().ok()?.parameters;
            // Of a name that comes twice the first value counts.
            Some(parameters.iter().rev().map(|parameter| (parameter.name.as_str(), parameter)).collect())
        })
        .collect();
    let listed = answers.iter().filter_map(|answered| answered.answer.as_ref().ok());
    let names = listed.flat_map(|config| &config.parameters).map(|parameter| parameter.name.as_str());
    let mut seen = HashSet::new();
    names
        .filter(|name| seen.insert(*name))
        .filter_map(|name| {
            let read: Vec<_> = configs.iter().flatten().map(|config| config.get(name).copied()).collect();
            read.windows(2).any(|pair| matches!(pair, [one, other] if !is_same(*one, *other))).then(|| {
                let of = |config: &Option<HashMap<&str, &'a Shared>>| Some((*config.as_ref()?.get(name)?).into());
                Difference { name, values: configs.iter().map(of).collect() }
            })
        })
        .collect()
}

fn is_same(one: Option<&Shared>, other: Option<&Shared>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => one.is_same(other),
        (one, other) => one.is_none() && other.is_none(),
    }
}

fn table(sides: &[Side<'_>], differences: &[Difference<'_>]) -> Table {
    let columns = sides.iter().map(|side| Column::that(side.endpoint, Fit::Shorten { rank: 1, least: 12 }));
    let mut table = Table::new(std::iter::once(Column::new("PARAMETER")).chain(columns));
    for Difference { name, values } in differences {
        let cells = values.iter().zip(sides).map(|(value, side)| match value {
            Some(Value { value: Some(""), .. }) => Cell::new("''"),
            Some(Value { value, .. }) => Cell::new(value.unwrap_or(HIDDEN)),
            None if side.error.is_some() => Cell::default(),
            None => Cell::new("(not listed)"),
        });
        table.row(std::iter::once(Cell::new(name)).chain(cells));
    }
    table
}
