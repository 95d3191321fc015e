//! The exporter as a server.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use pcp_client::sandbox::{Age, Fault, World};
use pcp_tests::{Running, wait_until};

use crate::support::{Pgpool, logged_in};

const PATIENCE: Duration = Duration::from_secs(30);

/// An exporter that serves on a free port.
struct Exporter {
    process: Running,
    address: String,
}

impl Exporter {
    fn start(hosts: &str, args: &[&str]) -> Result<Self> {
        let args = [&["exporter", "--listen", "127.0.0.1:0", "-h", hosts][..], args].concat();
        let process = logged_in(&args).spawn()?;
        let address = wait_until("the exporter to listen", PATIENCE, || {
            let told = process.stdout_so_far();
            let (_, address) = told.trim().rsplit_once("http://").with_context(|| format!("{told:?}"))?;
            Ok(address.strip_suffix("/metrics").context("no path")?.to_owned())
        })?;
        Ok(Self { process, address })
    }

    /// Sends this, and returns all that comes.
    fn send(&self, request: &[u8]) -> Result<String> {
        let mut stream = TcpStream::connect(&self.address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(request)?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }

    fn get(&self, path: &str) -> Result<(String, String)> {
        self.get_within(path, "")
    }

    /// Returns head and body of an answer.
    fn get_within(&self, path: &str, header: &str) -> Result<(String, String)> {
        let answer = self.send(format!("GET {path} HTTP/1.1\r\nHost: x\r\n{header}\r\n").as_bytes())?;
        let (head, body) = answer.split_once("\r\n\r\n").with_context(|| format!("{answer:?}"))?;
        Ok((head.to_owned(), body.to_owned()))
    }
}

fn value<'a>(page: &'a str, sample: &str) -> Option<&'a str> {
    page.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '))
}

#[test]
fn metrics_are_served_and_every_scrape_reads_anew() -> Result<()> {
    let pgpool = Pgpool::start()?;
    let exporter = Exporter::start(&pgpool.endpoint(), &[])?;
    let (head, body) = exporter.get("/metrics?name=x")?;
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(head.contains("\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"), "{head}");
    assert!(head.contains(&format!("\r\nContent-Length: {}\r\n", body.len())), "{head}");
    let of_pgpool = format!("{{pgpool=\"{}\"}}", pgpool.endpoint());
    assert_eq!(value(&body, &format!("pgpool2_scrapes_total{of_pgpool}")), Some("1"), "{body}");

    pgpool.sandbox.with(|world| world.set_primary(None));
    let (_, body) = exporter.get("/metrics")?;
    assert_eq!(value(&body, &format!("pgpool2_scrapes_total{of_pgpool}")), Some("2"), "{body}");
    assert_eq!(value(&body, &format!("pgpool2_pcp_primaries_up{of_pgpool}")), Some("0"), "{body}");
    wait_until("its connections to be closed", PATIENCE, || {
        ensure!(pgpool.sandbox.open_connections() == 0, "one is open");
        Ok(())
    })?;
    assert_eq!(pgpool.sandbox.connections(), 2);
    Ok(())
}

#[test]
fn a_pgpool_that_comes_and_goes_is_told_as_such() -> Result<()> {
    let pgpool = Pgpool::start()?;
    let exporter = Exporter::start(&pgpool.endpoint(), &[])?;
    let up = format!("pgpool2_up{{pgpool=\"{}\"}}", pgpool.endpoint());
    for (fault, expected) in
        [(Fault::CloseBeforeSalt, "0"), (Fault::CloseBeforeSalt, "0"), (Fault::Nothing, "1"), (Fault::Nothing, "1")]
    {
        pgpool.sandbox.fault(fault);
        let (_, body) = exporter.get("/metrics")?;
        assert_eq!(value(&body, &up), Some(expected), "{body}");
        assert_eq!(exporter.get("/healthz")?.1, "ok\n", "the exporter itself is well");
    }
    exporter.process.signal("TERM")?;
    let output = exporter.process.wait(PATIENCE)?;
    let lines: Vec<_> = output.stderr.lines().collect();
    assert_eq!(lines.len(), 2, "each change is said once: {output:?}");
    assert!(lines[1].ends_with(": all is read again"), "{output:?}");
    Ok(())
}

#[test]
fn a_scrape_ends_before_prometheus_gives_it_up() -> Result<()> {
    let (alive, silent) = (Pgpool::start()?, Pgpool::start()?);
    silent.sandbox.fault(Fault::NeverSalt);
    let exporter = Exporter::start(&format!("{},{}", alive.endpoint(), silent.endpoint()), &["--deadline", "1h"])?;
    let (_, body) = exporter.get_within("/metrics", "X-Prometheus-Scrape-Timeout-Seconds: 1.5\r\n")?;
    assert_eq!(value(&body, &format!("pgpool2_up{{pgpool=\"{}\"}}", alive.endpoint())), Some("1"), "{body}");
    assert_eq!(value(&body, &format!("pgpool2_up{{pgpool=\"{}\"}}", silent.endpoint())), Some("0"), "{body}");
    Ok(())
}

#[test]
fn a_backend_that_is_silent_hides_only_itself() -> Result<()> {
    let world = World::new(Age::V4_7).node("10.0.0.1", 5432).node("10.0.0.2", 5432);
    let mut world = world.configure(|settings| settings.health_check_period = PATIENCE);
    world.silence_postgres(1, true);
    let pgpool = Pgpool::start_world(world)?;
    // Its own time is up when the scrape's is, and long after.
    for (deadline, header) in [("2s", ""), ("1h", "X-Prometheus-Scrape-Timeout-Seconds: 2\r\n")] {
        let exporter = Exporter::start(&pgpool.endpoint(), &["--live", "--deadline", deadline])?;
        let (_, body) = exporter.get_within("/metrics", header)?;
        let of_pgpool = format!("pgpool=\"{}\"", pgpool.endpoint());
        let node = |id: u8| format!("{of_pgpool},node=\"{id}\",hostname=\"10.0.0.{}\",port=\"5432\"", id + 1);
        assert_eq!(value(&body, &format!("pgpool2_up{{{of_pgpool}}}")), Some("1"), "{body}");
        assert_eq!(value(&body, &format!("pgpool2_pcp_node_postgres_up{{{}}}", node(0))), Some("1"), "{body}");
        assert_eq!(value(&body, &format!("pgpool2_pcp_node_postgres_up{{{}}}", node(1))), None, "{body}");
        assert_eq!(value(&body, &format!("pgpool2_pcp_node_primary{{{}}}", node(1))), Some("0"), "{body}");
        let collector = format!("pgpool2_pcp_collector_success{{{of_pgpool},collector=\"node_info\"}}");
        assert_eq!(value(&body, &collector), Some("0"), "{body}");
    }
    Ok(())
}

#[test]
fn scrapes_that_come_together_share_one_reading() -> Result<()> {
    let pgpool = Pgpool::start()?;
    pgpool.sandbox.fault(Fault::NeverSalt);
    let exporter = Exporter::start(&pgpool.endpoint(), &["--deadline", "4s"])?;
    // One that came alone and went away does not end it for the others.
    let alone = exporter.get_within("/metrics", "X-Prometheus-Scrape-Timeout-Seconds: 0.1\r\n")?;
    assert!(alone.0.starts_with("HTTP/1.1 200 OK"), "{alone:?}");
    thread::scope(|scope| {
        let scrapes: Vec<_> = (0..4).map(|_| scope.spawn(|| exporter.get("/metrics"))).collect();
        for scrape in scrapes {
            let (_, body) = scrape.join().expect("a scrape ends")?;
            let scrapes = format!("pgpool2_scrapes_total{{pgpool=\"{}\"}}", pgpool.endpoint());
            assert_eq!(value(&body, &scrapes), Some("1"), "{body}");
        }
        anyhow::Ok(())
    })?;
    assert_eq!(pgpool.sandbox.connections(), 1);
    Ok(())
}

#[test]
fn other_requests_have_their_answers() -> Result<()> {
    let pgpool = Pgpool::start()?;
    let exporter = Exporter::start(&pgpool.endpoint(), &[])?;
    let (head, body) = exporter.get("/")?;
    assert!(head.contains("Content-Type: text/html") && body.contains("<a href=\"/metrics\">"), "{head}\n{body}");
    assert!(exporter.get("/metric")?.0.starts_with("HTTP/1.1 404 Not Found\r\n"));
    for (request, status) in [
        (&b"POST /metrics HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc"[..], "405 Method Not Allowed\r\n"),
        (b"M\0\0\0\x04\0\0\0\0\0\0\0\0\r\n\r\n", "400 Bad Request\r\n"),
        (&[&b"GET / HTTP/1.1\r\nA: "[..], &[b'a'; 20_000]].concat(), "431 Request Header Fields Too Large\r\n"),
    ] {
        let answer = exporter.send(request)?;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{answer}");
    }
    let head = exporter.send(b"HEAD /metrics HTTP/1.1\r\n\r\n")?;
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.ends_with("\r\n\r\n"), "{head}");
    // Nothing but scrapes asks Pgpool.
    assert_eq!(pgpool.sandbox.connections(), 1);
    Ok(())
}

#[test]
fn it_ends_cleanly_on_a_signal_and_answers_who_has_asked() -> Result<()> {
    for signal in ["TERM", "INT"] {
        let pgpool = Pgpool::start()?;
        let exporter = Exporter::start(&pgpool.endpoint(), &["--deadline", "1s"])?;
        pgpool.sandbox.fault(Fault::NeverSalt);
        let address = exporter.address.clone();
        let scrape = thread::spawn(move || -> Result<String> {
            let mut stream = TcpStream::connect(address)?;
            stream.write_all(b"GET /metrics HTTP/1.1\r\n\r\n")?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            Ok(answer)
        });
        wait_until("the scrape to begin", PATIENCE, || {
            ensure!(pgpool.sandbox.connections() == 1, "no connection yet");
            Ok(())
        })?;
        exporter.process.signal(signal)?;
        let answer = scrape.join().expect("the scrape ends")?;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        let output = exporter.process.wait(PATIENCE)?;
        assert_eq!((output.code, output.signal), (Some(0), None), "{output:?}");
    }
    Ok(())
}

#[test]
fn what_it_cannot_use_is_said_at_once() -> Result<()> {
    let pgpool = Pgpool::start()?;
    let exporter = Exporter::start(&pgpool.endpoint(), &[])?;
    let taken = logged_in(&["exporter", "--listen", &exporter.address, "-h", &pgpool.endpoint()]).run()?;
    assert_eq!(taken.code, Some(3), "{taken:?}");
    assert!(taken.stderr.contains(&format!("cannot listen on {}: ", exporter.address)), "{taken:?}");
    for (args, code) in [
        (&["exporter", "--listen", "x"][..], 2),
        (&["exporter", "--interval", "5s"], 2),
        (&["exporter", "--once", "--listen", "127.0.0.1:0"], 2),
        (&["exporter", "--password-file", "/nonexistent"], 3),
    ] {
        let output = crate::support::bare(args).run()?;
        assert_eq!(output.code, Some(code), "{output:?}");
    }
    Ok(())
}
