//! Tokens: opaque, 256 bits from the system's generator (RFC 6749 §10.10), known by their hash.

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

/// Bytes of randomness in a token.
const TOKEN_BYTES: usize = 32;

/// A token in clear text, on its way to the client. It is wiped from memory when it is dropped, and
/// `Debug` does not show it.
#[derive(Debug)]
pub struct Token(SecretString);

impl Token {
    /// Generates a token.
    pub fn generate(random: &mut dyn Random) -> Self {
        let mut bytes = Zeroizing::new([0; TOKEN_BYTES]);
        random.fill(&mut *bytes);
        Self(URL_SAFE_NO_PAD.encode(*bytes).into())
    }

    /// Returns the clear text.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// Returns the digest that the server stores in place of the token.
    pub fn digest(&self) -> TokenDigest {
        TokenDigest::of(self.expose())
    }
}

/// SHA-256 of a token. It needs no salt: a token is random. It is never shown.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenDigest(pub [u8; 32]);

impl TokenDigest {
    /// The digest of what a client presents as a token.
    pub fn of(token: &str) -> Self {
        Self(Sha256::digest(token).into())
    }
}

impl fmt::Debug for TokenDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenDigest(hidden)")
    }
}

/// Which session. Numbers are not given twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(pub i64);

/// One session, from which all its tokens come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Which one.
    pub id: SessionId,
    /// Username of the account.
    pub user: UserId,
    /// The most that its tokens may ever do.
    pub grant: Scopes,
    /// When its last token expires.
    pub expires: Moment,
}

/// An access token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccessToken {
    /// The session that it belongs to.
    pub session: SessionId,
    /// What was asked for it: the grant, or less.
    pub scopes: Scopes,
    /// When it was issued.
    pub issued: Moment,
    /// When it expires.
    pub expires: Moment,
}

/// A refresh token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefreshToken {
    /// The session that it belongs to.
    pub session: SessionId,
    /// When it expires.
    pub expires: Moment,
    /// When it was first used.
    pub superseded: Option<Moment>,
}
