//! A user account.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::clock::Moment;
use super::error::RuleError;
use super::password::PasswordHash;
use super::scope::Scopes;
use super::settings::Settings;

/// Longest username, in characters.
pub const MAX_USERNAME_LENGTH: usize = 20;
/// Longest full name, in characters.
pub const MAX_FULL_NAME_LENGTH: usize = 256;
/// The full name of every service account.
pub const SERVICE_FULL_NAME: &str = "Service Account";
/// Wrong passwords in a row that a service account may give before it has to wait.
const FREE_ATTEMPTS: u32 = 5;
/// The longest wait between two attempts, in milliseconds.
const LONGEST_WAIT: i64 = 30_000;

/// What an account is for; it decides which scopes the account has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum AccountType {
    /// Administers the robot.
    Admin,
    /// Works with the robot.
    User,
    /// Reads accounts.
    Auditor,
    /// A program.
    Service,
}

impl AccountType {
    /// All types.
    pub const ALL: [Self; 4] = [Self::Admin, Self::User, Self::Auditor, Self::Service];

    /// The name in requests and answers.
    pub fn name(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::User => "user",
            Self::Auditor => "auditor",
            Self::Service => "service",
        }
    }

    /// The type of a name, or `None` when there is none.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|each| each.name() == name)
    }
}

/// Why a user must set a new password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ResetPasswordReason {
    /// They need not.
    None,
    /// They have a temporary password.
    FirstTimeLogin,
    /// An administrator wants it, or changed what passwords must look like.
    AdminForced,
    /// The password is older than the settings allow.
    PasswordExpired,
}

/// Which user, whatever the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UserId(pub i64);

/// A user account, as it is stored.
#[derive(Clone, Debug)]
pub struct User {
    /// Which one.
    pub id: UserId,
    /// What the user logs in with.
    pub username: String,
    /// The user's name in the world.
    pub full_name: String,
    /// What the account is for.
    pub account_type: AccountType,
    /// The password's hash.
    pub password: PasswordHash,
    /// Since when it has been that one.
    pub password_set_at: Moment,
    /// Whether it is temporary: the user must replace it.
    pub temporary_password: bool,
    /// Why a new one must be set, apart from the password's age.
    pub stored_reason: ResetPasswordReason,
    /// Whether an administrator locked the account.
    pub locked_by_admin: bool,
    /// Failed logins since the last right one.
    pub failed_logins: u32,
    /// When the last of them was.
    pub last_failed_login: Option<Moment>,
}

impl User {
    /// Whether the account is locked, by an administrator or by failed logins.
    pub fn is_locked(&self, settings: &Settings) -> bool {
        self.locked_by_admin || self.attempts_remaining(settings) == Some(0)
    }

    /// Failed logins that are left before the account locks; `None` when there is no limit.
    pub fn attempts_remaining(&self, settings: &Settings) -> Option<u32> {
        if self.account_type == AccountType::Service {
            return None;
        }
        let most = settings.max_login_attempts?;
        if self.locked_by_admin {
            return Some(0);
        }
        Some(most.saturating_sub(self.failed_logins))
    }

    /// How long a service account has to wait for its next attempt, in seconds rounded up; `None`
    /// when it has not. Each failure doubles the wait.
    pub fn must_wait(&self, now: Moment) -> Option<u64> {
        let over = self.failed_logins.checked_sub(FREE_ATTEMPTS)?;
        if self.account_type != AccountType::Service {
            return None;
        }
        let wait = 1000_i64.saturating_mul(1 << over.min(10)).min(LONGEST_WAIT);
        let left = self.last_failed_login? + wait - now;
        (left > 0).then_some((left as u64).div_ceil(1000))
    }

    /// Why the user must set a new password.
    pub fn reset_reason(&self, settings: &Settings, now: Moment) -> ResetPasswordReason {
        if self.stored_reason != ResetPasswordReason::None {
            return self.stored_reason;
        }
        let expires = settings
            .password_reset_time
            .map(|age| self.password_set_at.after_seconds(age));
        if expires.is_some_and(|expires| expires <= now) {
            return ResetPasswordReason::PasswordExpired;
        }
        ResetPasswordReason::None
    }

    /// The scopes that the user may use now.
    pub fn scopes(&self, settings: &Settings, now: Moment) -> Scopes {
        if self.reset_reason(settings, now) == ResetPasswordReason::None {
            Scopes::of_account(self.account_type, settings)
        } else {
            Scopes::SELF_ONLY
        }
    }

    /// Whether this is an administrator who can log in.
    pub fn is_able_admin(&self, settings: &Settings) -> bool {
        self.account_type == AccountType::Admin && !self.is_locked(settings)
    }
}

/// What is told of a user.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = User)]
pub struct UserView {
    /// The name to log in with.
    pub username: String,
    /// The user's name in the world.
    pub full_name: String,
    /// What the account is for.
    pub account_type: AccountType,
    /// Whether an administrator or failed logins locked the account.
    pub locked: bool,
    /// Whether the user must set a new password.
    pub reset_password: bool,
    /// Why.
    pub reset_password_reason: ResetPasswordReason,
}

impl UserView {
    /// A user as it is at a moment.
    pub fn of(user: &User, settings: &Settings, now: Moment) -> Self {
        let reason = user.reset_reason(settings, now);
        Self {
            username: user.username.clone(),
            full_name: user.full_name.clone(),
            account_type: user.account_type,
            locked: user.is_locked(settings),
            reset_password: reason != ResetPasswordReason::None,
            reset_password_reason: reason,
        }
    }
}

/// Refuses a username that nobody may have.
///
/// # Errors
/// Empty, too long, or with other characters than ASCII letters, digits and punctuation.
pub fn check_username(username: &str) -> Result<(), RuleError> {
    check_length(username, "username", MAX_USERNAME_LENGTH)?;
    if !username.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(RuleError::UsernameContainsInvalidCharacters);
    }
    Ok(())
}

/// Refuses a full name that nobody may have.
///
/// # Errors
/// Empty or too long.
pub fn check_full_name(full_name: &str) -> Result<(), RuleError> {
    check_length(full_name, "fullName", MAX_FULL_NAME_LENGTH)
}

fn check_length(text: &str, field: &'static str, most: usize) -> Result<(), RuleError> {
    if text.is_empty() {
        return Err(RuleError::Empty { field });
    }
    if text.chars().count() > most {
        return Err(RuleError::TooLong { field, most });
    }
    Ok(())
}
