//! Setting passwords: a new one is checked by the rules, compared with the one that it replaces, and
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

/// Number of times that a new password is compared anew because the one that it replaces was itself
/// replaced meanwhile.
const COMPARISONS: usize = 5;

/// A rule that decides on a change with a new password.
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
    /// Writes what a rule decides on a change that sets a password.
    ///
    /// # Errors
    /// [`ServiceError::Rule`]: the password or the change breaks a rule; [`ServiceError::Hash`]: it
    /// could not be hashed; [`ServiceError::Store`]: the change could not be written.
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

    /// Writes what a rule decides on a change that replaces the password of `target`.
    ///
    /// # Errors
    /// As [`Service::with_password`]; [`RuleError::PasswordReplacedMeanwhile`]: others replaced it
    /// again and again.
    pub(super) async fn replacing_password(
        &self,
        request: Request,
        password: &Password,
        target: impl for<'a> Fn(&'a State, &Caller) -> Result<&'a User, RuleError>,
        rule: impl PasswordRule + Clone,
    ) -> Done<User> {
        for _ in 0..COMPARISONS {
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

    /// Compares a new password with the one that it would replace.
    ///
    /// # Errors
    /// [`ServiceError::Rule`]: the password or the change breaks a rule, all such rules at once;
    /// [`ServiceError::Hash`]: the passwords could not be compared.
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
                // The answer names all the faults of a password, whether it was used among them.
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

/// The share of the hashing that a request draws on.
fn share_of(request: &Request, caller: &Caller) -> Share {
    Share {
        source: request.source,
        account: caller.principal.map_or(Account::Anonymous, |principal| {
            Account::User(principal.user)
        }),
    }
}
