//! What a client or the console can do with accounts: passwords are checked and hashed, the rules
//! decide, the store writes.

pub mod delivery;
pub mod hashing;

use std::sync::{Arc, Mutex, PoisonError};

use thiserror::Error;

use self::hashing::{Account, HashError, Hasher, Share};
use crate::domain::attempts::Attempts;
use crate::domain::authority::{Caller, Request, Source};
use crate::domain::clock::Moment;
use crate::domain::error::RuleError;
use crate::domain::logins::{self, Attempt, LoginOutcome, RefreshOutcome};
use crate::domain::password::{Comparison, NewPassword, Password, PasswordHash};
use crate::domain::plan::{Context, Plan};
use crate::domain::scope::Scopes;
use crate::domain::settings::{Settings, SettingsPatch};
use crate::domain::state::State;
use crate::domain::token::TokenDigest;
use crate::domain::user::{AccountType, User};
use crate::domain::users::{self, NewUser, UserPatch};
use crate::os::random::SystemRandom;
use crate::store::{Store, StoreError};

/// How often a new password is compared anew because the one that it replaces was replaced
/// meanwhile.
const COMPARISONS: usize = 5;

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
    /// Passwords that were tried out ([`Accounts::try_password`]).
    tried: Arc<Mutex<Attempts>>,
}

impl Accounts {
    /// The accounts of a store.
    pub fn new(store: Arc<Store>, hasher: Arc<Hasher>) -> Self {
        Self {
            store,
            hasher,
            tried: Arc::default(),
        }
    }

    /// Where they are kept.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Who makes a request, if they may: before anything costly, for what decides asks again.
    ///
    /// # Errors
    /// [`RuleError::Unauthorized`].
    pub fn authorize(&self, request: &Request) -> Result<Caller, RuleError> {
        self.store
            .read(|state, now| request.resolve(state, now))
            .map_err(RuleError::from)
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
        let rule = move |state: &State, now, caller: &Caller, password: &NewPassword| {
            users::create(state, now, caller, &new, password)
        };
        let user = self.with_password(request, &password, None, rule).await?;
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
        let target = username.clone();
        self.replacing_password(
            request,
            password,
            move |state, _| users::named(state, &target),
            move |state, now, caller, password| {
                users::update(state, now, caller, &username, &patch, password)
            },
        )
        .await
    }

    /// Changes the user who asks.
    ///
    /// # Errors
    /// [`AccountError`].
    pub async fn update_self(
        &self,
        request: Request,
        patch: UserPatch,
        password: Option<Password>,
    ) -> Done<User> {
        self.replacing_password(
            request,
            password,
            |state, caller| users::self_of(state, caller).map(|(user, _)| user),
            move |state, now, caller, password| {
                users::update_self(state, now, caller, &patch, password)
            },
        )
        .await
    }

    /// Whether the user who asks could set a password. It is no login, changes nothing and is no
    /// event; as it tells whether a password is the current one, a session may ask only so often.
    ///
    /// # Errors
    /// [`AccountError`], as [`Accounts::update_self`] would give it, or
    /// [`RuleError::TooManyAttempts`].
    pub async fn try_password(&self, request: Request, password: Password) -> Done<()> {
        let caller = self.authorize(&request)?;
        if let Some(session) = caller.session {
            let now = self.store.read(|_, now| now);
            self.tried
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .count(session.login, now)
                .map_err(|seconds| RuleError::TooManyAttempts { seconds })?;
        }
        self.compare(
            &request,
            &password,
            &|state, caller| users::self_of(state, caller).map(|(user, _)| user),
            &|state, now, caller, password| {
                users::update_self(state, now, caller, &UserPatch::default(), Some(password))
            },
        )
        .await
        .map(|_| ())
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
        let rule = move |state: &State, now, caller: &Caller, password: &NewPassword| {
            users::reset_password(state, now, caller, &username, password)
        };
        let user = self.with_password(request, &password, None, rule).await?;
        Ok((user, password))
    }

    /// Deletes a user.
    ///
    /// # Errors
    /// [`AccountError`].
    pub async fn delete_user(&self, request: Request, username: String) -> Done<()> {
        self.write(request, move |state, _, caller| {
            users::delete(state, caller, &username)
        })
        .await
    }

    /// Logs in by a password. `asked`: scopes that bound the session; `None` bounds it by nothing.
    /// An unknown user takes as long as a known one with a wrong password.
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
        let attempt = self.attempt(request.source, username, password).await?;
        self.write(request, move |state, context, caller| {
            Ok(logins::log_in(state, context, caller, &attempt, asked))
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
        self.write(request, move |state, context, caller| {
            Ok(logins::refresh(state, context, caller, &digest, asked))
        })
        .await
    }

    /// Ends the login of a token of either kind.
    ///
    /// # Errors
    /// [`AccountError`], which is never a rule's.
    pub async fn revoke(&self, request: Request, digest: TokenDigest) -> Done<()> {
        self.write(request, move |state, _, caller| {
            Ok(logins::revoke(state, caller, &digest))
        })
        .await
    }

    /// Changes settings.
    ///
    /// # Errors
    /// [`AccountError`].
    pub async fn patch_settings(&self, request: Request, patch: SettingsPatch) -> Done<Settings> {
        self.write(request, move |state, _, caller| {
            users::patch_settings(state, caller, &patch)
        })
        .await
    }

    /// Puts settings back to their defaults.
    ///
    /// # Errors
    /// [`AccountError`].
    pub async fn reset_settings(&self, request: Request) -> Done<Settings> {
        self.write(request, |state, _, caller| {
            Ok(users::reset_settings(state, caller))
        })
        .await
    }

    /// Turns access control on.
    ///
    /// # Errors
    /// [`AccountError`].
    pub async fn enable_access_control(&self, request: Request) -> Done<()> {
        self.write(request, |state, _, caller| {
            users::enable_access_control(state, caller)
        })
        .await
    }

    /// Turns access control off.
    ///
    /// # Errors
    /// [`AccountError`].
    pub async fn disable_access_control(&self, request: Request) -> Done<()> {
        self.write(request, |state, _, caller| {
            users::disable_access_control(state, caller)
        })
        .await
    }

    fn temporary_password(&self) -> Password {
        self.store
            .read(|state, _| Password::temporary(state.settings(), &mut SystemRandom))
    }

    /// Checks a password against the user's; where there is no user, against a hash that takes as
    /// long as that of some user.
    async fn attempt(&self, source: Source, username: &str, password: Password) -> Done<Attempt> {
        let (user, checked, replaceable) = self.store.read(|state, now| {
            let Some(user) = state.user_named(username) else {
                let like = self
                    .hasher
                    .stand_in(username, state.user_count())
                    .and_then(|number| state.users().nth(number));
                let hash = Hasher::nobodys(like.map(|user| &user.password));
                return (None, hash, false);
            };
            let policy = state.lock_policy();
            // An account that is not let in is not told from one with another password by the time
            // that a new hash takes.
            let open = !policy.is_locked(user) && policy.must_wait(user, now).is_none();
            (Some(user.id), user.password.clone(), open)
        });
        let share = Share {
            source,
            account: user.map_or(Account::Nobody, Account::User),
        };
        let right = self
            .hasher
            .verify(share, password.clone(), checked.clone())
            .await?;
        let rehashed = if right && replaceable && !Hasher::is_ours(&checked) {
            match self.hasher.hash(share, password).await {
                Ok(hash) => Some(hash),
                Err(HashError::Busy) => None, // the next login replaces it
                Err(error) => return Err(error.into()),
            }
        } else {
            None
        };
        Ok(Attempt {
            user,
            checked,
            right,
            rehashed,
        })
    }

    /// Writes what a rule plans, if the request is let in when it decides.
    async fn write<T: Send + 'static>(
        &self,
        request: Request,
        rule: impl FnOnce(&State, &mut Context, &Caller) -> Result<Plan<T>, RuleError> + Send + 'static,
    ) -> Done<T> {
        let decide = move |state: &State, context: &mut Context| {
            let caller = request.resolve(state, context.now)?;
            rule(state, context, &caller)
        };
        Ok(self.store.write(decide).await??)
    }

    /// Writes what a rule plans for a password that is set, hashed.
    async fn with_password<T: Send + 'static>(
        &self,
        request: Request,
        password: &Password,
        comparison: Option<Comparison>,
        rule: impl Fn(&State, Moment, &Caller, &NewPassword) -> Result<Plan<T>, RuleError>
            + Send
            + 'static,
    ) -> Done<T> {
        password.check()?;
        let traits = password.traits();
        let candidate = NewPassword {
            hash: Hasher::nobodys(None),
            traits,
            comparison: comparison.clone(),
        };
        // What the rules refuse anyway is not worth a hash.
        let share = self.store.read(|state, now| {
            let caller = request.resolve(state, now)?;
            rule(state, now, &caller, &candidate).map(|_| share_of(&request, &caller))
        })?;
        let new = NewPassword {
            hash: self.hasher.hash(share, password.clone()).await?,
            traits,
            comparison,
        };
        self.write(request, move |state, context, caller| {
            rule(state, context.now, caller, &new)
        })
        .await
    }

    /// Writes what a rule plans for a user, whose password is replaced if there is a new one.
    async fn replacing_password<T: Send + 'static>(
        &self,
        request: Request,
        password: Option<Password>,
        target: impl for<'a> Fn(&'a State, &Caller) -> Result<&'a User, RuleError>,
        rule: impl Fn(&State, Moment, &Caller, Option<&NewPassword>) -> Result<Plan<T>, RuleError>
            + Clone
            + Send
            + 'static,
    ) -> Done<T> {
        let Some(password) = password else {
            let decide = move |state: &State, context: &mut Context, caller: &Caller| {
                rule(state, context.now, caller, None)
            };
            return self.write(request, decide).await;
        };
        let rule = move |state: &State, now, caller: &Caller, password: &NewPassword| {
            rule(state, now, caller, Some(password))
        };
        for _ in 0..COMPARISONS {
            let comparison = self.compare(&request, &password, &target, &rule).await?;
            let done = self
                .with_password(request.clone(), &password, Some(comparison), rule.clone())
                .await;
            match done {
                Err(AccountError::Rule(RuleError::PasswordReplacedMeanwhile)) => {}
                done => return done,
            }
        }
        Err(RuleError::PasswordReplacedMeanwhile.into())
    }

    /// Compares a new password with the one that it would replace.
    ///
    /// # Errors
    /// Every rule that the password, or the change with it, breaks.
    async fn compare<T>(
        &self,
        request: &Request,
        password: &Password,
        target: &impl for<'a> Fn(&'a State, &Caller) -> Result<&'a User, RuleError>,
        rule: &impl Fn(&State, Moment, &Caller, &NewPassword) -> Result<Plan<T>, RuleError>,
    ) -> Done<Comparison> {
        password.check()?;
        let candidate = |with: PasswordHash, same| NewPassword {
            hash: Hasher::nobodys(None),
            traits: password.traits(),
            comparison: Some(Comparison { with, same }),
        };
        let (current, share) = self.store.read(|state, now| {
            let caller = request.resolve(state, now)?;
            let current = target(state, &caller)?.password.clone();
            match rule(state, now, &caller, &candidate(current.clone(), false)) {
                // All that is wrong with it is told at once.
                Ok(_) | Err(RuleError::Several(_)) => Ok((current, share_of(request, &caller))),
                Err(error) => Err(error),
            }
        })?;
        let same = self
            .hasher
            .verify(share, password.clone(), current.clone())
            .await?;
        let candidate = candidate(current.clone(), same);
        let allowed = self.store.read(|state, now| {
            let caller = request.resolve(state, now)?;
            rule(state, now, &caller, &candidate).map(|_| ())
        });
        match allowed {
            Ok(()) | Err(RuleError::PasswordReplacedMeanwhile) => Ok(Comparison {
                with: current,
                same,
            }),
            Err(error) => Err(error.into()),
        }
    }
}

/// Whose share of the hashing a request takes.
fn share_of(request: &Request, caller: &Caller) -> Share {
    Share {
        source: request.source,
        account: caller
            .session
            .map_or(Account::Anonymous, |session| Account::User(session.user)),
    }
}
