//! The reason for a change, for the audit log.

use std::io::{self, IsTerminal};

use super::error::Done;
use super::failure::{Kind, Refusal};
use super::prompt::ask;
use super::protocol::{ConsoleRequest, ConsoleResponse};
use super::Console;
use crate::domain::audit::stated_reason;
use crate::store::DATABASE;

/// Checks a reason; returns it trimmed, or `None` if it is blank.
///
/// # Errors
/// [`ConsoleError::Refused`](super::ConsoleError::Refused): the reason is too long.
pub(super) fn check(text: &str) -> Done<Option<String>> {
    stated_reason(text).map_err(|rule| {
        let detail = format!("--reason: {rule}");
        Refusal::new(Kind::Refused, "invalidRequest", detail).into()
    })
}

impl Console<'_> {
    /// Returns the reason for the audit log: the one given or, if the user can be asked and access
    /// control is on, the answer. As over HTTP, there need not be one.
    ///
    /// # Errors
    /// - [`ConsoleError::Refused`](super::ConsoleError::Refused): the answer is too long.
    /// - [`ConsoleError::Io`](super::ConsoleError::Io): the answer cannot be read.
    pub(super) fn reason(&self) -> Done<Option<String>> {
        match &self.reason {
            Some(reason) => Ok(reason.clone()),
            None if self.asks_for_reason() => {
                check(&ask("Reason for the audit log (empty for none): ")?)
            }
            None => Ok(None),
        }
    }

    /// Returns whether to ask for a reason. If it is unknown whether access control is on, the command
    /// itself fails or replaces the database.
    fn asks_for_reason(&self) -> bool {
        // Without a database, the request would create one.
        io::stdin().is_terminal()
            && self.directory().join(DATABASE).exists()
            && matches!(
                self.request(ConsoleRequest::AccessControl),
                Ok(ConsoleResponse::AccessControl(true))
            )
    }
}
