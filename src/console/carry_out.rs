//! How a request of the console is carried out by the process that holds the database: the running
//! service, or the console itself.

use serde_json::{json, Value};

use super::failure::Refusal;
use super::protocol::{
    ConsoleRequest, ConsoleResponse, Envelope, NotedAction, Sessions, UserChange,
};
use crate::domain::authority::Request;
use crate::domain::directory::draft::{Draft, Field as DirectoryField};
use crate::domain::directory::Directory;
use crate::domain::error::{Field, RuleError};
use crate::domain::passwords::Password;
use crate::domain::sessions::end::Which;
use crate::domain::settings::{Settings, SettingsPatch};
use crate::domain::tokens::SessionId;
use crate::domain::users::rules::UserPatch;
use crate::http::directory::{DirectoryBody, DirectoryView};
use crate::http::json;
use crate::http::settings::SettingsView;
use crate::http::views::UserView;
use crate::service::{Service, ServiceError};

/// Carries out a request.
///
/// # Errors
/// A [`Refusal`]: the request breaks a rule or names what does not exist, a password cannot be hashed
/// now, or the database cannot be read or written.
pub async fn carry_out(service: &Service, envelope: Envelope) -> Result<ConsoleResponse, Refusal> {
    let by = Request::console(envelope.user, envelope.reason);
    let username = match envelope.request {
        ConsoleRequest::UpdateUser { .. } => "--username",
        _ => "<USERNAME>",
    };
    carry_out_by(service, by, envelope.request)
        .await
        .map_err(|error| Refusal::of(&error, &|rule| describe(rule, username)))
}

/// Describes a broken rule, with the argument or option of the console whose value it is about.
/// `username`: argument or option for a new username.
fn describe(rule: &RuleError, username: &str) -> String {
    let text = rule.to_string();
    let Some(field) = rule.field() else {
        return text;
    };
    let argument = match field {
        Field::Username => username,
        Field::FullName => "--full-name",
        Field::Password => "--password",
        Field::Setting("bindPassword") => "--bind-password",
        Field::Setting(name) => name,
    };
    match text.strip_prefix(&field.to_string()) {
        Some(rest) => format!("{argument}{rest}"),
        None => format!("{argument}: {text}"),
    }
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
            let (user, _) = update(service, by, username, change).await?;
            Ok(answer(user, None))
        }
        ConsoleRequest::UpdateUser { username, change } => {
            let (user, changed) = update(service, by, username, change).await?;
            Ok(ConsoleResponse::Updated(user, changed))
        }
        ConsoleRequest::DeleteUser { username } => {
            service.delete_user(by, username).await?;
            Ok(ConsoleResponse::Done)
        }
        ConsoleRequest::AccessControl => {
            Ok(ConsoleResponse::AccessControl(service.access_control()))
        }
        ConsoleRequest::SetAccessControl(on) => {
            let done = if on {
                service.enable_access_control(by).await
            } else {
                service.disable_access_control(by).await
            };
            match done {
                Err(ServiceError::Rule(
                    RuleError::AccessControlAlreadyEnabled
                    | RuleError::AccessControlAlreadyDisabled,
                )) => {}
                done => done?,
            }
            Ok(ConsoleResponse::AccessControl(on))
        }
        ConsoleRequest::Settings => Ok(settings(service.settings())),
        ConsoleRequest::PatchSettings(texts) => {
            let patch = SettingsPatch::parse(&texts)?;
            Ok(settings(service.patch_settings(by, patch).await?))
        }
        ConsoleRequest::ResetSettings => Ok(settings(service.reset_settings(by).await?)),
        ConsoleRequest::Directory => {
            Ok(ConsoleResponse::Directory(shown(&*service.directory(&by)?)))
        }
        ConsoleRequest::SetDirectory {
            configuration,
            test,
        } => {
            let draft = draft(&configuration)?;
            let (set, found) = service.put_directory(by, draft, test).await?;
            Ok(ConsoleResponse::DirectorySet(shown(&set), found))
        }
        ConsoleRequest::TestDirectory(configuration) => {
            let draft = configuration.as_ref().map(draft).transpose()?;
            let found = service.test_directory(by, draft).await?;
            Ok(ConsoleResponse::DirectoryTested(found))
        }
        ConsoleRequest::RemoveDirectory => {
            let users = service.remove_directory(by).await?;
            Ok(ConsoleResponse::DirectoryRemoved(users))
        }
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
            service.look_up_always();
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

/// Changes a user; returns it, and whether anything changed.
async fn update(
    service: &Service,
    by: Request,
    username: String,
    change: UserChange,
) -> Result<(UserView, bool), ServiceError> {
    let patch = UserPatch {
        username: change.username,
        full_name: change.full_name,
        account_type: change.account_type.map(Into::into),
        locked: change.locked,
        reset_password: change.reset_password,
    };
    let password = change.password.map(Password::new);
    let (user, changed) = service.update_user(by, username, patch, password).await?;
    Ok((user.into(), changed))
}

/// Converts settings to what clients see.
fn settings(settings: Settings) -> ConsoleResponse {
    ConsoleResponse::Settings(json!(SettingsView(settings)))
}

/// Converts a configuration of the directory to what clients see.
fn shown(directory: &Directory) -> Value {
    json!(DirectoryView::from(directory))
}

/// Reads a configuration of the directory as over HTTP.
///
/// # Errors
/// [`RuleError::OutOfRange`], with the name of the field, if a value has the wrong type.
fn draft(configuration: &Value) -> Result<Draft, RuleError> {
    let text = json!({ "data": configuration }).to_string();
    let read: Result<DirectoryBody, _> = json::envelope(text.as_bytes());
    read.map(|body| body.0).map_err(|error| {
        let said = error.to_string();
        let (path, rule) = said.split_once(": ").unwrap_or_default();
        let name = path.trim_start_matches("data.").split('[').next();
        let field = name.and_then(DirectoryField::named);
        RuleError::OutOfRange {
            field: Field::Setting(field.map_or("--file", |field| field.name)),
            rule: rule.into(),
        }
    })
}

fn answer(user: UserView, temporary: Option<Password>) -> ConsoleResponse {
    ConsoleResponse::User(user, temporary.map(|password| password.expose().to_owned()))
}
