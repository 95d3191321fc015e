//! What is typed behind a tool's name.

use std::ffi::OsString;
use std::num::NonZeroU32;

use pcp_proto::NodeId;
use pcp_proto::message::{
    PromoteMode, ReadHealthCheckStats, ReadNodeInfo, ReadProcessInfo, ReadWatchdogInfo, Scope, StopMode,
};

use super::end::End;
use super::form::Form;
use super::getopt::{GetOpt, Order as Options};
use super::request::{Change, Order, Pace, Read, Request};
use super::tool::{Tool, long_options};
use super::usage;
use crate::args::Ask;
use crate::output;
use crate::settings::Env;

/// A command line that makes sense.
#[derive(Debug)]
pub(super) struct Arguments {
    pub(super) host: Option<String>,
    pub(super) port: Option<u16>,
    pub(super) user: Option<String>,
    pub(super) ask: Ask,
    /// `-d`: tell what is sent and received.
    pub(super) debug: bool,
    /// `-v`: a line for each value, with its name.
    pub(super) verbose: bool,
    /// `-a`: what is not in use too.
    pub(super) all: bool,
    pub(super) request: Request,
}

/// What the options say so far.
#[derive(Debug)]
struct Typed {
    tool: Tool,
    form: Form,
    host: Option<String>,
    port: Option<u16>,
    user: Option<String>,
    ask: Ask,
    debug: bool,
    verbose: bool,
    all: bool,
    pace: Pace,
    promotion: PromoteMode,
    stop: StopMode,
    scope: Scope,
    node: Option<NodeId>,
    member: Option<u8>,
    process: Option<NonZeroU32>,
}

impl Arguments {
    /// Reads a command line, prints what it asks for by itself or what is wrong with it, and then tells how that ends.
    pub(super) fn read(
        tool: Tool,
        argv0: &str,
        words: impl Iterator<Item = OsString>,
        form: Form,
        env: Env<'_>,
    ) -> Result<Self, End> {
        let words: Vec<_> = words.map(|word| word.to_string_lossy().into_owned()).collect();
        // Only as the first word, as the tools have it; behind others it is complained of.
        let text = match words.first().map(String::as_str) {
            Some("--help" | "-?") => Some(usage::help(tool, form)),
            Some("--version" | "-V") => Some(usage::version(tool, form)),
            _ => None,
        };
        if let Some(text) = text {
            output::err(text);
            return Err(End::DONE);
        }
        let order = if env("POSIXLY_CORRECT").is_some() { Options::First } else { Options::Anywhere };
        let mut options = GetOpt::new(argv0, words, tool.short_options(form), long_options(form), order);
        let mut typed = Typed::new(tool, form);
        for option in options.by_ref() {
            match option {
                Ok((letter, value)) => typed.take(letter, value)?,
                Err(complaint) => {
                    output::err_line(complaint);
                    return Err(try_help(tool));
                }
            }
        }
        for operand in options.into_operands() {
            typed.take_operand(&operand)?;
        }
        typed.finish()
    }
}

impl Typed {
    fn new(tool: Tool, form: Form) -> Self {
        Self {
            tool,
            form,
            host: None,
            port: None,
            user: None,
            ask: Ask::Missing,
            debug: false,
            verbose: false,
            all: false,
            pace: Pace::AtOnce,
            promotion: PromoteMode::ViewOnly,
            stop: StopMode::Smart,
            scope: Scope::Local,
            node: None,
            member: None,
            process: None,
        }
    }

    fn take(&mut self, letter: char, value: Option<String>) -> Result<(), End> {
        let has_value = value.is_some();
        let value = value.unwrap_or_default();
        match letter {
            'd' => self.debug = true,
            'a' => self.all = true,
            'w' => self.ask = Ask::Never,
            'W' => self.ask = Ask::Always,
            'g' => self.pace = Pace::Gracefully,
            'v' => self.verbose = true,
            's' if self.tool.has_scope(self.form) => self.scope = self.scope(&value)?,
            // The tool takes its own --scope for a switchover too.
            's' if self.tool == Tool::PromoteNode && !has_value => self.promotion = PromoteMode::Switchover,
            'm' if self.tool == Tool::StopPgpool => self.stop = self.stop_mode(&value)?,
            's' | 'm' => {
                let name = self.tool.name();
                output::err_line(format_args!(
                    "Invalid argument \"{value}\", Try \"{name} --help\" for more information."
                ));
                return Err(End::USAGE);
            }
            'n' if self.tool == Tool::WatchdogInfo => {
                self.member = Some(self.number(&value, "watchdog-id", WATCHDOG_RANGE)?);
            }
            'n' => self.node = Some(self.node(&value)?),
            'p' => {
                let port = self.number(&value, "port number", PORT_RANGE)?;
                // The tools take no port that belongs to root.
                self.port = Some(port).filter(|&port| port > 1024);
                if self.port.is_none() {
                    return Err(self.invalid(&value, "port number", PORT_RANGE));
                }
            }
            'P' => self.process = Some(self.number(&value, "process-id", PROCESS_RANGE)?),
            'h' => self.host = Some(value),
            'U' => self.user = Some(value),
            _ => return Err(try_help(self.tool)),
        }
        Ok(())
    }

    fn take_operand(&mut self, word: &str) -> Result<(), End> {
        match self.tool {
            Tool::ProcInfo if self.process.is_none() => {
                self.process = Some(self.number(word, "process-id", PROCESS_RANGE)?);
            }
            Tool::WatchdogInfo if self.member.is_none() => {
                self.member = Some(self.number(word, "watchdog-id", WATCHDOG_OPERAND_RANGE)?);
            }
            tool if (tool.needs_node(self.form) || tool == Tool::NodeInfo) && self.node.is_none() => {
                self.node = Some(self.node(word)?);
            }
            tool => output::err_line(format_args!(
                "{}: Warning: extra command-line argument \"{word}\" ignored",
                tool.name()
            )),
        }
        Ok(())
    }

    fn finish(self) -> Result<Arguments, End> {
        if self.tool.needs_node(self.form) && self.node.is_none() {
            output::err_line(format_args!("{}: missing node-id", self.tool.name()));
            return Err(try_help(self.tool));
        }
        let node = || self.node.ok_or(End::USAGE);
        let request = match self.tool {
            Tool::AttachNode => Request::Change(node()?, Change::Attach),
            Tool::DetachNode => Request::Change(node()?, Change::Detach(self.pace)),
            Tool::PromoteNode => Request::Change(node()?, Change::Promote(self.pace, self.promotion)),
            Tool::RecoveryNode => Request::Order(Order::Recover(node()?)),
            Tool::HealthCheckStats => Request::Read(Read::HealthCheckStats(ReadHealthCheckStats { node: node()? })),
            Tool::NodeInfo => {
                Request::Read(Read::NodeInfo(self.node.map_or(ReadNodeInfo::All, ReadNodeInfo::Node)))
            }
            Tool::NodeCount => Request::Read(Read::NodeCount),
            Tool::PoolStatus => Request::Read(Read::PoolStatus),
            Tool::ProcCount => Request::Read(Read::ProcessCount),
            Tool::ProcInfo => {
                let process = self.process.map_or(ReadProcessInfo::All, ReadProcessInfo::Process);
                Request::Read(Read::ProcessInfo(process))
            }
            Tool::WatchdogInfo => {
                let member = self.member.map_or(ReadWatchdogInfo::All, ReadWatchdogInfo::Member);
                Request::Read(Read::WatchdogInfo(member))
            }
            Tool::InvalidateQueryCache => Request::Order(Order::InvalidateQueryCache),
            Tool::LogRotate => Request::Order(Order::RotateLog(self.scope)),
            Tool::ReloadConfig => Request::Order(Order::Reload(self.scope)),
            Tool::StopPgpool => Request::Order(Order::Stop(self.stop, self.scope)),
        };
        Ok(Arguments {
            // An empty one is the default one.
            host: self.host.filter(|host| !host.is_empty()),
            port: self.port,
            user: self.user,
            ask: self.ask,
            debug: self.debug,
            verbose: self.verbose,
            all: self.all,
            request,
        })
    }

    fn scope(&self, value: &str) -> Result<Scope, End> {
        match value {
            "c" | "cluster" => Ok(Scope::Cluster),
            "l" | "local" => Ok(Scope::Local),
            _ => {
                let scope = if self.form.is_at_least(4, 3) { "scope" } else { "socpe" };
                output::err_line(format_args!(
                    "{}: Invalid command {scope} \"{value}\", must be either \"cluster\" or \"local\" ",
                    self.tool.name()
                ));
                Err(End::USAGE)
            }
        }
    }

    fn stop_mode(&self, value: &str) -> Result<StopMode, End> {
        match value {
            "s" | "smart" => Ok(StopMode::Smart),
            "f" | "fast" => Ok(StopMode::Fast),
            "i" | "immediate" => Ok(StopMode::Immediate),
            _ => {
                output::err_line(format_args!(
                    "{}: Invalid shutdown mode \"{value}\", must be either \"smart\" \"immediate\" or \"fast\" ",
                    self.tool.name()
                ));
                Err(End::USAGE)
            }
        }
    }

    fn node(&self, value: &str) -> Result<NodeId, End> {
        // They let 128 through, to be refused by the server.
        let range = if value == "128" { "between 0 and 127" } else { "between 0 and 128" };
        self.number(value, "node-id", range)
    }

    /// Reads a number, with blanks around it if need be. The tools take what begins with one, and 0 for what does not;
    /// that is how `-n pg2` detaches node 0.
    fn number<T: std::str::FromStr>(&self, value: &str, what: &str, range: &str) -> Result<T, End> {
        let digits = value.trim();
        let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| digits.parse().ok()).flatten().ok_or_else(|| self.invalid(value, what, range))
    }

    fn invalid(&self, value: &str, what: &str, range: &str) -> End {
        output::err_line(format_args!("{}: Invalid {what} \"{value}\", must be {range}", self.tool.name()));
        // What is no number at all they would have taken for one, and not complained; but 0 is none of these.
        let misread = value.trim_start().bytes().take_while(u8::is_ascii_digit).all(|digit| digit == b'0');
        let is_complained_of = misread && [PORT_RANGE, PROCESS_RANGE].contains(&range);
        if is_complained_of || value.trim().parse::<i64>().is_ok() { End::OUT_OF_RANGE } else { End::USAGE }
    }
}

const PORT_RANGE: &str = "between 1024 and 65535";
const PROCESS_RANGE: &str = "greater than 0";
const WATCHDOG_RANGE: &str = "a positive number or zero for a local watchdog node";
const WATCHDOG_OPERAND_RANGE: &str = "a positive number or zero for local watchdog node";

fn try_help(tool: Tool) -> End {
    output::err(format_args!("Try \"{} --help\" for more information.\n\n", tool.name()));
    End::USAGE
}
