//! The text format of Prometheus, version 0.0.4.

use std::collections::HashMap;
use std::fmt::{Display, Write};

/// A metric: its name, its type, and what it means.
#[derive(Debug)]
pub(super) struct Metric {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) help: &'static str,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    Counter,
    Gauge,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
        }
    }
}

/// The labels of a sample, in the order in which they were added.
#[derive(Clone, Debug, Default)]
pub(super) struct Labels(String);

impl Labels {
    /// Adds a label. The name is one of ours; the value is anybody's.
    pub(super) fn with(mut self, name: &'static str, value: impl Display) -> Self {
        self.0.push_str(if self.0.is_empty() { "" } else { "," });
        let value = value.to_string().replace('\\', "\\\\").replace('\n', "\\n").replace('"', "\\\"");
        let _infallible = write!(self.0, "{name}=\"{value}\"");
        self
    }
}

/// What is told in one scrape.
#[derive(Debug, Default)]
pub(super) struct Page {
    samples: HashMap<&'static str, String>,
}

impl Page {
    /// Adds a sample.
    pub(super) fn add(&mut self, metric: &Metric, labels: &Labels, value: f64) {
        let samples = self.samples.entry(metric.name).or_default();
        let _infallible = match labels.0.is_empty() {
            true => writeln!(samples, "{} {}", metric.name, number(value)),
            false => writeln!(samples, "{}{{{}}} {}", metric.name, labels.0, number(value)),
        };
    }

    /// Adds a count.
    #[allow(clippy::cast_precision_loss, reason = "samples are floating-point numbers")]
    pub(super) fn count(&mut self, metric: &Metric, labels: &Labels, count: u64) {
        self.add(metric, labels, count as f64);
    }

    /// Adds a whole number.
    #[allow(clippy::cast_precision_loss, reason = "samples are floating-point numbers")]
    pub(super) fn integer(&mut self, metric: &Metric, labels: &Labels, value: i64) {
        self.add(metric, labels, value as f64);
    }

    /// Adds 1 for yes and 0 for no.
    pub(super) fn flag(&mut self, metric: &Metric, labels: &Labels, is_so: bool) {
        self.count(metric, labels, is_so.into());
    }

    /// Writes what there are samples of, in the order of `metrics`; the samples of a metric stand together.
    pub(super) fn render<'a>(&self, metrics: impl IntoIterator<Item = &'a Metric>) -> String {
        let mut text = String::new();
        for metric in metrics {
            if let Some(samples) = self.samples.get(metric.name) {
                let Metric { name, kind, help } = metric;
                let _infallible = write!(text, "# HELP {name} {help}\n# TYPE {name} {}\n{samples}", kind.word());
            }
        }
        text
    }
}

fn number(value: f64) -> String {
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    value.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Metric = Metric { name: "a_total", kind: Kind::Counter, help: "First." };
    const B: Metric = Metric { name: "b", kind: Kind::Gauge, help: "Second." };
    const C: Metric = Metric { name: "c", kind: Kind::Gauge, help: "Without samples." };

    #[test]
    fn samples_stand_together_under_help_and_type() {
        let mut page = Page::default();
        page.integer(&B, &Labels::default(), -2);
        page.count(&A, &Labels::default().with("x", 1), 7);
        page.flag(&B, &Labels::default().with("x", "1").with("y", ""), true);
        page.count(&A, &Labels::default().with("x", 2), 8);
        let expected = "# HELP a_total First.\n# TYPE a_total counter\na_total{x=\"1\"} 7\na_total{x=\"2\"} 8\n\
                        # HELP b Second.\n# TYPE b gauge\nb -2\nb{x=\"1\",y=\"\"} 1\n";
        assert_eq!(page.render([&A, &B, &C]), expected);
    }

    #[test]
    fn nothing_in_a_value_ends_a_label() {
        let labels = Labels::default().with("x", "a\"b\\c\nd}\u{fffd}");
        assert_eq!(labels.0, "x=\"a\\\"b\\\\c\\nd}\u{fffd}\"");
    }

    #[test]
    fn numbers_are_written_as_prometheus_reads_them() {
        for (value, text) in [
            (0.0, "0"),
            (1.5, "1.5"),
            (1e21, "1000000000000000000000"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
        ] {
            assert_eq!(number(value), text);
        }
    }
}
