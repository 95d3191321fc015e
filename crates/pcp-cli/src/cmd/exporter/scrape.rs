//! One scrape: every Pgpool at the same time, and one page for all.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::Instant;

use super::metrics as m;
use super::page::{Labels, Page};
use super::reader::{Reader, Reading};
use super::tell;
use crate::server_time::ServerZone;

/// Everything that is scraped.
#[derive(Debug)]
pub(super) struct Pgpools {
    pub(super) readers: Vec<Arc<Reader>>,
    pub(super) zone: ServerZone,
    /// How long a scrape may take.
    pub(super) limit: Duration,
}

impl Pgpools {
    /// Reads all, and writes what came by then.
    pub(super) async fn scrape(&self, limit: Duration) -> String {
        let until = Instant::now() + limit.min(self.limit);
        let readings = join_all(self.readers.iter().map(|reader| reader.read(until))).await;
        let mut page = Page::default();
        page.count(&m::BUILD_INFO, &Labels::default().with("version", env!("CARGO_PKG_VERSION")), 1);
        for (reader, reading) in self.readers.iter().zip(readings) {
            self.tell(&mut page, reader, reading.borrow().as_ref());
        }
        page.render(m::ALL)
    }

    fn tell(&self, page: &mut Page, reader: &Reader, reading: Option<&Reading>) {
        let pgpool = Labels::default().with("pgpool", &reader.endpoint);
        let survey = reading.and_then(|reading| reading.result.as_ref().ok());
        page.flag(&m::UP, &pgpool, survey.is_some());
        page.flag(&m::LAST_SCRAPE_ERROR, &pgpool, !reading.is_some_and(tell::is_whole));
        if let Some(reading) = reading {
            page.add(&m::LAST_SCRAPE_DURATION, &pgpool, reading.duration.as_secs_f64());
        }
        let totals = reader.totals();
        page.count(&m::SCRAPES, &pgpool, totals.readings);
        for (reason, count) in totals.errors {
            page.count(&m::SCRAPE_ERRORS, &pgpool.clone().with("reason", reason), count);
        }
        if let (Some(reading), Some(survey)) = (reading, survey) {
            tell::collectors(page, &pgpool, reading);
            tell::survey(page, &pgpool, survey, &self.zone);
        }
    }
}
