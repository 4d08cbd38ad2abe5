//! Setting passwords: what the rules say of one, how it compares with the one that it replaces, and
//! its hash.

use super::hashing::{Account, Hasher, Share};
use super::{Done, Service, ServiceError};
use crate::domain::authority::{Caller, Request};
use crate::domain::decision::{Context, Decision};
use crate::domain::error::RuleError;
use crate::domain::passwords::{Comparison, NewPassword, Password, PasswordHash};
use crate::domain::state::State;
use crate::domain::time::Moment;
use crate::domain::users::User;

/// How often a new password is compared anew because the one that it replaces was replaced
/// meanwhile.
const COMPARISONS: usize = 5;

impl Service {
    /// Writes what a rule plans for a password that is set, hashed.
    pub(super) async fn with_password<T: Send + 'static>(
        &self,
        request: Request,
        password: &Password,
        comparison: Option<Comparison>,
        rule: impl Fn(&State, Moment, &Caller, &NewPassword) -> Result<Decision<T>, RuleError>
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
    pub(super) async fn replacing_password<T: Send + 'static>(
        &self,
        request: Request,
        password: Option<Password>,
        target: impl for<'a> Fn(&'a State, &Caller) -> Result<&'a User, RuleError>,
        rule: impl Fn(&State, Moment, &Caller, Option<&NewPassword>) -> Result<Decision<T>, RuleError>
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
                Err(ServiceError::Rule(RuleError::PasswordReplacedMeanwhile)) => {}
                done => return done,
            }
        }
        Err(RuleError::PasswordReplacedMeanwhile.into())
    }

    /// Compares a new password with the one that it would replace.
    ///
    /// # Errors
    /// Every rule that the password, or the change with it, breaks.
    pub(super) async fn compare<T>(
        &self,
        request: &Request,
        password: &Password,
        target: &impl for<'a> Fn(&'a State, &Caller) -> Result<&'a User, RuleError>,
        rule: &impl Fn(&State, Moment, &Caller, &NewPassword) -> Result<Decision<T>, RuleError>,
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
        account: caller.principal.map_or(Account::Anonymous, |principal| {
            Account::User(principal.user)
        }),
    }
}
