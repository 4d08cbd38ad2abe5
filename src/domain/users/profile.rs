//! Public view of a user account.

use super::{AccountType, LockPolicy, ResetPasswordReason, User};
use crate::domain::state::State;
use crate::domain::time::Moment;

/// Public view of a user account at one point in time.
#[derive(Clone, Debug)]
pub struct Profile {
    /// Username of the account.
    pub username: String,
    /// Full name of the person.
    pub full_name: String,
    /// Type of the account.
    pub account_type: AccountType,
    /// Whether the account is locked, by an administrator or by failed logins.
    pub locked: bool,
    /// Reason why the user must set a new password.
    pub reset_reason: ResetPasswordReason,
    /// Whether the user comes from the lab's directory.
    pub is_of_directory: bool,
}

impl Profile {
    /// Creates the profile of `user` at the time `now`. `policy` is the lock policy of `state`.
    pub fn of(user: &User, state: &State, policy: &LockPolicy, now: Moment) -> Self {
        Self {
            username: user.username.clone(),
            full_name: user.full_name.clone(),
            account_type: user.account_type,
            locked: policy.is_locked(user),
            reset_reason: user.reset_reason(state.settings(), now),
            is_of_directory: user.directory.is_some(),
        }
    }
}
