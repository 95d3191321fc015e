//! Recorded traffic between Pgpool's own tools and Pgpools from 3.5.0 to 4.7.3; `captures/README.md` describes the files.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use pcp_proto::Release;

/// One run of a tool, or of a client made for the purpose, against a server.
#[derive(Clone, Debug, Default)]
pub struct Capture {
    /// The server's version, such as `4.1.0`.
    pub version: String,
    /// What was tried.
    pub case: String,
    /// The tool's command line; empty where another client was used.
    pub argv: Vec<String>,
    /// Whether the connection went through a Unix socket.
    pub unix: bool,
    /// The user who logged in.
    pub user: Option<String>,
    /// The password; `None` where it is not known.
    pub password: Option<String>,
    /// Where the tool found it: `password file`, `standard input` or `nowhere`.
    pub password_from: Option<String>,
    /// The tool's exit code; `None` where it had to be killed, or where nobody wrote it down.
    pub exit: Option<i32>,
    /// What was special about it.
    pub note: Option<String>,
    /// The nodes as the server showed them before, right after and some seconds after.
    pub nodes: [Option<String>; 3],
    /// What the server answered to the login and to each request; see the README.
    pub outcome: Option<String>,
    /// What of it a test cannot check, each as `what: why`.
    pub unchecked: Vec<String>,
    /// What was sent, in order. Empty where nothing was.
    pub exchange: Vec<Step>,
    /// Who closed the connection and how, in order.
    pub ends: Vec<String>,
    /// What was noted where no bytes were recorded.
    pub observed: String,
    /// What the tool printed.
    pub stdout: String,
    /// What it printed on standard error.
    pub stderr: String,
}

/// Bytes that were read at once.
#[derive(Clone, Debug)]
pub struct Step {
    /// Who sent them.
    pub from: Side,
    /// Long silence before them.
    pub pause: Option<Duration>,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// An end of a connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Side {
    /// The client.
    Client,
    /// The server.
    Server,
}

impl Capture {
    /// Read all of them, version by version.
    pub fn all() -> Result<Vec<Self>> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("captures");
        let mut captures = Vec::new();
        let mut paths = std::fs::read_dir(&folder)
            .with_context(|| format!("list {}", folder.display()))?
            .map(|entry| Ok(entry?.path()))
            .collect::<Result<Vec<_>>>()?;
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
        paths.sort();
        for path in paths {
            let version = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let text = std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
            captures.extend(read(&version, &text).with_context(|| format!("in {}", path.display()))?);
        }
        ensure!(!captures.is_empty(), "no captures in {}", folder.display());
        Ok(captures)
    }

    /// Return the server's release series.
    pub fn release(&self) -> Result<Release> {
        let mut numbers = self.version.split('.').map(str::parse);
        match (numbers.next(), numbers.next()) {
            (Some(Ok(major)), Some(Ok(minor))) => Ok(Release::new(major, minor)),
            _ => bail!("{} is no version", self.version),
        }
    }

    /// Return all bytes that one side sent.
    #[must_use]
    pub fn bytes(&self, from: Side) -> Vec<u8> {
        let steps = self.exchange.iter().filter(|step| step.from == from);
        steps.flat_map(|step| step.bytes.iter().copied()).collect()
    }

    /// Return why something of it cannot be checked.
    #[must_use]
    pub fn unchecked(&self, what: &str) -> Option<&str> {
        self.unchecked.iter().find_map(|line| line.strip_prefix(what)?.strip_prefix(": "))
    }
}

impl std::fmt::Display for Capture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.version, self.case)
    }
}

fn read(version: &str, text: &str) -> Result<Vec<Capture>> {
    let mut captures: Vec<Capture> = Vec::new();
    let mut section = "";
    let mut pause = None;
    for (number, line) in text.lines().enumerate().skip(1) {
        if let Some(case) = line.strip_prefix("=== ") {
            captures.push(Capture { version: version.to_owned(), case: case.to_owned(), ..Capture::default() });
            (section, pause) = ("", None);
        } else if !line.is_empty() {
            let capture = captures.last_mut().ok_or_else(|| anyhow!("line {} is in no record", number + 1))?;
            capture.read_line(line, &mut section, &mut pause).with_context(|| format!("line {}", number + 1))?;
        }
    }
    Ok(captures)
}

impl Capture {
    fn read_line<'a>(&mut self, line: &'a str, section: &mut &'a str, pause: &mut Option<Duration>) -> Result<()> {
        let (mark, rest) = line.split_once(' ').unwrap_or((line, ""));
        match mark {
            ">" => self.begin(Side::Client, rest, pause.take()),
            "<" => self.begin(Side::Server, rest, pause.take()),
            ">>" | "<<" => self.go_on(rest),
            "|" => self.print(section, rest, "\n"),
            "|~" => self.print(section, rest, ""),
            _ => {
                let (key, value) = line.split_once(':').ok_or_else(|| anyhow!("{line:?} has no colon"))?;
                *section = key;
                self.set(key, value.strip_prefix(' ').unwrap_or(value), pause)
            }
        }
    }

    fn begin(&mut self, from: Side, text: &str, pause: Option<Duration>) -> Result<()> {
        self.exchange.push(Step { from, pause, bytes: unescape(text)? });
        Ok(())
    }

    fn go_on(&mut self, text: &str) -> Result<()> {
        let last = self.exchange.last_mut().ok_or_else(|| anyhow!("nothing goes on"))?;
        last.bytes.extend(unescape(text)?);
        Ok(())
    }

    fn print(&mut self, section: &str, text: &str, end: &str) -> Result<()> {
        let text = String::from_utf8(unescape(text)?)? + end;
        match section {
            "stdout" => self.stdout += &text,
            "stderr" => self.stderr += &text,
            "observed" => self.observed += &text,
            _ => bail!("text in {section:?}"),
        }
        Ok(())
    }

    fn set(&mut self, key: &str, value: &str, pause: &mut Option<Duration>) -> Result<()> {
        let [before, right_after, settled] = &mut self.nodes;
        let text = || Some(value.to_owned());
        match key {
            "argv" => self.argv = value.split(' ').map(str::to_owned).collect(),
            "transport" => self.unix = value == "unix",
            "user" => self.user = text(),
            "password" => self.password = text(),
            "password-from" => self.password_from = text(),
            "exit" if value == "killed" => self.exit = None,
            "exit" => self.exit = Some(value.parse()?),
            "note" => self.note = text(),
            "nodes-before" => *before = text(),
            "nodes-right-after" => *right_after = text(),
            "nodes-settled" => *settled = text(),
            "outcome" => self.outcome = text(),
            "unchecked" => self.unchecked.push(value.to_owned()),
            "pause" => {
                let seconds = value.strip_suffix(" s").unwrap_or(value).parse()?;
                *pause = Some(Duration::try_from_secs_f64(seconds)?);
            }
            "end" => self.ends.push(value.to_owned()),
            "by" | "order" | "stdout" | "stderr" | "observed" => {}
            _ => bail!("{key:?} is no key"),
        }
        Ok(())
    }
}

fn unescape(text: &str) -> Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let unescaped = match byte {
            b'\\' => match rest.next() {
                Some(b'0') => 0,
                Some(b'n') => b'\n',
                Some(b't') => b'\t',
                Some(b'\\') => b'\\',
                Some(b'x') => {
                    let digits: String = rest.by_ref().take(2).map(char::from).collect();
                    u8::from_str_radix(&digits, 16).with_context(|| format!("\\x{digits}"))?
                }
                other => bail!("{:?} is no escape", other.map(char::from)),
            },
            byte => byte,
        };
        bytes.push(unescaped);
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_as_the_readme_says() {
        let text = "Pgpool-II 4.1.0, a test\n\n=== one\nargv: pcp_node_count -w\nuser: u\npassword:\nexit: 1\n\
            unchecked: requests: it is a test\n> M\\0\\0\\0\\x04\n< m\\\\\n<< \\n\\t\npause: 2.5 s\n> X\nend: server eof\n\
            stdout:\n| 3\n|\n|~ x\n\n=== two\nexit: killed\n";
        let captures = read("4.1.0", text).unwrap();
        let [one, two] = &captures[..] else { panic!() };
        assert_eq!((one.to_string(), one.release().unwrap()), ("4.1.0/one".into(), Release::new(4, 1)));
        assert_eq!((one.argv.len(), one.exit, two.exit), (2, Some(1), None));
        assert_eq!((one.user.as_deref(), one.password.as_deref()), (Some("u"), Some("")));
        assert_eq!(one.unchecked("requests"), Some("it is a test"));
        assert_eq!(one.bytes(Side::Client), b"M\0\0\0\x04X");
        assert_eq!(one.bytes(Side::Server), b"m\\\n\t");
        assert_eq!(one.exchange[2].pause, Some(Duration::from_millis(2500)));
        assert_eq!(one.stdout, "3\n\nx");
        for bad in ["x\n", "=== a\n> \\q\n", "=== a\n| text\n", "=== a\nkind: new\n", "=== a\n<< more\n"] {
            assert!(read("4.1.0", &format!("title\n{bad}")).is_err(), "{bad:?}");
        }
    }
}
