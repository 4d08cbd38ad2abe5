//! Errors of the rules: violated rules and missing authorization.

use std::fmt;

use thiserror::Error;

use super::scopes::Scopes;

/// Field of a request that an error refers to. HTTP and the console each have their own way to
/// write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// Username of the account.
    Username,
    /// Full name of the person.
    FullName,
    /// Password of the account.
    Password,
    /// Setting, identified by its JSON name.
    Setting(&'static str),
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Username => "username",
            Self::FullName => "fullName",
            Self::Password => "password",
            Self::Setting(name) => name,
        })
    }
}

/// Violated rule. Its text is meant for people, and contains no secrets.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RuleError {
    /// Field that must not be empty.
    #[error("{field} must not be empty")]
    Empty {
        /// Name of the field.
        field: Field,
    },
    /// Field that is too long.
    #[error("{field}: must have at most {most} characters")]
    TooLong {
        /// Name of the field.
        field: Field,
        /// Maximum length, in characters.
        most: usize,
    },
    /// Username that another user has.
    #[error("User {username:?} already exists.")]
    UserAlreadyExists {
        /// Requested username.
        username: String,
    },
    /// Username that no user has.
    #[error("User {username:?} does not exist.")]
    UserNotFound {
        /// Requested username, truncated to the maximum length of a username.
        username: String,
    },
    /// Id that no session has.
    #[error("Session {id} does not exist or has ended.")]
    SessionNotFound {
        /// Requested id.
        id: i64,
    },
    /// Username that a former user with a different full name held.
    #[error("Username {username:?} belongs to a former user with a different full name.")]
    UsernameBelongsToAnother {
        /// Requested username.
        username: String,
    },
    /// Username that contains characters that the touchscreen cannot type, or consists of dots
    /// alone.
    #[error(
        "A username may contain ASCII letters, digits, punctuation except the backtick, and Chinese \
         characters; it must not consist of dots alone."
    )]
    UsernameContainsInvalidCharacters,
    /// Full name that contains invisible characters.
    #[error("A full name must not contain control, bidirectional or other invisible characters.")]
    FullNameContainsInvalidCharacters,
    /// Password that contains characters that the touchscreen cannot type.
    #[error(
        "A password may contain ASCII letters, digits, punctuation except the backtick, spaces and \
         Chinese characters."
    )]
    PasswordContainsInvalidCharacters,
    /// All rules that a password violates; there is at least one. The text is that of the first.
    #[error("{}", .0.first().map(ToString::to_string).unwrap_or_default())]
    Several(Vec<RuleError>),
    /// The request is not authorized.
    #[error(transparent)]
    Unauthorized(#[from] Unauthorized),
    /// The current password was replaced while the new one was being compared with it.
    #[error("The password was changed in the meantime; try again.")]
    PasswordReplacedMeanwhile,
    /// Password that is shorter than the settings require.
    #[error("The password must have at least {required} characters; it has {actual}.")]
    PasswordTooShort {
        /// Minimum length, in characters.
        required: usize,
        /// Length of the password, in characters.
        actual: usize,
    },
    /// Password without a punctuation character, which the settings require.
    #[error("The password must contain at least one punctuation character.")]
    PasswordMissingSpecialCharacters,
    /// New password that equals the current one.
    #[error("The new password must differ from the current one.")]
    PasswordPreviouslyUsed,
    /// Too many passwords tried out in one session.
    #[error("Too many attempts; try again in {seconds} s.")]
    TooManyAttempts {
        /// Time to wait before the next attempt, in seconds.
        seconds: u64,
    },
    /// No administrator could log in any more.
    #[error("With access control on, at least one administrator must be able to log in.")]
    LastAdmin,
    /// Attempt to rename, lock, delete or change the type of a service account.
    #[error("A service account cannot be renamed, locked, deleted or given another type.")]
    ServiceAccountImmutable,
    /// Attempt to set, reset or check the password of a user of the lab's directory, or to require a
    /// new one.
    #[error("The password is managed by the lab's directory, and can be changed only there.")]
    PasswordManagedByDirectory,
    /// Attempt to change the names or the type of a user of the lab's directory.
    #[error("The user's names and account type come from the lab's directory, and can be changed only there.")]
    ManagedByDirectory,
    /// Access control is already on.
    #[error("access control is already on")]
    AccessControlAlreadyEnabled,
    /// Attempt to turn access control off over HTTP.
    #[error("must be true; access control can be turned off only at the robot's console")]
    AccessControlCannotBeDisabled,
    /// Access control is already off.
    #[error("Access control is already off.")]
    AccessControlAlreadyDisabled,
    /// No directory is configured.
    #[error("No directory is configured.")]
    DirectoryNotConfigured,
    /// Configuration of a directory that does not work.
    #[error("The test of the directory failed: {0}")]
    DirectoryTestFailed(String),
    /// Value that a setting does not accept.
    #[error("{field}: {rule}")]
    OutOfRange {
        /// Name of the field.
        field: Field,
        /// Description of the accepted values.
        rule: String,
    },
}

impl RuleError {
    /// Returns the field whose value violates the rule; `None` if the rule is about no value, or its
    /// text names the value.
    pub fn field(&self) -> Option<Field> {
        match self {
            Self::Empty { field }
            | Self::TooLong { field, .. }
            | Self::OutOfRange { field, .. } => Some(*field),
            Self::UsernameContainsInvalidCharacters => Some(Field::Username),
            Self::FullNameContainsInvalidCharacters => Some(Field::FullName),
            Self::PasswordContainsInvalidCharacters
            | Self::PasswordTooShort { .. }
            | Self::PasswordMissingSpecialCharacters
            | Self::PasswordPreviouslyUsed => Some(Field::Password),
            _ => None,
        }
    }
}

/// Reason why the token of a request does not authorize it (RFC 6750 §3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenFault {
    /// The token is missing, or the `Authorization` header is malformed.
    Missing,
    /// The token is unknown, expired or revoked.
    Invalid,
    /// The token lacks a required scope.
    InsufficientScope,
}

impl TokenFault {
    fn text(self) -> &'static str {
        match self {
            Self::Missing => {
                "The request must carry exactly one bearer token, in the Authorization header."
            }
            Self::Invalid => "The access token is unknown, expired or revoked.",
            Self::InsufficientScope => "The access token lacks scopes that the request requires.",
        }
    }
}

/// Request that is not authorized.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{}", fault.text())]
pub struct Unauthorized {
    /// Reason why the token does not authorize the request.
    pub fault: TokenFault,
    /// Scopes that the request requires.
    pub required: Scopes,
    /// Scopes that the token has at present; empty if there is no valid token.
    pub provided: Scopes,
}
