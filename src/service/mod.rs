//! What can be done, for HTTP and the console alike: passwords are checked and hashed, the rules
//! decide, the store writes.

pub mod delivery;
pub mod hashing;
mod passwords;
mod sessions;
mod settings;
mod users;

use std::sync::{Arc, Mutex};

use thiserror::Error;

use self::hashing::{HashError, Hasher};
pub use self::sessions::ActiveToken;
pub use self::users::LoginStatus;
use crate::domain::attempts::Attempts;
use crate::domain::authority::{Caller, Request};
use crate::domain::decision::{Context, Decision};
use crate::domain::error::RuleError;
use crate::domain::state::State;
use crate::domain::time::Moment;
use crate::store::{Store, StoreError};

/// Why something was not done; then nothing has changed.
#[derive(Debug, Error)]
pub enum ServiceError {
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

type Done<T> = Result<T, ServiceError>;

/// All that can be done.
#[derive(Clone)]
pub struct Service {
    store: Arc<Store>,
    hasher: Arc<Hasher>,
    /// Passwords that were tried out ([`Service::try_password`]).
    tried: Arc<Mutex<Attempts>>,
}

impl Service {
    /// A service that keeps accounts in `store`.
    pub fn new(store: Arc<Store>, hasher: Arc<Hasher>) -> Self {
        Self {
            store,
            hasher,
            tried: Arc::default(),
        }
    }

    /// Where accounts are kept.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Who makes a request, if they may: before anything costly, for what decides asks again.
    ///
    /// # Errors
    /// [`RuleError::Unauthorized`].
    pub fn authorize(&self, request: &Request) -> Result<Caller, RuleError> {
        self.read(request, |_, _, caller| Ok(caller.clone()))
    }

    /// Looks at the state, if the request may. `look` must be short: writes wait for it.
    ///
    /// # Errors
    /// [`RuleError::Unauthorized`].
    fn read<T>(
        &self,
        request: &Request,
        look: impl FnOnce(&State, Moment, &Caller) -> Result<T, RuleError>,
    ) -> Result<T, RuleError> {
        self.store.read(|state, now| {
            let caller = request.resolve(state, now)?;
            look(state, now, &caller)
        })
    }

    /// Writes what a rule plans, if the request is let in when it decides.
    async fn write<T: Send + 'static>(
        &self,
        request: Request,
        rule: impl FnOnce(&State, &mut Context, &Caller) -> Result<Decision<T>, RuleError>
            + Send
            + 'static,
    ) -> Done<T> {
        let decide = move |state: &State, context: &mut Context| {
            let caller = request.resolve(state, context.now)?;
            rule(state, context, &caller)
        };
        Ok(self.store.write(decide).await??)
    }
}
