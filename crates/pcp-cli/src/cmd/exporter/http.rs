//! As much of HTTP/1.1 as a scrape takes: one GET on each connection.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tracing::debug;

use super::request::{Request, Unusable};
use super::scrape::Pgpools;

/// How long a request, and the taking of its answer, may last.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long those who are being answered at the end are waited for.
const LAST_ANSWERS: Duration = Duration::from_secs(2);
/// How many are answered at the same time; further ones are turned away.
const MOST_CONNECTIONS: usize = 64;
/// How much a request may be.
const MOST_BYTES: usize = 16 * 1024;

const TEXT: &str = "text/plain; charset=utf-8";
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";
const HTML: &str = "text/html; charset=utf-8";

const LANDING_PAGE: &str = "<!DOCTYPE html>
<html lang=\"en\">
<head><title>pcpctl exporter</title></head>
<body>
<h1>pcpctl exporter</h1>
<p>What Pgpool-II tells on its PCP port, for Prometheus.</p>
<p><a href=\"/metrics\">Metrics</a></p>
</body>
</html>
";

/// Answers until `ended`, and then those who have asked already.
pub(super) async fn serve<T>(listener: TcpListener, pgpools: Arc<Pgpools>, ended: impl Future<Output = T>) {
    let mut answers = JoinSet::new();
    tokio::pin!(ended);
    loop {
        let accepted = tokio::select! {
            _ = &mut ended => break,
            accepted = listener.accept() => accepted,
        };
        while answers.try_join_next().is_some() {}
        match accepted {
            Ok((_, peer)) if answers.len() >= MOST_CONNECTIONS => debug!(%peer, "too many connections"),
            Ok((stream, _)) => {
                answers.spawn(answer(stream, Arc::clone(&pgpools)));
            }
            // No descriptors are left, or the client has gone.
            Err(error) => {
                debug!(%error, "cannot accept");
                sleep(Duration::from_millis(100)).await;
            }
        }
    }
    drop(listener);
    let _late = timeout(LAST_ANSWERS, async { while answers.join_next().await.is_some() {} }).await;
}

/// What is sent back.
struct Response {
    status: &'static str,
    content_type: &'static str,
    body: String,
}

async fn answer(mut stream: TcpStream, pgpools: Arc<Pgpools>) {
    let (response, with_body) = match timeout(PATIENCE, request(&mut stream)).await {
        Ok(Ok(request)) => (respond(&request, &pgpools).await, !request.is_head),
        Ok(Err(Unusable::Gone)) | Err(_) => return,
        Ok(Err(unusable)) => (Response::error(unusable.status()), true),
    };
    let text = response.encode(with_body);
    let sent = async {
        stream.write_all(text.as_bytes()).await?;
        stream.shutdown().await?;
        // What the client still sends would reset the connection before it has read the answer.
        tokio::io::copy(&mut (&mut stream).take(MOST_BYTES as u64), &mut tokio::io::sink()).await
    };
    if !matches!(timeout(PATIENCE, sent).await, Ok(Ok(_))) {
        debug!("a client did not take its answer");
    }
}

/// Reads the head of a request; a body is not waited for.
async fn request(stream: &mut TcpStream) -> Result<Request, Unusable> {
    let mut head = Vec::with_capacity(1024);
    loop {
        if stream.read_buf(&mut head).await.map_err(|_| Unusable::Gone)? == 0 {
            return Err(Unusable::Gone);
        }
        if let Some(request) = Request::parse(&head)? {
            return Ok(request);
        }
        if head.len() >= MOST_BYTES {
            return Err(Unusable::TooLong);
        }
    }
}

async fn respond(request: &Request, pgpools: &Pgpools) -> Response {
    let ok = |content_type, body| Response { status: "200 OK", content_type, body };
    match request.path.as_str() {
        "/metrics" => ok(METRICS, pgpools.scrape(request.limit(pgpools.limit)).await),
        // Of the exporter itself: a Pgpool that is down is what it is there to tell of.
        "/healthz" => ok(TEXT, "ok\n".to_owned()),
        "/" => ok(HTML, LANDING_PAGE.to_owned()),
        _ => Response::error("404 Not Found"),
    }
}

impl Response {
    fn error(status: &'static str) -> Self {
        Self { status, content_type: TEXT, body: format!("{status}\n") }
    }

    fn encode(&self, with_body: bool) -> String {
        let Self { status, content_type, body } = self;
        let allow = if status.starts_with("405") { "Allow: GET, HEAD\r\n" } else { "" };
        format!(
            "HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n{allow}\
             Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n{}",
            body.len(),
            if with_body { body } else { "" },
        )
    }
}
