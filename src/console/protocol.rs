//! Requests of the console, and how they are carried out by the process that holds the database: the
//! running service, or the console itself.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::{json, Value};

use crate::domain::authority::Request;
use crate::domain::passwords::Password;
use crate::domain::sessions::end::Which;
use crate::domain::settings::{Settings, SettingsPatch};
use crate::domain::tokens::SessionId;
use crate::domain::users::rules::UserPatch;
use crate::http::settings::SettingsView;
use crate::http::views::{AccountType, UserView};
use crate::logging;
use crate::service::{ActiveSession, Service, ServiceError};
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
    /// List one user, with the number of sessions.
    ShowUser {
        /// Username of the account.
        username: String,
    },
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
    /// Change a user.
    UpdateUser {
        /// Username of the account.
        username: String,
        /// What changes.
        change: UserChange,
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
    /// Return the settings.
    Settings,
    /// Change these settings, given by their names, to values given as JSON texts.
    PatchSettings(Vec<(String, String)>),
    /// Reset all settings to their defaults.
    ResetSettings,
    /// List the sessions of all users or of one.
    ListSessions {
        /// Username of the account; `None` for all.
        username: Option<String>,
    },
    /// End sessions.
    EndSessions(Sessions),
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

/// Change to a user; an omitted field stays unchanged.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
pub struct UserChange {
    /// New username.
    pub username: Option<String>,
    /// New full name of the person.
    pub full_name: Option<String>,
    /// New type of the account.
    pub account_type: Option<AccountType>,
    /// New password.
    pub password: Option<String>,
    /// Whether to lock the account, or to unlock it and clear its failed logins.
    pub locked: Option<bool>,
    /// Whether to require a new password from the user.
    pub reset_password: bool,
}

impl UserChange {
    /// Returns the change that locks or unlocks an account.
    pub fn lock(locked: bool) -> Self {
        Self {
            locked: Some(locked),
            ..Self::default()
        }
    }
}

/// Sessions to end.
#[derive(Serialize, Deserialize)]
pub enum Sessions {
    /// Session with this id.
    One(i64),
    /// All sessions of the user with this username.
    Of(String),
    /// All sessions.
    All,
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
    /// Settings as clients see them, after the change if there was one.
    Settings(Value),
    /// Sessions, in the order of logins.
    Sessions(Vec<ActiveSession>),
    /// Number of sessions that ended.
    Ended(usize),
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
        ConsoleRequest::ListAccounts => accounts(service, &by, None),
        ConsoleRequest::ShowUser { username } => accounts(service, &by, Some(&username)),
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
            let change = UserChange {
                password,
                ..UserChange::lock(false)
            };
            update(service, by, username, change).await
        }
        ConsoleRequest::UpdateUser { username, change } => {
            update(service, by, username, change).await
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
        ConsoleRequest::Settings => Ok(settings(service.settings())),
        ConsoleRequest::PatchSettings(texts) => {
            let patch = SettingsPatch::parse(&texts)?;
            Ok(settings(service.patch_settings(by, patch).await?))
        }
        ConsoleRequest::ResetSettings => Ok(settings(service.reset_settings(by).await?)),
        ConsoleRequest::ListSessions { username } => {
            let sessions = service.sessions(&by, username.as_deref())?;
            Ok(ConsoleResponse::Sessions(sessions))
        }
        ConsoleRequest::EndSessions(sessions) => {
            let which = match sessions {
                Sessions::One(id) => Which::One(SessionId(id)),
                Sessions::Of(username) => Which::Of(username),
                Sessions::All => Which::All,
            };
            let ended = service.end_sessions(by, which).await?;
            Ok(ConsoleResponse::Ended(ended))
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

/// Returns all users, or the one with this username, each with the number of sessions.
fn accounts(
    service: &Service,
    by: &Request,
    username: Option<&str>,
) -> Result<ConsoleResponse, ServiceError> {
    let accounts = service.accounts(by, username)?.into_iter();
    Ok(ConsoleResponse::Accounts(
        accounts
            .map(|(user, sessions)| (user.into(), sessions))
            .collect(),
    ))
}

/// Changes a user.
async fn update(
    service: &Service,
    by: Request,
    username: String,
    change: UserChange,
) -> Result<ConsoleResponse, ServiceError> {
    let patch = UserPatch {
        username: change.username,
        full_name: change.full_name,
        account_type: change.account_type.map(Into::into),
        locked: change.locked,
        reset_password: change.reset_password,
    };
    let password = change.password.map(Password::new);
    let user = service.update_user(by, username, patch, password).await?;
    Ok(answer(user.into(), None))
}

/// Converts settings to what clients see.
fn settings(settings: Settings) -> ConsoleResponse {
    ConsoleResponse::Settings(json!(SettingsView(settings)))
}

fn answer(user: UserView, temporary: Option<Password>) -> ConsoleResponse {
    ConsoleResponse::User(user, temporary.map(|password| password.expose().to_owned()))
}
