//! What is said of an error, in the words of the tools where they have any.

use std::io;

use pcp_client::{Endpoint, Error, ErrorKind};
use pcp_proto::{ServerMessage, Text};

use crate::output;

/// Returns what goes to standard error.
pub(super) fn complaint(error: &Error, endpoint: &Endpoint) -> Vec<u8> {
    match (error.kind(), error.server_message()) {
        (_, Some(said)) => server_message(said),
        (ErrorKind::Unreachable, None) => unreachable(error, endpoint).into_bytes(),
        (ErrorKind::Disconnected, None) => b"ERROR: unable to read data from socket.\n".to_vec(),
        (ErrorKind::Protocol, None) => {
            format!("command failed. invalid response: {}\n", output::chain(error)).into_bytes()
        }
        _ => format!("ERROR: {}\n", output::chain(error)).into_bytes(),
    }
}

/// Says what a server said.
fn server_message(said: &ServerMessage) -> Vec<u8> {
    let mut text = [said.severity.as_bytes(), b":  ", said.message.as_bytes(), b"\n"].concat();
    if let Some(detail) = &said.detail {
        text.extend([b"DETAIL:  ", Text::as_bytes(detail), b"\n"].concat());
    }
    text.push(b'\n');
    text
}

fn unreachable(error: &Error, endpoint: &Endpoint) -> String {
    let said = error.io_error();
    let reason = said.map_or_else(|| "Connection timed out".to_owned(), words);
    match endpoint {
        Endpoint::Unix { .. } => {
            let path = endpoint.socket_path().unwrap_or_default();
            format!("ERROR: connection to socket \"{}\" failed with error \"{reason}\"\n", path.display())
        }
        // What the resolver says has no number.
        Endpoint::Tcp { .. } if said.is_some_and(|said| said.raw_os_error().is_none()) => {
            format!("ERROR: getaddrinfo failed \"{reason}\"\n")
        }
        Endpoint::Tcp { host, .. } => {
            format!("ERROR: connection to host \"{host}\" failed with error \"{reason}\"\n")
        }
    }
}

/// Returns C's own words for an error, without what Rust puts around them.
fn words(error: &io::Error) -> String {
    if error.kind() == io::ErrorKind::TimedOut {
        return "Connection timed out".to_owned();
    }
    let text = error.to_string();
    let text = text.strip_prefix("failed to lookup address information: ").unwrap_or(&text);
    text.split_once(" (os error").map_or(text, |(words, _)| words).to_owned()
}
