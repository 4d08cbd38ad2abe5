//! What a client or the console can do with accounts: passwords are checked and hashed, the rules
//! decide, the store writes.

use std::sync::Arc;

use thiserror::Error;

use crate::domain::clock::Moment;
use crate::domain::error::RuleError;
use crate::domain::logins::{self, Attempt, LoginOutcome, RefreshOutcome};
use crate::domain::password::{NewPassword, Password};
use crate::domain::plan::{Context, Plan, Request};
use crate::domain::scope::Scopes;
use crate::domain::settings::{Settings, SettingsPatch};
use crate::domain::state::State;
use crate::domain::token::{LoginId, TokenDigest};
use crate::domain::user::{AccountType, User, UserId};
use crate::domain::users::{self, NewUser, UserPatch};
use crate::hashing::{HashError, Hasher};
use crate::store::{Store, StoreError, SystemRandom};

/// Why something was not done; then nothing has changed.
#[derive(Debug, Error)]
pub enum AccountError {
    /// It breaks a rule.
    #[error(transparent)]
    Rule(#[from] RuleError),
    /// A password could not be hashed.
    #[error(transparent)]
    Hash(#[from] HashError),
    /// It could not be written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

type Done<T> = Result<T, AccountError>;

/// Where accounts are kept and passwords hashed.
#[derive(Clone)]
pub struct Accounts {
    store: Arc<Store>,
    hasher: Arc<Hasher>,
}

impl Accounts {
    /// The accounts of a store.
    pub fn new(store: Arc<Store>, hasher: Arc<Hasher>) -> Self {
        Self { store, hasher }
    }

    /// Where they are kept.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Creates a user; without a password with a temporary one, which is returned.
    ///
    /// # Errors
    /// [`AccountError`].
    pub async fn create_user(
        &self,
        request: Request,
        username: String,
        full_name: String,
        account_type: AccountType,
        password: Option<Password>,
    ) -> Done<(User, Option<Password>)> {
        let temporary = password.is_none();
        let password = password.unwrap_or_else(|| self.temporary_password());
        let new = NewUser {
            username,
            full_name,
            account_type,
            temporary,
        };
        let user = self
            .with_password(&password, move |state, now, password| {
                users::create(state, now, &request, &new, password)
            })
            .await?;
        Ok((user, temporary.then_some(password)))
    }

    /// Changes a user, as an administrator may.
    ///
    /// # Errors
    /// [`AccountError`].
    pub async fn update_user(
        &self,
        request: Request,
        username: String,
        patch: UserPatch,
        password: Option<Password>,
    ) -> Done<User> {
        self.with_some_password(password.as_ref(), move |state, now, password| {
            users::update(state, now, &request, &username, &patch, password)
        })
        .await
    }

    /// Changes a user, as the user may. `login`: the one that goes on when the password changes.
    ///
    /// # Errors
    /// [`AccountError`].
    pub async fn update_self(
        &self,
        request: Request,
        who: (UserId, LoginId),
        patch: UserPatch,
        password: Option<Password>,
    ) -> Done<User> {
        let rule = move |state: &State, now: Moment, password: Option<&NewPassword>| {
            users::update_self(state, now, &request, who, &patch, password)
        };
        if let Some(password) = &password {
            self.try_out(password, |state, now, new| rule(state, now, Some(new)))?;
            let attempt = self.attempt(Some(who.0), password.clone()).await?;
            if attempt.right {
                return Err(RuleError::PasswordPreviouslyUsed.into());
            }
        }
        self.with_some_password(password.as_ref(), rule).await
    }

    /// Gives a user a temporary password, and returns it.
    ///
    /// # Errors
    /// [`AccountError`].
    pub async fn reset_password(
        &self,
        request: Request,
        username: String,
    ) -> Done<(User, Password)> {
        let password = self.temporary_password();
        let user = self
            .with_password(&password, move |state, now, password| {
                users::reset_password(state, now, &request, &username, password)
            })
            .await?;
        Ok((user, password))
    }

    /// Deletes a user.
    ///
    /// # Errors
    /// [`AccountError`].
    pub async fn delete_user(&self, request: Request, username: String) -> Done<()> {
        self.write(move |state, _| users::delete(state, &request, &username))
            .await
    }

    /// Logs in by a password. `asked`: scopes; `None` is all that the account may have. An unknown
    /// user takes as long as a wrong password.
    ///
    /// # Errors
    /// [`AccountError`], which is never a rule's.
    pub async fn log_in(
        &self,
        request: Request,
        username: &str,
        password: Password,
        asked: Option<Scopes>,
    ) -> Done<LoginOutcome> {
        let user = self
            .store
            .read(|state, _| state.user_named(username).map(|user| user.id));
        let attempt = self.attempt(user, password).await?;
        self.write(move |state, context| {
            Ok(logins::log_in(state, context, &request, &attempt, asked))
        })
        .await
    }

    /// Gives a new pair of tokens for a refresh token.
    ///
    /// # Errors
    /// [`AccountError`], which is never a rule's.
    pub async fn refresh(
        &self,
        request: Request,
        digest: TokenDigest,
        asked: Option<Scopes>,
    ) -> Done<RefreshOutcome> {
        self.write(move |state, context| {
            Ok(logins::refresh(state, context, &request, &digest, asked))
        })
        .await
    }

    /// Ends the login of a token of either kind.
    ///
    /// # Errors
    /// [`AccountError`], which is never a rule's.
    pub async fn revoke(&self, request: Request, digest: TokenDigest) -> Done<()> {
        self.write(move |state, _| Ok(logins::revoke(state, &request, &digest)))
            .await
    }

    /// Checks a password of a user who is logged in.
    ///
    /// # Errors
    /// [`AccountError`].
    pub async fn reauthenticate(
        &self,
        request: Request,
        user: UserId,
        password: Password,
    ) -> Done<()> {
        let attempt = self.attempt(Some(user), password).await?;
        let right = self
            .write(move |state, context| {
                Ok(logins::reauthenticate(state, context, &request, &attempt))
            })
            .await?;
        Ok(right?)
    }

    /// Changes settings.
    ///
    /// # Errors
    /// [`AccountError`].
    pub async fn patch_settings(&self, request: Request, patch: SettingsPatch) -> Done<Settings> {
        self.write(move |state, _| users::patch_settings(state, &request, &patch))
            .await
    }

    /// Puts settings back to their defaults.
    ///
    /// # Errors
    /// [`AccountError`].
    pub async fn reset_settings(&self, request: Request) -> Done<Settings> {
        self.write(move |state, _| users::reset_settings(state, &request))
            .await
    }

    /// Turns access control on.
    ///
    /// # Errors
    /// [`AccountError`].
    pub async fn enable_access_control(&self, request: Request) -> Done<()> {
        self.write(move |state, _| users::enable_access_control(state, &request))
            .await
    }

    /// Turns access control off.
    ///
    /// # Errors
    /// [`AccountError`].
    pub async fn disable_access_control(&self, request: Request) -> Done<()> {
        self.write(move |state, _| users::disable_access_control(state, &request))
            .await
    }

    fn temporary_password(&self) -> Password {
        self.store
            .read(|state, _| Password::temporary(state.settings(), &mut SystemRandom))
    }

    /// Checks a password against the user's; against nobody's when there is no user.
    async fn attempt(&self, user: Option<UserId>, password: Password) -> Done<Attempt> {
        let hash = self
            .store
            .read(|state, _| Some(state.user(user?)?.password.clone()));
        let checked = hash.unwrap_or_else(Hasher::nobodys);
        let right = self.hasher.verify(password, checked.clone()).await?;
        Ok(Attempt {
            user,
            checked,
            right,
        })
    }

    async fn write<T: Send + 'static>(
        &self,
        rule: impl FnOnce(&State, &mut Context) -> Result<Plan<T>, RuleError> + Send + 'static,
    ) -> Done<T> {
        Ok(self.store.write(rule).await??)
    }

    /// Whether a rule would take a password: before it is hashed, which is expensive.
    fn try_out<T>(
        &self,
        password: &Password,
        rule: impl FnOnce(&State, Moment, &NewPassword) -> Result<Plan<T>, RuleError>,
    ) -> Result<(), RuleError> {
        password.check()?;
        let unhashed = NewPassword {
            hash: Hasher::nobodys(),
            traits: password.traits(),
        };
        self.store
            .read(|state, now| rule(state, now, &unhashed).map(|_| ()))
    }

    /// Writes what a rule plans for a password that is set.
    async fn with_password<T: Send + 'static>(
        &self,
        password: &Password,
        rule: impl Fn(&State, Moment, &NewPassword) -> Result<Plan<T>, RuleError> + Send + 'static,
    ) -> Done<T> {
        self.try_out(password, &rule)?;
        let new = NewPassword {
            hash: self.hasher.hash(password.clone()).await?,
            traits: password.traits(),
        };
        self.write(move |state, context| rule(state, context.now, &new))
            .await
    }

    /// The same, where there may be no password.
    async fn with_some_password<T: Send + 'static>(
        &self,
        password: Option<&Password>,
        rule: impl Fn(&State, Moment, Option<&NewPassword>) -> Result<Plan<T>, RuleError>
            + Send
            + 'static,
    ) -> Done<T> {
        match password {
            Some(password) => {
                self.with_password(password, move |state, now, new| rule(state, now, Some(new)))
                    .await
            }
            None => {
                self.write(move |state, context| rule(state, context.now, None))
                    .await
            }
        }
    }
}
