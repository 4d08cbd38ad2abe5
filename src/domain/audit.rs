//! Audit events, and the hash chain that makes changes to the audit log detectable.

use sha2::{Digest, Sha256};

use super::users::User;

/// Maximum length of the reason that a user states for a change, in characters.
const MAX_REASON_LENGTH: usize = 2_000;

/// Returns the reason that a user states for a change, trimmed; `None` if it is blank.
///
/// # Errors
/// The rule, as a predicate, if the reason is longer than 2,000 characters.
pub fn stated_reason(text: &str) -> Result<Option<String>, String> {
    let reason = text.trim();
    if reason.chars().count() > MAX_REASON_LENGTH {
        return Err(format!("must have at most {MAX_REASON_LENGTH} characters"));
    }
    Ok(Some(reason.to_owned()).filter(|reason| !reason.is_empty()))
}

/// Action of the event that records that access control was turned on. The audit server gets an
/// additional request for this event.
pub const ENABLE_ACCESS_CONTROL: &str = "update CRS enabled";

/// Action of the events that record logins.
pub const LOGIN_SUCCEEDED: &str = "login succeeded";
/// Action of the events that record that the Python server's accounts were imported.
pub const IMPORT: &str = "import";
/// Action of the events that record refused logins.
pub const LOGIN_FAILED: &str = "login failed";
/// Action of the events that record sessions ended because of a reused refresh token.
pub const SESSION_ENDED: &str = "login ended";

/// Kind of a refusal that unauthenticated clients can cause. Each kind is rate-limited on its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RefusalKind {
    /// Login with an unknown username.
    UnknownUser,
    /// Login with a wrong password.
    WrongPassword,
    /// Login to a locked account.
    LockedAccount,
    /// Login to a throttled account before its delay is over.
    SlowedAccount,
    /// Login that requested scopes that the account may not have.
    ExcessiveScope,
    /// Login of a person whom the lab's directory did not let in, or could not be asked about.
    Directory,
    /// Refresh with a token that was used before.
    ReusedRefreshToken,
}

/// Person or program that an event is attributed to.
#[derive(Clone, Debug)]
pub struct Actor {
    /// Username of the account.
    pub account_name: String,
    /// Full name of the person.
    pub legal_name: String,
}

impl Actor {
    /// Returns the actor for requests without a user: the server itself.
    pub fn server() -> Self {
        Self {
            account_name: "opentrons-auth-server".into(),
            legal_name: "Opentrons Auth Server".into(),
        }
    }

    /// Returns the actor for a user.
    pub fn of(user: &User) -> Self {
        Self {
            account_name: user.username.clone(),
            legal_name: user.full_name.clone(),
        }
    }

    /// Returns the actor for the system user `user` at the robot's console.
    pub fn console(user: &str) -> Self {
        Self {
            account_name: user.into(),
            legal_name: format!("{user} at the console"),
        }
    }
}

/// Interface that a request came in through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// HTTP request of a client.
    Http,
    /// Command line at the robot's console.
    Console,
    /// The server itself, without a request.
    Server,
}

impl Origin {
    /// All origins, for lookup by name.
    pub const ALL: [Self; 3] = [Self::Http, Self::Console, Self::Server];

    /// Returns the name used in the audit log.
    pub fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Console => "console",
            Self::Server => "server",
        }
    }

    /// Returns the origin with this name, or `None` if the name is unknown.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|each| each.name() == name)
    }
}

/// Audit event. It never contains a password, a token or a hash of either.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Stable name of the action, for programs.
    pub action: String,
    /// Username of the account that acted.
    pub account_name: String,
    /// Full name of the person who acted.
    pub legal_name: String,
    /// Description of the action, as a sentence for people.
    pub message: String,
    /// Reason given by the user in the header `Opentrons-User-Notes`.
    pub reason: Option<String>,
    /// Interface that the request came in through; `None` in rows written before schema version 2.
    pub origin: Option<Origin>,
    /// Kind of refusal, if the event is one, for rate limiting. It is not stored.
    pub refusal: Option<RefusalKind>,
}

impl Event {
    /// Marks the event as a refusal of this kind.
    #[must_use]
    pub fn refused(self, kind: RefusalKind) -> Self {
        Self {
            refusal: Some(kind),
            ..self
        }
    }
}

/// Hash in the chain: SHA-256 over the previous hash and a row.
pub type ChainHash = [u8; 32];

/// Initial value of every chain, in place of the hash before the first row.
pub const CHAIN_START: ChainHash = [0; 32];

/// Row of the audit log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRow {
    /// Number of the row, counted from 1 without gaps.
    pub seq: i64,
    /// Wall-clock time at which the row was written (RFC 3339, in UTC).
    pub time: String,
    /// Event that the row records.
    pub event: Event,
}

impl AuditRow {
    /// Returns the hash of the row, given the hash of the row before. The length of each field is
    /// hashed as well, so that text cannot be moved from one field to the next unnoticed.
    pub fn chain_hash(&self, before: &ChainHash) -> ChainHash {
        let mut hash = Sha256::new();
        hash.update(before);
        hash.update(self.seq.to_be_bytes());
        let event = &self.event;
        for field in [
            Some(&self.time),
            Some(&event.action),
            Some(&event.account_name),
            Some(&event.legal_name),
            Some(&event.message),
            event.reason.as_ref(),
        ] {
            match field {
                None => hash.update(u64::MAX.to_be_bytes()),
                Some(text) => {
                    hash.update((text.len() as u64).to_be_bytes());
                    hash.update(text);
                }
            }
        }
        // Rows written before schema version 2 have no origin, and keep their hash.
        if let Some(origin) = event.origin {
            hash.update(origin.name());
        }
        hash.finalize().into()
    }
}

/// Row of the audit log together with its stored hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainedRow {
    /// Row of the audit log.
    pub row: AuditRow,
    /// Hash that is stored with the row.
    pub hash: ChainHash,
}

/// Formats a hash as 64 lower-case hexadecimal digits.
pub fn hex(hash: &ChainHash) -> String {
    use std::fmt::Write as _;
    hash.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Parses a hash from 64 hexadecimal digits, as [`hex`] writes them; `None` if the text is
/// malformed.
pub fn from_hex(text: &str) -> Option<ChainHash> {
    if text.len() != 64 || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    let mut hash = ChainHash::default();
    for (byte, digits) in hash.iter_mut().zip(text.as_bytes().chunks(2)) {
        let digits = std::str::from_utf8(digits).ok()?;
        *byte = u8::from_str_radix(digits, 16).ok()?;
    }
    Some(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_read_back() {
        let hash: ChainHash = std::array::from_fn(|index| (index * 7 + 3) as u8);
        assert_eq!(from_hex(&hex(&hash)), Some(hash));
        for text in ["", "00", &"+1".repeat(32), &"0".repeat(65), &"é".repeat(32)] {
            assert_eq!(from_hex(text), None, "{text}");
        }
    }
}
