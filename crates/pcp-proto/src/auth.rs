//! The login: a salted, threefold MD5.

use std::fmt;

use bytes::{BufMut, BytesMut};
use md5::{Digest as _, Md5};
use zeroize::{Zeroize, Zeroizing};

use crate::{DecodeError, Fields, Frame, ReplyKind, RequestKind, Text};

/// The longest user name that servers take, in bytes.
const MAX_USER: usize = 127;

/// An MD5 sum as 32 lower-case hexadecimal digits.
type Hex = [u8; 32];

/// The four random bytes that a server sends before a login; each serves one login.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Salt(pub [u8; 4]);

impl Salt {
    /// Reads the server's answer to a request for the salt.
    ///
    /// # Errors
    ///
    /// Any other kind of frame, and a salt that is not four bytes long.
    pub fn decode(frame: &Frame<ReplyKind>) -> Result<Self, DecodeError> {
        if frame.kind != ReplyKind::SALT {
            return Err(DecodeError::UnexpectedKind { expected: ReplyKind::SALT.0, found: frame.kind.0 });
        }
        let mut fields = Fields::new(&frame.body);
        let salt = fields.array("salt")?;
        fields.finish()?;
        Ok(Self(salt))
    }

    /// Makes the server's frame.
    pub fn encode(self) -> Frame<ReplyKind> {
        Frame::new(ReplyKind::SALT, self.0.to_vec())
    }
}

/// The MD5 sum of a password, as a line of `pcp.conf` holds it behind the colon.
///
/// Whoever has it can log in: it is as secret as the password. `Debug` does not show it, and its memory is wiped when it
/// is dropped.
#[derive(Clone, Eq, PartialEq)]
pub struct PasswordHash(Hex);

impl PasswordHash {
    /// Hashes a password. The empty one is valid.
    pub fn of(password: &[u8]) -> Self {
        Self(md5_hex(&[password]))
    }

    /// Returns its 32 lower-case hexadecimal digits, for a line of `pcp.conf`.
    pub fn expose(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl Drop for PasswordHash {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(..)")
    }
}

/// What answers one salt: proof of the password that is worth nothing for another salt.
///
/// It goes over the network as it is, so its memory is not wiped; but a password can be guessed from it, and `Debug` does
/// not show it.
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct Digest(Hex);

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digest(..)")
    }
}

/// A PCP user and the hash of their password.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Credentials {
    user: String,
    hash: PasswordHash,
}

impl Credentials {
    /// Makes credentials from a user name and a password; the password itself is not kept.
    ///
    /// # Errors
    ///
    /// A user name that no server takes: longer than 127 bytes, or with a NUL in it.
    pub fn new(user: impl Into<String>, password: &[u8]) -> Result<Self, CredentialsError> {
        let user = user.into();
        if user.len() > MAX_USER {
            return Err(CredentialsError::UserTooLong { length: user.len() });
        }
        if user.contains('\0') {
            return Err(CredentialsError::NulInUser);
        }
        Ok(Self { user, hash: PasswordHash::of(password) })
    }

    /// Returns the user name.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// Computes what answers `salt`.
    pub fn digest(&self, salt: Salt) -> Digest {
        let user_hash = Zeroizing::new(md5_hex(&[&self.hash.0, self.user.as_bytes()]));
        Digest(md5_hex(&[&*user_hash, &salt.0]))
    }

    /// Makes the frame that logs in with `salt`.
    pub fn login(&self, salt: Salt) -> Frame<RequestKind> {
        let mut body = BytesMut::new();
        body.put_slice(self.user.as_bytes());
        body.put_u8(0);
        body.put_slice(&self.digest(salt).0);
        body.put_u8(0);
        Frame::new(RequestKind::LOGIN, body.freeze())
    }

    /// Tells whether `frame` logs in with these credentials: the server's side of the login.
    ///
    /// # Errors
    ///
    /// A frame that is no login.
    pub fn verify(&self, frame: &Frame<RequestKind>, salt: Salt) -> Result<bool, DecodeError> {
        if frame.kind != RequestKind::LOGIN {
            return Err(DecodeError::UnexpectedKind { expected: RequestKind::LOGIN.0, found: frame.kind.0 });
        }
        let mut fields = Fields::new(&frame.body);
        let user = fields.text("user")?;
        let digest = fields.text("digest")?;
        fields.finish()?;
        Ok(user == self.user.as_str() && digest == Text::new(self.digest(salt).0.to_vec()))
    }
}

/// Why a user name cannot be sent.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialsError {
    /// It is longer than servers take.
    #[error("the user name has {length} bytes; Pgpool takes at most {MAX_USER}")]
    UserTooLong {
        /// Its length in bytes.
        length: usize,
    },
    /// It holds a NUL.
    #[error("the user name holds a NUL byte")]
    NulInUser,
}

/// Hashes the parts as one text and writes the sum in hexadecimal.
fn md5_hex(parts: &[&[u8]]) -> Hex {
    let mut md5 = Md5::new();
    for part in parts {
        md5.update(part);
    }
    let mut hex = [0; 32];
    for (pair, byte) in hex.chunks_exact_mut(2).zip(md5.finalize()) {
        let digits = [byte >> 4, byte & 0x0f].map(|nibble| match nibble {
            0..=9 => b'0'.saturating_add(nibble),
            _ => (b'a' - 10).saturating_add(nibble),
        });
        pair.copy_from_slice(&digits);
    }
    hex
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The login that the C tool of 4.7.3 sent for the salt that the server had sent it.
    #[test]
    fn the_digest_equals_the_c_tools() {
        let credentials = Credentials::new("pcpadmin", b"secret").unwrap();
        assert_eq!(credentials.user(), "pcpadmin");
        let salt = Salt([0xca, 0xdb, 0x96, 0x65]);
        assert_eq!(Salt::decode(&salt.encode()), Ok(salt));
        let login = credentials.login(salt);
        assert_eq!(login.to_bytes(), &b"R\0\0\0\x2epcpadmin\x0065ab461d42d971ce8e887f9ad7891f66\0"[..]);
        assert_eq!(credentials.verify(&login, salt), Ok(true));
        assert_eq!(credentials.verify(&login, Salt([0; 4])), Ok(false));
        assert_eq!(Credentials::new("pcpadmin", b"Secret").unwrap().verify(&login, salt), Ok(false));
        let same_digest = Frame::new(RequestKind::LOGIN, [b"x", &login.body[..]].concat());
        assert_eq!(credentials.verify(&same_digest, salt), Ok(false), "another user");
        assert!(credentials.verify(&Frame::new(RequestKind::READ_SALT, login.body), salt).is_err());
        assert!(Salt::decode(&Frame::new(ReplyKind::LOGIN, salt.0.to_vec())).is_err());
    }

    #[test]
    fn secrets_are_not_shown() {
        let credentials = Credentials::new("pcpadmin", b"secret").unwrap();
        let shown = format!("{credentials:?} {:?}", credentials.digest(Salt([0; 4])));
        assert_eq!(shown, "Credentials { user: \"pcpadmin\", hash: PasswordHash(..) } Digest(..)");
    }

    /// As `pg_md5 secret` writes it.
    #[test]
    fn a_hash_is_the_one_of_pcp_conf() {
        assert_eq!(PasswordHash::of(b"secret").expose(), "5ebe2294ecd0e0f08eab7690d2a6ee69");
        assert_eq!(PasswordHash::of(b"").expose(), "d41d8cd98f00b204e9800998ecf8427e");
    }

    #[test]
    fn user_names_that_servers_refuse_are_refused() {
        assert!(Credentials::new("u".repeat(127), b"").is_ok());
        assert_eq!(Credentials::new("u".repeat(128), b""), Err(CredentialsError::UserTooLong { length: 128 }));
        assert_eq!(Credentials::new("a\0b", b""), Err(CredentialsError::NulInUser));
    }
}
