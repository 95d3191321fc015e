//! What is logged, taken from `tracing`'s events as one line of text each.

use std::fmt::{self, Write};
use std::sync::mpsc::SyncSender;

use jiff::Timestamp;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use super::writer::Message;

/// More than this of one event is cut off.
const MAX_LEN: usize = 16 << 10;

/// One line of the log.
#[derive(Clone, Debug)]
pub(super) struct Record {
    pub(super) time: Timestamp,
    pub(super) level: Level,
    /// The message, the fields of the spans around it, and its own: without line feeds.
    pub(super) text: String,
}

/// Hands records to the writer; drops them where it cannot keep up.
pub(super) struct Recorder {
    records: SyncSender<Message>,
}

impl Recorder {
    pub(super) fn new(records: SyncSender<Message>) -> Self {
        Self { records }
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Recorder {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut line = Line::default();
        attributes.record(&mut line);
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(line);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut line = Line::default();
        event.record(&mut line);
        let Line { message, fields: own } = line;
        let mut text = message;
        for span in context.event_scope(event).into_iter().flat_map(|scope| scope.from_root()) {
            if let Some(line) = span.extensions().get::<Line>() {
                text.push_str(&line.fields);
            }
        }
        text.push_str(&own);
        if text.len() > MAX_LEN {
            let end = (0..=MAX_LEN).rev().find(|&end| text.is_char_boundary(end));
            text.truncate(end.unwrap_or_default());
            text.push('…');
        }
        let record = Record { time: Timestamp::now(), level: *event.metadata().level(), text };
        let _full = self.records.try_send(Message::Record(record));
    }
}

/// The message of an event, and its other fields as ` key=value`.
#[derive(Default)]
struct Line {
    message: String,
    fields: String,
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, &format!("{value:?}"));
    }
}

impl Line {
    fn put(&mut self, field: &Field, value: &str) {
        let value = crate::output::printable(value);
        if field.name() == "message" {
            self.message = value;
        } else if value.is_empty() || value.contains([' ', '"', '=']) {
            let value = value.replace('\\', "\\\\").replace('"', "\\\"");
            let _infallible = write!(self.fields, " {}=\"{value}\"", field.name());
        } else {
            let _infallible = write!(self.fields, " {}={value}", field.name());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, sync_channel};

    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    fn record(log: impl FnOnce()) -> Receiver<Message> {
        let (records, received) = sync_channel(2);
        tracing::subscriber::with_default(tracing_subscriber::registry().with(Recorder::new(records)), log);
        received
    }

    fn text(log: impl FnOnce()) -> String {
        match record(log).try_recv() {
            Ok(Message::Record(record)) => record.text,
            _ => panic!("nothing was logged"),
        }
    }

    #[test]
    fn an_event_is_one_line_with_the_spans_around_it() {
        let logged = text(|| {
            let _pgpool = tracing::info_span!("pgpool", endpoint = %"pgpool1:9898").entered();
            tracing::info!(node = 2, state = "up standby", empty = "", "resolved");
        });
        assert_eq!(logged, "resolved endpoint=pgpool1:9898 node=2 state=\"up standby\" empty=\"\"");
    }

    #[test]
    fn what_a_server_says_starts_no_line_and_ends_no_value() {
        let evil = "x\n2026-01-01 verdict=\"fine\"\u{1b}[2J";
        let logged = text(|| tracing::warn!(%evil, "{evil}"));
        let escaped = "x\\n2026-01-01 verdict=\"fine\"\\u{1b}[2J";
        let quoted = escaped.replace('\\', "\\\\").replace('"', "\\\"");
        assert_eq!(logged, format!("{escaped} evil=\"{quoted}\""));
    }

    #[test]
    fn what_is_too_long_is_cut_and_what_is_too_much_is_dropped() {
        let logged = text(|| tracing::info!("{}", "é".repeat(MAX_LEN)));
        assert!(logged.ends_with("é…") && logged.len() <= MAX_LEN + '…'.len_utf8());
        let received = record(|| (0..5).for_each(|number| tracing::info!(number, "again")));
        assert_eq!(received.try_iter().count(), 2);
    }
}
