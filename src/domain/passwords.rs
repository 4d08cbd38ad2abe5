//! Passwords: what one may look like, and temporary ones.

use std::fmt;

use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};

use super::error::{Field, RuleError};
use super::random::Random;
use super::settings::{Settings, DEFAULT_MINIMUM_LENGTH, MAX_PASSWORD_LENGTH};

/// Fewest characters of a temporary password, whatever the settings ask for: some 70 bits.
const TEMPORARY_LENGTH: usize = 12;
/// Characters of temporary passwords: none that are taken for each other when read from a screen.
const LETTERS: &[u8] = b"abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";
const PUNCTUATION: &[u8] = b"!#$%&*+-=?@";

/// A password in clear text. It is wiped from memory when it is dropped, and `Debug` does not show
/// it.
#[derive(Clone, Debug)]
pub struct Password(SecretString);

impl Password {
    /// Returns the password with this text.
    pub fn new(text: String) -> Self {
        Self(text.into())
    }

    /// Returns the clear text.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// Refuses a password that nobody may have, whatever the settings.
    ///
    /// # Errors
    /// Empty or too long.
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

    /// What the rules of complexity ask of it.
    pub fn traits(&self) -> PasswordTraits {
        let text = self.expose();
        PasswordTraits {
            length: text.chars().count(),
            special: text.contains(|c: char| c.is_ascii_punctuation()),
            can_be_typed: text.chars().all(|c| c == ' ' || can_be_typed(c)),
        }
    }

    /// A new temporary password that fits the settings.
    pub fn temporary(settings: &Settings, random: &mut dyn Random) -> Self {
        let length = PasswordPolicy::of(settings).length.max(TEMPORARY_LENGTH);
        let mut text = Zeroizing::new(String::with_capacity(length));
        for position in 0..length {
            // One sign in the middle, where no client trims it.
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

/// One of `characters`, each as likely as the others.
fn pick(characters: &[u8], random: &mut dyn Random) -> char {
    // Bytes from here on would make the first characters likelier.
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

/// A password's properties that rules look at. They are kept while the password itself is hashed.
#[derive(Clone, Copy, Debug)]
pub struct PasswordTraits {
    length: usize,
    special: bool,
    can_be_typed: bool,
}

/// What the settings ask of a password.
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
    /// The rules that the password breaks, its length first.
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

/// The most that a stored hash may ask for (RFC 9106 §3.1): memory in KiB.
pub const MAX_HASH_MEMORY_KIB: u32 = 256 * 1024;
/// Likewise: passes.
pub const MAX_HASH_PASSES: u32 = 16;
/// Likewise: lanes.
pub const MAX_HASH_LANES: u32 = 16;

/// An Argon2id hash as a PHC string. It is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(String);

impl PasswordHash {
    /// The hash that a PHC string holds.
    pub fn from_phc(text: String) -> Self {
        Self(text)
    }

    /// The PHC string.
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
    /// Hash of the password that was current at the time.
    pub with: PasswordHash,
    /// Whether both are the same password.
    pub same: bool,
}

/// A new password as the rules see it: it is hashed only when they allow it.
#[derive(Clone, Debug)]
pub struct NewPassword {
    /// Properties that the settings ask for.
    pub traits: PasswordTraits,
    /// How it compares with the password that it replaces. `None`: not compared yet, or generated
    /// at random.
    pub comparison: Option<Comparison>,
}

impl NewPassword {
    /// Refuses a password that breaks rules. `current`: the hash of the one that it replaces.
    ///
    /// # Errors
    /// [`RuleError::Several`] has all rules that it breaks, its length first;
    /// [`RuleError::PasswordReplacedMeanwhile`]: it was compared with another hash than `current`.
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

/// Whether the touchscreen's keyboard can type a character into a name: ASCII letters, digits and
/// punctuation but the backtick, and the hanzi of the CJK Unified Ideographs block.
pub fn can_be_typed(c: char) -> bool {
    (c.is_ascii_graphic() && c != '`') || ('\u{4e00}'..='\u{9fff}').contains(&c)
}
