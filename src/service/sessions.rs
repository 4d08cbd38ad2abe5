//! Sessions: logging in, going on, logging out, and what a token may do.

use super::hashing::{Account, HashError, Hasher, Share};
use super::{Done, Service};
use crate::domain::authority::{Request, Source};
use crate::domain::passwords::Password;
use crate::domain::scopes::Scopes;
use crate::domain::sessions::{self, Attempt, LoginOutcome, RefreshOutcome};
use crate::domain::tokens::TokenDigest;
use crate::domain::users::AccountType;

/// An access token that lets requests in now (RFC 7662 §2.2).
#[derive(Debug)]
pub struct ActiveToken {
    /// Username of the account.
    pub username: String,
    /// Full name of the account.
    pub full_name: String,
    /// Type of the account.
    pub account_type: AccountType,
    /// What it may do now.
    pub scopes: Scopes,
    /// When it was issued, in seconds since 1970 by the wall clock as it is now.
    pub issued: i64,
    /// When it expires, likewise.
    pub expires: i64,
}

impl Service {
    /// What is known of an access token; `None` when it is unknown, expired or revoked.
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

    /// Logs in by a password. `asked`: scopes that bound the session; `None` bounds it by nothing.
    /// An unknown user takes as long as a known one with a wrong password.
    ///
    /// # Errors
    /// [`ServiceError`], which is never a rule's.
    pub async fn log_in(
        &self,
        request: Request,
        username: &str,
        password: Password,
        asked: Option<Scopes>,
    ) -> Done<LoginOutcome> {
        let attempt = self.attempt(request.source, username, password).await?;
        self.write(request, move |state, context, caller| {
            Ok(sessions::log_in(state, context, caller, &attempt, asked))
        })
        .await
    }

    /// Gives a new pair of tokens for a refresh token.
    ///
    /// # Errors
    /// [`ServiceError`], which is never a rule's.
    pub async fn refresh(
        &self,
        request: Request,
        digest: TokenDigest,
        asked: Option<Scopes>,
    ) -> Done<RefreshOutcome> {
        self.write(request, move |state, context, caller| {
            Ok(sessions::refresh(state, context, caller, &digest, asked))
        })
        .await
    }

    /// Ends the login of a token of either kind.
    ///
    /// # Errors
    /// [`ServiceError`], which is never a rule's.
    pub async fn revoke(&self, request: Request, digest: TokenDigest) -> Done<()> {
        self.write(request, move |state, _, caller| {
            Ok(sessions::revoke(state, caller, &digest))
        })
        .await
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
}
