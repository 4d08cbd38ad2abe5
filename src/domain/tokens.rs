//! Access and refresh tokens: opaque, with 256 bits from the system's random number generator
//! (RFC 6749 §10.10), and stored only as a hash.
//!
//! A refresh token begins with a [`Handle`], a further secret that is the same in all refresh tokens
//! that follow one another and that names their session. So the used ones need not be kept to
//! recognize their reuse (RFC 9700 §4.14.2): a token that names a session and is not one of those
//! kept is a used one.

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
/// Number of random bytes in a handle.
const HANDLE_BYTES: usize = 18;
/// Length of a handle, in characters.
const HANDLE_LENGTH: usize = 24;
/// Length of a refresh token, in characters.
const REFRESH_TOKEN_LENGTH: usize = HANDLE_LENGTH + 43;
/// Text that the handle of a token without one is derived with, to differ from the token's digest.
const DERIVATION: &str = "handle of a refresh token without one: ";

/// Token in clear text, as it is sent to the client. It is wiped from memory when dropped, and
/// hidden from `Debug` output.
#[derive(Debug)]
pub struct Token(SecretString);

impl Token {
    /// Generates a new access token: 43 characters of unpadded base64url (RFC 4648 §5).
    pub fn access(random: &mut dyn Random) -> Self {
        let mut bytes = Zeroizing::new([0; TOKEN_BYTES]);
        random.fill(&mut *bytes);
        Self(URL_SAFE_NO_PAD.encode(*bytes).into())
    }

    /// Generates a new refresh token: the handle, and 43 characters as in an access token.
    pub fn refresh(handle: &Handle, random: &mut dyn Random) -> Self {
        let secret = Self::access(random);
        let mut text = Zeroizing::new(String::with_capacity(REFRESH_TOKEN_LENGTH));
        text.push_str(handle.0.expose_secret());
        text.push_str(secret.expose());
        Self(text.as_str().into())
    }

    /// Returns the token in clear text.
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

/// First part of a refresh token in clear text: 24 characters of unpadded base64url, with 144 random
/// bits. It is wiped from memory when dropped, and hidden from `Debug` output.
#[derive(Clone, Debug)]
pub struct Handle(SecretString);

impl Handle {
    /// Generates a new handle.
    pub fn generate(random: &mut dyn Random) -> Self {
        let mut bytes = Zeroizing::new([0; HANDLE_BYTES]);
        random.fill(&mut *bytes);
        Self(URL_SAFE_NO_PAD.encode(*bytes).into())
    }

    /// Returns the digest under which the handle is stored.
    pub fn digest(&self) -> HandleDigest {
        HandleDigest(TokenDigest::of(self.0.expose_secret()))
    }
}

/// SHA-256 digest of a handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct HandleDigest(pub TokenDigest);

/// Token that a client presents in order to refresh or revoke it.
#[derive(Clone, Debug)]
pub struct Presented {
    /// Digest of the token.
    pub digest: TokenDigest,
    /// Digest of the handle in the token. A refresh token that an earlier version issued has none,
    /// and is its own handle.
    pub handle: HandleDigest,
    /// Handle of the refresh token that is issued in exchange.
    pub next: Handle,
}

impl Presented {
    /// Takes a token apart.
    pub fn of(token: &str) -> Self {
        let digest = TokenDigest::of(token);
        let handle = match token.len() {
            REFRESH_TOKEN_LENGTH => token.get(..HANDLE_LENGTH),
            _ => None,
        };
        match handle {
            Some(handle) => {
                let next = Handle(handle.into());
                Self {
                    digest,
                    handle: next.digest(),
                    next,
                }
            }
            None => {
                // Always the same one, so that a token which is presented again and again does not
                // give its session more and more handles.
                let hash = Sha256::new()
                    .chain_update(DERIVATION)
                    .chain_update(token)
                    .finalize();
                Self {
                    digest,
                    handle: HandleDigest(digest),
                    next: Handle(URL_SAFE_NO_PAD.encode(&hash[..HANDLE_BYTES]).into()),
                }
            }
        }
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
