//! `access-control`: showing, enabling and disabling access control.

use std::io::{self, IsTerminal};

use serde_json::json;

use super::error::Done;
use super::prompt::confirm;
use super::protocol::{ConsoleRequest, ConsoleResponse};
use super::{table, unexpected, Console};
use crate::cli::console::AccessControlCommand;

impl Console<'_> {
    pub(super) fn access_control(&self, command: &AccessControlCommand) -> Done {
        let on = access_control_of(self.request(ConsoleRequest::AccessControl)?)?;
        let request = match command {
            AccessControlCommand::Status => return self.print_access_control("", on),
            AccessControlCommand::Enable { .. } if on => {
                return self.print_access_control("already ", on)
            }
            AccessControlCommand::Disable { .. } if !on => {
                return self.print_access_control("already ", on)
            }
            AccessControlCommand::Enable { sure, .. } => {
                if !self.common.json || io::stdin().is_terminal() {
                    self.warn_of_accounts()?;
                }
                confirm(sure, "Turn access control on?")?;
                ConsoleRequest::SetAccessControl(true)
            }
            AccessControlCommand::Disable { sure, .. } => {
                confirm(
                    sure,
                    "Turn access control off? Anyone who can reach the robot may then do everything.",
                )?;
                ConsoleRequest::SetAccessControl(false)
            }
        };
        let on = access_control_of(self.change(request)?)?;
        self.print_access_control("", on)
    }

    /// Prints whether access control is on, with an adverb before that.
    fn print_access_control(&self, adverb: &str, on: bool) -> Done {
        let said = format!(
            "access control is {adverb}{}\n",
            if on { "on" } else { "off" }
        );
        self.print_either(&json!({ "accessControlEnabled": on }), &said)
    }

    /// Lists what was prepared while anyone could do everything: accounts, which stay, and their
    /// sessions, which end.
    fn warn_of_accounts(&self) -> Done {
        let ConsoleResponse::Accounts(accounts) = self.request(ConsoleRequest::ListAccounts)?
        else {
            return Err(unexpected());
        };
        let sessions: usize = accounts.iter().map(|(_, sessions)| sessions).sum();
        eprint!("{}", table::accounts(&accounts));
        eprintln!(
            "While access control is off, anyone can create accounts. Each account above can be used \
             after it is turned on: delete those that nobody knows first. All sessions end \
             ({sessions} now)."
        );
        Ok(())
    }
}

/// Returns whether access control is on, as the response says.
fn access_control_of(response: ConsoleResponse) -> Done<bool> {
    match response {
        ConsoleResponse::AccessControl(on) => Ok(on),
        _ => Err(unexpected()),
    }
}
