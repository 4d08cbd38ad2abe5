//! Sessions: logging in, refreshing and revoking tokens, and introspection.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use super::hashing::{Account, Hasher, Share};
use super::{Done, Service};
use crate::domain::authority::{Request, Source};
use crate::domain::error::RuleError;
use crate::domain::failures::Failures;
use crate::domain::passwords::Password;
use crate::domain::scopes::Scopes;
use crate::domain::sessions::end::{self, Which};
use crate::domain::sessions::{self, Attempt, LoginOutcome, RefreshOutcome};
use crate::domain::tokens::{Presented, TokenDigest};
use crate::domain::users::{rules, AccountType, Failed, User};

/// Properties of an active access token (RFC 7662 §2.2).
#[derive(Debug)]
pub struct ActiveToken {
    /// Username of the account.
    pub username: String,
    /// Full name of the person.
    pub full_name: String,
    /// Type of the account.
    pub account_type: AccountType,
    /// Effective scopes of the token.
    pub scopes: Scopes,
    /// Time of issue, in seconds since 1970-01-01T00:00:00Z according to the current wall clock.
    pub issued: i64,
    /// Time of expiry, in the same unit.
    pub expires: i64,
}

/// Session that has not ended.
#[derive(Debug, Serialize, Deserialize)]
pub struct ActiveSession {
    /// Identifier of the session, which reveals nothing about its tokens.
    pub id: i64,
    /// Username of the account.
    pub username: String,
    /// Time at which the user logged in or the tokens were last refreshed (RFC 3339, in UTC).
    pub renewed: Option<String>,
    /// Time at which the last token expires (RFC 3339, in UTC).
    pub expires: String,
}

impl Service {
    /// Returns all sessions that have not ended, or only those of one user, in the order of logins.
    ///
    /// # Errors
    /// - [`RuleError::Unauthorized`] if the token is missing, invalid or lacks a required scope.
    /// - [`RuleError::UserNotFound`] if there is no user with the username.
    pub fn sessions(
        &self,
        request: &Request,
        username: Option<&str>,
    ) -> Result<Vec<ActiveSession>, RuleError> {
        let clock = self.store.clock();
        self.read(request, |state, now, _| {
            let only = username
                .map(|username| rules::named(state, username))
                .transpose()?;
            let mut found: Vec<_> = state
                .sessions(now)
                .filter_map(|session| Some((session, state.user(session.user)?)))
                .filter(|(_, user)| only.map_or(true, |only| only.id == user.id))
                .collect();
            found.sort_by_key(|(session, _)| session.id);
            let views = found.into_iter().map(|(session, user)| {
                let newest = state.access_tokens_of(session.id).last();
                ActiveSession {
                    id: session.id.0,
                    username: user.username.clone(),
                    renewed: newest.map(|(_, token)| clock.rfc_3339(token.issued)),
                    expires: clock.rfc_3339(session.expires),
                }
            });
            Ok(views.collect())
        })
    }

    /// Ends sessions on behalf of an administrator, and returns their number.
    ///
    /// # Errors
    /// - [`RuleError::Unauthorized`] if the token is missing, invalid or lacks a required scope.
    /// - [`RuleError::SessionNotFound`] or [`RuleError::UserNotFound`] if there is no such session or
    ///   user.
    /// - [`StoreError`](crate::store::StoreError) if the change cannot be committed.
    pub async fn end_sessions(&self, request: Request, which: Which) -> Done<usize> {
        self.write(request, move |state, context, caller| {
            end::end(state, context.now, caller, &which)
        })
        .await
    }

    /// Returns the properties of an access token; `None` if it is unknown, expired or revoked.
    pub fn introspect(&self, digest: &TokenDigest) -> Option<ActiveToken> {
        let clock = self.store.clock();
        self.store.read(|state, now| {
            let principal = state.authenticate(digest, now)?;
            Some(ActiveToken {
                username: principal.user.username.clone(),
                full_name: principal.user.full_name.clone(),
                account_type: principal.user.account_type,
                scopes: principal.scopes,
                issued: clock.unix_seconds(principal.token.issued),
                expires: clock.unix_seconds(principal.token.expires),
            })
        })
    }

    /// Logs a user in with a password, a local one or one of the lab's directory. `asked` is the ceiling
    /// of the session's scopes; `None` sets no ceiling. An unknown username takes as long as a wrong
    /// password, so that response times do not reveal which users exist; while a directory is configured
    /// and slow, they reveal which are local. A refused login is not an error, but a [`LoginOutcome`].
    ///
    /// # Errors
    /// - [`HashError`](super::hashing::HashError) if the password cannot be verified: the queue is full or Argon2 failed.
    /// - [`StoreError`](crate::store::StoreError) if the result cannot be committed.
    pub async fn log_in(
        &self,
        request: Request,
        username: &str,
        password: Password,
        asked: Option<Scopes>,
    ) -> Done<LoginOutcome> {
        if let Some(question) = self.question(username, &password) {
            return self
                .log_in_by_directory(request, username, password, asked, question)
                .await;
        }
        let source = request.source;
        let attempt = self.attempt(source, username, password).await?;
        let failures = Arc::clone(&self.failures);
        self.write(request, move |state, context, caller| {
            let mut failures = lock(&failures);
            let user = attempt.user.and_then(|id| state.user(id));
            let failed = user.map_or_else(Failed::default, |user| failures.of(user.id, source));
            let decision = sessions::log_in(state, context, caller, &attempt, failed, asked);
            match (&decision.reply, user) {
                (LoginOutcome::Refused { .. }, Some(user)) if state.lock_policy().slows(user) => {
                    failures.count(user.id, source, context.now);
                }
                (LoginOutcome::Granted(_), Some(user)) => failures.forget(user.id, source),
                _ => {}
            }
            Ok(decision)
        })
        .await
    }

    /// Exchanges a refresh token for a new pair of tokens. `asked` narrows the scopes of the new
    /// access token. A refused refresh is not an error, but a [`RefreshOutcome`]. A user of the lab's
    /// directory whose last look-up is old is looked up again afterwards, without waiting for it.
    ///
    /// # Errors
    /// [`StoreError`](crate::store::StoreError) if the result cannot be committed.
    pub async fn refresh(
        &self,
        request: Request,
        presented: Presented,
        asked: Option<Scopes>,
    ) -> Done<RefreshOutcome> {
        let outcome = self
            .write(request, move |state, context, caller| {
                Ok(sessions::refresh(state, context, caller, &presented, asked))
            })
            .await?;
        if let RefreshOutcome::Granted {
            due: Some(user), ..
        } = outcome
        {
            self.look_up_beside(user);
        }
        Ok(outcome)
    }

    /// Ends the session of an access or refresh token (RFC 7009 §2.1). An unknown token is not an
    /// error.
    ///
    /// # Errors
    /// [`StoreError`](crate::store::StoreError) if the change cannot be committed.
    pub async fn revoke(&self, request: Request, presented: Presented) -> Done<()> {
        self.write(request, move |state, _, caller| {
            Ok(sessions::revoke(state, caller, &presented))
        })
        .await
    }

    /// Verifies a password against the hash of the user, or for an unknown username against a hash
    /// that takes as long to verify as that of some existing user.
    async fn attempt(&self, source: Source, username: &str, password: Password) -> Done<Attempt> {
        let (user, checked, replaceable) = self.store.read(|state, now| {
            let is_local = |user: &&User| user.directory.is_none();
            let Some(user) = state.user_named(username).filter(is_local) else {
                let like = self
                    .hasher
                    .stand_in(username, state.user_count())
                    .and_then(|number| state.users().nth(number));
                let hash = Hasher::nobodys(like.map(|user| &user.password));
                return (None, hash, false);
            };
            let policy = state.lock_policy();
            // The time to compute a new hash must not reveal that the password of a locked or
            // throttled account was right.
            let failed = lock(&self.failures).of(user.id, source);
            let open = !policy.is_locked(user) && policy.must_wait(user, failed, now).is_none();
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
            self.hasher.hash_unless_busy(share, password).await?
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
}

/// Locks the failed logins, even if another thread panicked while holding the lock.
fn lock(failures: &Mutex<Failures>) -> MutexGuard<'_, Failures> {
    failures.lock().unwrap_or_else(PoisonError::into_inner)
}
