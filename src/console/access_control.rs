//! `access-control`: showing, enabling and disabling access control.

use serde_json::json;

use super::error::Done;
use super::prompt::confirm;
use super::protocol::{ConsoleRequest, ConsoleResponse};
use super::{table, unexpected, Console};
use crate::cli::console::AccessControlCommand;

impl Console<'_> {
    pub(super) fn access_control(&self, command: &AccessControlCommand) -> Done {
        let request = match command {
            AccessControlCommand::Status => ConsoleRequest::AccessControl,
            AccessControlCommand::Enable { sure } => {
                self.warn_of_accounts()?;
                confirm(sure, "Turn access control on?")?;
                ConsoleRequest::SetAccessControl(true)
            }
            AccessControlCommand::Disable { sure } => {
                confirm(
                    sure,
                    "Turn access control off? Anyone who can reach the robot may then do everything.",
                )?;
                ConsoleRequest::SetAccessControl(false)
            }
        };
        let ConsoleResponse::AccessControl(on) = self.request(request)? else {
            return Err(unexpected());
        };
        let said = format!("access control is {}\n", if on { "on" } else { "off" });
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
