//! `session`: listing and ending the sessions of users.

use serde_json::json;

use super::error::Done;
use super::prompt::confirm;
use super::protocol::{ConsoleRequest, ConsoleResponse, Sessions};
use super::table::lines;
use super::{unexpected, Console};
use crate::cli::console::SessionCommand;
use crate::domain::text::{escape, plural};
use crate::service::ActiveSession;

impl Console<'_> {
    pub(super) fn session(&self, command: &SessionCommand) -> Done {
        let response = match command {
            SessionCommand::List { username } => self.request(ConsoleRequest::ListSessions {
                username: username.clone(),
            })?,
            SessionCommand::End { id, user, sure, .. } => {
                self.change(ConsoleRequest::EndSessions(match (id, user) {
                    (Some(id), _) => Sessions::One(*id),
                    (None, Some(username)) => Sessions::Of(username.clone()),
                    (None, None) => {
                        confirm(sure, "End the sessions of all users?")?;
                        Sessions::All
                    }
                }))?
            }
        };
        match response {
            ConsoleResponse::Sessions(sessions) => {
                self.print_either(&json!(sessions), &table(&sessions))
            }
            ConsoleResponse::Ended(ended) => {
                let said = format!("ended {ended} session{}\n", plural(ended == 1));
                self.print_either(&json!({ "ended": ended }), &said)
            }
            _ => Err(unexpected()),
        }
    }
}

/// Formats sessions as a table, one per line below a header.
fn table(sessions: &[ActiveSession]) -> String {
    lines(
        ["ID", "USERNAME", "RENEWED", "EXPIRES"],
        sessions.iter().map(|session| {
            [
                session.id.to_string(),
                escape(&session.username).into_owned(),
                session.renewed.clone().unwrap_or_else(|| "-".into()),
                session.expires.clone(),
            ]
        }),
    )
}
