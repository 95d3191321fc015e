//! The protocol crate against recorded traffic: what Pgpool's own tools sent and what real servers answered. Needs
//! no Docker.

// clippy.toml allows these in tests, but takes only functions with #[test] for such; here they call the real ones.
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::print_stdout, clippy::unwrap_used)]

mod argv;
mod chunks;
mod errors;
mod messages;
mod printed;
mod replay;
mod rules;

use pcp_proto::{Frame, ReplyKind, RequestKind, ServerAge, Severity};
use pcp_tests::captures::{Capture, Side};

use crate::argv::Meaning;
use crate::messages::{Message, message};
use crate::replay::{Answer, frames, outcome, replay};

/// Run a check for every capture. One that has a reason not to be checked must need it, and is printed.
fn for_each(what: &str, check: impl Fn(&Capture) -> Result<(), String>) {
    let captures = Capture::all().expect("the captures are readable");
    let (mut failed, mut unchecked) = (Vec::new(), 0);
    for capture in &captures {
        match (check(capture), capture.unchecked(what).or_else(|| capture.unchecked("all"))) {
            (Ok(()), None) => {}
            (Err(_), Some(reason)) => {
                unchecked += 1;
                println!("unchecked, {what}: {capture}: {reason}");
            }
            (Err(error), None) => failed.push(format!("{capture}: {error}")),
            (Ok(()), Some(reason)) => failed.push(format!("{capture}: holds, though it says {reason:?}")),
        }
    }
    println!("{what}: {} captures, {unchecked} unchecked", captures.len());
    assert!(failed.is_empty(), "{what}: {} of {}\n{}", failed.len(), captures.len(), failed.join("\n"));
}

#[test]
fn our_requests_are_the_recorded_ones() {
    for_each("requests", |capture| {
        let ours = match argv::meaning(capture)? {
            Meaning::Requests(requests) => replay::sent(capture, requests)?,
            Meaning::Refused => Vec::new(),
        };
        rules::compare(capture, &ours, &frames(&capture.bytes(Side::Client))?)
    });
}

#[test]
fn replies_mean_the_same_in_any_chunks() {
    for_each("replies", |capture| {
        let whole = replay(capture, vec![capture.bytes(Side::Server)])?;
        for chunks in chunks::several(capture) {
            let sizes: Vec<_> = chunks.iter().map(Vec::len).collect();
            let events = replay(capture, chunks)?;
            if events != whole {
                return Err(format!("other events in chunks of {sizes:?}"));
            }
        }
        Ok(())
    });
}

#[test]
fn replies_read_and_write_the_same_bytes() {
    for_each("replies", |capture| {
        let mut again = Vec::new();
        for answer in replay(capture, vec![capture.bytes(Side::Server)])? {
            again.extend(answer.encode()?);
        }
        rules::compare_replies(&again, &frames::<ReplyKind>(&capture.bytes(Side::Server))?)
    });
}

/// The tools read the same bytes with code of their own.
#[test]
fn replies_say_what_the_tools_printed() {
    for_each("replies", |capture| {
        for answer in replay(capture, vec![capture.bytes(Side::Server)])? {
            match answer {
                Answer::Reply { frames, to, is_whole: true, .. } if !capture.argv.is_empty() => {
                    printed::compare(capture, to.kind, &frames)?;
                }
                _ => {}
            }
        }
        Ok(())
    });
}

#[test]
fn outcomes_are_the_recorded_ones() {
    for_each("outcome", |capture| {
        let answers = replay(capture, vec![capture.bytes(Side::Server)])?;
        let expected = capture.outcome.as_deref().ok_or("nothing was recorded")?;
        let seen = outcome(capture, &answers)?;
        if seen != expected {
            return Err(format!("{seen:?} instead of {expected:?}"));
        }
        fatal_errors_end_the_connection(capture, &answers)?;
        if capture.argv.is_empty() { Ok(()) } else { exit_tells_of_the_login_only(capture, &answers) }
    });
}

#[test]
fn errors_are_of_the_kind_that_the_outcome_is() {
    for_each("outcome", errors::compare);
}

/// After a fatal error the server answers nothing more, and closes.
fn fatal_errors_end_the_connection(capture: &Capture, answers: &[Answer]) -> Result<(), String> {
    let is_fatal = |answer: &Answer| matches!(answer, Answer::Refused(_, message) if message.is_fatal());
    let Some(fatal) = answers.iter().position(is_fatal) else { return Ok(()) };
    if answers[fatal + 1..].iter().any(|answer| !matches!(answer, Answer::Notice(_))) {
        return Err(format!("{:?} behind a fatal error", &answers[fatal + 1..]));
    }
    match capture.ends.iter().any(|end| end.starts_with("server")) {
        true => Ok(()),
        false => Err(format!("fatal, and the end was {:?}", capture.ends)),
    }
}

/// The tools exit with 1 where the login failed and with 0 otherwise, and show what the server refused.
fn exit_tells_of_the_login_only(capture: &Capture, answers: &[Answer]) -> Result<(), String> {
    let logged_in = answers.iter().any(|answer| matches!(answer, Answer::LoggedIn));
    let expected = if answers.last().is_some_and(Answer::is_end) { Some(i32::from(!logged_in)) } else { None };
    if capture.exit != expected {
        return Err(format!("exit {:?} instead of {expected:?}", capture.exit));
    }
    let refusal = answers.iter().find_map(|answer| match answer {
        Answer::Refused(_, message) => Some(message),
        _ => None,
    });
    let Some(refusal) = refusal.filter(|_| !capture.bytes(Side::Client).is_empty()) else { return Ok(()) };
    if !matches!(refusal.level(), Severity::Error | Severity::Fatal) {
        return Err(format!("refused with {:?}", refusal.severity));
    }
    let shown = format!("{}:  {}", refusal.severity, refusal.message);
    match capture.stderr.contains(&shown) {
        true => Ok(()),
        false => Err(format!("the tool did not show {shown:?}")),
    }
}

/// What replies tell of the age of each version is true, and as much as can be told: by pool status, and by all of
/// them.
#[test]
fn ages_hold_the_recorded_versions() {
    let mut known: Vec<(String, [ServerAge; 2])> = Vec::new();
    for capture in Capture::all().expect("the captures are readable") {
        let Ok(answers) = replay(&capture, vec![capture.bytes(Side::Server)]) else { continue };
        if known.last().is_none_or(|(version, _)| *version != capture.version) {
            known.push((capture.version.clone(), [ServerAge::UNKNOWN; 2]));
        }
        let (_, [by_status, by_all]) = known.last_mut().unwrap();
        for (answer, age) in answers.iter().filter_map(|answer| Some((answer, answer.age()?))) {
            let release = capture.release().unwrap();
            assert!(age.at_least <= release && !age.is_before(release), "{capture}: {age}");
            *by_all = by_all.intersect(age).unwrap();
            if matches!(answer, Answer::Reply { to, .. } if to.kind == RequestKind::READ_POOL_STATUS) {
                *by_status = by_status.intersect(age).unwrap();
            }
        }
    }
    let known: Vec<_> = known
        .iter()
        .map(|(version, [by_status, by_all])| (version.as_str(), by_status.to_string(), by_all.to_string()))
        .collect();
    let expected = [
        ("3.5.0", "3.5 or later, before 4.0", "3.5 or later, before 3.7"),
        ("3.7.0", "3.5 or later, before 4.0", "3.7 or later, before 4.0"),
        ("4.0.25", "4.0 or later, before 4.1", "4.0 or later, before 4.1"),
        ("4.1.0", "4.1 or later, before 4.2", "4.1 or later, before 4.2"),
        ("4.1.4", "4.1 or later, before 4.2", "4.1 or later, before 4.2"),
        ("4.2.0", "4.2 or later, before 4.3", "4.2 or later, before 4.3"),
        ("4.3.0", "4.3 or later, before 4.4", "4.3 or later, before 4.4"),
        ("4.3.5", "4.3 or later, before 4.4", "4.3 or later, before 4.4"),
        ("4.5.12", "4.5 or later, before 4.6", "4.5 or later, before 4.6"),
        ("4.7.3", "4.7 or later", "4.7 or later"),
    ];
    assert_eq!(known, expected.map(|(version, one, all)| (version, one.to_owned(), all.to_owned())));
}

/// What the requests of each capture need is what its server had, exactly where it did not drop the connection.
#[test]
fn requirements_tell_what_a_server_drops() {
    let mut dropped = 0;
    for capture in Capture::all().expect("the captures are readable") {
        let release = capture.release().unwrap();
        let Ok(answers) = replay(&capture, vec![capture.bytes(Side::Server)]) else { continue };
        for (request, answer) in replay::requests_and_answers(&capture, &answers) {
            let Some(message) = message(&request).and_then(Result::ok) else { continue };
            let Answer::Refused(_, refusal) = answer else { continue };
            let unknown =
                refusal.detail.as_ref().is_some_and(|text| text.to_string().starts_with("unknown PCP packet"));
            let too_old = ServerAge::since(release).check(message.outgoing.requirement).is_err();
            assert_eq!(unknown, too_old && message.outgoing.requirement.what != ALL_NODES, "{capture}: {refusal}");
            dropped += usize::from(unknown);
        }
    }
    assert!(dropped >= 20, "{dropped}");
}

/// Asked of an old server it is an error only.
const ALL_NODES: &str = "reading the info of all nodes at once";

/// Files that no check looks at would be dead weight.
#[test]
fn every_version_has_its_captures() {
    let captures = Capture::all().expect("the captures are readable");
    let count = |version: &str| captures.iter().filter(|capture| capture.version == version).count();
    let expected = [
        ("3.5.0", 103),
        ("3.7.0", 112),
        ("4.0.25", 121),
        ("4.1.0", 76),
        ("4.1.4", 181),
        ("4.2.0", 123),
        ("4.3.0", 133),
        ("4.3.5", 208),
        ("4.5.12", 132),
        ("4.7.3", 219),
    ];
    assert_eq!(expected.map(|(version, _)| (version, count(version))), expected);
    assert_eq!(captures.len(), expected.iter().map(|(_, count)| count).sum::<usize>());
    let mut names: Vec<_> = captures.iter().map(ToString::to_string).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), captures.len());
}

/// Any error as text.
fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// Read a message or say that it is none of ours.
fn ours(frame: &Frame<RequestKind>) -> Result<Message, String> {
    message(frame).ok_or_else(|| format!("a request of type '{}'", frame.kind))?.map_err(text)
}
