//! The rules of accounts that a request can break, and what keeps a request out.

use std::fmt;

use thiserror::Error;

use super::scopes::Scopes;

/// A field of a request, which HTTP and the console spell each in its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// Username of an account.
    Username,
    /// Full name of a person.
    FullName,
    /// A password.
    Password,
    /// A setting, by the name that clients give it.
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

/// A broken rule. Its text is for people, and holds nothing that is secret.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RuleError {
    /// A field that may not be empty.
    #[error("{field} must not be empty")]
    Empty {
        /// The field.
        field: Field,
    },
    /// A field with more characters than it may have.
    #[error("{field}: must have at most {most} characters")]
    TooLong {
        /// The field.
        field: Field,
        /// Most characters that it may have.
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
    /// A former user of the name has another full name.
    #[error("The username {username:?} belongs to a former user with another full name.")]
    UsernameBelongsToAnother {
        /// The name.
        username: String,
    },
    /// A username with characters that the touchscreen cannot type, or of dots alone.
    #[error("A username may have ASCII letters, digits, punctuation but the backtick, and hanzi; not dots alone.")]
    UsernameContainsInvalidCharacters,
    /// A full name with characters that people cannot see.
    #[error("A full name may have no control, bidirectional or other invisible characters.")]
    FullNameContainsInvalidCharacters,
    /// A password with characters that the touchscreen cannot type.
    #[error("A password may have ASCII letters, digits, punctuation but the backtick, spaces and hanzi.")]
    PasswordContainsInvalidCharacters,
    /// Several rules that one password breaks.
    #[error("{}", .0.first().map(ToString::to_string).unwrap_or_default())]
    Several(Vec<RuleError>),
    /// The request is not let in.
    #[error(transparent)]
    Unauthorized(#[from] Unauthorized),
    /// The password was replaced while a new one was compared with it.
    #[error("The password was replaced meanwhile; try again.")]
    PasswordReplacedMeanwhile,
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
    /// Too many passwords were tried out in one session.
    #[error("Too many attempts; try again in {seconds} s.")]
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
    #[error("access control is on already")]
    AccessControlAlreadyEnabled,
    /// Access control cannot be turned off over HTTP.
    #[error("must be true; only the robot's console turns it off")]
    AccessControlCannotBeDisabled,
    /// Access control is off already.
    #[error("Access control is off already.")]
    AccessControlAlreadyDisabled,
    /// A value out of range.
    #[error("{field}: {rule}")]
    OutOfRange {
        /// The field.
        field: Field,
        /// The values that it takes, in words.
        rule: String,
    },
}

/// Why a token does not let a request in (RFC 6750 §3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenFault {
    /// There is none, or it is not where it should be.
    Missing,
    /// It is unknown, expired or revoked.
    Invalid,
    /// It lacks scopes.
    InsufficientScope,
}

impl TokenFault {
    fn text(self) -> &'static str {
        match self {
            Self::Missing => {
                "The request needs one access token, in the header Authorization: Bearer."
            }
            Self::Invalid => "The access token is unknown, expired or revoked.",
            Self::InsufficientScope => "The access token lacks scopes that the request needs.",
        }
    }
}

/// A request that is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{}", fault.text())]
pub struct Unauthorized {
    /// What is wrong with its token.
    pub fault: TokenFault,
    /// The scopes that it needs.
    pub required: Scopes,
    /// The scopes that its token has now.
    pub provided: Scopes,
}
