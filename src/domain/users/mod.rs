//! User accounts: account types, usernames and full names, and locking after failed logins.

pub mod history;
pub mod profile;
pub mod rules;
pub mod source;

use unicode_properties::{GeneralCategory, GeneralCategoryGroup, UnicodeGeneralCategory};

use std::fmt;
use std::time::Duration;

use self::source::OfDirectory;
use crate::domain::error::{Field, RuleError};
use crate::domain::passwords::{can_be_typed, PasswordHash};
use crate::domain::scopes::{Scope, Scopes};
use crate::domain::settings::Settings;
use crate::domain::time::{whole_seconds, Moment};

/// Maximum length of a username, in characters.
pub const MAX_USERNAME_LENGTH: usize = 20;
/// Maximum length of a full name, in characters.
pub const MAX_FULL_NAME_LENGTH: usize = 256;
/// Full name of every service account.
pub const SERVICE_FULL_NAME: &str = "Service Account";
/// Consecutive failed logins after which an account that is never locked is throttled instead.
const FREE_ATTEMPTS: u32 = 5;
/// Maximum delay before the next login attempt of a throttled account.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// Type of an account, which determines its scopes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AccountType {
    /// Administrator of the robot.
    Admin,
    /// Operator of the robot.
    User,
    /// Auditor, who may read all user accounts.
    Auditor,
    /// Service account, for programs.
    Service,
}

impl AccountType {
    /// All account types.
    pub const ALL: [Self; 4] = [Self::Admin, Self::User, Self::Auditor, Self::Service];

    /// Returns the name used in requests and responses.
    pub fn name(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::User => "user",
            Self::Auditor => "auditor",
            Self::Service => "service",
        }
    }

    /// Returns the account type with this name, or `None` if the name is unknown.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|each| each.name() == name)
    }

    /// Returns the scopes of an account of this type under the given settings.
    pub fn scopes(self, settings: &Settings) -> Scopes {
        match self {
            Self::Admin | Self::Service => Scopes::of(&Scope::ALL),
            Self::Auditor => Scopes::of(&[
                Scope::UsersReadOthers,
                Scope::UsersReadSelf,
                Scope::UsersWriteSelf,
            ]),
            Self::User => {
                let mut scopes = Scopes::of(&[
                    Scope::AuditLogWrite,
                    Scope::ProtocolAnalysesWrite,
                    Scope::RestartWrite,
                    Scope::RobotControlWrite,
                    Scope::RobotSettingsWrite,
                    Scope::UsersReadSelf,
                    Scope::UsersWriteSelf,
                ]);
                for (scope, needs_admin) in [
                    (Scope::UpdatesWrite, settings.admin_for_software_updates),
                    (Scope::ProtocolsWrite, settings.admin_for_protocols),
                    (Scope::RunSignoffWrite, settings.admin_for_signoff),
                ] {
                    if !needs_admin {
                        scopes = scopes.with(scope);
                    }
                }
                scopes
            }
        }
    }
}

/// Reason why a user must set a new password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResetPasswordReason {
    /// No new password is required.
    None,
    /// The user has not yet replaced the temporary password that the account was created with.
    FirstTimeLogin,
    /// An administrator required it, or changed the password policy.
    AdminForced,
    /// The password is older than the setting `passwordResetTime` allows.
    PasswordExpired,
}

/// Identifier of a user, which never changes, unlike the username.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UserId(pub i64);

/// User account, as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Identifier of the user.
    pub id: UserId,
    /// Username of the account.
    pub username: String,
    /// Full name of the person.
    pub full_name: String,
    /// Type of the account.
    pub account_type: AccountType,
    /// Hash of the password; of a user of the directory, of the one that it last confirmed, or of none.
    pub password: PasswordHash,
    /// Time at which the password was set.
    pub password_set_at: Moment,
    /// Whether the password is temporary, so that the user must replace it.
    pub temporary_password: bool,
    /// Reason why a new password must be set, not counting the age of the current one.
    pub stored_reason: ResetPasswordReason,
    /// Whether an administrator locked the account.
    pub locked_by_admin: bool,
    /// Number of failed logins since the last successful one.
    pub failed_logins: u32,
    /// Time of the most recent failed login.
    pub last_failed_login: Option<Moment>,
    /// What is known of a user of the lab's directory; `None` for a local user.
    pub directory: Option<OfDirectory>,
}

impl fmt::Display for User {
    /// Writes the username and full name as the audit log shows them: `"ada" ("Ada Lovelace")`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} ({:?})", self.username, self.full_name)
    }
}

impl User {
    /// Returns the reason why the user must set a new password. A stored reason takes precedence
    /// over the password's age, which does not matter for a user of the directory.
    pub fn reset_reason(&self, settings: &Settings, now: Moment) -> ResetPasswordReason {
        if self.stored_reason != ResetPasswordReason::None {
            return self.stored_reason;
        }
        let expires = settings
            .password_reset_time
            .map(|age| self.password_set_at + age);
        if expires.is_some_and(|expires| expires <= now) && self.directory.is_none() {
            return ResetPasswordReason::PasswordExpired;
        }
        ResetPasswordReason::None
    }

    /// Returns whether this is a user of the directory who may be able to log in without it.
    pub fn has_verifier(&self) -> bool {
        let of = self.directory.as_ref();
        of.is_some_and(|of| of.confirmed.is_some())
    }

    /// Returns whether this is a user of the directory whose last look-up is at least `age` ago.
    pub fn is_due_for_look_up(&self, age: Duration, now: Moment) -> bool {
        let of = self.directory.as_ref();
        of.is_some_and(|of| now.since(of.looked_up) >= age)
    }

    /// Returns the same user without the password that the directory confirmed last.
    #[must_use]
    pub fn without_verifier(&self) -> Self {
        Self {
            password: PasswordHash::of_no_password(),
            directory: self.directory.clone().map(|of| OfDirectory {
                confirmed: None,
                ..of
            }),
            ..self.clone()
        }
    }

    /// Returns the user's scopes at `now`: those of the account type, or only
    /// [`Scopes::SELF_ONLY`] while a new password must be set.
    pub fn scopes(&self, settings: &Settings, now: Moment) -> Scopes {
        if self.reset_reason(settings, now) == ResetPasswordReason::None {
            self.account_type.scopes(settings)
        } else {
            Scopes::SELF_ONLY
        }
    }
}

/// Failed logins in a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Failed {
    /// Number of failed logins.
    pub count: u32,
    /// Time of the last one; `None` if there is none.
    pub last: Option<Moment>,
}

/// Decides which accounts are locked by failed logins and which are throttled instead.
#[derive(Clone, Copy, Debug)]
pub struct LockPolicy {
    /// Number of failed logins that locks an account; `None` if accounts are never locked.
    pub(super) max_attempts: Option<u32>,
    /// Last local administrator who can log in while access control is on. This account is never locked,
    /// because nobody else could unlock it.
    pub(super) exempt: Option<UserId>,
}

impl LockPolicy {
    /// Returns whether the account is locked, by an administrator or by failed logins.
    pub fn is_locked(&self, user: &User) -> bool {
        user.locked_by_admin || self.attempts_remaining(user) == Some(0)
    }

    /// Returns whether failed logins throttle the account instead of locking it.
    pub fn slows(&self, user: &User) -> bool {
        user.account_type == AccountType::Service || self.exempt == Some(user.id)
    }

    /// Returns how many more failed logins lock the account; `None` if there is no limit.
    pub fn attempts_remaining(&self, user: &User) -> Option<u32> {
        if self.slows(user) {
            return None;
        }
        let max_attempts = self.max_attempts?;
        if user.locked_by_admin {
            return Some(0);
        }
        Some(max_attempts.saturating_sub(user.failed_logins))
    }

    /// Returns how long a source must wait before its next login attempt to a throttled account, in
    /// seconds rounded up; `None` if it need not wait. `failed` is what failed from this source;
    /// each failed login doubles the delay.
    pub fn must_wait(&self, user: &User, failed: Failed, now: Moment) -> Option<u64> {
        let over = failed.count.checked_sub(FREE_ATTEMPTS)?;
        if !self.slows(user) {
            return None;
        }
        let wait = Duration::from_secs(1 << over.min(10)).min(LONGEST_WAIT);
        let left = (failed.last? + wait).since(now);
        (!left.is_zero()).then_some(whole_seconds(left))
    }

    /// Returns whether the user is a local administrator who is not locked.
    pub fn is_able_admin(&self, user: &User) -> bool {
        user.account_type == AccountType::Admin && user.directory.is_none() && !self.is_locked(user)
    }
}

/// Record of who held a username that is no longer in use. A username identifies one person for
/// ever (21 CFR 11.100(a)).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormerUsername {
    /// Username, as normalized by [`fold`].
    pub key: String,
    /// User who held the username.
    pub user: UserId,
    /// Full name of that person.
    pub full_name: String,
}

impl FormerUsername {
    /// Creates the record for the current username of `user`.
    pub fn of(user: &User) -> Self {
        Self {
            key: fold(&user.username),
            user: user.id,
            full_name: user.full_name.clone(),
        }
    }
}

/// Normalizes a username to ASCII lower case, so that names that differ only in case compare equal.
pub fn fold(username: &str) -> String {
    username.to_ascii_lowercase()
}

/// Checks that a username is valid.
///
/// # Errors
/// - [`RuleError::Empty`] if the username is empty.
/// - [`RuleError::TooLong`] if it has more than [`MAX_USERNAME_LENGTH`] characters.
/// - [`RuleError::UsernameContainsInvalidCharacters`] if it contains a character that the
///   touchscreen cannot type, or consists of dots alone, which cannot be a path segment (RFC 3986
///   §3.3).
pub fn check_username(username: &str) -> Result<(), RuleError> {
    check_length(username, Field::Username, MAX_USERNAME_LENGTH)?;
    if !username.chars().all(can_be_typed) || username.chars().all(|c| c == '.') {
        return Err(RuleError::UsernameContainsInvalidCharacters);
    }
    Ok(())
}

/// Returns a full name without leading and trailing white space.
///
/// # Errors
/// - [`RuleError::Empty`] if the name is empty or looks blank.
/// - [`RuleError::TooLong`] if it has more than [`MAX_FULL_NAME_LENGTH`] characters.
/// - [`RuleError::FullNameContainsInvalidCharacters`] if it contains control, bidirectional or
///   other invisible characters.
pub fn readable_full_name(full_name: &str) -> Result<String, RuleError> {
    let trimmed = full_name.trim();
    check_length(trimmed, Field::FullName, MAX_FULL_NAME_LENGTH)?;
    if trimmed.chars().any(is_invisible) {
        return Err(RuleError::FullNameContainsInvalidCharacters);
    }
    if trimmed.chars().all(looks_blank) {
        return Err(RuleError::Empty {
            field: Field::FullName,
        });
    }
    Ok(trimmed.to_owned())
}

/// Returns whether a character is a control, bidirectional or other invisible character: general
/// category Cc, Cf, Zl, Zp, Cs, Co or Cn (Unicode 15.1, table 4-4).
fn is_invisible(c: char) -> bool {
    matches!(
        c.general_category(),
        GeneralCategory::Control
            | GeneralCategory::Format
            | GeneralCategory::LineSeparator
            | GeneralCategory::ParagraphSeparator
            | GeneralCategory::Surrogate
            | GeneralCategory::PrivateUse
            | GeneralCategory::Unassigned
    )
}

/// Returns whether a character leaves no visible trace on its own: white space, combining marks,
/// the Hangul fillers and the blank Braille pattern.
fn looks_blank(c: char) -> bool {
    c.is_whitespace()
        || c.general_category_group() == GeneralCategoryGroup::Mark
        || matches!(
            c,
            '\u{115f}' | '\u{1160}' | '\u{2800}' | '\u{3164}' | '\u{ffa0}'
        )
}

fn check_length(text: &str, field: Field, max: usize) -> Result<(), RuleError> {
    if text.is_empty() {
        return Err(RuleError::Empty { field });
    }
    if text.chars().count() > max {
        return Err(RuleError::TooLong { field, most: max });
    }
    Ok(())
}
