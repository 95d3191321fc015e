//! What was found, and what to do about it.

use serde::Serialize;

/// How bad it is.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub(super) enum Severity {
    /// As it should be.
    Ok,
    /// To be known; nothing has to be done.
    Note,
    /// Works against the hooks, or hides that they fail.
    Warning,
    /// Hooks cannot work, or data and sessions are at risk.
    Critical,
}

impl Severity {
    pub(super) const WORST_FIRST: [Self; 4] = [Self::Critical, Self::Warning, Self::Note, Self::Ok];

    /// Returns the word for it.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Note => "NOTE",
            Self::Warning => "WARNING",
            Self::Critical => "CRITICAL",
        }
    }

    pub(super) fn is_to_be_mended(self) -> bool {
        self >= Self::Warning
    }
}

/// One thing that was found.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub(super) struct Finding {
    pub(super) severity: Severity,
    /// The setting, property or subject that it is about.
    pub(super) about: String,
    /// Where it was found; empty where it is not about a Pgpool.
    pub(super) pgpools: Vec<String>,
    /// What was seen.
    pub(super) seen: String,
    /// Why it matters; empty where all is well.
    pub(super) why: String,
    /// The file to change.
    pub(super) file: Option<String>,
    /// The lines to write there.
    pub(super) lines: Vec<String>,
}

impl Finding {
    pub(super) fn ok(about: impl Into<String>, seen: impl Into<String>) -> Self {
        Self::new(Severity::Ok, about, seen, "")
    }

    pub(super) fn note(about: impl Into<String>, seen: impl Into<String>, why: impl Into<String>) -> Self {
        Self::new(Severity::Note, about, seen, why)
    }

    pub(super) fn warning(about: impl Into<String>, seen: impl Into<String>, why: impl Into<String>) -> Self {
        Self::new(Severity::Warning, about, seen, why)
    }

    pub(super) fn critical(about: impl Into<String>, seen: impl Into<String>, why: impl Into<String>) -> Self {
        Self::new(Severity::Critical, about, seen, why)
    }

    fn new(severity: Severity, about: impl Into<String>, seen: impl Into<String>, why: impl Into<String>) -> Self {
        Self {
            severity,
            about: about.into(),
            pgpools: Vec::new(),
            seen: seen.into(),
            why: why.into(),
            file: None,
            lines: Vec::new(),
        }
    }

    /// Adds a line to write.
    pub(super) fn write(mut self, file: impl Into<String>, line: impl Into<String>) -> Self {
        self.file = Some(file.into());
        self.lines.push(line.into());
        self
    }

    /// Adds where it was found.
    pub(super) fn on(mut self, pgpool: &str) -> Self {
        self.pgpools.push(pgpool.to_owned());
        self
    }
}

/// Puts what several Pgpools share into one finding each, the worst first.
pub(super) fn sorted(findings: Vec<Finding>) -> Vec<Finding> {
    let mut sorted: Vec<Finding> = Vec::new();
    for finding in findings {
        let is_same = |other: &&mut Finding| {
            !finding.pgpools.is_empty()
                && !other.pgpools.is_empty()
                && Finding { pgpools: finding.pgpools.clone(), ..(*other).clone() } == finding
        };
        match sorted.iter_mut().find(is_same) {
            Some(other) => other.pgpools.extend(finding.pgpools),
            None => sorted.push(finding),
        }
    }
    // What is equally bad stays in the order in which it was found.
    sorted.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    sorted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_pgpools_share_is_said_once_and_the_worst_comes_first() {
        let findings = sorted(vec![
            Finding::ok("a", "fine").on("pgpool1"),
            Finding::warning("b", "x", "bad").on("pgpool1"),
            Finding::warning("b", "x", "bad").on("pgpool2"),
            Finding::warning("b", "y", "bad").on("pgpool3"),
            Finding::note("c", "z", "so so"),
            Finding::critical("d", "z", "worse").write("pgpool.conf", "d = off"),
        ]);
        let shown: Vec<_> = findings.iter().map(|f| (f.severity.word(), &*f.seen, f.pgpools.len())).collect();
        let expected =
            [("CRITICAL", "z", 0), ("WARNING", "x", 2), ("WARNING", "y", 1), ("NOTE", "z", 0), ("OK", "fine", 1)];
        assert_eq!(shown, expected);
    }
}
