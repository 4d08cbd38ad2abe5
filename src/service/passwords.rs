//! Setting passwords: a new password is checked by the rules, compared with the current one, and
//! hashed.

use super::hashing::{Account, Share};
use super::{Done, Service, ServiceError};
use crate::domain::authority::{Caller, Request};
use crate::domain::error::RuleError;
use crate::domain::passwords::{Comparison, NewPassword, Password};
use crate::domain::state::State;
use crate::domain::time::Moment;
use crate::domain::users::rules::AwaitsHash;
use crate::domain::users::User;

/// Maximum number of attempts to set a new password. An attempt fails if the current password is
/// replaced while the new one is being compared with it or hashed.
const ATTEMPTS: usize = 5;

/// Rule that decides on a change that includes a new password.
pub(super) trait PasswordRule:
    for<'a> Fn(&'a State, Moment, &'a Caller, &NewPassword) -> Result<AwaitsHash<'a>, RuleError>
    + Send
    + 'static
{
}

impl<R> PasswordRule for R where
    R: for<'a> Fn(&'a State, Moment, &'a Caller, &NewPassword) -> Result<AwaitsHash<'a>, RuleError>
        + Send
        + 'static
{
}

impl Service {
    /// Lets `rule` decide on a change that sets a password, hashes the password, and commits the
    /// decision. `comparison` is the result of comparing the password with the current one.
    ///
    /// # Errors
    /// - [`RuleError::Unauthorized`] if the token is missing, invalid or lacks a required scope.
    /// - [`RuleError::Empty`] or [`RuleError::TooLong`] if the password is empty or too long.
    /// - The error that `rule` returns.
    /// - [`ServiceError::Hash`] if the password cannot be hashed.
    /// - [`ServiceError::Store`] if the change cannot be committed.
    pub(super) async fn with_password(
        &self,
        request: Request,
        password: &Password,
        comparison: Option<Comparison>,
        rule: impl PasswordRule,
    ) -> Done<User> {
        password.check()?;
        let new = NewPassword {
            traits: password.traits(),
            comparison,
        };
        let share = self.store.read(|state, now| {
            let caller = request.resolve(state, now)?;
            rule(state, now, &caller, &new).map(|_| share_of(&request, &caller))
        })?;
        let hash = self.hasher.hash(share, password.clone()).await?;
        self.write(request, move |state, context, caller| {
            rule(state, context.now, caller, &new).map(|decide| decide(hash))
        })
        .await
    }

    /// Lets `rule` decide on a change that replaces the password of the user that `target` returns,
    /// and commits the decision.
    ///
    /// # Errors
    /// - [`RuleError::PasswordReplacedMeanwhile`] if the current password was replaced during each
    ///   of [`ATTEMPTS`] attempts.
    /// - The error that `target` returns.
    /// - All errors of [`Service::with_password`].
    pub(super) async fn replacing_password(
        &self,
        request: Request,
        password: &Password,
        target: impl for<'a> Fn(&'a State, &Caller) -> Result<&'a User, RuleError>,
        rule: impl PasswordRule + Clone,
    ) -> Done<User> {
        for _ in 0..ATTEMPTS {
            let comparison = self.compare(&request, password, &target, &rule).await?;
            let done = self
                .with_password(request.clone(), password, Some(comparison), rule.clone())
                .await;
            match done {
                Err(ServiceError::Rule(RuleError::PasswordReplacedMeanwhile)) => {}
                done => return done,
            }
        }
        Err(RuleError::PasswordReplacedMeanwhile.into())
    }

    /// Checks a new password by `rule`, and compares it with the current password of the user that
    /// `target` returns.
    ///
    /// # Errors
    /// - [`RuleError::Unauthorized`] if the token is missing, invalid or lacks a required scope.
    /// - [`RuleError::Empty`] or [`RuleError::TooLong`] if the password is empty or too long.
    /// - [`RuleError::Several`] with all requirements that the password violates; being equal to the
    ///   current one is among them.
    /// - The error that `target` returns, or any other error that `rule` returns.
    /// - [`ServiceError::Hash`] if the passwords cannot be compared.
    pub(super) async fn compare(
        &self,
        request: &Request,
        password: &Password,
        target: &impl for<'a> Fn(&'a State, &Caller) -> Result<&'a User, RuleError>,
        rule: &impl PasswordRule,
    ) -> Done<Comparison> {
        password.check()?;
        let mut new = NewPassword {
            traits: password.traits(),
            comparison: None,
        };
        let (current, share) = self.store.read(|state, now| {
            let caller = request.resolve(state, now)?;
            let current = target(state, &caller)?.password.clone();
            let allowed = rule(state, now, &caller, &new).map(drop);
            match allowed {
                // Compared nevertheless, because the response lists all requirements that the
                // password violates, and being equal to the current one is among them.
                Ok(()) | Err(RuleError::Several(_)) => Ok((current, share_of(request, &caller))),
                Err(error) => Err(error),
            }
        })?;
        let same = self
            .hasher
            .verify(share, password.clone(), current.clone())
            .await?;
        let comparison = Comparison {
            with: current,
            same,
        };
        new.comparison = Some(comparison.clone());
        let allowed = self.store.read(|state, now| {
            let caller = request.resolve(state, now)?;
            rule(state, now, &caller, &new).map(|_| ())
        });
        match allowed {
            Ok(()) | Err(RuleError::PasswordReplacedMeanwhile) => Ok(comparison),
            Err(error) => Err(error.into()),
        }
    }
}

/// Returns the share of the hashing queue that a request belongs to.
fn share_of(request: &Request, caller: &Caller) -> Share {
    Share {
        source: request.source,
        account: caller.principal.map_or(Account::Anonymous, |principal| {
            Account::User(principal.user)
        }),
    }
}
