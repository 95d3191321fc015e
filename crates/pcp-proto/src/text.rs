//! Text from a server.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;

/// Text as a server sent it: bytes of any encoding, without a NUL.
///
/// Host names, statements and error messages come in whatever encoding the server uses and may be cut in the middle
/// of a character, so this is never a UTF-8 error. `Display` shows what is not UTF-8 as U+FFFD. Control characters
/// are shown as they are: whoever prints to a terminal has to escape them.
#[derive(Clone, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Text(Bytes);

impl Text {
    /// Wraps bytes; what follows a NUL is dropped, as it would be on the wire.
    pub fn new(bytes: impl Into<Bytes>) -> Self {
        let mut bytes = bytes.into();
        if let Some(nul) = bytes.iter().position(|&byte| byte == 0) {
            bytes.truncate(nul);
        }
        Self(bytes)
    }

    /// Wraps bytes that are known to hold no NUL.
    pub(crate) fn without_nul(bytes: Bytes) -> Self {
        debug_assert!(!bytes.contains(&0));
        Self(bytes)
    }

    /// Returns the bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Returns the text where it is UTF-8.
    pub fn as_str(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }

    /// Returns the text with U+FFFD for what is not UTF-8.
    pub fn to_string_lossy(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.0)
    }

    /// Tells whether there is no text.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.to_string_lossy())
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self::new(text.as_bytes().to_vec())
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self::new(text.into_bytes())
    }
}

impl PartialEq<str> for Text {
    fn eq(&self, other: &str) -> bool {
        self.0 == other.as_bytes()
    }
}

impl PartialEq<&str> for Text {
    fn eq(&self, other: &&str) -> bool {
        self.0 == other.as_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_never_an_encoding_error() {
        let text = Text::new(&b"pg\xff1"[..]);
        assert_eq!(text.as_str(), None);
        assert_eq!(text.to_string(), "pg\u{fffd}1");
        assert_eq!(format!("{text:?}"), "\"pg\\xff1\"");
        assert_eq!(Text::new(&b"a\0b"[..]), "a");
    }

    #[test]
    fn text_is_compared_with_words_byte_by_byte() {
        let text = Text::from("up");
        assert!(text == "up" && text == *"up");
        assert!(text != "UP" && text != *"UP");
    }
}
