//! Requests of the console to the process that holds the database, and their results.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::http::views::{AccountType, UserView};
use crate::service::ActiveSession;
use crate::store::{Strictness, Summary, Survey};

/// Request and the user who makes it. It may contain a password and is never logged.
#[derive(Serialize, Deserialize)]
pub struct Envelope {
    /// Name of the system user at the console.
    pub user: String,
    /// Reason for the request, for the audit log.
    pub reason: Option<String>,
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
    /// Return the configuration of the directory.
    Directory,
    /// Configure the directory.
    SetDirectory {
        /// Configuration as over HTTP.
        configuration: Value,
        /// Whether to try it first.
        test: bool,
    },
    /// Try this configuration of the directory, as over HTTP; `None` for the present one.
    TestDirectory(Option<Value>),
    /// Remove the configuration of the directory.
    RemoveDirectory,
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
    /// New user or user with a new password, and the temporary password if one was generated.
    User(UserView, Option<String>),
    /// User after a change, and whether anything changed.
    Updated(UserView, bool),
    /// Whether access control is on.
    AccessControl(bool),
    /// Settings as clients see them, after the change if there was one.
    Settings(Value),
    /// Configuration of the directory as clients see it.
    Directory(Value),
    /// Configuration of the directory after a change, and what the test found.
    DirectorySet(Value, Vec<String>),
    /// What a test of the directory found.
    DirectoryTested(Vec<String>),
    /// Number of users of the directory that was removed.
    DirectoryRemoved(usize),
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
