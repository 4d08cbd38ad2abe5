//! Passwords: the password policy, temporary passwords and password hashes.

use std::fmt;

use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};

use super::error::{Field, RuleError};
use super::random::Random;
use super::settings::{Settings, DEFAULT_MINIMUM_LENGTH, MAX_PASSWORD_LENGTH};

/// Minimum length of a temporary password, in characters, even if the settings allow less. It gives
/// about 67 bits of entropy.
const TEMPORARY_LENGTH: usize = 12;
/// Letters and digits of temporary passwords, without those that look alike on a screen.
const LETTERS: &[u8] = b"abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";
/// Punctuation characters of temporary passwords.
const PUNCTUATION: &[u8] = b"!#$%&*+-=?@";

/// Password in clear text. It is wiped from memory when dropped, and hidden from `Debug` output.
#[derive(Clone, Debug)]
pub struct Password(SecretString);

impl Password {
    /// Creates a password from its clear text.
    pub fn new(text: String) -> Self {
        Self(text.into())
    }

    /// Returns the password in clear text.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// Checks the length against the limits that apply regardless of the settings.
    ///
    /// # Errors
    /// - [`RuleError::Empty`] if the password is empty.
    /// - [`RuleError::TooLong`] if it has more than [`MAX_PASSWORD_LENGTH`] characters.
    pub fn check(&self) -> Result<(), RuleError> {
        let text = self.expose();
        if text.is_empty() {
            return Err(RuleError::Empty {
                field: Field::Password,
            });
        }
        if text.chars().count() > MAX_PASSWORD_LENGTH as usize {
            return Err(RuleError::TooLong {
                field: Field::Password,
                most: MAX_PASSWORD_LENGTH as usize,
            });
        }
        Ok(())
    }

    /// Returns the properties that the password policy refers to.
    pub fn traits(&self) -> PasswordTraits {
        let text = self.expose();
        PasswordTraits {
            length: text.chars().count(),
            special: text.contains(|c: char| c.is_ascii_punctuation()),
            can_be_typed: text.chars().all(|c| c == ' ' || can_be_typed(c)),
        }
    }

    /// Generates a temporary password that satisfies the password policy of the settings.
    pub fn temporary(settings: &Settings, random: &mut dyn Random) -> Self {
        let length = PasswordPolicy::of(settings).length.max(TEMPORARY_LENGTH);
        let mut text = Zeroizing::new(String::with_capacity(length));
        for position in 0..length {
            // One punctuation character in the middle, where no client trims it.
            let characters = if position == TEMPORARY_LENGTH / 2 {
                PUNCTUATION
            } else {
                LETTERS
            };
            text.push(pick(characters, random));
        }
        Self(text.as_str().into())
    }
}

/// Picks one of `characters` at random, each with the same probability.
fn pick(characters: &[u8], random: &mut dyn Random) -> char {
    // Larger bytes are rejected, as they would make the first characters more likely.
    let fair = 256 - 256 % characters.len();
    loop {
        let mut byte = [0];
        random.fill(&mut byte);
        let number = usize::from(byte[0]);
        if number < fair {
            return char::from(characters[number % characters.len()]);
        }
    }
}

/// Properties of a password that the password policy refers to. The rules work with these instead of
/// the password itself.
#[derive(Clone, Copy, Debug)]
pub struct PasswordTraits {
    length: usize,
    special: bool,
    can_be_typed: bool,
}

/// Password policy: the requirements that the settings state.
struct PasswordPolicy {
    length: usize,
    special: bool,
}

impl PasswordPolicy {
    fn of(settings: &Settings) -> Self {
        Self {
            length: settings
                .password_minimum_length
                .unwrap_or(DEFAULT_MINIMUM_LENGTH) as usize,
            special: settings.password_special_characters == Some(true),
        }
    }
}

impl PasswordTraits {
    /// Returns the requirements that the password violates, its length first; none if it satisfies
    /// the policy.
    pub fn faults(self, settings: &Settings) -> Vec<RuleError> {
        let policy = PasswordPolicy::of(settings);
        let mut faults = Vec::new();
        if self.length < policy.length {
            faults.push(RuleError::PasswordTooShort {
                required: policy.length,
                actual: self.length,
            });
        }
        if policy.special && !self.special {
            faults.push(RuleError::PasswordMissingSpecialCharacters);
        }
        if !self.can_be_typed {
            faults.push(RuleError::PasswordContainsInvalidCharacters);
        }
        faults
    }
}

/// Maximum memory of a stored hash (m, RFC 9106 §3.1), in KiB.
pub const MAX_HASH_MEMORY_KIB: u32 = 256 * 1024;
/// Maximum number of passes of a stored hash (t).
pub const MAX_HASH_PASSES: u32 = 16;
/// Maximum degree of parallelism of a stored hash (p).
pub const MAX_HASH_LANES: u32 = 16;

/// Password hash as a PHC string. It is hidden from `Debug` output.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(String);

impl PasswordHash {
    /// Creates a hash from its PHC string.
    pub fn from_phc(text: String) -> Self {
        Self(text)
    }

    /// Returns a hash that no password matches: its output is zero. Verifying it takes as long as
    /// verifying a hash that the server makes.
    pub fn of_no_password() -> Self {
        Self(
            "$argon2id$v=19$m=19456,t=2,p=1$b3BlbnRyb25zLWF1dGgtLQ$\
             AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
                .into(),
        )
    }

    /// Returns the PHC string.
    pub fn as_phc(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(hidden)")
    }
}

/// Result of comparing a new password with the current one.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// Hash of the current password at the time of the comparison.
    pub with: PasswordHash,
    /// Whether the passwords are equal.
    pub same: bool,
}

/// New password as the rules see it. The password itself is hashed only after the rules have accepted
/// it.
#[derive(Clone, Debug)]
pub struct NewPassword {
    /// Properties that the password policy refers to.
    pub traits: PasswordTraits,
    /// Comparison with the current password; `None` if it was not compared, as for a new user or a
    /// temporary password.
    pub comparison: Option<Comparison>,
}

impl NewPassword {
    /// Checks the new password against the password policy, and that it differs from the current
    /// one, whose hash is `current`.
    ///
    /// # Errors
    /// - [`RuleError::Several`] with all requirements that the password violates, its length first.
    /// - [`RuleError::PasswordReplacedMeanwhile`] if it was compared with another hash than
    ///   `current`.
    pub fn check(
        &self,
        settings: &Settings,
        current: Option<&PasswordHash>,
    ) -> Result<(), RuleError> {
        let mut faults = self.traits.faults(settings);
        if let (Some(comparison), Some(current)) = (&self.comparison, current) {
            if comparison.with != *current {
                return Err(RuleError::PasswordReplacedMeanwhile);
            }
            if comparison.same {
                faults.push(RuleError::PasswordPreviouslyUsed);
            }
        }
        if faults.is_empty() {
            return Ok(());
        }
        Err(RuleError::Several(faults))
    }
}

/// Returns whether the touchscreen's keyboard can type a character: ASCII letters, digits,
/// punctuation except the backtick, and hanzi (block CJK Unified Ideographs). Spaces are excluded,
/// because a username must not contain them.
pub fn can_be_typed(c: char) -> bool {
    (c.is_ascii_graphic() && c != '`') || ('\u{4e00}'..='\u{9fff}').contains(&c)
}
