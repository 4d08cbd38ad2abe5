//! What the console asks of whoever holds the database: the running service, or itself.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::domain::authority::Request;
use crate::domain::passwords::Password;
use crate::domain::users::rules::UserPatch;
use crate::http::views::{AccountType, UserView};
use crate::logging;
use crate::service::{Service, ServiceError};
use crate::store::{Strictness, Summary, Survey};

/// A request, and who gives it. It may hold a password: it is never logged.
#[derive(Serialize, Deserialize)]
pub struct Envelope {
    /// The user at the console.
    pub user: String,
    /// What to do.
    pub request: ConsoleRequest,
}

/// What to do.
#[derive(Serialize, Deserialize)]
pub enum ConsoleRequest {
    /// List all users.
    ListUsers,
    /// Create a user.
    AddUser {
        /// Username of the account.
        username: String,
        /// Full name of the person.
        full_name: String,
        /// Type of the account.
        account_type: AccountType,
        /// The password; without one a temporary one is made.
        password: Option<String>,
    },
    /// Give a user a new password and unlock the account.
    ResetPassword {
        /// Username of the account.
        username: String,
        /// The password; without one a temporary one is made.
        password: Option<String>,
    },
    /// Unlock an account.
    Unlock {
        /// Username of the account.
        username: String,
    },
    /// Delete a user.
    DeleteUser {
        /// Username of the account.
        username: String,
    },
    /// Tell whether access control is on.
    AccessControl,
    /// Turn access control on or off.
    SetAccessControl(bool),
    /// Restore from a copy of a backup in the state directory.
    Restore(PathBuf),
    /// Take over a copy of the Python server's state, which lies in our state directory.
    Import {
        /// The copy.
        survey: Survey,
        /// What to do about faults.
        strictness: Strictness,
    },
    /// Send the events again that the audit server has refused.
    Resend,
    /// Write down what the console did itself.
    Note {
        /// What was done.
        action: NotedAction,
        /// The same in a sentence.
        message: String,
    },
}

/// What the console does itself.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub enum NotedAction {
    /// It copied the database.
    Backup,
    /// It wrote the audit log out.
    Export,
}

/// What came of a request.
#[derive(Serialize, Deserialize)]
pub enum ConsoleResponse {
    /// All users.
    Users(Vec<UserView>),
    /// A user, and a temporary password if one was made.
    User(UserView, Option<String>),
    /// Whether access control is on.
    AccessControl(bool),
    /// How many users were restored, and whether the audit log came along.
    Restored(usize, bool),
    /// What was taken over.
    Imported(Summary),
    /// How many events are sent again.
    Resent(usize),
    /// It is done.
    Done,
}

/// Carries a request out.
///
/// # Errors
/// A sentence for the user.
pub async fn carry_out(service: &Service, envelope: Envelope) -> Result<ConsoleResponse, String> {
    let by = Request::console(envelope.user, None);
    try_to(service, by, envelope.request)
        .await
        .map_err(|error| logging::chain(&error))
}

async fn try_to(
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
            let summary = service
                .store()
                .take_over(survey, strictness, caller)
                .await?;
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

fn unlocking() -> UserPatch {
    UserPatch {
        locked: Some(false),
        ..UserPatch::default()
    }
}

fn answer(user: UserView, temporary: Option<Password>) -> ConsoleResponse {
    ConsoleResponse::User(user, temporary.map(|password| password.expose().to_owned()))
}
