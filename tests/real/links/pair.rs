//! A server, its own tools, and links: run side by side, and what has been compared.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use pcp_tests::{CTools, Cluster, Output, PCP_PASSWORD, PCP_USER, Settings, Version, pcpctl, wait_until};

use crate::support::pcp_process;

/// A server, its own tools, and links.
pub(super) struct Pair {
    pub(super) tools: CTools,
    pub(super) cluster: Cluster,
    /// Which tools printed what their links print, and with which options.
    compared: RefCell<BTreeSet<(String, Form)>>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Who {
    Tool,
    Link,
    /// A link that exits as the tool does.
    LegacyLink,
}

/// An option that changes what is printed.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Form {
    Plain,
    Verbose,
    All,
    Debug,
}

/// What is made of the nodes before each turn, what each leaves behind, and what makes it undone.
pub(super) struct Turn<'a> {
    pub(super) before: &'a [(&'a str, &'a str)],
    pub(super) after: [&'a str; 3],
    pub(super) undo: &'a [(&'a str, &'a str)],
}

impl Form {
    pub(super) const ALL: [Self; 4] = [Self::Plain, Self::Verbose, Self::All, Self::Debug];

    /// Returns the long option for it.
    pub(super) fn option(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Verbose => "--verbose",
            Self::All => "--all",
            Self::Debug => "--debug",
        }
    }

    /// Tells whether a command line asks for it, in whatever spelling.
    fn is_in(self, args: &[&str]) -> bool {
        let (short, long) = match self {
            Self::Plain => return ![Self::Verbose, Self::All, Self::Debug].iter().any(|form| form.is_in(args)),
            Self::Verbose => ('v', "--v"),
            Self::All => ('a', "--a"),
            Self::Debug => ('d', "--d"),
        };
        let asks = |word: &&str| {
            word.starts_with(long) || word.strip_prefix('-').is_some_and(|word| word.starts_with(short))
        };
        args.iter().any(asks)
    }
}

impl Pair {
    pub(super) fn start(version: Version, settings: Settings) -> Result<Self> {
        let cluster = Cluster::start(version, settings)?;
        Ok(Self { tools: CTools::start(version)?, cluster, compared: RefCell::default() })
    }

    pub(super) fn run(&self, who: Who, tool: &str, args: &[&str]) -> Result<Output> {
        self.run_on(self.cluster.pgpool().pcp_address(), who, tool, args)
    }

    pub(super) fn run_on(&self, address: SocketAddr, who: Who, tool: &str, args: &[&str]) -> Result<Output> {
        if who == Who::Tool {
            return self.tools.run(address, tool, args);
        }
        let (host, port) = (address.ip().to_string(), address.port().to_string());
        let link = pcpctl!().named(tool).args(["-h", &host, "-p", &port, "-U", PCP_USER, "-w"]);
        let link = link.args(args).env("PCP_PASSWORD", PCP_PASSWORD).env("TZ", "UTC");
        if who == Who::LegacyLink { link.env("PCPCTL_COMPAT_EXIT", "legacy").run() } else { link.run() }
    }

    /// Runs the tool and then the link.
    pub(super) fn both(&self, tool: &str, args: &[&str]) -> Result<[Output; 2]> {
        Ok([self.run(Who::Tool, tool, args)?, self.run(Who::Link, tool, args)?])
    }

    /// Compares what both print, until what moves by itself stood still for long enough; and checks the link's exit codes:
    /// its own, and the one that is the tool's when it is asked for.
    pub(super) fn alike(&self, tool: &str, args: &[&str], code: i32) -> Result<()> {
        let what = format!("{tool} and its link to print the same for {args:?}");
        wait_until(&what, Duration::from_secs(20), || {
            let [of_tool, link] = self.both(tool, args)?;
            ensure!(link.code == Some(code), "{link:?}");
            ensure!(
                (&of_tool.stdout, &of_tool.stderr) == (&link.stdout, &link.stderr),
                "\n{of_tool:#?}\n{link:#?}"
            );
            let legacy = self.run(Who::LegacyLink, tool, args)?;
            ensure!(legacy.code == of_tool.code, "\n{of_tool:#?}\n{legacy:#?}");
            Ok(())
        })?;
        self.note(tool, args);
        Ok(())
    }

    /// Has the tool and the link do the same, the second from where the first began. Both succeed, print the same, and
    /// leave the nodes alike.
    pub(super) fn change_in_turn(&self, link: Who, tool: &str, args: &[&str], turn: &Turn<'_>) -> Result<()> {
        self.in_turn(link, tool, args, |who| {
            for (tool, node) in turn.before {
                self.changes(Who::Link, tool, &[node])?;
            }
            let output = self.replacing_pcp(|| self.run(who, tool, args))?;
            self.cluster.await_summary(&turn.after).with_context(|| format!("{output:?}"))?;
            for (tool, node) in turn.undo {
                self.changes(Who::Link, tool, &[node])?;
            }
            Ok(output)
        })
    }

    /// Calls `run` for the tool and for the link, and compares what comes of it.
    pub(super) fn in_turn(
        &self,
        link: Who,
        tool: &str,
        args: &[&str],
        mut run: impl FnMut(Who) -> Result<Output>,
    ) -> Result<()> {
        let mut done = |who| {
            let output = run(who).with_context(|| format!("{who:?} {tool} {args:?}"))?;
            anyhow::Ok((output.code, output.stdout, output.stderr))
        };
        let (of_tool, of_link) = (done(Who::Tool)?, done(link)?);
        ensure!(of_link == of_tool, "{tool} {args:?}: {of_link:?} instead of {of_tool:?}");
        let succeeded = of_tool.0 == Some(0) && of_tool.1.contains("-- Command Successful\n");
        ensure!(succeeded, "{tool} {args:?}: {of_tool:?}");
        self.note(tool, args);
        Ok(())
    }

    pub(super) fn succeeds(&self, who: Who, tool: &str, args: &[&str]) -> Result<()> {
        let output = self.run(who, tool, args)?;
        let expected = (Some(0), format!("{tool} -- Command Successful\n"), String::new());
        assert_eq!((output.code, output.stdout, output.stderr), expected, "{who:?} {tool} {args:?}");
        Ok(())
    }

    /// Changes something, and waits until Pgpool has replaced its PCP process, which it does behind every change: a graceful
    /// one that comes before that hangs, up to 4.4.
    pub(super) fn changes(&self, who: Who, tool: &str, args: &[&str]) -> Result<()> {
        self.replacing_pcp(|| self.succeeds(who, tool, args))
    }

    /// Lists what was compared so far, each tool with the option.
    pub(super) fn compared(&self) -> BTreeSet<(String, Form)> {
        self.compared.borrow().clone()
    }

    fn replacing_pcp<T>(&self, change: impl FnOnce() -> Result<T>) -> Result<T> {
        let before = pcp_process(&self.cluster)?;
        let changed = change()?;
        wait_until("the PCP process to be replaced", Duration::from_secs(30), || {
            let now = pcp_process(&self.cluster)?;
            ensure!(now != before && !now.is_empty(), "it is {now:?}");
            Ok(())
        })?;
        Ok(changed)
    }

    fn note(&self, tool: &str, args: &[&str]) {
        let forms = Form::ALL.into_iter().filter(|form| form.is_in(args));
        self.compared.borrow_mut().extend(forms.map(|form| (tool.to_owned(), form)));
    }
}
