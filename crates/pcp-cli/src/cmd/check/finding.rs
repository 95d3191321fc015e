//! What a check found out, and the line that a monitoring system reads.

use std::fmt::{self, Write};

use super::Range;
use crate::args::ThresholdArgs;
use crate::exit::Exit;
use crate::output::printable;

/// How bad it is; the worst is the greatest.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum State {
    Ok,
    Unknown,
    Warning,
    Critical,
}

impl State {
    fn word(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Warning => "WARNING",
            Self::Critical => "CRITICAL",
            Self::Unknown => "UNKNOWN",
        }
    }
}

/// The numbers are those of Nagios, whatever the names here say: 0, 1, 2, 3.
impl From<State> for Exit {
    fn from(state: State) -> Self {
        match state {
            State::Ok => Self::Done,
            State::Warning => Self::No,
            State::Critical => Self::Usage,
            State::Unknown => Self::Config,
        }
    }
}

/// What was found out about one Pgpool.
#[derive(Debug)]
pub(super) struct Finding {
    pub(super) state: State,
    pub(super) text: String,
    pub(super) perf: Vec<Perf>,
}

impl Finding {
    /// A finding without anything measured.
    pub(super) fn bare(state: State, text: impl Into<String>) -> Self {
        Self { state, text: text.into(), perf: Vec::new() }
    }

    /// Makes it as bad as `state` at least, and adds why.
    pub(super) fn worsen(&mut self, state: State, text: impl fmt::Display) {
        self.state = self.state.max(state);
        let _infallible = write!(self.text, ", {text}");
    }
}

/// From where on a value is worth an alert.
#[derive(Debug)]
pub(super) struct Thresholds {
    pub(super) warning: Option<Range>,
    pub(super) critical: Option<Range>,
}

impl Thresholds {
    /// Takes what was typed, and else the defaults of the check.
    pub(super) fn of(args: &ThresholdArgs, warning: Option<u64>, critical: Option<u64>) -> Self {
        Self {
            warning: args.warning.clone().or_else(|| warning.map(Range::up_to)),
            critical: args.critical.clone().or_else(|| critical.map(Range::up_to)),
        }
    }

    pub(super) fn state(&self, value: f64) -> State {
        let alerts = |range: &Option<Range>| range.as_ref().is_some_and(|range| range.alerts(value));
        match (alerts(&self.warning), alerts(&self.critical)) {
            (_, true) => State::Critical,
            (true, false) => State::Warning,
            (false, false) => State::Ok,
        }
    }
}

/// A value that was measured: `'label'=value[unit];warning;critical;min;max`.
#[derive(Debug)]
pub(super) struct Perf {
    label: String,
    value: String,
    thresholds: [String; 2],
    bounds: [String; 2],
}

impl Perf {
    /// A value with its unit, nothing, `s`, `%`, or `c` for a counter.
    pub(super) fn new(label: impl Into<String>, value: impl fmt::Display, unit: &str) -> Self {
        Self {
            label: label.into(),
            value: format!("{value}{unit}"),
            thresholds: Default::default(),
            bounds: Default::default(),
        }
    }

    /// Adds from where on there is an alert.
    pub(super) fn thresholds(mut self, thresholds: &Thresholds) -> Self {
        let text = |range: &Option<Range>| range.as_ref().map(Range::to_string).unwrap_or_default();
        self.thresholds = [text(&thresholds.warning), text(&thresholds.critical)];
        self
    }

    /// Adds between what it can be.
    pub(super) fn bounds(mut self, min: impl fmt::Display, max: impl fmt::Display) -> Self {
        self.bounds = [min.to_string(), max.to_string()];
        self
    }

    fn show(&self, prefix: &str) -> String {
        let ([warning, critical], [min, max]) = (&self.thresholds, &self.bounds);
        let label = format!("{prefix}{}", self.label).replace(['=', '|'], "_").replace('\'', "''");
        let shown = format!("'{label}'={};{warning};{critical};{min};{max}", self.value);
        shown.trim_end_matches(';').to_owned()
    }
}

/// Puts what was found out about each Pgpool on one line, the worst first, and returns it with the worst state.
pub(super) fn line(findings: &[(String, Finding)]) -> (State, String) {
    let mut sorted: Vec<_> = findings.iter().collect();
    sorted.sort_by_key(|(_, finding)| std::cmp::Reverse(finding.state));
    let worst = sorted.first().map_or(State::Unknown, |(_, finding)| finding.state);
    let several = findings.len() > 1;
    let texts: Vec<_> = sorted.iter().map(|(endpoint, finding)| text(endpoint, finding, several)).collect();
    let perf = findings.iter().flat_map(|(endpoint, finding)| {
        // A label has to be of one Pgpool.
        let prefix = if several { format!("{endpoint} ") } else { String::new() };
        finding.perf.iter().map(move |perf| perf.show(&prefix))
    });
    let perf: Vec<_> = perf.collect();
    let mut line = format!("{} - {}", worst.word(), texts.join("; "));
    if !perf.is_empty() {
        let _infallible = write!(line, " | {}", perf.join(" "));
    }
    (worst, printable(&line.replace('\n', " ")))
}

/// What comes before the data is text: the sign that sets it off cannot be in it.
fn text(endpoint: &str, finding: &Finding, several: bool) -> String {
    let state = match several {
        true => format!("{} ", finding.state.word()),
        false => String::new(),
    };
    format!("{state}{endpoint}: {}", finding.text).replace('|', "/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(state: State, text: &str) -> Finding {
        Finding { perf: vec![Perf::new("up", 2, "").bounds(0, 3)], ..Finding::bare(state, text) }
    }

    #[test]
    fn the_worst_wins_and_comes_first() {
        let findings = [
            ("a:1".to_owned(), finding(State::Ok, "well")),
            ("b:2".to_owned(), finding(State::Critical, "a|b\n\u{1b}[2Jc")),
            ("c:3".to_owned(), Finding::bare(State::Warning, "so so")),
        ];
        let (state, line) = line(&findings);
        assert_eq!(state, State::Critical);
        assert_eq!(
            line,
            "CRITICAL - CRITICAL b:2: a/b \\u{1b}[2Jc; WARNING c:3: so so; OK a:1: well | \
             'a:1 up'=2;;;0;3 'b:2 up'=2;;;0;3"
        );
    }

    #[test]
    fn one_pgpool_has_short_labels() {
        assert_eq!(line(&[("a:1".to_owned(), finding(State::Ok, "well"))]).1, "OK - a:1: well | 'up'=2;;;0;3");
        assert_eq!(line(&[("a:1".to_owned(), Finding::bare(State::Ok, "well"))]).1, "OK - a:1: well");
    }

    #[test]
    fn what_is_not_known_is_worse_than_well_and_better_than_bad() {
        assert!(State::Ok < State::Unknown && State::Unknown < State::Warning && State::Warning < State::Critical);
        let codes =
            [State::Ok, State::Warning, State::Critical, State::Unknown].map(|state| Exit::from(state).code());
        assert_eq!(codes, [0, 1, 2, 3]);
    }

    #[test]
    fn a_label_is_quoted() {
        let perf = Perf::new("it's=a|b", 1.5, "s");
        assert_eq!(perf.show(""), "'it''s_a_b'=1.5s");
    }
}
