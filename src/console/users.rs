//! `user`: managing accounts.

use serde_json::json;

use super::error::Done;
use super::prompt::{confirm, read_password, NEW_PASSWORD};
use super::protocol::{ConsoleRequest, ConsoleResponse, UserChange};
use super::{table, unexpected, Console};
use crate::cli::console::UserCommand;
use crate::domain::text::escape;

impl Console<'_> {
    pub(super) fn user(&self, command: &UserCommand) -> Done {
        match command {
            UserCommand::List { long: true } => self.list_long(),
            UserCommand::List { long: false } => match self.request(ConsoleRequest::ListUsers)? {
                ConsoleResponse::Users(users) => {
                    self.print_either(&json!(users), &table::users(&users))
                }
                _ => Err(unexpected()),
            },
            UserCommand::Add {
                username,
                full_name,
                account_type,
                password,
                ..
            } => {
                let request = ConsoleRequest::AddUser {
                    username: username.clone(),
                    full_name: full_name.clone(),
                    account_type: (*account_type).into(),
                    password: read_password(password, NEW_PASSWORD)?,
                };
                self.print_user("created", request)
            }
            UserCommand::Show { username } => self.show_user(username.clone()),
            UserCommand::Set {
                username,
                new_username,
                full_name,
                account_type,
                require_new_password,
                password,
                ..
            } => {
                let change = UserChange {
                    username: new_username.clone(),
                    full_name: full_name.clone(),
                    account_type: account_type.map(Into::into),
                    password: read_password(password, NEW_PASSWORD)?,
                    locked: None,
                    reset_password: *require_new_password,
                };
                self.update(["changed", "unchanged"], username, change)
            }
            UserCommand::ResetPassword {
                username, password, ..
            } => {
                let request = ConsoleRequest::ResetPassword {
                    username: username.clone(),
                    password: read_password(password, NEW_PASSWORD)?,
                };
                self.print_user("set a new password for", request)
            }
            UserCommand::Unlock { username, .. } => self.update(
                ["unlocked", "not locked"],
                username,
                UserChange::lock(false),
            ),
            UserCommand::Lock { username, .. } => self.update(
                ["locked", "already locked"],
                username,
                UserChange::lock(true),
            ),
            UserCommand::Delete { username, sure, .. } => {
                let username = username.clone();
                // Nobody is asked about a user who does not exist.
                self.request(ConsoleRequest::ShowUser {
                    username: username.clone(),
                })?;
                confirm(sure, &format!("Delete the user {username:?}?"))?;
                let said = format!("deleted {}\n", escape(&username));
                self.change(ConsoleRequest::DeleteUser { username })?;
                self.print_either(&json!({}), &said)
            }
        }
    }

    /// Changes a user, and prints the user and what was `done` or, if nothing changed, what the user
    /// already `was`.
    fn update(&self, [done, was]: [&str; 2], username: &str, change: UserChange) -> Done {
        let username = username.to_owned();
        let request = ConsoleRequest::UpdateUser { username, change };
        let ConsoleResponse::Updated(user, changed) = self.change(request)? else {
            return Err(unexpected());
        };
        let username = escape(&user.username);
        let said = if changed {
            format!("{done} {username}\n")
        } else {
            format!("{username} is {was}\n")
        };
        self.print_either(&json!(user), &said)
    }

    /// Sends a request about a user, and prints what was `done` and the user.
    fn print_user(&self, done: &str, request: ConsoleRequest) -> Done {
        let ConsoleResponse::User(user, temporary) = self.change(request)? else {
            return Err(unexpected());
        };
        let mut value = json!(user);
        let mut said = format!("{done} {}\n", escape(&user.username));
        if let Some(password) = temporary {
            said += &format!("temporary password: {password}\n");
            value["temporaryPassword"] = password.into();
        }
        self.print_either(&value, &said)
    }
}
