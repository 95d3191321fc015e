//! Reading a body.

use std::str::FromStr;

use bytes::{Buf, Bytes};
use memchr::{memchr, memchr_iter};

use crate::{DecodeError, Text};

/// A cursor over the body of a frame; all reading of bodies goes through it, and it checks every bound.
#[derive(Clone, Debug)]
pub struct Fields {
    rest: Bytes,
}

impl Fields {
    /// Starts at the beginning of `body`.
    pub fn new(body: &Bytes) -> Self {
        Self { rest: body.clone() }
    }

    /// Reads the next NUL-terminated string.
    ///
    /// # Errors
    ///
    /// [`DecodeError::MissingField`] where no NUL follows.
    pub fn text(&mut self, field: &'static str) -> Result<Text, DecodeError> {
        let length = self.peek(field)?.len();
        let text = self.rest.slice(..length);
        self.skip(length);
        Ok(Text::without_nul(text))
    }

    /// Reads the next NUL-terminated string as a number.
    ///
    /// # Errors
    ///
    /// [`DecodeError::MissingField`], and [`DecodeError::InvalidField`] where the string is not a number that fits `T`.
    pub fn number<T: FromStr + TryFrom<u32>>(&mut self, field: &'static str) -> Result<T, DecodeError> {
        let small = small_number(&self.rest).and_then(|(number, length)| Some((T::try_from(number).ok()?, length)));
        if let Some((number, length)) = small {
            self.skip(length);
            return Ok(number);
        }
        let text = self.text(field)?;
        let number = text.as_str().and_then(|text| text.parse().ok());
        number.ok_or(DecodeError::InvalidField { field, value: text, expected: "a number in range" })
    }

    /// Reads the next NUL-terminated string as a switch.
    ///
    /// # Errors
    ///
    /// [`DecodeError::MissingField`], and [`DecodeError::InvalidField`] where the string is neither `0` nor `1`.
    pub fn flag(&mut self, field: &'static str) -> Result<bool, DecodeError> {
        let flag = match self.rest.first_chunk() {
            Some(b"0\0") => false,
            Some(b"1\0") => true,
            _ => return Err(DecodeError::InvalidField { field, value: self.text(field)?, expected: "0 or 1" }),
        };
        self.skip(1);
        Ok(flag)
    }

    /// Reads the next `N` bytes.
    ///
    /// # Errors
    ///
    /// [`DecodeError::MissingField`] where fewer are left.
    pub fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], DecodeError> {
        let array = *self.rest.first_chunk().ok_or(DecodeError::MissingField { field })?;
        let _read = self.rest.split_to(N);
        Ok(array)
    }

    /// Reads the NUL-terminated word that a reply begins with and checks it.
    ///
    /// # Errors
    ///
    /// [`DecodeError::UnexpectedWord`] where it is another, [`DecodeError::MissingField`] where there is none.
    pub fn word(&mut self, expected: &'static str) -> Result<(), DecodeError> {
        match self.skip_word(expected)? {
            true => Ok(()),
            false => Err(DecodeError::UnexpectedWord { expected, found: self.text("first word")? }),
        }
    }

    /// Skips the word that a reply begins with, where it is this one.
    pub(crate) fn skip_word(&mut self, word: &str) -> Result<bool, DecodeError> {
        let is_it = self.peek("first word")? == word.as_bytes();
        if is_it {
            self.skip(word.len());
        }
        Ok(is_it)
    }

    /// Returns what was not read.
    pub(crate) fn into_rest(self) -> Bytes {
        self.rest
    }

    /// Counts the NUL-terminated strings that are left.
    pub fn count(&self) -> usize {
        memchr_iter(0, &self.rest).count()
    }

    /// Returns the next NUL-terminated string without reading it.
    fn peek(&self, field: &'static str) -> Result<&[u8], DecodeError> {
        let (text, _) = memchr(0, &self.rest)
            .and_then(|nul| self.rest.split_at_checked(nul))
            .ok_or(DecodeError::MissingField { field })?;
        Ok(text)
    }

    /// Goes on behind a string of this length and its NUL.
    fn skip(&mut self, length: usize) {
        self.rest.advance(length.saturating_add(1));
    }

    /// Checks that nothing is left.
    ///
    /// # Errors
    ///
    /// [`DecodeError::TrailingBytes`] that says how much is.
    pub fn finish(self) -> Result<(), DecodeError> {
        match self.rest.len() {
            0 => Ok(()),
            bytes => Err(DecodeError::TrailingBytes { bytes }),
        }
    }
}

/// Returns the number that `body` begins with, and its length, where it is nothing but digits that fit: nearly all are.
fn small_number(body: &[u8]) -> Option<(u32, usize)> {
    let mut number: u32 = 0;
    for (length, byte) in body.iter().enumerate() {
        match byte {
            b'0'..=b'9' => number = number.checked_mul(10)?.checked_add(u32::from(byte & 0xf))?,
            0 if length > 0 => return Some((number, length)),
            _ => return None,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_bound_is_checked() {
        let mut fields = Fields::new(&Bytes::from_static(b"Word\x0042\0x\0tail"));
        fields.word("Word").unwrap();
        assert_eq!(fields.count(), 2);
        assert_eq!(fields.number::<u16>("a"), Ok(42));
        assert_eq!(
            fields.number::<u16>("b"),
            Err(DecodeError::InvalidField { field: "b", value: "x".into(), expected: "a number in range" })
        );
        assert_eq!(fields.text("c"), Err(DecodeError::MissingField { field: "c" }));
        assert_eq!(fields.array::<5>("d"), Err(DecodeError::MissingField { field: "d" }));
        assert_eq!(fields.array::<3>("d"), Ok(*b"tai"));
        assert_eq!(fields.finish(), Err(DecodeError::TrailingBytes { bytes: 1 }));
    }

    #[test]
    fn a_switch_is_0_or_1() {
        let mut fields = Fields::new(&Bytes::from_static(b"0\x001\x002\x0001\0\x001"));
        assert_eq!((fields.flag("a"), fields.flag("b")), (Ok(false), Ok(true)));
        for (field, value) in [("c", "2"), ("d", "01"), ("e", "")] {
            let expected = DecodeError::InvalidField { field, value: value.into(), expected: "0 or 1" };
            assert_eq!(fields.flag(field), Err(expected));
        }
        assert_eq!(fields.flag("f"), Err(DecodeError::MissingField { field: "f" }));
    }

    proptest! {
        #[test]
        fn a_number_is_what_the_standard_library_says(
            text in prop_oneof!["[0-9]{1,22}", "[+-]?[0-9]{0,21}", "0{0,12}[0-9]{1,11}", "[0-9 .+-]{0,4}", "[0-9]{0,3}.?"]
        ) {
            fn check<T: FromStr + TryFrom<u32> + PartialEq + Debug>(text: &str) {
                let mut body = Bytes::from(format!("{text}\0end\0"));
                let mut fields = Fields::new(&body);
                assert_eq!(fields.number::<T>("n").ok(), text.parse().ok(), "{text}");
                assert_eq!(fields.text("end").unwrap(), "end");
                body.truncate(text.len());
                assert_eq!(Fields::new(&body).number::<T>("n"), Err(DecodeError::MissingField { field: "n" }));
            }
            let text = text.replace('\0', "");
            check::<u8>(&text);
            check::<u16>(&text);
            check::<u32>(&text);
            check::<u64>(&text);
            check::<i32>(&text);
            check::<i64>(&text);
            check::<f64>(&text);
        }
    }
}
