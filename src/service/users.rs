//! Users: created, changed and deleted, by administrators and by themselves.

use std::sync::PoisonError;

use super::{Done, Service};
use crate::domain::authority::Request;
use crate::domain::error::RuleError;
use crate::domain::passwords::Password;
use crate::domain::users::profile::Profile;
use crate::domain::users::rules::{self, NewUser, UserPatch};
use crate::domain::users::{AccountType, ResetPasswordReason, User};
use crate::os::random::SystemRandom;

/// What a login screen needs to know of a user.
#[derive(Clone, Copy, Debug)]
pub struct LoginStatus {
    /// Whether a temporary password waits to be replaced.
    pub temporary_password: bool,
    /// Why the user must set a new password.
    pub reset_reason: ResetPasswordReason,
}

impl Service {
    /// Users sorted by username, at most `most` from the position `first` on, and how many there
    /// are in all.
    ///
    /// # Errors
    /// [`RuleError::Unauthorized`].
    pub fn users(
        &self,
        request: &Request,
        first: usize,
        most: usize,
    ) -> Result<(Vec<Profile>, usize), RuleError> {
        self.read(request, |state, now, _| {
            let policy = state.lock_policy();
            let page = state.users().skip(first).take(most);
            let profiles = page.map(|user| Profile::of(user, state, &policy, now));
            Ok((profiles.collect(), state.user_count()))
        })
    }

    /// The user of a name.
    ///
    /// # Errors
    /// [`RuleError::Unauthorized`] or [`RuleError::UserNotFound`].
    pub fn user(&self, request: &Request, username: &str) -> Result<Profile, RuleError> {
        self.read(request, |state, now, _| {
            let user = rules::named(state, username)?;
            Ok(Profile::of(user, state, &state.lock_policy(), now))
        })
    }

    /// The user who asks.
    ///
    /// # Errors
    /// [`RuleError::Unauthorized`].
    pub fn self_user(&self, request: &Request) -> Result<Profile, RuleError> {
        self.read(request, |state, now, caller| {
            let (user, _) = rules::self_of(state, caller)?;
            Ok(Profile::of(user, state, &state.lock_policy(), now))
        })
    }

    /// What a login screen needs to know, which anybody may ask.
    ///
    /// # Errors
    /// [`RuleError::UserNotFound`].
    pub fn login_status(&self, username: &str) -> Result<LoginStatus, RuleError> {
        self.store.read(|state, now| {
            let user = rules::named(state, username)?;
            Ok(LoginStatus {
                temporary_password: user.temporary_password,
                reset_reason: user.reset_reason(state.settings(), now),
            })
        })
    }

    /// A user as it is now.
    fn profile(&self, user: &User) -> Profile {
        self.store
            .read(|state, now| Profile::of(user, state, &state.lock_policy(), now))
    }

    /// Creates a user; without a password with a temporary one, which is returned.
    ///
    /// # Errors
    /// [`ServiceError`].
    pub async fn create_user(
        &self,
        request: Request,
        username: String,
        full_name: String,
        account_type: AccountType,
        password: Option<Password>,
    ) -> Done<(Profile, Option<Password>)> {
        let temporary = password.is_none();
        let password = password.unwrap_or_else(|| self.temporary_password());
        let new = NewUser {
            username,
            full_name,
            account_type,
            temporary,
        };
        let user = self
            .with_password(
                request,
                &password,
                None,
                move |state, now, caller, password| {
                    rules::create(state, now, caller, &new, password)
                },
            )
            .await?;
        Ok((self.profile(&user), temporary.then_some(password)))
    }

    /// Changes a user, as an administrator may.
    ///
    /// # Errors
    /// [`ServiceError`].
    pub async fn update_user(
        &self,
        request: Request,
        username: String,
        patch: UserPatch,
        password: Option<Password>,
    ) -> Done<Profile> {
        let changed = match password {
            None => {
                self.write(request, move |state, _, caller| {
                    rules::update(state, caller, &username, &patch)
                })
                .await?
            }
            Some(password) => {
                let target = username.clone();
                self.replacing_password(
                    request,
                    &password,
                    move |state, _| rules::named(state, &target),
                    move |state, now, caller, password| {
                        rules::update_with_password(state, now, caller, &username, &patch, password)
                    },
                )
                .await?
            }
        };
        Ok(self.profile(&changed))
    }

    /// Changes the user who asks.
    ///
    /// # Errors
    /// [`ServiceError`].
    pub async fn update_self(
        &self,
        request: Request,
        patch: UserPatch,
        password: Option<Password>,
    ) -> Done<Profile> {
        let changed = match password {
            None => {
                self.write(request, move |state, _, caller| {
                    rules::update_self(state, caller, &patch)
                })
                .await?
            }
            Some(password) => {
                self.replacing_password(
                    request,
                    &password,
                    |state, caller| rules::self_of(state, caller).map(|(user, _)| user),
                    move |state, now, caller, password| {
                        rules::update_self_with_password(state, now, caller, &patch, password)
                    },
                )
                .await?
            }
        };
        Ok(self.profile(&changed))
    }

    /// Whether the user who asks could set a password. It is no login, changes nothing and is no
    /// event; as it tells whether a password is the current one, a session may ask only so often.
    ///
    /// # Errors
    /// [`ServiceError`], as [`Service::update_self`] would give it, or
    /// [`RuleError::TooManyAttempts`].
    pub async fn try_password(&self, request: Request, password: Password) -> Done<()> {
        let caller = self.authorize(&request)?;
        if let Some(principal) = caller.principal {
            let now = self.store.read(|_, now| now);
            self.tried
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .count(principal.session, now)
                .map_err(|seconds| RuleError::TooManyAttempts { seconds })?;
        }
        self.compare(
            &request,
            &password,
            &|state, caller| rules::self_of(state, caller).map(|(user, _)| user),
            &|state, now, caller, password| {
                let patch = UserPatch::default();
                rules::update_self_with_password(state, now, caller, &patch, password)
            },
        )
        .await
        .map(|_| ())
    }

    /// Gives a user a temporary password, and returns it.
    ///
    /// # Errors
    /// [`ServiceError`].
    pub async fn reset_password(
        &self,
        request: Request,
        username: String,
    ) -> Done<(Profile, Password)> {
        let password = self.temporary_password();
        let user = self
            .with_password(
                request,
                &password,
                None,
                move |state, now, caller, password| {
                    rules::reset_password(state, now, caller, &username, password)
                },
            )
            .await?;
        Ok((self.profile(&user), password))
    }

    /// Deletes a user.
    ///
    /// # Errors
    /// [`ServiceError`].
    pub async fn delete_user(&self, request: Request, username: String) -> Done<()> {
        self.write(request, move |state, _, caller| {
            rules::delete(state, caller, &username)
        })
        .await
    }

    fn temporary_password(&self) -> Password {
        self.store
            .read(|state, _| Password::temporary(state.settings(), &mut SystemRandom))
    }
}
