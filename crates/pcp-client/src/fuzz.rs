//! What fuzzing checks: functions that take any bytes and panic where a property does not hold.
//!
//! No part of the interface: the feature `__fuzz` is for this repository's `fuzz/` and for the tests that replay
//! its corpus.

#![allow(clippy::expect_used, clippy::panic, reason = "a panic is how a property reports that it does not hold")]

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use futures_util::FutureExt;
use pcp_proto::{NodeId, Text};
use secrecy::ExposeSecret;

use crate::resolve::resolve_with;
use crate::truth::loose_json::{Value, read_object};
use crate::truth::{Agent, Database, EfmStatus, Member, MemberType, agreed};
use crate::{Endpoint, Node, NodeName, ResolveError, Want, passfile};

/// Panics where it does not hold for the bytes.
pub type Property = fn(&[u8]);

/// The functions with the names of their fuzz targets and corpus directories.
pub const TARGETS: &[(&str, Property)] = &[
    ("efm_status", efm_status),
    ("endpoint", endpoint),
    ("node_name", node_name),
    ("passfile", passfile),
    ("resolve", resolve),
];

/// Checks that JSON means to EFM's status what it means to a strict reader, and that nobody acts on a status that an
/// isolated host could see.
pub fn efm_status(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Ok(strict @ serde_json::Value::Object(_)) = serde_json::from_str(&text) {
        match read_object(&text) {
            Ok(members) => assert!(is_same(&Value::Object(members), &strict)),
            Err(problem) => assert!(problem.reason.contains("too deep"), "{problem}"),
        }
    }
    let Ok(status) = EfmStatus::parse(data) else { return };
    let Ok(truth) = status.truth(Some(5444)) else { return };

    let is_up = |member: &&Member| member.database == Database::Up && member.agent == Agent::Up;
    let of_type = |wanted: MemberType| status.members.iter().filter(move |member| member.member_type == wanted);
    let [primary] = of_type(MemberType::Primary).collect::<Vec<_>>()[..] else { panic!("not one primary") };
    assert!(is_up(&primary) && of_type(MemberType::Promoting).next().is_none());
    let rows = status.members.iter().map(|member| &member.address);
    let known: BTreeSet<_> = rows.chain(&status.missing).chain(&status.allowed).map(|name| spelled(name)).collect();
    let present =
        status.members.iter().filter(|member| member.agent == Agent::Up && member.member_type != MemberType::Down);
    assert!(known.len() > 1 && present.count() * 2 > known.len(), "no majority of {known:?}");

    let turns: Vec<_> = truth
        .goals()
        .iter()
        .map(|(_, want)| [Want::Detached, Want::Primary, Want::Standby].iter().position(|turn| turn == want))
        .collect();
    assert!(turns.is_sorted() && turns.iter().filter(|turn| **turn == Some(1)).count() == 1, "{turns:?}");
    for (name, want) in truth.goals() {
        let NodeName::Address { host, port: Some(5444) } = name else { panic!("{name}") };
        let row = status.members.iter().find(|member| spelled(&member.address) == spelled(host));
        let missing = status.missing.iter().any(|missing| spelled(missing) == spelled(host));
        assert!(
            match (want, row) {
                (Want::Primary, Some(row)) => row == primary,
                (Want::Standby, Some(row)) => row.member_type == MemberType::Standby && is_up(&row),
                (Want::Detached, Some(row)) =>
                    missing
                        || row.database == Database::Down
                        || row.agent == Agent::Down
                        || row.member_type == MemberType::Down,
                (Want::Detached, None) => missing,
                _ => false,
            },
            "{name} {want}"
        );
    }
    let again = EfmStatus::parse(data).expect("it was read before");
    assert_eq!(agreed(&status, &again, Duration::from_secs(2), Some(5444)), Ok(truth));
}

/// Tells whether a value means what a strict reader read; of members with the same name it keeps the last.
fn is_same(value: &Value, strict: &serde_json::Value) -> bool {
    use serde_json::Value as Strict;
    match (value, strict) {
        (Value::Text(text), Strict::String(strict)) => text == strict,
        (Value::Text(text), Strict::Number(_) | Strict::Bool(_) | Strict::Null) => {
            serde_json::from_str::<Strict>(text).is_ok_and(|value| value == *strict)
        }
        (Value::List(values), Strict::Array(strict)) => {
            values.len() == strict.len() && values.iter().zip(strict).all(|(value, strict)| is_same(value, strict))
        }
        (Value::Object(members), Strict::Object(strict)) => {
            let last: BTreeMap<_, _> = members.iter().map(|(name, value)| (name, value)).collect();
            last.len() == strict.len()
                && last
                    .iter()
                    .zip(strict)
                    .all(|((name, value), (strict_name, strict))| *name == strict_name && is_same(value, strict))
        }
        _ => false,
    }
}

fn spelled(host: &str) -> String {
    match host.parse::<IpAddr>() {
        Ok(address) => address.to_canonical().to_string(),
        Err(_) => host.trim_end_matches('.').to_ascii_lowercase(),
    }
}

/// Checks that an endpoint reads back from what it shows.
pub fn endpoint(data: &[u8]) {
    const PORT: u16 = 9898;
    let text = String::from_utf8_lossy(data);
    let Ok(endpoint) = Endpoint::parse(&text, PORT) else { return };
    let shown = endpoint.to_string();
    assert!(!endpoint.passfile_host().is_empty());
    assert_eq!(endpoint.socket_path().is_some(), matches!(endpoint, Endpoint::Unix { .. }));
    match endpoint {
        Endpoint::Tcp { ref host, .. } => {
            assert!(!host.contains(|c: char| c.is_whitespace() || c.is_control() || "[]".contains(c)), "{host:?}");
            assert_eq!(Endpoint::parse(&shown, 1).as_ref(), Ok(&endpoint), "it shows as {shown:?}");
        }
        // A directory is read whole: its port cannot be told from its name.
        Endpoint::Unix { ref dir, port } => {
            assert_eq!((dir.to_str(), port), (Some(&*text), PORT));
            assert_eq!(shown, format!("{text}:{PORT}"));
        }
    }
}

/// Checks that the name of a node reads back from what it shows, with and without a port.
pub fn node_name(data: &[u8]) {
    let Ok(name) = String::from_utf8_lossy(data).parse::<NodeName>() else { return };
    for name in [name.clone(), name.with_default_port(Some(5432))] {
        let shown = name.to_string();
        assert_eq!(shown.parse().as_ref(), Ok(&name), "it shows as {shown:?}");
    }
}

/// Checks the search in a password file against a slow one. The first two lines are the host and the user looked
/// for, the others are the file.
pub fn passfile(data: &[u8]) {
    const PORT: u16 = 9898;
    let mut parts = data.splitn(3, |&byte| byte == b'\n');
    let mut part = || parts.next().unwrap_or_default();
    let (host, user, contents) = (part(), part(), part());
    let (host, user) = (String::from_utf8_lossy(host), String::from_utf8_lossy(user));
    let find = |contents: &[u8]| {
        passfile::find(contents, &host, PORT, &user).map(|password| password.expose_secret().to_vec())
    };
    let wanted = [host.as_bytes(), b"9898", user.as_bytes()];
    assert_eq!(find(contents), contents.split(|&byte| byte == b'\n').find_map(|line| read_line(line, &wanted)));

    // What is escaped is found as it was, behind lines that do not match.
    let password = contents.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let [host, port, user] = wanted.map(escape);
    let line = [&host[..], &port, &user, &escape(password)].join(&b':');
    assert_eq!(find(&line).as_deref(), Some(password));
    assert_eq!(
        find(&[b"# a comment\n\nx", &host[..], b":9898:*:x\n", &line[..]].concat()).as_deref(),
        Some(password)
    );
}

/// Returns the password of a line that matches, by cutting the whole line into fields first.
fn read_line(line: &[u8], wanted: &[&[u8]; 3]) -> Option<Vec<u8>> {
    let mut fields: Vec<(Vec<u8>, bool)> = vec![(Vec::new(), false)];
    let mut bytes = line.iter();
    while let Some(&byte) = bytes.next() {
        let (field, is_escaped) = fields.last_mut()?;
        match (byte, bytes.as_slice().first()) {
            (b':', _) => fields.push((Vec::new(), false)),
            (b'\\', Some(&next)) => {
                field.push(next);
                *is_escaped = true;
                bytes.next();
            }
            _ => field.push(byte),
        }
    }
    let password = fields.get(3)?.0.clone();
    let matches = |((field, is_escaped), wanted): (&(Vec<u8>, bool), &&[u8])| {
        field == wanted || (field == b"*" && !is_escaped)
    };
    fields.iter().zip(wanted).all(matches).then_some(password)
}

fn escape(field: &[u8]) -> Vec<u8> {
    let escaped = |&byte: &u8| match byte {
        b':' | b'\\' => vec![b'\\', byte],
        _ => vec![byte],
    };
    field.iter().flat_map(escaped).collect()
}

/// Checks which node a name means, as far as no name is looked up. The first line is the name; each other line is a
/// node, its host and, behind the last blank, its port.
pub fn resolve(data: &[u8]) {
    let mut lines = data.split(|&byte| byte == b'\n');
    let Ok(name) = String::from_utf8_lossy(lines.next().unwrap_or_default()).parse::<NodeName>() else { return };
    let nodes: Vec<_> =
        lines.zip(0_usize..).map_while(|(line, id)| node(NodeId::try_from(id).ok()?, line)).collect();

    let meant: Vec<_> = match &name {
        NodeName::Id(id) => nodes.iter().filter(|node| node.id == *id).collect(),
        NodeName::Address { host, port } => {
            let candidates = || nodes.iter().filter(|node| port.is_none_or(|port| node.port == port));
            let by_text: Vec<_> = candidates().filter(|node| is_same_text(host, node.host.as_bytes())).collect();
            match by_text[..] {
                [] => candidates().filter(|node| is_same_address(host, node.host.as_bytes())).collect(),
                _ => by_text,
            }
        }
    };
    let nothing = async |_: &str| BTreeSet::<IpAddr>::new();
    match (resolve_with(&name, &nodes, nothing).now_or_never().expect("nothing is waited for"), &meant[..]) {
        (Ok(found), [meant]) => assert!(std::ptr::eq(found, *meant)),
        (Err(ResolveError::Unknown { nodes: listed, .. }), []) => assert_eq!(listed, nodes),
        (Err(ResolveError::Ambiguous { nodes: listed, .. }), [_, _, ..]) => assert!(listed.iter().eq(meant)),
        (result, meant) => panic!("{name} means {meant:?}, found was {result:?}"),
    }
}

fn node(id: NodeId, line: &[u8]) -> Option<Node> {
    let (host, port) = match line.iter().rposition(|&byte| byte == b' ') {
        Some(blank) => line.split_at(blank),
        None => (line, &b""[..]),
    };
    let port = std::str::from_utf8(port).ok()?.trim().parse().unwrap_or(5432);
    let host = Text::new(host.to_vec());
    Some(Node { id, host, port, status: None, role: None, quarantine: false, failover_disallowed: false })
}

/// Tells whether two hosts are the same but for case and a final dot.
fn is_same_text(name: &str, host: &[u8]) -> bool {
    let bare = |text: &[u8]| match text {
        [bare @ .., b'.'] if !bare.is_empty() => bare.to_ascii_lowercase(),
        _ => text.to_ascii_lowercase(),
    };
    bare(name.as_bytes()) == bare(host)
}

fn is_same_address(name: &str, host: &[u8]) -> bool {
    let address = |text: &str| match text.parse().ok()? {
        IpAddr::V4(address) => Some(address.to_ipv6_mapped()),
        IpAddr::V6(address) => Some(address),
    };
    let host = std::str::from_utf8(host).ok().and_then(address);
    host.is_some() && address(name) == host
}
