//! Requests of the console, and how they are carried out by the process that holds the database: the
//! running service, or the console itself.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::domain::authority::Request;
use crate::domain::passwords::Password;
use crate::domain::users::rules::UserPatch;
use crate::http::views::{AccountType, UserView};
use crate::logging;
use crate::service::{Service, ServiceError};
use crate::store::{Strictness, Summary, Survey};

/// Request and the user who makes it. It may contain a password and is never logged.
#[derive(Serialize, Deserialize)]
pub struct Envelope {
    /// Name of the system user at the console.
    pub user: String,
    /// Request to carry out.
    pub request: ConsoleRequest,
}

/// Request of the console.
#[derive(Serialize, Deserialize)]
pub enum ConsoleRequest {
    /// List all users.
    ListUsers,
    /// List all users, each with the number of sessions.
    ListAccounts,
    /// Create a user.
    AddUser {
        /// Username of the account.
        username: String,
        /// Full name of the person.
        full_name: String,
        /// Type of the account.
        account_type: AccountType,
        /// Password; `None` to generate a temporary one.
        password: Option<String>,
    },
    /// Set a new password for a user and unlock the account.
    ResetPassword {
        /// Username of the account.
        username: String,
        /// Password; `None` to generate a temporary one.
        password: Option<String>,
    },
    /// Unlock an account and clear its failed logins.
    Unlock {
        /// Username of the account.
        username: String,
    },
    /// Delete a user.
    DeleteUser {
        /// Username of the account.
        username: String,
    },
    /// Return whether access control is on.
    AccessControl,
    /// Turn access control on (`true`) or off (`false`).
    SetAccessControl(bool),
    /// Restore a backup from this copy of it in the state directory.
    Restore(PathBuf),
    /// Import the Python server's state from a copy of it in our state directory.
    Import {
        /// Copy of the state, and the faults found so far.
        survey: Survey,
        /// Whether faults prevent the import.
        strictness: Strictness,
    },
    /// Resend the events that the audit server refused.
    Resend,
    /// Record an action of the console itself in the audit log.
    Note {
        /// Action to record.
        action: NotedAction,
        /// Description of the action, one sentence.
        message: String,
    },
}

/// Action that the console carries out itself.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub enum NotedAction {
    /// Backup of the database.
    Backup,
    /// Export of the audit log.
    Export,
}

/// Result of a request.
#[derive(Serialize, Deserialize)]
pub enum ConsoleResponse {
    /// All users.
    Users(Vec<UserView>),
    /// All users, each with the number of sessions.
    Accounts(Vec<(UserView, usize)>),
    /// Changed user, and the temporary password if one was generated.
    User(UserView, Option<String>),
    /// Whether access control is on.
    AccessControl(bool),
    /// Number of users after the restore, and whether the audit log was restored too.
    Restored(usize, bool),
    /// Summary of what was imported.
    Imported(Summary),
    /// Number of events that will be sent again.
    Resent(usize),
    /// Success, with nothing to report.
    Done,
}

/// Carries out a request.
///
/// # Errors
/// A message for the user, with its causes: the request breaks a rule, a password cannot be hashed
/// now, or the database cannot be read or written.
pub async fn carry_out(service: &Service, envelope: Envelope) -> Result<ConsoleResponse, String> {
    let by = Request::console(envelope.user, None);
    carry_out_by(service, by, envelope.request)
        .await
        .map_err(|error| logging::chain(&error))
}

async fn carry_out_by(
    service: &Service,
    by: Request,
    request: ConsoleRequest,
) -> Result<ConsoleResponse, ServiceError> {
    match request {
        ConsoleRequest::ListUsers => {
            let (users, _) = service.users(&by, 0, usize::MAX)?;
            Ok(ConsoleResponse::Users(
                users.into_iter().map(UserView::from).collect(),
            ))
        }
        ConsoleRequest::ListAccounts => {
            let accounts = service.accounts(&by)?.into_iter();
            Ok(ConsoleResponse::Accounts(
                accounts
                    .map(|(user, sessions)| (user.into(), sessions))
                    .collect(),
            ))
        }
        ConsoleRequest::AddUser {
            username,
            full_name,
            account_type,
            password,
        } => {
            let password = password.map(Password::new);
            let (user, temporary) = service
                .create_user(by, username, full_name, account_type.into(), password)
                .await?;
            Ok(answer(user.into(), temporary))
        }
        ConsoleRequest::ResetPassword {
            username,
            password: None,
        } => {
            let (user, temporary) = service.reset_password(by, username).await?;
            Ok(answer(user.into(), Some(temporary)))
        }
        ConsoleRequest::ResetPassword { username, password } => {
            let password = password.map(Password::new);
            let user = service
                .update_user(by, username, unlocking(), password)
                .await?;
            Ok(answer(user.into(), None))
        }
        ConsoleRequest::Unlock { username } => {
            let user = service.update_user(by, username, unlocking(), None).await?;
            Ok(answer(user.into(), None))
        }
        ConsoleRequest::DeleteUser { username } => {
            service.delete_user(by, username).await?;
            Ok(ConsoleResponse::Done)
        }
        ConsoleRequest::AccessControl => {
            Ok(ConsoleResponse::AccessControl(service.access_control()))
        }
        ConsoleRequest::SetAccessControl(on) => {
            if on {
                service.enable_access_control(by).await?;
            } else {
                service.disable_access_control(by).await?;
            }
            Ok(ConsoleResponse::AccessControl(on))
        }
        ConsoleRequest::Restore(path) => {
            let restored = service
                .store()
                .restore(path, service.authorize(&by)?)
                .await?;
            Ok(ConsoleResponse::Restored(
                restored.users,
                restored.with_audit_log,
            ))
        }
        ConsoleRequest::Import { survey, strictness } => {
            let caller = service.authorize(&by)?;
            let summary = service.store().import(survey, strictness, caller).await?;
            Ok(ConsoleResponse::Imported(summary))
        }
        ConsoleRequest::Resend => {
            let caller = service.authorize(&by)?;
            Ok(ConsoleResponse::Resent(
                service.store().send_again(caller).await?,
            ))
        }
        ConsoleRequest::Note { action, message } => {
            let action = match action {
                NotedAction::Backup => "backup",
                NotedAction::Export => "export audit log",
            };
            service
                .store()
                .note(service.authorize(&by)?, action, message)
                .await?;
            Ok(ConsoleResponse::Done)
        }
    }
}

/// Returns the change that unlocks an account.
fn unlocking() -> UserPatch {
    UserPatch {
        locked: Some(false),
        ..UserPatch::default()
    }
}

fn answer(user: UserView, temporary: Option<Password>) -> ConsoleResponse {
    ConsoleResponse::User(user, temporary.map(|password| password.expose().to_owned()))
}
