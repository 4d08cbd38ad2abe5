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

/// An order, and who gives it. It may hold a password: it is never logged.
#[derive(Serialize, Deserialize)]
pub struct Signed {
    /// The user at the console.
    pub user: String,
    /// What to do.
    pub order: Order,
}

/// What to do.
#[derive(Serialize, Deserialize)]
pub enum Order {
    /// List all users.
    ListUsers,
    /// Create a user.
    AddUser {
        /// The name to log in with.
        username: String,
        /// The user's name in the world.
        full_name: String,
        /// What the account is for.
        account_type: AccountType,
        /// The password; without one a temporary one is made.
        password: Option<String>,
    },
    /// Give a user a new password and unlock the account.
    ResetPassword {
        /// Whose.
        username: String,
        /// The password; without one a temporary one is made.
        password: Option<String>,
    },
    /// Unlock an account.
    Unlock {
        /// Whose.
        username: String,
    },
    /// Delete a user.
    DeleteUser {
        /// Whom.
        username: String,
    },
    /// Tell whether access control is on.
    AccessControl,
    /// Turn access control on or off.
    SetAccessControl(bool),
    /// Restore from a copy of a backup in the state folder.
    Restore(PathBuf),
    /// Take over a copy of the Python server's state, which lies in our state folder.
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

/// What came of an order.
#[derive(Serialize, Deserialize)]
pub enum Answer {
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

/// Carries an order out.
///
/// # Errors
/// A sentence for the user.
pub async fn carry_out(service: &Service, signed: Signed) -> Result<Answer, String> {
    let by = Request::console(signed.user, None);
    try_to(service, by, signed.order)
        .await
        .map_err(|error| logging::chain(&error))
}

async fn try_to(service: &Service, by: Request, order: Order) -> Result<Answer, ServiceError> {
    match order {
        Order::ListUsers => {
            let (users, _) = service.users(&by, 0, usize::MAX)?;
            Ok(Answer::Users(
                users.into_iter().map(UserView::from).collect(),
            ))
        }
        Order::AddUser {
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
        Order::ResetPassword {
            username,
            password: None,
        } => {
            let (user, temporary) = service.reset_password(by, username).await?;
            Ok(answer(user.into(), Some(temporary)))
        }
        Order::ResetPassword { username, password } => {
            let password = password.map(Password::new);
            let user = service
                .update_user(by, username, unlocking(), password)
                .await?;
            Ok(answer(user.into(), None))
        }
        Order::Unlock { username } => {
            let user = service.update_user(by, username, unlocking(), None).await?;
            Ok(answer(user.into(), None))
        }
        Order::DeleteUser { username } => {
            service.delete_user(by, username).await?;
            Ok(Answer::Done)
        }
        Order::AccessControl => Ok(Answer::AccessControl(service.access_control())),
        Order::SetAccessControl(on) => {
            if on {
                service.enable_access_control(by).await?;
            } else {
                service.disable_access_control(by).await?;
            }
            Ok(Answer::AccessControl(on))
        }
        Order::Restore(path) => {
            let restored = service
                .store()
                .restore(path, service.authorize(&by)?)
                .await?;
            Ok(Answer::Restored(restored.users, restored.with_audit_log))
        }
        Order::Import { survey, strictness } => {
            let caller = service.authorize(&by)?;
            let summary = service
                .store()
                .take_over(survey, strictness, caller)
                .await?;
            Ok(Answer::Imported(summary))
        }
        Order::Resend => {
            let caller = service.authorize(&by)?;
            Ok(Answer::Resent(service.store().send_again(caller).await?))
        }
        Order::Note { action, message } => {
            let action = match action {
                NotedAction::Backup => "backup",
                NotedAction::Export => "export audit log",
            };
            service
                .store()
                .note(service.authorize(&by)?, action, message)
                .await?;
            Ok(Answer::Done)
        }
    }
}

fn unlocking() -> UserPatch {
    UserPatch {
        locked: Some(false),
        ..UserPatch::default()
    }
}

fn answer(user: UserView, temporary: Option<Password>) -> Answer {
    Answer::User(user, temporary.map(|password| password.expose().to_owned()))
}
