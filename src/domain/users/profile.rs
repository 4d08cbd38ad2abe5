//! What is told of a user.

use super::{AccountType, LockPolicy, ResetPasswordReason, User};
use crate::domain::state::State;
use crate::domain::time::Moment;

/// A user account at one moment, as it is told to others.
#[derive(Clone, Debug)]
pub struct Profile {
    /// Username of the account.
    pub username: String,
    /// Full name of the person.
    pub full_name: String,
    /// Type of the account.
    pub account_type: AccountType,
    /// Whether an administrator or failed logins locked the account.
    pub locked: bool,
    /// Why the user must set a new password.
    pub reset_reason: ResetPasswordReason,
}

impl Profile {
    /// A user at the moment `now`. `policy`: that of `state`.
    pub fn of(user: &User, state: &State, policy: &LockPolicy, now: Moment) -> Self {
        Self {
            username: user.username.clone(),
            full_name: user.full_name.clone(),
            account_type: user.account_type,
            locked: policy.is_locked(user),
            reset_reason: user.reset_reason(state.settings(), now),
        }
    }
}
