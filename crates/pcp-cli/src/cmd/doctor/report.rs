//! Printing what was found.

use serde::Serialize;

use super::finding::{Finding, Severity};
use super::look::Pgpool;
use super::propose::Lines;
use crate::args::{OutputArgs, OutputFormat};
use crate::exit::Exit;
use crate::output;

const INDENT: &str = "          ";
/// Where a line of text ends, without the indent.
const WIDTH: usize = 90;

/// Everything that was found out.
pub(super) struct Report<'a> {
    pub(super) pgpools: &'a [Pgpool],
    /// The worst first.
    pub(super) findings: Vec<Finding>,
    pub(super) lines: Option<&'a Lines>,
    /// How the looking ended, whatever was found.
    pub(super) looked: Exit,
}

#[derive(Serialize)]
struct Document<'a> {
    schema_version: u32,
    command: &'static str,
    exit_code: i32,
    verdict: String,
    pgpools: Vec<Entry<'a>>,
    findings: &'a [Finding],
    efm_properties: Vec<&'a str>,
}

#[derive(Serialize)]
struct Entry<'a> {
    endpoint: &'a str,
    error: Option<&'a str>,
    server_age: Option<String>,
}

impl Report<'_> {
    /// Prints it, and returns how the command ends.
    pub(super) fn print(&self, args: &OutputArgs) -> Exit {
        let exit = self.exit();
        match args.output {
            OutputFormat::Json => output::json(&self.document(exit)),
            OutputFormat::Table if args.quiet && exit == Exit::Done => {}
            OutputFormat::Table => output::lines(self.text(args)),
        }
        exit
    }

    fn exit(&self) -> Exit {
        match self.looked {
            Exit::Done if self.findings.iter().any(|finding| finding.severity.is_to_be_mended()) => Exit::No,
            looked => looked,
        }
    }

    fn verdict(&self) -> String {
        let count = |severity| self.findings.iter().filter(|finding| finding.severity == severity).count();
        let counts = Severity::WORST_FIRST.map(|severity| format!("{} {}", count(severity), severity.word()));
        let read = self.pgpools.iter().filter(|pgpool| pgpool.told.is_ok()).count();
        let what = match (self.exit(), self.pgpools.len()) {
            (Exit::Done, _) => "nothing to mend".to_owned(),
            (Exit::No, _) => "something to mend".to_owned(),
            (_, 0) => "no Pgpool was asked".to_owned(),
            (_, all) => format!("{read} of {all} Pgpools could be read"),
        };
        format!("{what}: {}", counts.join(", "))
    }

    fn text(&self, args: &OutputArgs) -> String {
        let mut text = self.verdict();
        let shown = self.findings.iter().filter(|finding| !args.quiet || finding.severity.is_to_be_mended());
        let mut is_below_others = true;
        let mut above: &[String] = &[];
        for finding in shown {
            // What is as it should be stands close together.
            if finding.severity != Severity::Ok || std::mem::take(&mut is_below_others) {
                text.push('\n');
            }
            self.show(finding, &mut text);
            // Several mistakes in a line are mended by the same one.
            if finding.lines != above {
                show_lines(finding, &mut text);
            }
            above = &finding.lines;
        }
        if let Some(lines) = self.lines.filter(|_| !args.quiet) {
            text.push_str("\n\nefm.properties, on every EFM node, witnesses too:");
            for line in lines.all() {
                text.push_str("\n  ");
                text.push_str(line);
            }
        }
        text
    }

    fn show(&self, finding: &Finding, text: &mut String) {
        let is_everywhere = finding.pgpools.len() == self.pgpools.len();
        let place = match finding.pgpools.is_empty() || is_everywhere {
            true => String::new(),
            false => format!("{}: ", finding.pgpools.join(", ")),
        };
        let head = wrapped(&format!("{place}{}", finding.seen)).replace('\n', &format!("\n{INDENT}"));
        text.push_str(&format!("\n{:<8}  {head}", finding.severity.word()));
        for line in wrapped(&finding.why).lines() {
            text.push_str(&format!("\n{INDENT}{line}"));
        }
    }

    fn document(&self, exit: Exit) -> Document<'_> {
        let entries = self.pgpools.iter().map(|pgpool| Entry {
            endpoint: &pgpool.endpoint,
            error: pgpool.told.as_ref().err().map(|unread| unread.reason.as_str()),
            server_age: pgpool.told.as_ref().ok().map(|told| told.view.server.age.to_string()),
        });
        Document {
            schema_version: output::SCHEMA_VERSION,
            command: "doctor",
            exit_code: exit.code(),
            verdict: self.verdict(),
            pgpools: entries.collect(),
            findings: &self.findings,
            efm_properties: self.lines.map(|lines| lines.all().to_vec()).unwrap_or_default(),
        }
    }
}

/// Shows what to write; a line to copy is never broken.
fn show_lines(finding: &Finding, text: &mut String) {
    let Some(file) = &finding.file else { return };
    let lines = finding.lines.iter().map(|line| line.replace('\n', " "));
    match finding.lines.len() {
        1 => text.push_str(&format!("\n{INDENT}-> {file}: {}", lines.collect::<String>())),
        _ => {
            text.push_str(&format!("\n{INDENT}-> {file}:"));
            lines.for_each(|line| text.push_str(&format!("\n{INDENT}   {line}")));
        }
    }
}

/// Breaks a text into lines between its words.
fn wrapped(text: &str) -> String {
    let mut wrapped = String::new();
    let mut width = 0;
    for word in text.split_whitespace() {
        let length = word.chars().count();
        if width == 0 || width + 1 + length > WIDTH {
            wrapped.push_str(if width == 0 { "" } else { "\n" });
            width = length;
        } else {
            wrapped.push(' ');
            width += 1 + length;
        }
        wrapped.push_str(word);
    }
    wrapped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_broken_between_words() {
        assert_eq!(wrapped(""), "");
        assert_eq!(wrapped("a\nb  c"), "a b c");
        let long = "1234567 ".repeat(24);
        let lines: Vec<_> = wrapped(&long).lines().map(str::len).collect();
        assert_eq!(lines, [87, 87, 15]);
        assert_eq!(wrapped(&"x".repeat(200)).lines().count(), 1);
    }
}
