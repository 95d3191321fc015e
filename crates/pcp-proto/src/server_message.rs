//! Errors and notices of a server.

use std::fmt;

use bytes::{BufMut, Bytes, BytesMut};

use crate::{DecodeError, Fields, Frame, ReplyKind, Text};

/// Servers cut the text of a field here.
const MAX_FIELD: usize = 254;

/// The letters of the fields in the order in which servers send them.
const ORDER: &[u8] = b"SCMDHFL";

/// How bad it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Severity {
    /// A message for debugging, a log line or a notice: nothing failed.
    Notice,
    /// A warning: nothing failed.
    Warning,
    /// The request failed; the connection goes on.
    Error,
    /// The request failed and the server closes the connection.
    Fatal,
    /// The server failed and closes the connection.
    Panic,
}

/// What a server says in an error (`E`) or a notice (`N`) frame.
///
/// Two servers rarely use the same words, so nothing should be decided by them where the state can be read instead.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ServerMessage {
    /// The severity as the server spells it; see [`level`](Self::level).
    pub severity: Text,
    /// The SQLSTATE-like code; always `XX000` on the servers seen.
    pub code: Text,
    /// The primary message.
    pub message: Text,
    /// More of it.
    pub detail: Option<Text>,
    /// What to do about it.
    pub hint: Option<Text>,
    /// The source file in Pgpool.
    pub file: Option<Text>,
    /// The line there.
    pub line: Option<Text>,
}

impl ServerMessage {
    /// Makes a message with the code that servers use and no source position.
    pub fn new(severity: &str, message: &str, detail: Option<&str>) -> Self {
        Self {
            severity: severity.into(),
            code: "XX000".into(),
            message: message.into(),
            detail: detail.map(Text::from),
            ..Self::default()
        }
    }

    /// Returns how bad it is; an unknown word counts as [`Severity::Notice`] unless the frame was an error, and
    /// then the connection's end tells.
    pub fn level(&self) -> Severity {
        match self.severity.as_bytes() {
            b"WARNING" => Severity::Warning,
            b"ERROR" => Severity::Error,
            b"FATAL" => Severity::Fatal,
            b"PANIC" => Severity::Panic,
            _ => Severity::Notice,
        }
    }

    /// Tells whether the server closes the connection after this.
    pub fn is_fatal(&self) -> bool {
        matches!(self.level(), Severity::Fatal | Severity::Panic)
    }

    /// Reads the body of an `E` or `N` frame.
    ///
    /// Servers cut each field at 254 bytes and then send one byte of uninitialised memory behind its NUL. A field
    /// of 254 bytes is taken for cut where the rest reads well that way, else for whole; the two differ to the
    /// reader only where a whole field of that very length is followed by one whose text begins with a field's
    /// letter.
    ///
    /// # Errors
    ///
    /// A body without a single field. Unknown letters are skipped, an unfinished end is dropped.
    pub fn decode(body: &Bytes) -> Result<Self, DecodeError> {
        let mut message = Self::default();
        let mut rest = body.clone();
        while rest.first().is_some_and(|&letter| letter != 0) {
            let mut cursor = Fields::new(&rest);
            let [letter] = cursor.array("letter")?;
            let Ok(text) = cursor.text("text") else { break };
            rest = cursor.into_rest();
            if text.as_bytes().len() == MAX_FIELD && stray_byte_follows(&rest, letter) {
                let _stray = rest.split_to(1);
            }
            message.set(letter, text);
        }
        if rest.len() == body.len() {
            return Err(DecodeError::MissingField { field: "severity" });
        }
        Ok(message)
    }

    /// Makes the frame as a server does, with long fields cut and a stray byte after each.
    pub fn encode(&self, kind: ReplyKind) -> Frame<ReplyKind> {
        const STRAY: u8 = 0x81;
        let mut body = BytesMut::new();
        for (letter, text) in self.fields() {
            let cut = text.as_bytes().get(..MAX_FIELD).filter(|_| text.as_bytes().len() > MAX_FIELD);
            body.put_u8(letter);
            body.put_slice(cut.unwrap_or(text.as_bytes()));
            body.put_u8(0);
            if cut.is_some() {
                body.put_u8(STRAY);
            }
        }
        body.put_u8(0);
        Frame::new(kind, body.freeze())
    }

    fn fields(&self) -> impl Iterator<Item = (u8, &Text)> {
        [(b'S', Some(&self.severity)), (b'C', Some(&self.code)), (b'M', Some(&self.message))]
            .into_iter()
            .chain([
                (b'D', self.detail.as_ref()),
                (b'H', self.hint.as_ref()),
                (b'F', self.file.as_ref()),
                (b'L', self.line.as_ref()),
            ])
            .filter_map(|(letter, text)| Some((letter, text?)))
    }

    fn set(&mut self, letter: u8, text: Text) {
        match letter {
            b'S' => self.severity = text,
            b'C' => self.code = text,
            b'M' => self.message = text,
            b'D' => self.detail = Some(text),
            b'H' => self.hint = Some(text),
            b'F' => self.file = Some(text),
            b'L' => self.line = Some(text),
            _ => {}
        }
    }
}

impl fmt::Display for ServerMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.severity, self.message)?;
        if let Some(detail) = &self.detail {
            write!(f, " ({detail})")?;
        }
        if let Some(hint) = &self.hint {
            write!(f, " (hint: {hint})")?;
        }
        Ok(())
    }
}

/// Tells whether `rest`, what follows a field of the greatest length with this `letter`, begins with a stray byte.
fn stray_byte_follows(rest: &[u8], letter: u8) -> bool {
    let Some((_, behind)) = rest.split_first() else { return false };
    reads_well(behind, letter) || !reads_well(rest, letter)
}

/// Tells whether `rest` is a run of fields that a server would send after the one with `letter`, up to the final
/// NUL.
///
/// The order of letters is strict, so this looks at no more than seven fields, whatever the bytes are.
fn reads_well(rest: &[u8], letter: u8) -> bool {
    if rest == [0] {
        return true;
    }
    let position = |letter| ORDER.iter().position(|&known| known == letter);
    let Some((&next, behind)) = rest.split_first() else { return false };
    let mut parts = behind.splitn(2, |&byte| byte == 0);
    let (Some(text), Some(behind)) = (parts.next(), parts.next()) else { return false };
    let in_order = position(next).is_some_and(|next| position(letter).is_none_or(|last| last < next));
    let cut = || text.len() == MAX_FIELD && behind.get(1..).is_some_and(|behind| reads_well(behind, next));
    in_order && (reads_well(behind, next) || cut())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: String) -> ServerMessage {
        ServerMessage {
            file: Some("recovery.c".into()),
            line: Some("348".into()),
            ..ServerMessage::new("ERROR", &text, None)
        }
    }

    #[test]
    fn messages_read_back_as_they_were_sent() {
        let full = ServerMessage {
            detail: Some("invalid node ID : 99".into()),
            hint: Some("h".into()),
            ..message("informing node info failed".to_owned())
        };
        let body = full.encode(ReplyKind::ERROR).body;
        assert_eq!(
            body,
            &b"SERROR\0CXX000\0Minforming node info failed\0Dinvalid node ID : 99\0Hh\0Frecovery.c\0L348\0\0"[..]
        );
        assert_eq!(ServerMessage::decode(&body), Ok(full));
    }

    #[test]
    fn a_cut_field_and_its_stray_byte_are_survived() {
        let kept = "x".repeat(MAX_FIELD);
        for stray in 0..=255 {
            let mut body = BytesMut::from(&message("x".repeat(300)).encode(ReplyKind::ERROR).body[..]);
            let at = body.iter().position(|&byte| byte == 0x81).unwrap();
            body[at] = stray;
            assert_eq!(ServerMessage::decode(&body.freeze()), Ok(message(kept.clone())), "stray byte {stray:#04x}");
        }
    }

    #[test]
    fn a_field_of_exactly_the_greatest_length_has_no_stray_byte() {
        for detail in ["Failed", "x", ""] {
            let whole = ServerMessage { detail: Some(detail.into()), ..message("x".repeat(MAX_FIELD)) };
            assert_eq!(ServerMessage::decode(&whole.encode(ReplyKind::ERROR).body), Ok(whole));
        }
    }

    #[test]
    fn only_longer_fields_are_cut() {
        let body = |length| message("x".repeat(length)).encode(ReplyKind::ERROR).body;
        assert_eq!(body(MAX_FIELD - 1).len() + 1, body(MAX_FIELD).len());
        // From there on there is the stray byte, and no more.
        assert_eq!(body(MAX_FIELD).len() + 1, body(MAX_FIELD + 1).len());
        assert_eq!(body(MAX_FIELD + 1), body(2 * MAX_FIELD));
    }

    #[test]
    fn fields_read_well_in_their_order_only() {
        let field = |length: usize| [b"M", &b"x".repeat(length)[..], b"\0"].concat();
        let cut = [&field(MAX_FIELD)[..], b"\x81Dx\0\0"].concat();
        let short = [&field(MAX_FIELD - 1)[..], b"\x81Dx\0\0"].concat();
        for (letter, rest, well) in [
            (b'S', &b"\0"[..], true),
            (b'S', b"Mx\0\0", true),
            (b'S', b"Mx\0Dy\0L\0\0", true),
            (b'Z', b"Mx\0\0", true),
            (b'S', &cut, true),
            (b'S', &short, false),
            (b'M', b"Mx\0\0", false),
            (b'M', b"Sx\0\0", false),
            (b'S', b"Zx\0\0", false),
            (b'S', b"Dy\0Mx\0\0", false),
            (b'S', b"Mx\0", false),
            (b'S', b"Mx", false),
            (b'S', b"", false),
        ] {
            assert_eq!(reads_well(rest, letter), well, "{}", rest.escape_ascii());
        }
        for (rest, stray) in [
            (&b""[..], false),
            (b"\0", false),
            (b"Dx\0\0", false),
            (b"\x81\0", true),
            (b"\0\0", true),
            (b"\x81Dx\0\0", true),
            // It may be either; the stray byte is the likelier.
            (b"DDx\0\0", true),
            (b"unreadable either way", true),
        ] {
            assert_eq!(stray_byte_follows(rest, b'M'), stray, "{}", rest.escape_ascii());
        }
    }

    #[test]
    fn severities_are_told_apart() {
        for (word, level, is_fatal) in [
            ("DEBUG1", Severity::Notice, false),
            ("WARNING", Severity::Warning, false),
            ("ERROR", Severity::Error, false),
            ("FATAL", Severity::Fatal, true),
            ("PANIC", Severity::Panic, true),
        ] {
            let message = ServerMessage::new(word, "", None);
            assert_eq!((message.level(), message.is_fatal()), (level, is_fatal), "{word}");
        }
    }

    #[test]
    fn a_message_is_shown_with_all_that_helps() {
        let mut message = ServerMessage::new("ERROR", "no", None);
        assert_eq!(message.to_string(), "ERROR: no");
        message.detail = Some("because".into());
        message.hint = Some("do".into());
        assert_eq!(message.to_string(), "ERROR: no (because) (hint: do)");
    }

    #[test]
    fn odd_bodies_lose_as_little_as_possible() {
        let decode = |body: &'static [u8]| ServerMessage::decode(&Bytes::from_static(body));
        assert_eq!(decode(b"Zunknown\0Mtext\0").unwrap().message, "text");
        assert_eq!(decode(b"Mtext\0Dcut of").unwrap().message, "text");
        assert!(decode(b"").is_err());
        assert!(decode(b"\0").is_err());
        assert!(decode(b"Mtext").is_err());
    }
}
