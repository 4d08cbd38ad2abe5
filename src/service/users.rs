//! Users: reading, creating, changing and deleting them, by administrators and by the users
//! themselves.

use std::sync::PoisonError;

use super::{Done, Service};
use crate::domain::authority::Request;
use crate::domain::error::RuleError;
use crate::domain::passwords::Password;
use crate::domain::users::profile::Profile;
use crate::domain::users::rules::{self, NewUser, UserPatch};
use crate::domain::users::{AccountType, ResetPasswordReason, User};
use crate::os::random::SystemRandom;

/// Status of a user for the login screen.
#[derive(Clone, Copy, Debug)]
pub struct LoginStatus {
    /// Whether the user has a temporary password, which must be replaced.
    pub temporary_password: bool,
    /// Reason why the user must set a new password.
    pub reset_reason: ResetPasswordReason,
}

impl Service {
    /// Returns at most `most` users, sorted by username, starting at position `first` (counted from
    /// 0), and the total number of users.
    ///
    /// # Errors
    /// [`RuleError::Unauthorized`] if the token is missing, invalid or lacks a required scope.
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

    /// Returns all users, sorted by username, or only the one with this username, each with the
    /// number of sessions that have not ended.
    ///
    /// # Errors
    /// - [`RuleError::Unauthorized`] if the token is missing, invalid or lacks a required scope.
    /// - [`RuleError::UserNotFound`] if there is no user with the username.
    pub fn accounts(
        &self,
        request: &Request,
        username: Option<&str>,
    ) -> Result<Vec<(Profile, usize)>, RuleError> {
        self.read(request, |state, now, _| {
            let users = match username {
                Some(username) => vec![rules::named(state, username)?],
                None => state.users().collect(),
            };
            let policy = state.lock_policy();
            let accounts = users.into_iter().map(|user| {
                let profile = Profile::of(user, state, &policy, now);
                (profile, state.session_count(user.id, now))
            });
            Ok(accounts.collect())
        })
    }

    /// Returns the user with this username.
    ///
    /// # Errors
    /// - [`RuleError::Unauthorized`] if the token is missing, invalid or lacks a required scope.
    /// - [`RuleError::UserNotFound`] if there is no such user.
    pub fn user(&self, request: &Request, username: &str) -> Result<Profile, RuleError> {
        self.read(request, |state, now, _| {
            let user = rules::named(state, username)?;
            Ok(Profile::of(user, state, &state.lock_policy(), now))
        })
    }

    /// Returns the authenticated user.
    ///
    /// # Errors
    /// - [`RuleError::Unauthorized`] if the token is missing, invalid or lacks a required scope.
    /// - [`RuleError::UserNotFound`] if the caller is not logged in.
    pub fn self_user(&self, request: &Request) -> Result<Profile, RuleError> {
        self.read(request, |state, now, caller| {
            let (user, _) = rules::self_of(state, caller)?;
            Ok(Profile::of(user, state, &state.lock_policy(), now))
        })
    }

    /// Returns the status of a user for the login screen. It is public.
    ///
    /// # Errors
    /// [`RuleError::UserNotFound`] if there is no such user.
    pub fn login_status(&self, username: &str) -> Result<LoginStatus, RuleError> {
        self.store.read(|state, now| {
            let user = rules::named(state, username)?;
            Ok(LoginStatus {
                temporary_password: user.temporary_password,
                reset_reason: user.reset_reason(state.settings(), now),
            })
        })
    }

    /// Returns the current profile of a user.
    fn profile(&self, user: &User) -> Profile {
        self.store
            .read(|state, now| Profile::of(user, state, &state.lock_policy(), now))
    }

    /// Creates a user. Without a password, the user gets a temporary one, which is returned.
    ///
    /// # Errors
    /// - [`RuleError::Unauthorized`] if the token is missing, invalid or lacks a required scope.
    /// - [`RuleError::Empty`], [`RuleError::TooLong`],
    ///   [`RuleError::UsernameContainsInvalidCharacters`] or
    ///   [`RuleError::FullNameContainsInvalidCharacters`] if a name or the password is malformed.
    /// - [`RuleError::UserAlreadyExists`] or [`RuleError::UsernameBelongsToAnother`] if the
    ///   username is not available.
    /// - [`RuleError::Several`] if the password violates the password policy.
    /// - [`HashError`](super::hashing::HashError) if the password cannot be hashed: the queue is
    ///   full or Argon2 failed.
    /// - [`StoreError`](crate::store::StoreError) if the change cannot be committed.
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

    /// Changes a user on behalf of an administrator; returns the user, and whether anything changed.
    ///
    /// # Errors
    /// - [`RuleError::Unauthorized`] if the token is missing, invalid or lacks a required scope.
    /// - [`RuleError::UserNotFound`] if there is no such user.
    /// - [`RuleError::ServiceAccountImmutable`] if the change would rename, lock or change the type
    ///   of a service account.
    /// - [`RuleError::Empty`], [`RuleError::TooLong`],
    ///   [`RuleError::UsernameContainsInvalidCharacters`] or
    ///   [`RuleError::FullNameContainsInvalidCharacters`] if a name or the password is malformed.
    /// - [`RuleError::UserAlreadyExists`] or [`RuleError::UsernameBelongsToAnother`] if the
    ///   username is not available.
    /// - [`RuleError::Several`] if the password violates the password policy or equals the current
    ///   one.
    /// - [`RuleError::PasswordReplacedMeanwhile`] if the password was replaced again and again
    ///   during the change.
    /// - [`RuleError::LastAdmin`] if access control is on and no administrator could log in any
    ///   more.
    /// - [`HashError`](super::hashing::HashError) if the password cannot be hashed: the queue is
    ///   full or Argon2 failed.
    /// - [`StoreError`](crate::store::StoreError) if the change cannot be committed.
    pub async fn update_user(
        &self,
        request: Request,
        username: String,
        patch: UserPatch,
        password: Option<Password>,
    ) -> Done<(Profile, bool)> {
        let (user, is_changed) = match password {
            None => {
                self.write(request, move |state, _, caller| {
                    let decision = rules::update(state, caller, &username, &patch)?;
                    Ok(decision.and_whether_it_changes())
                })
                .await?
            }
            Some(password) => {
                let target = username.clone();
                let replacing = self.replacing_password(
                    request,
                    &password,
                    move |state, _| rules::named(state, &target),
                    move |state, now, caller, password| {
                        rules::update_with_password(state, now, caller, &username, &patch, password)
                    },
                );
                (replacing.await?, true)
            }
        };
        Ok((self.profile(&user), is_changed))
    }

    /// Changes the authenticated user.
    ///
    /// # Errors
    /// - [`RuleError::Unauthorized`] if the token is missing, invalid or lacks a required scope.
    /// - [`RuleError::UserNotFound`] if the caller is not logged in.
    /// - [`RuleError::ServiceAccountImmutable`] if the change would rename a service account.
    /// - [`RuleError::Empty`], [`RuleError::TooLong`],
    ///   [`RuleError::UsernameContainsInvalidCharacters`] or
    ///   [`RuleError::FullNameContainsInvalidCharacters`] if a name or the password is malformed.
    /// - [`RuleError::UserAlreadyExists`] or [`RuleError::UsernameBelongsToAnother`] if the
    ///   username is not available.
    /// - [`RuleError::Several`] if the password violates the password policy or equals the current
    ///   one.
    /// - [`RuleError::PasswordReplacedMeanwhile`] if the password was replaced again and again
    ///   during the change.
    /// - [`HashError`](super::hashing::HashError) if the password cannot be hashed: the queue is
    ///   full or Argon2 failed.
    /// - [`StoreError`](crate::store::StoreError) if the change cannot be committed.
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

    /// Checks whether the authenticated user could set `password` as the new password. This is not
    /// a login, changes nothing and records no audit event. Because it reveals whether `password`
    /// equals the current one, the number of attempts by a session is limited.
    ///
    /// # Errors
    /// - [`RuleError::TooManyAttempts`] if the session has made more than 10 attempts within a
    ///   minute.
    /// - [`RuleError::Unauthorized`] if the token is missing, invalid or lacks a required scope.
    /// - [`RuleError::UserNotFound`] if the caller is not logged in.
    /// - [`RuleError::Empty`] or [`RuleError::TooLong`] if the password is empty or too long.
    /// - [`RuleError::Several`] if the password violates the password policy or equals the current
    ///   one.
    /// - [`HashError`](super::hashing::HashError) if the password cannot be compared: the queue is
    ///   full or Argon2 failed.
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

    /// Sets a temporary password, unlocks the account, and returns the user and the password.
    ///
    /// # Errors
    /// - [`RuleError::Unauthorized`] if the token is missing, invalid or lacks a required scope.
    /// - [`RuleError::UserNotFound`] if there is no such user.
    /// - [`RuleError::Several`] if the password policy was tightened after the temporary password
    ///   was generated.
    /// - [`HashError`](super::hashing::HashError) if the password cannot be hashed: the queue is
    ///   full or Argon2 failed.
    /// - [`StoreError`](crate::store::StoreError) if the change cannot be committed.
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
    /// - [`RuleError::Unauthorized`] if the token is missing, invalid or lacks a required scope.
    /// - [`RuleError::UserNotFound`] if there is no such user.
    /// - [`RuleError::ServiceAccountImmutable`] for a service account while access control is on,
    ///   unless the request came from the console.
    /// - [`RuleError::LastAdmin`] if access control is on and no administrator could log in any
    ///   more.
    /// - [`StoreError`](crate::store::StoreError) if the change cannot be committed.
    pub async fn delete_user(&self, request: Request, username: String) -> Done<()> {
        self.write(request, move |state, _, caller| {
            rules::delete(state, caller, &username)
        })
        .await
    }

    /// Generates a temporary password that satisfies the current password policy.
    fn temporary_password(&self) -> Password {
        self.store
            .read(|state, _| Password::temporary(state.settings(), &mut SystemRandom))
    }
}
