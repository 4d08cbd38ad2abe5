//! Creating, changing and deleting users, and changing settings.

use super::audit::ENABLE_ACCESS_CONTROL;
use super::clock::Moment;
use super::error::RuleError;
use super::password::NewPassword;
use super::plan::{Plan, Request};
use super::settings::{Settings, SettingsPatch};
use super::state::{Change, State};
use super::token::LoginId;
use super::user::{
    check_full_name, check_username, AccountType, ResetPasswordReason, User, UserId,
    SERVICE_FULL_NAME,
};

/// A user to be.
#[derive(Clone, Debug)]
pub struct NewUser {
    /// The name to log in with.
    pub username: String,
    /// The user's name in the world.
    pub full_name: String,
    /// What the account is for.
    pub account_type: AccountType,
    /// Whether the password is temporary.
    pub temporary: bool,
}

/// What to change of a user; `None` leaves it as it is.
#[derive(Clone, Debug, Default)]
pub struct UserPatch {
    /// A new username.
    pub username: Option<String>,
    /// A new full name.
    pub full_name: Option<String>,
    /// Another type.
    pub account_type: Option<AccountType>,
    /// Lock or unlock; unlocking forgets failed logins as well.
    pub locked: Option<bool>,
    /// Make the user set a new password. A password in the same change comes before.
    pub reset_password: bool,
}

/// A user with the given password.
///
/// # Errors
/// The rule that the user or the password breaks.
pub fn create(
    state: &State,
    now: Moment,
    request: &Request,
    new: &NewUser,
    password: &NewPassword,
) -> Result<Plan<User>, RuleError> {
    check_username(&new.username)?;
    check_full_name(&new.full_name)?;
    if state.user_named(&new.username).is_some() {
        return Err(RuleError::UserAlreadyExists {
            username: new.username.clone(),
        });
    }
    password.traits.check(state.settings())?;
    let full_name = match new.account_type {
        AccountType::Service => SERVICE_FULL_NAME.into(),
        _ => new.full_name.clone(),
    };
    let user = User {
        id: state.next_user(),
        username: new.username.clone(),
        full_name,
        account_type: new.account_type,
        password: password.hash.clone(),
        password_set_at: now,
        temporary_password: new.temporary,
        stored_reason: if new.temporary {
            ResetPasswordReason::FirstTimeLogin
        } else {
            ResetPasswordReason::None
        },
        locked_by_admin: false,
        failed_logins: 0,
        last_failed_login: None,
    };
    let message = format!(
        "Created the {} {:?}{}.",
        user.account_type.name(),
        user.username,
        if new.temporary {
            " with a temporary password"
        } else {
            ""
        }
    );
    Ok(Plan {
        changes: vec![Change::PutUser(user.clone())],
        events: vec![request.event("create user", message)],
        reply: user,
    })
}

/// Changes a user by an administrator.
///
/// # Errors
/// The rule that the change breaks.
pub fn update(
    state: &State,
    now: Moment,
    request: &Request,
    username: &str,
    patch: &UserPatch,
    password: Option<&NewPassword>,
) -> Result<Plan<User>, RuleError> {
    let user = named(state, username)?;
    let mut edit = Edit::of(state, user);
    edit.rename(patch)?;
    edit.retype(patch.account_type)?;
    edit.lock(patch.locked)?;
    if let Some(password) = password {
        edit.set_password(password, now)?;
        edit.end_logins = Some(None);
    } else if patch.reset_password {
        edit.force_reset();
    }
    edit.finish(request, "update user")
}

/// Changes a user by the user. `login`: the one that goes on when the password changes.
///
/// # Errors
/// The rule that the change breaks.
pub fn update_self(
    state: &State,
    now: Moment,
    request: &Request,
    (id, login): (UserId, LoginId),
    patch: &UserPatch,
    password: Option<&NewPassword>,
) -> Result<Plan<User>, RuleError> {
    // The login may have ended, and the user be gone, since the request was let in.
    let user = state
        .login(login)
        .filter(|login| login.user == id)
        .and_then(|_| state.user(id))
        .ok_or_else(|| RuleError::user_not_found("self"))?;
    let mut edit = Edit::of(state, user);
    edit.rename(patch)?;
    if let Some(password) = password {
        edit.set_password(password, now)?;
        edit.end_logins = Some(Some(login));
    }
    edit.finish(request, "update self")
}

/// Gives a user a temporary password, and unlocks the account.
///
/// # Errors
/// There is no such user.
pub fn reset_password(
    state: &State,
    now: Moment,
    request: &Request,
    username: &str,
    password: &NewPassword,
) -> Result<Plan<User>, RuleError> {
    let user = named(state, username)?;
    let mut edit = Edit::of(state, user);
    edit.lock(Some(false))?;
    edit.set_password(password, now)?;
    edit.end_logins = Some(None);
    edit.new.stored_reason = ResetPasswordReason::AdminForced;
    edit.new.temporary_password = true;
    edit.said = vec!["a temporary password".into()];
    edit.finish(request, "reset password")
}

/// Deletes a user.
///
/// # Errors
/// There is no such user, or it must stay.
pub fn delete(state: &State, request: &Request, username: &str) -> Result<Plan<()>, RuleError> {
    let user = named(state, username)?;
    if user.account_type == AccountType::Service {
        return Err(RuleError::ServiceAccountImmutable);
    }
    if state.access_control()
        && user.account_type == AccountType::Admin
        && !state.has_able_admin(state.settings(), None, Some(user.id))
    {
        return Err(RuleError::LastAdmin);
    }
    let message = format!("Deleted the {} {username:?}.", user.account_type.name());
    Ok(Plan {
        changes: vec![Change::DeleteUser(user.id)],
        events: vec![request.event("delete user", message)],
        reply: (),
    })
}

/// Changes the settings.
///
/// # Errors
/// A value out of range, or nobody could administer the robot any more.
pub fn patch_settings(
    state: &State,
    request: &Request,
    patch: &SettingsPatch,
) -> Result<Plan<Settings>, RuleError> {
    patch.check().map_err(RuleError::OutOfRange)?;
    let settings = patch.applied_to(state.settings());
    put_settings(state, request, "edit CRS settings", settings)
}

/// Puts the settings back to their defaults.
///
/// # Errors
/// Nobody could administer the robot any more.
pub fn reset_settings(state: &State, request: &Request) -> Result<Plan<Settings>, RuleError> {
    put_settings(state, request, "reset CRS settings", Settings::default())
}

fn put_settings(
    state: &State,
    request: &Request,
    action: &str,
    settings: Settings,
) -> Result<Plan<Settings>, RuleError> {
    let before = state.settings();
    let differences = before.differences(&settings);
    if differences.is_empty() {
        return Ok(Plan::reply(settings));
    }
    if state.access_control()
        && state.has_able_admin(before, None, None)
        && !state.has_able_admin(&settings, None, None)
    {
        return Err(RuleError::LastAdmin);
    }
    let mut changes = vec![Change::PutSettings(settings.clone())];
    if before.password_policy_differs(&settings) {
        for user in state.users() {
            if user.stored_reason == ResetPasswordReason::None {
                changes.push(Change::PutUser(User {
                    stored_reason: ResetPasswordReason::AdminForced,
                    ..user.clone()
                }));
            }
        }
        changes.push(Change::EndAllLogins);
    }
    for user in state.users() {
        if user.is_locked(&settings) && !user.is_locked(before) {
            changes.push(Change::EndLoginsOf {
                user: user.id,
                except: None,
            });
        }
    }
    let message = format!("Changed settings: {}.", differences.join(", "));
    Ok(Plan {
        changes,
        events: vec![request.event(action, message)],
        reply: settings,
    })
}

/// Turns access control on.
///
/// # Errors
/// It is on already, or no administrator can log in.
pub fn enable_access_control(state: &State, request: &Request) -> Result<Plan<()>, RuleError> {
    if state.access_control() {
        return Err(RuleError::AccessControlAlreadyEnabled);
    }
    if !state.has_able_admin(state.settings(), None, None) {
        return Err(RuleError::LastAdmin);
    }
    let message = "Turned access control on.".into();
    Ok(Plan {
        changes: vec![Change::SetAccessControl(true)],
        events: vec![request.event(ENABLE_ACCESS_CONTROL, message)],
        reply: (),
    })
}

/// Turns access control off, which only the console may.
///
/// # Errors
/// It is off already.
pub fn disable_access_control(state: &State, request: &Request) -> Result<Plan<()>, RuleError> {
    if !state.access_control() {
        return Err(RuleError::AccessControlAlreadyDisabled);
    }
    let message = "Turned access control off.".into();
    Ok(Plan {
        changes: vec![Change::SetAccessControl(false)],
        events: vec![request.event("disable CRS", message)],
        reply: (),
    })
}

fn named<'a>(state: &'a State, username: &str) -> Result<&'a User, RuleError> {
    state
        .user_named(username)
        .ok_or_else(|| RuleError::user_not_found(username))
}

/// A user being changed.
struct Edit<'a> {
    state: &'a State,
    old: &'a User,
    new: User,
    /// Which logins end: all of them, or all but one.
    end_logins: Option<Option<LoginId>>,
    /// What is different, in words for the audit log.
    said: Vec<String>,
}

impl<'a> Edit<'a> {
    fn of(state: &'a State, old: &'a User) -> Self {
        Self {
            state,
            old,
            new: old.clone(),
            end_logins: None,
            said: Vec::new(),
        }
    }

    fn is_service(&self) -> bool {
        self.old.account_type == AccountType::Service
    }

    fn rename(&mut self, patch: &UserPatch) -> Result<(), RuleError> {
        if let Some(username) = &patch.username {
            check_username(username)?;
            if *username != self.old.username {
                if self.is_service() {
                    return Err(RuleError::ServiceAccountImmutable);
                }
                if self.state.user_named(username).is_some() {
                    return Err(RuleError::UserAlreadyExists {
                        username: username.clone(),
                    });
                }
                self.said
                    .push(format!("username {:?} → {username:?}", self.old.username));
                self.new.username = username.clone();
            }
        }
        if let Some(full_name) = &patch.full_name {
            check_full_name(full_name)?;
            if *full_name != self.old.full_name {
                if self.is_service() {
                    return Err(RuleError::ServiceAccountImmutable);
                }
                self.said.push(format!(
                    "full name {:?} → {full_name:?}",
                    self.old.full_name
                ));
                self.new.full_name = full_name.clone();
            }
        }
        Ok(())
    }

    fn retype(&mut self, account_type: Option<AccountType>) -> Result<(), RuleError> {
        let Some(account_type) = account_type.filter(|new| *new != self.old.account_type) else {
            return Ok(());
        };
        if self.is_service() {
            return Err(RuleError::ServiceAccountImmutable);
        }
        self.said.push(format!(
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
                    self.said.push("locked".into());
                }
                self.new.locked_by_admin = true;
                self.end_logins = Some(None);
            }
            Some(false) => {
                if self.old.locked_by_admin || self.old.failed_logins > 0 {
                    self.said.push("unlocked".into());
                }
                self.new.locked_by_admin = false;
                self.new.failed_logins = 0;
                self.new.last_failed_login = None;
            }
        }
        Ok(())
    }

    fn set_password(&mut self, password: &NewPassword, now: Moment) -> Result<(), RuleError> {
        password.traits.check(self.state.settings())?;
        self.new.password = password.hash.clone();
        self.new.password_set_at = now;
        self.new.temporary_password = false;
        self.new.stored_reason = ResetPasswordReason::None;
        self.said.push("a new password".into());
        Ok(())
    }

    fn force_reset(&mut self) {
        if self.old.stored_reason == ResetPasswordReason::None {
            self.new.stored_reason = ResetPasswordReason::AdminForced;
            self.said.push("must set a new password".into());
        }
    }

    /// The plan, unless it would leave nobody to administer the robot.
    fn finish(self, request: &Request, action: &str) -> Result<Plan<User>, RuleError> {
        if self.said.is_empty() {
            return Ok(Plan::reply(self.new));
        }
        let settings = self.state.settings();
        if self.state.access_control()
            && self.old.account_type == AccountType::Admin
            && !self.new.is_able_admin(settings)
            && (self.old.is_able_admin(settings) || self.new.account_type != AccountType::Admin)
            && !self.state.has_able_admin(settings, Some(&self.new), None)
        {
            return Err(RuleError::LastAdmin);
        }
        let mut changes = vec![Change::PutUser(self.new.clone())];
        if let Some(except) = self.end_logins {
            changes.push(Change::EndLoginsOf {
                user: self.old.id,
                except,
            });
        }
        let message = format!(
            "Changed the {} {:?}: {}.",
            self.old.account_type.name(),
            self.old.username,
            self.said.join(", ")
        );
        Ok(Plan {
            changes,
            events: vec![request.event(action, message)],
            reply: self.new,
        })
    }
}
