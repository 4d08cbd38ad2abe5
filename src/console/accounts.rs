//! `user show` and `user list --long`: accounts with what else is known about them.

use std::convert::Infallible;

use serde_json::{json, Value};

use super::error::Done;
use super::protocol::{ConsoleRequest, ConsoleResponse};
use super::table::{identity, lines, password_change};
use super::{unexpected, Console};
use crate::domain::users::history::{History, Times};
use crate::http::views::UserView;
use crate::store::AuditLog;

/// Names of the columns, and of the lines that `user show` prints.
const NAMES: [&str; 8] = [
    "USERNAME",
    "FULL NAME",
    "TYPE",
    "LOCKED",
    "PASSWORD CHANGE",
    "SESSIONS",
    "CREATED",
    "LAST LOGIN",
];

/// User with the number of sessions, and what the audit log tells.
struct Account {
    user: UserView,
    sessions: usize,
    times: Times,
}

impl Console<'_> {
    /// Prints all users, with everything that is known about them.
    pub(super) fn list_long(&self) -> Done {
        let accounts = self.accounts(ConsoleRequest::ListAccounts)?;
        let values: Vec<_> = accounts.iter().map(Account::value).collect();
        self.print_either(
            &json!(values),
            &lines(NAMES, accounts.iter().map(Account::row)),
        )
    }

    /// Prints one user, with everything that is known about it.
    pub(super) fn show_user(&self, username: String) -> Done {
        let accounts = self.accounts(ConsoleRequest::ShowUser { username })?;
        let account = accounts.first().ok_or_else(unexpected)?;
        let mut said = String::new();
        for (name, text) in NAMES.iter().zip(account.row()) {
            said += &format!("{}: {text}\n", name.to_lowercase());
        }
        self.print_either(&account.value(), &said)
    }

    /// Requests accounts, and looks them up in the audit log.
    fn accounts(&self, request: ConsoleRequest) -> Done<Vec<Account>> {
        let ConsoleResponse::Accounts(accounts) = self.request(request)? else {
            return Err(unexpected());
        };
        let mut history = History::default();
        AuditLog::open(self.directory())?
            .each(|found| {
                history.take(&found.row);
                Ok::<_, Infallible>(())
            })?
            .unwrap_or_else(|never| match never {});
        let accounts = accounts.into_iter().map(|(user, sessions)| Account {
            times: history.of(&user.username),
            user,
            sessions,
        });
        Ok(accounts.collect())
    }
}

impl Account {
    /// Returns the texts for [`NAMES`].
    fn row(&self) -> [String; 8] {
        let [username, full_name, account_type] = identity(&self.user);
        let locked = if self.user.locked { "yes" } else { "no" };
        let time = |time: &Option<String>| time.clone().unwrap_or_else(|| "-".into());
        [
            username,
            full_name,
            account_type,
            locked.into(),
            password_change(&self.user),
            self.sessions.to_string(),
            time(&self.times.created),
            time(&self.times.last_login),
        ]
    }

    /// Returns the JSON object.
    fn value(&self) -> Value {
        let mut value = json!(self.user);
        value["sessions"] = self.sessions.into();
        value["created"] = self.times.created.clone().into();
        value["lastLogin"] = self.times.last_login.clone().into();
        value
    }
}
