//! User accounts: what one is, its names, and which of them failed logins lock.

pub mod profile;
pub mod rules;

use unicode_properties::{GeneralCategory, GeneralCategoryGroup, UnicodeGeneralCategory};

use std::fmt;
use std::time::Duration;

use crate::domain::error::{Field, RuleError};
use crate::domain::passwords::{can_be_typed, PasswordHash};
use crate::domain::scopes::{Scope, Scopes};
use crate::domain::settings::Settings;
use crate::domain::time::{whole_seconds, Moment};

/// Longest username, in characters.
pub const MAX_USERNAME_LENGTH: usize = 20;
/// Longest full name, in characters.
pub const MAX_FULL_NAME_LENGTH: usize = 256;
/// The full name of every service account.
pub const SERVICE_FULL_NAME: &str = "Service Account";
/// Wrong passwords in a row that an account may be given that is slowed down, before it is.
const FREE_ATTEMPTS: u32 = 5;
/// Longest wait between two attempts.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// What an account is for; it decides which scopes the account has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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

    /// All that an account of this type may do under these settings.
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

/// Why a user must set a new password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Which one.
    pub id: UserId,
    /// What the user logs in with.
    pub username: String,
    /// Full name of the person.
    pub full_name: String,
    /// Type of the account.
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

impl fmt::Display for User {
    /// Username and full name, as the audit log tells a person: `"ada" ("Ada Lovelace")`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} ({:?})", self.username, self.full_name)
    }
}

impl User {
    /// Why the user must set a new password.
    pub fn reset_reason(&self, settings: &Settings, now: Moment) -> ResetPasswordReason {
        if self.stored_reason != ResetPasswordReason::None {
            return self.stored_reason;
        }
        let expires = settings
            .password_reset_time
            .map(|age| self.password_set_at + age);
        if expires.is_some_and(|expires| expires <= now) {
            return ResetPasswordReason::PasswordExpired;
        }
        ResetPasswordReason::None
    }

    /// The scopes that the user may use now.
    pub fn scopes(&self, settings: &Settings, now: Moment) -> Scopes {
        if self.reset_reason(settings, now) == ResetPasswordReason::None {
            self.account_type.scopes(settings)
        } else {
            Scopes::SELF_ONLY
        }
    }
}

/// Which accounts failed logins lock; the others are slowed down.
#[derive(Clone, Copy, Debug)]
pub struct LockPolicy {
    /// Failed logins before an account locks; `None`: never.
    pub(super) most: Option<u32>,
    /// The last administrator who can log in, while access control is on: nobody could help.
    pub(super) spared: Option<UserId>,
}

impl LockPolicy {
    /// Whether the account is locked, by an administrator or by failed logins.
    pub fn is_locked(&self, user: &User) -> bool {
        user.locked_by_admin || self.attempts_remaining(user) == Some(0)
    }

    /// Whether failed logins slow the account down instead of locking it.
    pub fn slows(&self, user: &User) -> bool {
        user.account_type == AccountType::Service || self.spared == Some(user.id)
    }

    /// Failed logins that are left before the account locks; `None` when there is no limit.
    pub fn attempts_remaining(&self, user: &User) -> Option<u32> {
        if self.slows(user) {
            return None;
        }
        let most = self.most?;
        if user.locked_by_admin {
            return Some(0);
        }
        Some(most.saturating_sub(user.failed_logins))
    }

    /// How long an account that is slowed down has to wait for its next attempt, in seconds rounded
    /// up; `None` when it has not. Each failure doubles the wait.
    pub fn must_wait(&self, user: &User, now: Moment) -> Option<u64> {
        let over = user.failed_logins.checked_sub(FREE_ATTEMPTS)?;
        if !self.slows(user) {
            return None;
        }
        let wait = Duration::from_secs(1 << over.min(10)).min(LONGEST_WAIT);
        let left = (user.last_failed_login? + wait).since(now);
        (!left.is_zero()).then_some(whole_seconds(left))
    }

    /// Whether this is an administrator who can log in.
    pub fn is_able_admin(&self, user: &User) -> bool {
        user.account_type == AccountType::Admin && !self.is_locked(user)
    }
}

/// Who had a username that nobody has now: it is theirs for ever (21 CFR 11.100(a)).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormerUsername {
    /// The name as [`fold`] gives it.
    pub key: String,
    /// Who had it.
    pub user: UserId,
    /// That person's name.
    pub full_name: String,
}

impl FormerUsername {
    /// That a user gives the username up.
    pub fn of(user: &User) -> Self {
        Self {
            key: fold(&user.username),
            user: user.id,
            full_name: user.full_name.clone(),
        }
    }
}

/// What two usernames have in common that differ in case alone.
pub fn fold(username: &str) -> String {
    username.to_ascii_lowercase()
}

/// Refuses a username that nobody may have.
///
/// # Errors
/// Empty, too long, of dots alone (it would be no path segment), or with characters that cannot be
/// typed.
pub fn check_username(username: &str) -> Result<(), RuleError> {
    check_length(username, Field::Username, MAX_USERNAME_LENGTH)?;
    if !username.chars().all(can_be_typed) || username.chars().all(|c| c == '.') {
        return Err(RuleError::UsernameContainsInvalidCharacters);
    }
    Ok(())
}

/// A full name without the white space around it.
///
/// # Errors
/// Blank, too long, or with characters that people cannot see.
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

/// Control, bidirectional and other characters without a shape of their own (Unicode 15.1, table
/// 4-4: Cc, Cf, Zl, Zp, Cs, Co, Cn).
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

/// White space, marks without a letter, and the letters and symbols that are drawn as nothing: the
/// Hangul fillers and the Braille blank.
fn looks_blank(c: char) -> bool {
    c.is_whitespace()
        || c.general_category_group() == GeneralCategoryGroup::Mark
        || matches!(
            c,
            '\u{115f}' | '\u{1160}' | '\u{2800}' | '\u{3164}' | '\u{ffa0}'
        )
}

fn check_length(text: &str, field: Field, most: usize) -> Result<(), RuleError> {
    if text.is_empty() {
        return Err(RuleError::Empty { field });
    }
    if text.chars().count() > most {
        return Err(RuleError::TooLong { field, most });
    }
    Ok(())
}
