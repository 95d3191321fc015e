//! What can be wrong with bytes.

use crate::Text;

/// Why a byte stream cannot be cut into frames; it cannot be read on after either.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// The length field says more than the cap.
    #[error("a frame of type '{}' claims {length} bytes, more than the {max} allowed", kind.escape_ascii())]
    TooLong {
        /// The type byte.
        kind: u8,
        /// What the length field says.
        length: usize,
        /// The cap.
        max: usize,
    },
    /// The length field says less than its own size.
    #[error("a frame of type '{}' claims {length} bytes, fewer than its length field has", kind.escape_ascii())]
    TooShort {
        /// The type byte.
        kind: u8,
        /// What the length field says.
        length: usize,
    },
}

/// Why a whole frame does not hold the message it should; the stream can be read on after it.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The frame is of another type.
    #[error("expected a frame of type '{}', found '{}'", expected.escape_ascii(), found.escape_ascii())]
    UnexpectedKind {
        /// The type byte that the message has.
        expected: u8,
        /// The type byte that came.
        found: u8,
    },
    /// The frame begins with another word, such as `NodeInfo` where `CommandComplete` belongs.
    #[error("expected \"{expected}\", found \"{found}\"")]
    UnexpectedWord {
        /// The word that belongs there.
        expected: &'static str,
        /// What stands there.
        found: Text,
    },
    /// The reply has no frame of a kind that it must have.
    #[error("the reply has no \"{frame}\" frame")]
    MissingFrame {
        /// The word that the missing frame begins with.
        frame: &'static str,
    },
    /// The body ends before a field, or inside it.
    #[error("the field \"{field}\" is missing or cut off")]
    MissingField {
        /// The field's name.
        field: &'static str,
    },
    /// A field holds something else than it must.
    #[error("the field \"{field}\" holds \"{value}\", which is not {expected}")]
    InvalidField {
        /// The field's name.
        field: &'static str,
        /// What it holds.
        value: Text,
        /// What it must hold.
        expected: &'static str,
    },
    /// Something follows the last field.
    #[error("{bytes} bytes follow the last field")]
    TrailingBytes {
        /// How many.
        bytes: usize,
    },
    /// Something follows the last frame.
    #[error("{frames} frames follow the last one of the reply")]
    TrailingFrames {
        /// How many.
        frames: usize,
    },
    /// The message has a number of fields that no known server sends, or not in this kind of frame.
    #[error("{message} has {fields} fields, a layout that this version does not know")]
    UnknownLayout {
        /// The message's name.
        message: &'static str,
        /// How many strings it holds.
        fields: usize,
    },
    /// A reply has more or fewer rows than it announces.
    #[error("the reply announces {announced} rows and has {rows}")]
    WrongCount {
        /// What the reply announces.
        announced: u32,
        /// How many rows it has.
        rows: usize,
    },
    /// The rows of a reply have different numbers of fields.
    #[error("the rows of {message} have different layouts")]
    MixedLayouts {
        /// The message's name.
        message: &'static str,
    },
    /// The watchdog's JSON cannot be read.
    #[error("the watchdog's JSON cannot be read: {reason}")]
    WatchdogJson {
        /// What the JSON parser says.
        reason: String,
    },
}
