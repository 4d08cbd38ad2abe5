//! Audit events, and the chain of hashes that holds them together.

use sha2::{Digest, Sha256};

use super::users::User;

/// What turns access control on is reported to the audit server in a request of its own, too.
pub const ENABLE_ACCESS_CONTROL: &str = "update CRS enabled";

/// Action of the events that are refused logins.
pub const LOGIN_FAILED: &str = "login failed";
/// Action of the events that are sessions which a stolen refresh token has ended.
pub const SESSION_ENDED: &str = "login ended";

/// Why something was refused that anybody may try.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RefusalKind {
    /// A login: nobody has the name.
    UnknownUser,
    /// A login: the password is wrong.
    WrongPassword,
    /// A login: the account is locked.
    LockedAccount,
    /// A login: the account is slowed down.
    SlowedAccount,
    /// A login: it asked for more than the account may have.
    ExcessiveScope,
    /// A refresh: the token was used before.
    ReusedRefreshToken,
}

/// Who does something.
#[derive(Clone, Debug)]
pub struct Actor {
    /// The account's name.
    pub account_name: String,
    /// The person's name.
    pub legal_name: String,
}

impl Actor {
    /// Nobody in particular: the server stands for them.
    pub fn server() -> Self {
        Self {
            account_name: "opentrons-auth-server".into(),
            legal_name: "Opentrons Auth Server".into(),
        }
    }

    /// A user.
    pub fn of(user: &User) -> Self {
        Self {
            account_name: user.username.clone(),
            legal_name: user.full_name.clone(),
        }
    }

    /// Somebody at the robot's console.
    pub fn console(user: &str) -> Self {
        Self {
            account_name: user.into(),
            legal_name: format!("{user} at the console"),
        }
    }
}

/// Where a request came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A client, over HTTP.
    Http,
    /// Somebody at the robot's console.
    Console,
    /// The server itself.
    Server,
}

impl Origin {
    /// All origins.
    pub const ALL: [Self; 3] = [Self::Http, Self::Console, Self::Server];

    /// The name in the audit log.
    pub fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Console => "console",
            Self::Server => "server",
        }
    }

    /// The origin of a name, or `None` when there is none.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|each| each.name() == name)
    }
}

/// One event. It never holds a password, a token or a hash of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// What was done, in words that do not change.
    pub action: String,
    /// Whose account did it.
    pub account_name: String,
    /// That person's name.
    pub legal_name: String,
    /// What was done, in a sentence.
    pub message: String,
    /// Why, as the user said (`Opentrons-User-Notes`).
    pub reason: Option<String>,
    /// Where the request came from; `None` in rows of the first edition.
    pub origin: Option<Origin>,
    /// Which kind of refusal it is, so that a storm of them can be counted. It is not written down.
    pub refusal: Option<RefusalKind>,
}

impl Event {
    /// The event, as a refusal of this kind.
    #[must_use]
    pub fn refused(self, kind: RefusalKind) -> Self {
        Self {
            refusal: Some(kind),
            ..self
        }
    }
}

/// A link of the chain: SHA-256 over the link before and a row.
pub type ChainHash = [u8; 32];

/// Where every chain begins.
pub const CHAIN_START: ChainHash = [0; 32];

/// A row of the audit log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRow {
    /// Its number; the first is 1, and none is left out.
    pub seq: i64,
    /// When it was written, by the wall clock (RFC 3339, UTC).
    pub time: String,
    /// The event.
    pub event: Event,
}

impl AuditRow {
    /// The row's link. Each field counts with its length, so that no text can be moved from one
    /// field into the next.
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
        // Rows of the first edition have none, and keep the hash that they had.
        if let Some(origin) = event.origin {
            hash.update(origin.name());
        }
        hash.finalize().into()
    }
}

/// A row, and the link that the log holds of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainedRow {
    /// The row.
    pub row: AuditRow,
    /// Its link.
    pub hash: ChainHash,
}

/// A digest as hexadecimal digits, as reports show it.
pub fn hex(hash: &ChainHash) -> String {
    use std::fmt::Write as _;
    hash.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The digest that [`hex`] wrote, or `None` when the text is none.
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
