//! What can go wrong with the bytes of one connection.

use std::fmt;
use std::time::Duration;

/// What goes wrong, and where on a connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Fault {
    /// What goes wrong.
    pub kind: Kind,
    /// How many bytes, or frames, of [its way](Kind::way) pass before it.
    pub at: usize,
    /// Which connections it meets.
    pub meets: Meets,
}

/// Which connections a fault meets; they count from 0.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Meets {
    /// This one alone.
    Only(usize),
    /// This one and all after it.
    From(usize),
}

/// The way that bytes go.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Way {
    /// Replies.
    FromServer,
    /// Requests.
    ToServer,
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Kind {
    /// Each byte comes by itself, both ways.
    ByteByByte,
    /// The bytes before and behind come a moment apart.
    Split(Way),
    /// What is behind comes so many seconds later.
    Delay(Way, u64),
    /// Nothing behind it comes any more, and nothing tells so.
    Stall(Way),
    /// The connection ends.
    Cut(Way),
    /// The connection is reset.
    Reset(Way),
    /// This way ends, the other one goes on.
    HalfClose(Way),
    /// Noise comes instead of everything behind it.
    Garbage,
    /// One byte of a reply is another one.
    Flip,
    /// A frame is lost.
    Lose,
    /// A frame comes twice.
    Duplicate,
    /// Two frames come in the wrong order.
    Swap,
    /// A frame has this letter.
    Letter(u8),
    /// A frame says that it is so long.
    Length(u32),
    /// The salt has so many bytes.
    Salt(usize),
    /// Before the frame notices come and never end.
    EndlessNotices,
    /// The frame comes again and again and never ends.
    EndlessRows,
}

impl Kind {
    /// All of them, in the order of the table.
    pub const ALL: [Self; 29] = [
        Self::ByteByByte,
        Self::Split(Way::FromServer),
        Self::Split(Way::ToServer),
        Self::Delay(Way::FromServer, 3),
        Self::Delay(Way::FromServer, 6),
        Self::Delay(Way::ToServer, 6),
        Self::Stall(Way::FromServer),
        Self::Stall(Way::ToServer),
        Self::Cut(Way::FromServer),
        Self::Cut(Way::ToServer),
        Self::Reset(Way::FromServer),
        Self::Reset(Way::ToServer),
        Self::HalfClose(Way::FromServer),
        Self::HalfClose(Way::ToServer),
        Self::Garbage,
        Self::Flip,
        Self::Lose,
        Self::Duplicate,
        Self::Swap,
        Self::Letter(b'E'),
        Self::Letter(b'z'),
        Self::Length(3),
        Self::Length(u32::MAX >> 1),
        Self::Salt(0),
        Self::Salt(3),
        Self::Salt(5),
        Self::Salt(70_000),
        Self::EndlessNotices,
        Self::EndlessRows,
    ];

    /// Returns the way that it is about.
    #[must_use]
    pub fn way(self) -> Way {
        match self {
            Self::Split(way)
            | Self::Delay(way, _)
            | Self::Stall(way)
            | Self::Cut(way)
            | Self::Reset(way)
            | Self::HalfClose(way) => way,
            _ => Way::FromServer,
        }
    }

    /// Returns what its places are counted in.
    #[must_use]
    pub fn places(self) -> Places {
        match self {
            Self::ByteByByte => Places::Once,
            Self::Salt(_) => Places::FirstFrame,
            Self::Lose | Self::Duplicate | Self::Letter(_) | Self::Length(_) | Self::EndlessRows => Places::Frames,
            // Behind the last frame as well.
            Self::EndlessNotices => Places::Gaps,
            Self::Swap => Places::Pairs,
            Self::Garbage | Self::Flip => Places::Bytes,
            _ => Places::BytesAndEnd,
        }
    }

    /// Tells whether the server says what is not so. What it tells of its state is then believed: nobody can know
    /// better.
    #[must_use]
    pub fn is_lie(self) -> bool {
        matches!(self, Self::Flip)
    }

    /// Tells whether nothing is lost by it but time, for one who is so patient.
    #[must_use]
    pub fn is_harmless(self, patience: Duration) -> bool {
        matches!(self, Self::ByteByByte) || self.pause().is_some_and(|pause| pause < patience)
    }

    /// Returns how long the pause is that it makes.
    pub(crate) fn pause(self) -> Option<Duration> {
        match self {
            Self::Split(_) => Some(Duration::from_millis(1)),
            Self::Delay(_, seconds) => Some(Duration::from_secs(seconds)),
            _ => None,
        }
    }
}

/// What the places of a fault are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Places {
    /// The whole connection is one.
    Once,
    /// Each byte.
    Bytes,
    /// Before each byte, and behind the last one.
    BytesAndEnd,
    /// Each frame.
    Frames,
    /// Before each frame, and behind the last one.
    Gaps,
    /// Each frame that another one follows.
    Pairs,
    /// The salt.
    FirstFrame,
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::FromServer => "replies",
            Self::ToServer => "requests",
        })
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ByteByByte => f.write_str("byte by byte, both ways"),
            Self::Split(way) => write!(f, "split, {way}"),
            Self::Delay(way, seconds) => write!(f, "{seconds} s late, {way}"),
            Self::Stall(way) => write!(f, "stalled, {way}"),
            Self::Cut(way) => write!(f, "cut, in the {way}"),
            Self::Reset(way) => write!(f, "reset, in the {way}"),
            Self::HalfClose(way) => write!(f, "half closed, {way}"),
            Self::Garbage => f.write_str("garbage from there on"),
            Self::Flip => f.write_str("one byte changed"),
            Self::Lose => f.write_str("a frame lost"),
            Self::Duplicate => f.write_str("a frame twice"),
            Self::Swap => f.write_str("two frames swapped"),
            Self::Letter(letter) => write!(f, "a frame's letter is {}", char::from(*letter)),
            Self::Length(length) => write!(f, "a frame's length is {length}"),
            Self::Salt(length) => write!(f, "a salt of {length} bytes"),
            Self::EndlessNotices => f.write_str("endless notices"),
            Self::EndlessRows => f.write_str("a frame without end"),
        }
    }
}
