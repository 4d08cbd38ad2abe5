//! Access and refresh tokens: opaque, with 256 bits from the system's random number generator
//! (RFC 6749 §10.10), and stored only as a hash.

use std::fmt;

use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::Engine;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest as _, Sha256};

use super::random::Random;
use super::scopes::Scopes;
use super::time::Moment;
use super::users::UserId;

/// Number of random bytes in a token.
const TOKEN_BYTES: usize = 32;

/// Token in clear text, as it is sent to the client. It is wiped from memory when dropped, and
/// hidden from `Debug` output.
#[derive(Debug)]
pub struct Token(SecretString);

impl Token {
    /// Generates a new token.
    pub fn generate(random: &mut dyn Random) -> Self {
        let mut bytes = Zeroizing::new([0; TOKEN_BYTES]);
        random.fill(&mut *bytes);
        Self(URL_SAFE_NO_PAD.encode(*bytes).into())
    }

    /// Returns the token in clear text: 43 characters of unpadded base64url (RFC 4648 §5).
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// Returns the digest under which the token is stored.
    pub fn digest(&self) -> TokenDigest {
        TokenDigest::of(self.expose())
    }
}

/// SHA-256 digest of a token. No salt is needed, because tokens are random. The digest is hidden
/// from `Debug` output.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenDigest(pub [u8; 32]);

impl TokenDigest {
    /// Computes the digest of a token that a client presents.
    pub fn of(token: &str) -> Self {
        Self(Sha256::digest(token).into())
    }
}

impl fmt::Debug for TokenDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenDigest(hidden)")
    }
}

/// Identifier of a session, which is not reused while the process runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(pub i64);

/// Session: what a user has after logging in. Every token belongs to one session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Identifier of the session.
    pub id: SessionId,
    /// User who logged in.
    pub user: UserId,
    /// Ceiling: the scopes that the session's tokens may ever have.
    pub grant: Scopes,
    /// Time at which the session's last token expires.
    pub expires: Moment,
}

/// Stored properties of an access token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccessToken {
    /// Session that the token belongs to.
    pub session: SessionId,
    /// Scopes requested for the token, within the session's ceiling.
    pub scopes: Scopes,
    /// Time of issue.
    pub issued: Moment,
    /// Time at which the token expires.
    pub expires: Moment,
}

/// Stored properties of a refresh token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefreshToken {
    /// Session that the token belongs to.
    pub session: SessionId,
    /// Time at which the token expires.
    pub expires: Moment,
    /// Time of first use; `None` if the token has not been used.
    pub superseded: Option<Moment>,
}
