//! The lab's directory: its configuration, and trying it out.

use std::sync::Arc;

use super::{Done, Service};
use crate::directory::protocol::{Answer, Operation};
use crate::domain::authority::Request;
use crate::domain::decision::Decision;
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
        loop {
            let (directory, stored) = self.checked(&request, draft.clone())?;
            let found = if test {
                match self.try_directory(&directory).await {
                    Ok(found) => found,
                    failed => {
                        let directory = Arc::clone(&directory);
                        self.record_test(request.clone(), directory, failed).await?
                    }
                }
            } else {
                Vec::new()
            };
            let put = self.write(request.clone(), move |state, _, caller| {
                if !is_same(state.directory(), stored.as_ref()) {
                    return Ok(Decision::reply(None));
                }
                Ok(rules::put(state, caller, directory, test).map(Some))
            });
            // If it was replaced meanwhile, the password that this one keeps may be another.
            if let Some(directory) = put.await? {
                self.look_up_always();
                return Ok((directory, found));
            }
        }
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
            Some(draft) => self.checked(&request, draft)?.0,
            None => self.directory(&request)?,
        };
        let result = self.try_directory(&directory).await;
        self.record_test(request, directory, result).await
    }

    /// Records a test of a configuration, and how it ended, in the audit log. Returns what was found.
    async fn record_test(
        &self,
        request: Request,
        directory: Arc<Directory>,
        result: Result<Vec<String>, String>,
    ) -> Done<Vec<String>> {
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

    /// Checks a configuration; its password may be that of the present one. Returns both.
    fn checked(
        &self,
        request: &Request,
        draft: Draft,
    ) -> Result<(Arc<Directory>, Option<Arc<Directory>>), RuleError> {
        self.read(request, |state, _, _| {
            let stored = state.directory();
            let directory = draft.check(stored.map(Arc::as_ref))?;
            Ok((Arc::new(directory), stored.cloned()))
        })
    }

    /// Tries out a configuration; an error says what is wrong. The store is not locked meanwhile.
    async fn try_directory(&self, directory: &Directory) -> Result<Vec<String>, String> {
        match self.directory.ask(directory, Operation::Test).await {
            Answer::Tested(found) => Ok(found),
            Answer::Misconfigured(why) | Answer::Unavailable(why) | Answer::Unanswered(why) => {
                Err(why)
            }
            _ => Err("The answer is not one to a test.".into()),
        }
    }
}

/// Returns whether two configurations are the same one, or both none.
fn is_same(one: Option<&Arc<Directory>>, other: Option<&Arc<Directory>>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => Arc::ptr_eq(one, other),
        (None, None) => true,
        _ => false,
    }
}
