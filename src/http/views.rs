//! User accounts as clients see them. The rules work with [`crate::domain::users`] instead.

use std::fmt;

use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use crate::domain::users;
use crate::domain::users::profile::Profile;

/// Account type. It determines the scopes of the account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
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

impl From<users::AccountType> for AccountType {
    fn from(account_type: users::AccountType) -> Self {
        match account_type {
            users::AccountType::Admin => Self::Admin,
            users::AccountType::User => Self::User,
            users::AccountType::Auditor => Self::Auditor,
            users::AccountType::Service => Self::Service,
        }
    }
}

impl From<AccountType> for users::AccountType {
    fn from(account_type: AccountType) -> Self {
        match account_type {
            AccountType::Admin => Self::Admin,
            AccountType::User => Self::User,
            AccountType::Auditor => Self::Auditor,
            AccountType::Service => Self::Service,
        }
    }
}

/// Accepts a string only. serde's derived implementation also accepts an object with one member.
impl<'de> Deserialize<'de> for AccountType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Name;

        impl Visitor<'_> for Name {
            type Value = AccountType;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("one of `admin`, `user`, `auditor`, `service`")
            }

            fn visit_str<E: Error>(self, name: &str) -> Result<AccountType, E> {
                users::AccountType::from_name(name)
                    .map(AccountType::from)
                    .ok_or_else(|| E::invalid_value(Unexpected::Other("another string"), &self))
            }
        }

        deserializer.deserialize_str(Name)
    }
}

/// Reason why the user must set a new password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ResetPasswordReason {
    /// No new password is required.
    None,
    /// The account was created with a temporary password, which is still in use.
    FirstTimeLogin,
    /// An administrator required it, reset the password or changed the complexity settings.
    AdminForced,
    /// The password is older than the setting `passwordResetTime` allows.
    PasswordExpired,
}

impl From<users::ResetPasswordReason> for ResetPasswordReason {
    fn from(reason: users::ResetPasswordReason) -> Self {
        match reason {
            users::ResetPasswordReason::None => Self::None,
            users::ResetPasswordReason::FirstTimeLogin => Self::FirstTimeLogin,
            users::ResetPasswordReason::AdminForced => Self::AdminForced,
            users::ResetPasswordReason::PasswordExpired => Self::PasswordExpired,
        }
    }
}

/// Where a user comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// The account was created on this robot.
    Local,
    /// The user is a person of the lab's directory, which manages names, account type and password.
    Directory,
}

/// User account.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = User)]
pub struct UserView {
    /// Username of the account.
    pub username: String,
    /// Full name of the person.
    pub full_name: String,
    /// Type of the account.
    pub account_type: AccountType,
    /// Whether the account is locked, by an administrator or by failed logins.
    pub locked: bool,
    /// Whether the user must set a new password.
    pub reset_password: bool,
    /// Reason why the user must set a new password.
    pub reset_password_reason: ResetPasswordReason,
    /// Where the user comes from.
    pub source: Source,
}

impl From<Profile> for UserView {
    fn from(profile: Profile) -> Self {
        Self {
            username: profile.username,
            full_name: profile.full_name,
            account_type: profile.account_type.into(),
            locked: profile.locked,
            reset_password: profile.reset_reason != users::ResetPasswordReason::None,
            reset_password_reason: profile.reset_reason.into(),
            source: match profile.is_of_directory {
                true => Source::Directory,
                false => Source::Local,
            },
        }
    }
}
