//! Creating, changing and deleting users.

use super::history::{CREATED, UPDATED, UPDATED_SELF};
use super::{
    check_username, readable_full_name, AccountType, FormerUsername, ResetPasswordReason, User,
    UserId, MAX_USERNAME_LENGTH, SERVICE_FULL_NAME,
};
use crate::domain::audit::Origin;
use crate::domain::authority::{Caller, PrincipalId};
use crate::domain::change::Change;
use crate::domain::decision::Decision;
use crate::domain::error::RuleError;
use crate::domain::passwords::{NewPassword, PasswordHash};
use crate::domain::state::State;
use crate::domain::time::Moment;
use crate::domain::tokens::SessionId;

/// Request to create a user account.
#[derive(Clone, Debug)]
pub struct NewUser {
    /// Username of the account.
    pub username: String,
    /// Full name of the person.
    pub full_name: String,
    /// Type of the account.
    pub account_type: AccountType,
    /// Whether the password is temporary.
    pub temporary: bool,
}

/// Request to change a user account. `None` leaves a field unchanged.
#[derive(Clone, Debug, Default)]
pub struct UserPatch {
    /// New username.
    pub username: Option<String>,
    /// New full name.
    pub full_name: Option<String>,
    /// New account type.
    pub account_type: Option<AccountType>,
    /// Whether to lock or unlock the account. Unlocking also resets the count of failed logins.
    pub locked: Option<bool>,
    /// Whether to require a new password from the user. Ignored if the same change sets a password.
    pub reset_password: bool,
}

/// Decision that still needs the hash of the new password. Deciding before hashing means that only
/// passwords that satisfy the rules are hashed.
pub type AwaitsHash<'a> = Box<dyn FnOnce(PasswordHash) -> Decision<User> + 'a>;

/// Creates a user with the given password.
///
/// # Errors
/// - As [`check_username`] and [`readable_full_name`] for invalid names.
/// - [`RuleError::UserAlreadyExists`] if another user has the username, ignoring case.
/// - [`RuleError::UsernameBelongsToAnother`] if access control is on and a former user with another
///   full name held the username.
/// - As [`NewPassword::check`] if the password violates a rule.
pub fn create<'a>(
    state: &State,
    now: Moment,
    caller: &'a Caller,
    new: &NewUser,
    password: &NewPassword,
) -> Result<AwaitsHash<'a>, RuleError> {
    check_username(&new.username)?;
    let full_name = readable_full_name(&new.full_name)?;
    let full_name = match new.account_type {
        AccountType::Service => SERVICE_FULL_NAME.into(),
        _ => full_name,
    };
    check_is_free(state, &new.username, &full_name, None)?;
    password.check(state.settings(), None)?;
    let (username, id) = (new.username.clone(), state.next_user());
    let (account_type, temporary) = (new.account_type, new.temporary);
    Ok(Box::new(move |password| {
        let user = User {
            id,
            username,
            full_name,
            account_type,
            password,
            password_set_at: now,
            temporary_password: temporary,
            stored_reason: if temporary {
                ResetPasswordReason::FirstTimeLogin
            } else {
                ResetPasswordReason::None
            },
            locked_by_admin: false,
            failed_logins: 0,
            last_failed_login: None,
            directory: None,
        };
        let message = format!(
            "Created the {} {user}{}.",
            account_type.name(),
            if temporary {
                " with a temporary password"
            } else {
                ""
            }
        );
        Decision {
            changes: vec![Change::PutUser(user.clone())],
            events: vec![caller.event(CREATED, message)],
            reply: user,
        }
    }))
}

/// Changes a user on behalf of an administrator, except for the password. The user's sessions end
/// when the username or the account type changes, or when the account is locked or a new password
/// required.
///
/// # Errors
/// - [`RuleError::UserNotFound`] if there is no such user.
/// - [`RuleError::ServiceAccountImmutable`] if the change would rename, lock or change the type of
///   a service account.
/// - [`RuleError::ManagedByDirectory`] if it would change the names or the type of a user of the lab's
///   directory; [`RuleError::PasswordManagedByDirectory`] if it would require a new password of them.
/// - As [`check_username`] and [`readable_full_name`] for invalid names.
/// - [`RuleError::UserAlreadyExists`] if another user has the new username, ignoring case.
/// - [`RuleError::UsernameBelongsToAnother`] if access control is on and a former user with another
///   full name held the new username.
/// - [`RuleError::LastAdmin`] if access control is on and no administrator could log in any more.
pub fn update(
    state: &State,
    caller: &Caller,
    username: &str,
    patch: &UserPatch,
) -> Result<Decision<User>, RuleError> {
    let mut edit = Edit::by_admin(state, username, patch)?;
    if patch.reset_password {
        edit.force_reset()?;
        edit.end_sessions = Some(None);
    }
    edit.check()?;
    Ok(edit.decide(caller, UPDATED))
}

/// Changes a user on behalf of an administrator, including the password. All of the user's sessions
/// end. [`UserPatch::reset_password`] is ignored.
///
/// # Errors
/// - As [`update`].
/// - [`RuleError::PasswordManagedByDirectory`] for a user of the lab's directory.
/// - As [`NewPassword::check`] if the password violates a rule.
pub fn update_with_password<'a>(
    state: &'a State,
    now: Moment,
    caller: &'a Caller,
    username: &str,
    patch: &UserPatch,
    password: &NewPassword,
) -> Result<AwaitsHash<'a>, RuleError> {
    let mut edit = Edit::by_admin(state, username, patch)?;
    edit.set_password(password, now)?;
    edit.end_sessions = Some(None);
    edit.awaiting_hash(caller, UPDATED)
}

/// Changes the authenticated user's username and full name.
///
/// # Errors
/// - [`RuleError::UserNotFound`] if the caller is not logged in.
/// - [`RuleError::ServiceAccountImmutable`] if the change would rename a service account;
///   [`RuleError::ManagedByDirectory`] if it would rename a user of the lab's directory.
/// - As [`check_username`] and [`readable_full_name`] for invalid names.
/// - [`RuleError::UserAlreadyExists`] if another user has the new username, ignoring case.
/// - [`RuleError::UsernameBelongsToAnother`] if access control is on and a former user with another
///   full name held the new username.
pub fn update_self(
    state: &State,
    caller: &Caller,
    patch: &UserPatch,
) -> Result<Decision<User>, RuleError> {
    let (user, _) = self_of(state, caller)?;
    let mut edit = Edit::of(state, user);
    edit.rename(patch)?;
    edit.check()?;
    Ok(edit.decide(caller, UPDATED_SELF))
}

/// Changes the authenticated user's username, full name and password, and ends the user's other
/// sessions.
///
/// # Errors
/// - As [`update_self`].
/// - [`RuleError::PasswordManagedByDirectory`] for a user of the lab's directory.
/// - As [`NewPassword::check`] if the password violates a rule.
pub fn update_self_with_password<'a>(
    state: &'a State,
    now: Moment,
    caller: &'a Caller,
    patch: &UserPatch,
    password: &NewPassword,
) -> Result<AwaitsHash<'a>, RuleError> {
    let (user, PrincipalId { session, .. }) = self_of(state, caller)?;
    let mut edit = Edit::of(state, user);
    edit.rename(patch)?;
    edit.set_password(password, now)?;
    edit.end_sessions = Some(Some(session));
    edit.awaiting_hash(caller, UPDATED_SELF)
}

/// Sets a temporary password, unlocks the account and ends the user's sessions.
///
/// # Errors
/// - [`RuleError::UserNotFound`] if there is no such user.
/// - [`RuleError::PasswordManagedByDirectory`] for a user of the lab's directory.
/// - As [`NewPassword::check`] if the password violates a rule, because the password policy has
///   changed since it was generated.
pub fn reset_password<'a>(
    state: &'a State,
    now: Moment,
    caller: &'a Caller,
    username: &str,
    password: &NewPassword,
) -> Result<AwaitsHash<'a>, RuleError> {
    let user = named(state, username)?;
    let mut edit = Edit::of(state, user);
    edit.lock(Some(false))?;
    edit.set_password(password, now)?;
    edit.end_sessions = Some(None);
    edit.new.stored_reason = ResetPasswordReason::AdminForced;
    edit.new.temporary_password = true;
    edit.described = vec!["temporary password set".into()];
    edit.awaiting_hash(caller, "reset password")
}

/// Deletes a user and ends the user's sessions.
///
/// # Errors
/// - [`RuleError::UserNotFound`] if there is no such user.
/// - [`RuleError::ServiceAccountImmutable`] for a service account while access control is on,
///   unless the request came from the console.
/// - [`RuleError::LastAdmin`] if access control is on and no administrator could log in any more.
pub fn delete(state: &State, caller: &Caller, username: &str) -> Result<Decision<()>, RuleError> {
    let user = named(state, username)?;
    // While access control is off, the app's setup deletes what an earlier, failed setup left
    // behind.
    if user.account_type == AccountType::Service
        && state.access_control()
        && caller.origin != Origin::Console
    {
        return Err(RuleError::ServiceAccountImmutable);
    }
    if state.access_control()
        && user.account_type == AccountType::Admin
        && user.directory.is_none()
        && !state.has_able_admin(Some(user.id))
    {
        return Err(RuleError::LastAdmin);
    }
    let message = format!("Deleted the {} {user}.", user.account_type.name());
    Ok(Decision {
        changes: vec![
            Change::PutFormerUsername(FormerUsername::of(user)),
            Change::DeleteUser(user.id),
        ],
        events: vec![caller.event("delete user", message)],
        reply: (),
    })
}

/// Returns the user with this username.
///
/// # Errors
/// [`RuleError::UserNotFound`] if there is no such user.
pub fn named<'a>(state: &'a State, username: &str) -> Result<&'a User, RuleError> {
    state
        .user_named(username)
        .ok_or_else(|| not_found(username))
}

/// Returns the error for an unknown username, truncated to the maximum length of a username.
fn not_found(username: &str) -> RuleError {
    let mut short: String = username.chars().take(MAX_USERNAME_LENGTH).collect();
    if short.len() < username.len() {
        short.push('…');
    }
    RuleError::UserNotFound { username: short }
}

/// Returns the authenticated user, with the ids of the user and of the session.
///
/// # Errors
/// [`RuleError::UserNotFound`] if the caller is not logged in.
pub fn self_of<'a>(
    state: &'a State,
    caller: &Caller,
) -> Result<(&'a User, PrincipalId), RuleError> {
    caller
        .principal
        .and_then(|principal| Some((state.user(principal.user)?, principal)))
        .ok_or_else(|| not_found("self"))
}

/// Checks that a username is free: no other user has it, ignoring case, and while access control is
/// on no former user with another full name held it. `user` is the user to rename, if any.
pub(in crate::domain) fn check_is_free(
    state: &State,
    username: &str,
    full_name: &str,
    user: Option<UserId>,
) -> Result<(), RuleError> {
    let username = || username.to_owned();
    if state.is_taken(&username(), user) {
        return Err(RuleError::UserAlreadyExists {
            username: username(),
        });
    }
    match state.former_username(&username()) {
        Some(former)
            if state.access_control()
                && Some(former.user) != user
                && former.full_name != full_name =>
        {
            Err(RuleError::UsernameBelongsToAnother {
                username: username(),
            })
        }
        _ => Ok(()),
    }
}

/// Change to a user, built up step by step.
struct Edit<'a> {
    state: &'a State,
    old: &'a User,
    new: User,
    /// Sessions of the user to end: `Some(None)` ends all, `Some(Some(id))` all except `id`.
    end_sessions: Option<Option<SessionId>>,
    /// Descriptions of what changes, for the audit log.
    described: Vec<String>,
}

impl<'a> Edit<'a> {
    fn of(state: &'a State, old: &'a User) -> Self {
        Self {
            state,
            old,
            new: old.clone(),
            end_sessions: None,
            described: Vec::new(),
        }
    }

    /// Starts an administrator's change with everything in the patch except
    /// [`UserPatch::reset_password`].
    fn by_admin(state: &'a State, username: &str, patch: &UserPatch) -> Result<Self, RuleError> {
        let user = named(state, username)?;
        let mut edit = Self::of(state, user);
        edit.rename(patch)?;
        edit.retype(patch.account_type)?;
        if edit.new.username != user.username || edit.new.account_type != user.account_type {
            edit.end_sessions = Some(None);
        }
        edit.lock(patch.locked)?;
        Ok(edit)
    }

    /// Checks that the names and the type of the account can be changed.
    fn check_is_managed_here(&self) -> Result<(), RuleError> {
        if self.old.account_type == AccountType::Service {
            return Err(RuleError::ServiceAccountImmutable);
        }
        match self.old.directory {
            Some(_) => Err(RuleError::ManagedByDirectory),
            None => Ok(()),
        }
    }

    /// Checks that the password of the account can be changed, or a new one required.
    fn check_has_password(&self) -> Result<(), RuleError> {
        match self.old.directory {
            Some(_) => Err(RuleError::PasswordManagedByDirectory),
            None => Ok(()),
        }
    }

    fn rename(&mut self, patch: &UserPatch) -> Result<(), RuleError> {
        if let Some(full_name) = &patch.full_name {
            let full_name = readable_full_name(full_name)?;
            if full_name != self.old.full_name {
                self.check_is_managed_here()?;
                self.described.push(format!(
                    "full name {:?} → {full_name:?}",
                    self.old.full_name
                ));
                self.new.full_name = full_name;
            }
        }
        let Some(username) = &patch.username else {
            return Ok(());
        };
        // The current username stays valid even if today's rules would reject it.
        if *username == self.old.username {
            return Ok(());
        }
        check_username(username)?;
        self.check_is_managed_here()?;
        check_is_free(self.state, username, &self.new.full_name, Some(self.old.id))?;
        self.described
            .push(format!("username {:?} → {username:?}", self.old.username));
        self.new.username = username.clone();
        Ok(())
    }

    fn retype(&mut self, account_type: Option<AccountType>) -> Result<(), RuleError> {
        let Some(account_type) = account_type.filter(|new| *new != self.old.account_type) else {
            return Ok(());
        };
        self.check_is_managed_here()?;
        self.described.push(format!(
            "account type {} → {}",
            self.old.account_type.name(),
            account_type.name()
        ));
        self.new.account_type = account_type;
        if account_type == AccountType::Service {
            self.new.full_name = SERVICE_FULL_NAME.into();
            self.new.locked_by_admin = false;
        }
        Ok(())
    }

    fn lock(&mut self, locked: Option<bool>) -> Result<(), RuleError> {
        match locked {
            None => {}
            Some(true) => {
                if self.new.account_type == AccountType::Service {
                    return Err(RuleError::ServiceAccountImmutable);
                }
                if !self.old.locked_by_admin {
                    self.described.push("locked".into());
                }
                self.new.locked_by_admin = true;
                self.end_sessions = Some(None);
            }
            Some(false) => {
                if self.old.locked_by_admin || self.old.failed_logins > 0 {
                    self.described.push("unlocked".into());
                }
                self.new.locked_by_admin = false;
                self.new.failed_logins = 0;
                self.new.last_failed_login = None;
            }
        }
        Ok(())
    }

    fn set_password(&mut self, password: &NewPassword, now: Moment) -> Result<(), RuleError> {
        self.check_has_password()?;
        password.check(self.state.settings(), Some(&self.old.password))?;
        self.new.password_set_at = now;
        self.new.temporary_password = false;
        self.new.stored_reason = ResetPasswordReason::None;
        self.described.push("password changed".into());
        Ok(())
    }

    fn force_reset(&mut self) -> Result<(), RuleError> {
        self.check_has_password()?;
        if self.old.stored_reason == ResetPasswordReason::None {
            self.new.stored_reason = ResetPasswordReason::AdminForced;
        }
        self.described.push("new password required".into());
        Ok(())
    }

    /// Checks that an administrator will be able to log in after the change.
    ///
    /// # Errors
    /// [`RuleError::LastAdmin`] if access control is on and no administrator could log in any more.
    fn check(&self) -> Result<(), RuleError> {
        if self.described.is_empty() {
            return Ok(());
        }
        let policy = self.state.lock_policy();
        if self.state.access_control()
            && self.old.account_type == AccountType::Admin
            && !policy.is_able_admin(&self.new)
            && (policy.is_able_admin(self.old) || self.new.account_type != AccountType::Admin)
            && !self.state.has_able_admin(Some(self.old.id))
        {
            return Err(RuleError::LastAdmin);
        }
        Ok(())
    }

    /// Returns the decision, which still needs the hash of the new password.
    ///
    /// # Errors
    /// As [`Edit::check`].
    fn awaiting_hash(
        mut self,
        caller: &'a Caller,
        action: &'static str,
    ) -> Result<AwaitsHash<'a>, RuleError> {
        self.check()?;
        Ok(Box::new(move |hash| {
            self.new.password = hash;
            self.decide(caller, action)
        }))
    }

    /// Returns the decision. It is empty if nothing changes.
    fn decide(self, caller: &Caller, action: &str) -> Decision<User> {
        if self.described.is_empty() {
            return Decision::reply(self.new);
        }
        let mut changes = Vec::new();
        if self.new.username != self.old.username {
            changes.push(Change::PutFormerUsername(FormerUsername::of(self.old)));
        }
        changes.push(Change::PutUser(self.new.clone()));
        if let Some(except) = self.end_sessions {
            changes.push(Change::EndSessionsOf {
                user: self.old.id,
                except,
            });
        }
        let message = format!(
            "Changed the {} {}: {}.",
            self.old.account_type.name(),
            self.old,
            self.described.join(", ")
        );
        Decision {
            changes,
            events: vec![caller.event(action, message)],
            reply: self.new,
        }
    }
}
