//! `doctor`: what would make hooks fail, and what works against them. Changes nothing.

mod addresses;
mod finding;
mod hook_line;
mod login;
mod look;
mod names;
mod pgpool_conf;
mod pgpools;
mod properties;
mod propose;
mod report;
#[cfg(test)]
mod test;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Parser;
use futures_util::future::{join, join_all};
use pcp_client::truth::EfmStatus;

use super::block_on;
use super::read::Unread;
use crate::args::{Ask, Cli, Command, ConfigArgs, DoctorArgs, MONITOR_LIMIT};
use crate::exit::Exit;
use crate::settings::{self, Env, Layer, Settings, SettingsError, gather};
use crate::{log, output};
use finding::{Finding, sorted};
use hook_line::Host;
use look::Pgpool;
use propose::{Lines, Sources};
use report::Report;

/// The whole time.
const LIMIT: Duration = Duration::from_secs(8);
/// How long an attach may take unless set otherwise.
const ATTACH_LIMIT: Duration = Duration::from_secs(60);

pub(super) fn run(args: &DoctorArgs, env: Env<'_>) -> Exit {
    log::start_stderr(&args.read.output);
    let connection = &args.read.connection;
    match gather(Layer::from_flags(connection), &connection.config, env) {
        Ok(layer) => block_on(examine(args, &layer, env)),
        Err(error) => {
            let findings = vec![unusable(&error)];
            Report { pgpools: &[], findings, lines: None, looked: Exit::Config }.print(&args.read.output)
        }
    }
}

fn unusable(error: &SettingsError) -> Finding {
    let why = "every command ends with exit 3 before it does anything";
    Finding::critical("configuration", output::chain(error), why)
}

async fn examine(args: &DoctorArgs, layer: &Layer, env: Env<'_>) -> Exit {
    let config = file_of_hooks(&args.read.connection.config, env);
    let hook = gather(Layer::default(), &config, &|_| None).unwrap_or_default();
    let program = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("/usr/bin/pcpctl"));
    let sources =
        Sources { config: config.config.as_deref(), profile: config.profile.as_deref(), here: layer, hook: &hook };
    let lines = Lines::new(&program, &sources, hook.deadline.unwrap_or(MONITOR_LIMIT));
    let hook_limit = hook.deadline.unwrap_or(ATTACH_LIMIT);

    let mut findings = password(layer);
    let (pgpools, looked) = match Settings::new(layer.clone(), args.read.ask(), LIMIT) {
        Ok(settings) => {
            let asked = settings.targets.iter().map(|target| Pgpool::look(target, &settings, &args.read.output));
            let efm = addresses::ask_efm(&settings, layer.efm.properties.as_deref());
            let (pgpools, efm) = join(join_all(asked), efm).await;
            findings.extend(pgpools.iter().map(|pgpool| login(pgpool, layer)));
            findings.extend(judge(&pgpools, hook_limit));
            findings.extend(mapping(args, &settings, &pgpools, efm).await);
            let exits = pgpools.iter().map(|pgpool| pgpool.told.as_ref().err().map_or(Exit::Done, |un| un.exit));
            let looked = Exit::combine(exits);
            (pgpools, looked)
        }
        // The password file was judged already.
        Err(SettingsError::NoPassword { .. }) => (Vec::new(), Exit::Config),
        Err(error) => {
            findings.push(unusable(&error));
            (Vec::new(), Exit::Config)
        }
    };
    findings.extend(files(args, layer, &lines, &program, &pgpools));
    if lines.has_blank_in_word() {
        let why = "EFM takes a blank for the end of a word, and has no quotes: use paths without blanks";
        findings.push(Finding::critical("efm.properties", "a path below holds a blank", why));
    }
    Report { pgpools: &pgpools, findings: sorted(findings), lines: Some(&lines), looked }.print(&args.read.output)
}

/// Names the configuration that a hook's line has to name: what the environment says is not known to hooks.
fn file_of_hooks(args: &ConfigArgs, env: Env<'_>) -> ConfigArgs {
    let text = |name| env(name).filter(|value| !value.is_empty());
    ConfigArgs {
        config: args.config.clone().or_else(|| text("PCPCTL_CONFIG").map(PathBuf::from)),
        profile: args.profile.clone().or_else(|| text("PCPCTL_PROFILE")?.into_string().ok()),
        efm_properties: None,
    }
}

fn password(layer: &Layer) -> Vec<Finding> {
    let source = layer.password_source();
    match settings::endpoints(layer.pgpools.clone(), layer.port) {
        Ok(endpoints) => login::judge(source.as_ref(), &endpoints, layer.user.as_deref()),
        // That is told with the other settings.
        Err(_) => Vec::new(),
    }
}

fn login(pgpool: &Pgpool, layer: &Layer) -> Finding {
    const ABOUT: &str = "connection";
    let user = layer.user.as_deref().unwrap_or_default();
    let finding = match &pgpool.told {
        Ok(_) => Finding::ok(ABOUT, format!("{user} can log in")),
        Err(Unread { exit: Exit::Authentication, reason }) => {
            let why = "hooks are refused (exit 5): pcp.conf there has to have the MD5 of the password";
            Finding::critical(ABOUT, reason, why).write("pcp.conf", format!("{user}:MD5_OF_THE_PASSWORD"))
        }
        Err(Unread { exit: Exit::Unreachable, reason }) => {
            let why = "hooks cannot tell it anything (exit 4, or 10 beside others): is it up, and does it listen for \
                       this host?";
            Finding::critical(ABOUT, reason, why).write("pgpool.conf", "pcp_listen_addresses = '*'")
        }
        Err(Unread { reason, .. }) => Finding::critical(ABOUT, reason, "its state cannot be read"),
    };
    finding.on(&pgpool.endpoint)
}

/// Judges every Pgpool, and all of them beside each other.
fn judge(pgpools: &[Pgpool], hook_limit: Duration) -> Vec<Finding> {
    let read: Vec<_> = look::read(pgpools).collect();
    let each = read.iter().flat_map(|(endpoint, told)| {
        pgpool_conf::judge(told, hook_limit).into_iter().map(|finding| finding.on(endpoint))
    });
    each.chain(pgpools::judge(&read)).collect()
}

/// Looks for the node behind each address.
async fn mapping(
    args: &DoctorArgs,
    settings: &Settings,
    pgpools: &[Pgpool],
    efm: Result<Option<EfmStatus>, Box<Finding>>,
) -> Vec<Finding> {
    let (efm, mut findings) = match efm {
        Ok(efm) => (efm, Vec::new()),
        Err(finding) => (None, vec![*finding]),
    };
    let given = args.addresses.iter().map(|address| address.0.clone()).collect();
    let addresses = addresses::collect(given, settings.mapped_names().collect(), efm.as_ref());
    if addresses.is_empty() {
        let why = "whether hooks find the nodes is not known: pcpctl doctor 10.0.0.1 10.0.0.2 tries these";
        findings.push(Finding::note("addresses", "no address is known by which EFM names a node", why));
    }
    let read: Vec<_> = look::read(pgpools).collect();
    let leads = join_all(addresses.iter().map(|address| addresses::lead(address, &read, settings))).await;
    for (address, leads) in addresses.iter().zip(&leads) {
        findings.extend(addresses::judge(address, leads));
    }
    if efm.is_some() {
        for (endpoint, told) in &read {
            findings.extend(addresses::unnamed(endpoint, &told.view.nodes, &leads));
        }
    }
    findings
}

/// Judges the files that are named.
fn files(args: &DoctorArgs, layer: &Layer, lines: &Lines, program: &Path, pgpools: &[Pgpool]) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(path) = &layer.efm.properties {
        let nodes = look::read(pgpools).flat_map(|(_, told)| &told.view.nodes);
        let mut ports: Vec<_> = nodes.map(|node| node.port).collect();
        ports.sort_unstable();
        ports.dedup();
        let host = Host { program, is_program: &is_program, rehearse: &rehearse };
        findings.extend(match settings::read_properties(path) {
            Ok(properties) => properties::judge(&properties, lines, &host, &ports),
            Err(error) => {
                vec![Finding::critical("efm.properties", output::chain(&error), "EFM reads it at its start")]
            }
        });
    }
    if let Some(path) = &args.pgpool_conf {
        let told = look::read(pgpools).next().map(|(_, told)| told.view.server.age);
        let file = path.display().to_string();
        findings.extend(match (settings::read_file(path), told) {
            (Ok(text), Some(age)) => names::judge(&file, &String::from_utf8_lossy(&text), age),
            (Ok(_), None) => {
                let why = "no Pgpool could be read, so that its release is not known";
                vec![Finding::note(&*file, format!("{file} was not looked at"), why)]
            }
            (Err(error), _) => vec![Finding::warning(&*file, output::chain(&error), "it was not looked at")],
        });
    }
    findings
}

fn is_program(path: &Path) -> bool {
    path.metadata().is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}

/// Goes through all that a hook with these words does before it calls Pgpool, without environment.
fn rehearse(words: &[String]) -> Result<(), String> {
    let typed = std::iter::once("pcpctl").chain(words.iter().map(String::as_str));
    let cli = Cli::try_parse_from(typed).map_err(|error| {
        let text = error.render().to_string();
        let reason = text.lines().take_while(|line| !line.is_empty()).map(str::trim).collect::<Vec<_>>();
        reason.join(" ")
    })?;
    let hook = match &cli.command {
        Command::Attach(args) => &args.hook,
        Command::Detach(args) => &args.hook,
        Command::Promote(args) => &args.hook,
        _ => return Ok(()),
    };
    let layer = gather(Layer::from_hook_flags(hook), &hook.connection.config, &|_| None);
    let settings = layer.and_then(|layer| Settings::new(layer, Ask::Never, ATTACH_LIMIT));
    settings.map(drop).map_err(|error| output::chain(&error))
}
