//! The rules of accounts that a request can break.

use thiserror::Error;

use super::user::MAX_USERNAME_LENGTH;

/// A broken rule. Its text is for people, and holds nothing that is secret.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RuleError {
    /// A field that may not be empty.
    #[error("{field} must not be empty")]
    Empty {
        /// As clients spell it.
        field: &'static str,
    },
    /// A field with more characters than it may have.
    #[error("data.{field}: must have at most {most} characters")]
    TooLong {
        /// As clients spell it.
        field: &'static str,
        /// How many it may have.
        most: usize,
    },
    /// Another user has the name.
    #[error("There is a user {username:?} already.")]
    UserAlreadyExists {
        /// The name.
        username: String,
    },
    /// Nobody has the name.
    #[error("There is no user {username:?}.")]
    UserNotFound {
        /// The name, shortened when it is longer than any could be.
        username: String,
    },
    /// A username with other characters than ASCII letters, digits and punctuation.
    #[error("A username may have ASCII letters, digits and punctuation, and no white space.")]
    UsernameContainsInvalidCharacters,
    /// The same of a password.
    #[error("A password may have ASCII letters, digits and punctuation, and no white space.")]
    PasswordContainsInvalidCharacters,
    /// Fewer characters than the settings ask for.
    #[error("The password has {actual} characters; it needs at least {required}.")]
    PasswordTooShort {
        /// How many it needs.
        required: usize,
        /// How many it has.
        actual: usize,
    },
    /// No punctuation where the settings ask for some.
    #[error("The password needs at least one punctuation character.")]
    PasswordMissingSpecialCharacters,
    /// The password that the user has already.
    #[error("The new password must differ from the current one.")]
    PasswordPreviouslyUsed,
    /// A re-authentication with a wrong password, or of a locked account.
    #[error("The password is not right, or the account is locked.")]
    PasswordIncorrect,
    /// A service account that has failed too often has to wait.
    #[error("Too many wrong passwords; try again in {seconds} s.")]
    TooManyAttempts {
        /// How long to wait.
        seconds: u64,
    },
    /// Nobody could administer the robot any more.
    #[error("With access control on, at least one administrator must be able to log in.")]
    LastAdmin,
    /// Renaming, retyping, locking or deleting a service account.
    #[error("A service account cannot be renamed, retyped, locked or deleted.")]
    ServiceAccountImmutable,
    /// Access control is on already.
    #[error("data.accessControlEnabled: access control is on already")]
    AccessControlAlreadyEnabled,
    /// Access control cannot be turned off over HTTP.
    #[error("data.accessControlEnabled: must be true; only the robot's console turns it off")]
    AccessControlCannotBeDisabled,
    /// Access control is off already.
    #[error("Access control is off already.")]
    AccessControlAlreadyDisabled,
    /// A value out of range; the text names the field and the rule.
    #[error("{0}")]
    OutOfRange(String),
}

impl RuleError {
    /// That nobody has this name.
    pub fn user_not_found(username: &str) -> Self {
        let mut short: String = username.chars().take(MAX_USERNAME_LENGTH).collect();
        if short.len() < username.len() {
            short.push('…');
        }
        Self::UserNotFound { username: short }
    }
}
