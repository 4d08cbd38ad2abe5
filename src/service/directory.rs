//! The lab's directory: its configuration, and trying it out.

use std::sync::Arc;

use super::{Done, Service};
use crate::directory::protocol::{Answer, Operation};
use crate::domain::authority::Request;
use crate::domain::directory::draft::Draft;
use crate::domain::directory::rules::{self, configured};
use crate::domain::directory::Directory;
use crate::domain::error::RuleError;

impl Service {
    /// Returns the configuration of the directory.
    ///
    /// # Errors
    /// - [`RuleError::Unauthorized`] if the token is missing, invalid or lacks a required scope.
    /// - [`RuleError::DirectoryNotConfigured`] if there is none.
    pub fn directory(&self, request: &Request) -> Result<Arc<Directory>, RuleError> {
        self.read(request, |state, _, _| configured(state).cloned())
    }

    /// Configures the directory, in place of any other. With `test`, the configuration is tried first.
    /// Returns it, and what was found, in a sentence for each server.
    ///
    /// # Errors
    /// - [`RuleError::Unauthorized`] if the token is missing, invalid or lacks a required scope.
    /// - [`RuleError::OutOfRange`] if a value is missing or not valid.
    /// - [`RuleError::DirectoryTestFailed`] if the configuration does not work.
    /// - [`StoreError`](crate::store::StoreError) if the change cannot be committed.
    pub async fn put_directory(
        &self,
        request: Request,
        draft: Draft,
        test: bool,
    ) -> Done<(Arc<Directory>, Vec<String>)> {
        let directory = self.checked(&request, draft)?;
        let found = if test {
            let tried = self.try_directory(&directory).await;
            tried.map_err(RuleError::DirectoryTestFailed)?
        } else {
            Vec::new()
        };
        let directory = self
            .write(request, move |state, _, caller| {
                Ok(rules::put(state, caller, directory, test))
            })
            .await?;
        self.look_up_always();
        Ok((directory, found))
    }

    /// Tries out a configuration, or the present one if `draft` is `None`; returns what was found, in a
    /// sentence for each server.
    ///
    /// # Errors
    /// - [`RuleError::Unauthorized`] if the token is missing, invalid or lacks a required scope.
    /// - [`RuleError::DirectoryNotConfigured`] if there is no present configuration.
    /// - [`RuleError::OutOfRange`] if a value is missing or not valid.
    /// - [`RuleError::DirectoryTestFailed`] if the configuration does not work.
    /// - [`StoreError`](crate::store::StoreError) if the audit event cannot be committed.
    pub async fn test_directory(
        &self,
        request: Request,
        draft: Option<Draft>,
    ) -> Done<Vec<String>> {
        let directory = match draft {
            Some(draft) => self.checked(&request, draft)?,
            None => self.directory(&request)?,
        };
        let result = self.try_directory(&directory).await;
        let result = self
            .write(request, move |_, _, caller| {
                Ok(rules::tested(caller, &directory, result))
            })
            .await?;
        Ok(result.map_err(RuleError::DirectoryTestFailed)?)
    }

    /// Removes the configuration, and returns the number of users of the directory.
    ///
    /// # Errors
    /// - [`RuleError::Unauthorized`] if the token is missing, invalid or lacks a required scope.
    /// - [`RuleError::DirectoryNotConfigured`] if there is none.
    /// - [`StoreError`](crate::store::StoreError) if the change cannot be committed.
    pub async fn remove_directory(&self, request: Request) -> Done<usize> {
        self.write(request, |state, _, caller| rules::remove(state, caller))
            .await
    }

    /// Checks a configuration; its password may be that of the present one.
    fn checked(&self, request: &Request, draft: Draft) -> Result<Arc<Directory>, RuleError> {
        self.read(request, |state, _, _| {
            let stored = state.directory().map(Arc::as_ref);
            draft.check(stored).map(Arc::new)
        })
    }

    /// Tries out a configuration; an error says what is wrong. The store is not locked meanwhile.
    async fn try_directory(&self, directory: &Directory) -> Result<Vec<String>, String> {
        match self.directory.ask(directory, Operation::Test).await {
            Answer::Tested(found) => Ok(found),
            Answer::Misconfigured(why) | Answer::Unavailable(why) => Err(why),
            _ => Err("The answer is not one to a test.".into()),
        }
    }
}
