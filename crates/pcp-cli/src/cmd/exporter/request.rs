//! The head of an HTTP request.

use std::time::Duration;

use httparse::{EMPTY_HEADER, Status};

/// The header by which Prometheus tells how long it waits, in seconds.
const TIMEOUT_HEADER: &str = "X-Prometheus-Scrape-Timeout-Seconds";
/// What the way back of an answer may take.
const MARGIN: Duration = Duration::from_millis(500);
const MOST_HEADERS: usize = 64;

/// A request that can be answered.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Request {
    /// Without what follows a question mark.
    pub(super) path: String,
    /// Whether the body of the answer is not wanted.
    pub(super) is_head: bool,
    /// How long the client waits, where it tells.
    timeout: Option<Duration>,
}

/// Why a request cannot be answered, or only so.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Unusable {
    /// The client has gone.
    Gone,
    TooLong,
    NoHttp,
    /// Something is to be changed here, and nothing can be.
    Method,
}

impl Unusable {
    pub(super) fn status(self) -> &'static str {
        match self {
            Self::Gone | Self::NoHttp => "400 Bad Request",
            Self::TooLong => "431 Request Header Fields Too Large",
            Self::Method => "405 Method Not Allowed",
        }
    }
}

impl Request {
    /// Reads what has come so far; `None` where more has to come.
    pub(super) fn parse(head: &[u8]) -> Result<Option<Self>, Unusable> {
        let mut headers = [EMPTY_HEADER; MOST_HEADERS];
        let mut request = httparse::Request::new(&mut headers);
        match request.parse(head) {
            Ok(Status::Partial) => return Ok(None),
            Ok(Status::Complete(_)) => {}
            Err(httparse::Error::TooManyHeaders) => return Err(Unusable::TooLong),
            Err(_) => return Err(Unusable::NoHttp),
        }
        let is_head = match request.method {
            Some("GET") => false,
            Some("HEAD") => true,
            _ => return Err(Unusable::Method),
        };
        let path = request.path.and_then(|path| path.split('?').next()).unwrap_or_default().to_owned();
        let header = request.headers.iter().find(|header| header.name.eq_ignore_ascii_case(TIMEOUT_HEADER));
        let timeout = header.and_then(|header| seconds(header.value));
        Ok(Some(Self { path, is_head, timeout }))
    }

    /// Returns how long an answer may take: what the client leaves, less the way back, and at most `limit`.
    pub(super) fn limit(&self, limit: Duration) -> Duration {
        match self.timeout {
            Some(timeout) => limit.min(timeout.saturating_sub(MARGIN.min(timeout / 4))),
            None => limit,
        }
    }
}

fn seconds(value: &[u8]) -> Option<Duration> {
    let seconds: f64 = std::str::from_utf8(value).ok()?.trim().parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok().filter(|timeout| !timeout.is_zero())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(head: &str) -> Result<Option<Request>, Unusable> {
        Request::parse(head.as_bytes())
    }

    #[test]
    fn what_prometheus_sends_is_understood() {
        let head = "GET /metrics?a=b HTTP/1.1\r\nHost: x\r\nx-prometheus-scrape-timeout-seconds: 10\r\n\r\n";
        for cut in 0..head.len() {
            assert_eq!(Request::parse(&head.as_bytes()[..cut]), Ok(None), "{cut}");
        }
        let request = parse(head).unwrap().unwrap();
        assert_eq!((request.path.as_str(), request.is_head), ("/metrics", false));
        assert_eq!(request.limit(Duration::from_secs(60)), Duration::from_millis(9500));
        assert_eq!(request.limit(Duration::from_secs(8)), Duration::from_secs(8));
        assert!(parse("HEAD / HTTP/1.0\r\n\r\n").unwrap().unwrap().is_head);
    }

    #[test]
    fn a_timeout_that_makes_no_sense_is_none() {
        for (value, limit) in
            [("1", 750), ("0.4", 300), ("0", 8000), ("-1", 8000), ("NaN", 8000), ("1e99", 8000), ("x", 8000)]
        {
            let head = format!("GET / HTTP/1.1\r\nX-Prometheus-Scrape-Timeout-Seconds: {value}\r\n\r\n");
            let limited = parse(&head).unwrap().unwrap().limit(Duration::from_secs(8));
            assert_eq!(limited, Duration::from_millis(limit), "{value}");
        }
    }

    #[test]
    fn what_cannot_be_answered_is_told_apart() {
        assert_eq!(parse("POST /metrics HTTP/1.1\r\n\r\n"), Err(Unusable::Method));
        assert_eq!(parse("R\0\0\0\x04 x\r\n\r\n"), Err(Unusable::NoHttp));
        let many = "a: b\r\n".repeat(MOST_HEADERS + 1);
        assert_eq!(parse(&format!("GET / HTTP/1.1\r\n{many}\r\n")), Err(Unusable::TooLong));
    }
}
