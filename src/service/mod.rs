//! Operations of the auth server, the same for HTTP and the console. Passwords are hashed and
//! verified here; the rules decide on a request, and the store commits the result.

mod by_directory;
pub mod delivery;
mod directory;
pub mod hashing;
mod passwords;
mod sessions;
mod settings;
mod users;

use std::sync::{Arc, Mutex};

use thiserror::Error;

use self::by_directory::DirectoryAccess;
use self::hashing::{HashError, Hasher};
pub use self::sessions::{ActiveSession, ActiveToken};
pub use self::users::LoginStatus;
use crate::directory::client::Client;
use crate::domain::attempts::Attempts;
use crate::domain::authority::{Caller, Request};
use crate::domain::decision::{Context, Decision, Priority};
use crate::domain::error::RuleError;
use crate::domain::failures::Failures;
use crate::domain::state::State;
use crate::domain::time::Moment;
use crate::store::{Store, StoreError};

/// Reason why an operation failed. In that case nothing has changed.
#[derive(Debug, Error)]
pub enum ServiceError {
    /// The request violates a rule or is not authorized.
    #[error(transparent)]
    Rule(#[from] RuleError),
    /// A password could not be hashed or verified.
    #[error(transparent)]
    Hash(#[from] HashError),
    /// The change could not be committed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Result of an operation.
type Done<T> = Result<T, ServiceError>;

/// Operations on accounts, sessions and settings. Clones share one store and one hasher.
#[derive(Clone)]
pub struct Service {
    store: Arc<Store>,
    hasher: Arc<Hasher>,
    /// Recent attempts of each session to try out a password ([`Service::try_password`]).
    tried: Arc<Mutex<Attempts>>,
    /// Failed logins of each source to the accounts that they slow down ([`Service::log_in`]).
    failures: Arc<Mutex<Failures>>,
    /// Access to the lab's directory.
    directory: Arc<DirectoryAccess>,
}

impl Service {
    /// Creates a service that keeps its state in `store` and hashes passwords with `hasher`.
    pub fn new(store: Arc<Store>, hasher: Arc<Hasher>) -> Self {
        Self {
            store,
            hasher,
            tried: Arc::default(),
            failures: Arc::default(),
            directory: Arc::default(),
        }
    }

    /// Returns the service, which then asks the lab's directory through `client` whenever one is
    /// configured. Without a client, no login through the directory is confirmed.
    #[must_use]
    pub fn with_directory(self, client: Client) -> Self {
        Self {
            directory: Arc::new(DirectoryAccess::new(client)),
            ..self
        }
    }

    /// Returns the store.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Authorizes a request and returns its caller. This serves to reject requests before expensive
    /// work; operations authorize a request again when they decide on it.
    ///
    /// # Errors
    /// [`RuleError::Unauthorized`] if the token is missing, invalid or lacks a required scope.
    pub fn authorize(&self, request: &Request) -> Result<Caller, RuleError> {
        self.read(request, |_, _, caller| Ok(caller.clone()))
    }

    /// Authorizes a request and calls `look` with the state. `look` must be fast, as writes wait
    /// for it.
    ///
    /// # Errors
    /// - [`RuleError::Unauthorized`] if the token is missing, invalid or lacks a required scope.
    /// - The error that `look` returns.
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

    /// Authorizes a request, lets `rule` decide on it, and commits the decision, all in one
    /// transaction.
    ///
    /// # Errors
    /// - [`RuleError::Unauthorized`] if the token is missing, invalid or lacks a required scope.
    /// - The error that `rule` returns.
    /// - [`StoreError`] if the decision cannot be committed.
    async fn write<T: Send + 'static>(
        &self,
        request: Request,
        rule: impl FnOnce(&State, &mut Context, &Caller) -> Result<Decision<T>, RuleError>
            + Send
            + 'static,
    ) -> Done<T> {
        let decide = move |state: &State, context: &mut Context| {
            let caller = request.resolve(state, context.now)?;
            let decision = rule(state, context, &caller)?;
            let priority = Priority::of(state, &caller, &decision.changes);
            Ok::<_, RuleError>((decision, priority))
        };
        Ok(self.store.write_by(decide).await??)
    }
}
