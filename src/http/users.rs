//! `/auth/users`: user accounts, managed by administrators and by the users themselves.

use actix_web::web;
use actix_web::{HttpRequest, HttpResponse, Responder};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::openapi::schema::{Object, ObjectBuilder, SchemaType, Type};
use utoipa::{IntoParams, ToSchema};

use super::auth::{admit, reader};
use super::body::Body;
use super::error::{ApiError, ErrorBody};
use super::json::{self, present, PasswordText};
use super::views::{AccountType, ResetPasswordReason, UserView};
use super::{nothing, ok, AppState, Data, Empty};
use crate::domain::authority::Need;
use crate::domain::passwords::Password;
use crate::domain::scopes::Scope;
use crate::domain::users::profile::Profile;
use crate::domain::users::rules::UserPatch;

/// User account, with its temporary password if the request generated one.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct UserWithPassword {
    /// User account.
    #[serde(flatten)]
    user: UserView,
    /// Temporary password for the next login; no later response contains it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    temporary_password: Option<String>,
}

impl UserWithPassword {
    fn new(profile: Profile, password: Option<&Password>) -> Self {
        Self {
            user: profile.into(),
            temporary_password: password.map(|password| password.expose().to_owned()),
        }
    }
}

/// Position and total length of a list.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListMeta {
    /// Index of the first returned item, starting at 0.
    cursor: usize,
    /// Number of items in the whole list.
    total_length: usize,
}

/// Envelope of a response with a list of users.
#[derive(Debug, Serialize, ToSchema)]
pub struct UserList {
    /// Users, sorted by username.
    data: Vec<UserView>,
    /// Position of these users in the whole list.
    meta: ListMeta,
}

/// Query parameters that select a part of a list.
#[derive(Debug, Default, IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
pub struct Page {
    /// Index of the first item to return, starting at 0.
    #[param(minimum = 0, maximum = 2_147_483_647, value_type = i32, required = false)]
    cursor: usize,
    /// Maximum number of items to return; all if omitted.
    #[param(minimum = 1, maximum = 2_147_483_647, value_type = i32, required = false)]
    page_length: Option<usize>,
}

impl Page {
    /// Parses a query string. Unknown parameters are ignored.
    fn parse(query: &str) -> Result<Self, ApiError> {
        let mut cursor = None;
        let mut page_length = None;
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let (slot, least) = match &*name {
                "cursor" => (&mut cursor, 0),
                "pageLength" => (&mut page_length, 1),
                _ => continue,
            };
            if slot.is_some() {
                return Err(ApiError::Invalid(format!(
                    "query.{name}: must not be given more than once"
                )));
            }
            let number = value.parse::<i32>().ok().filter(|value| *value >= least);
            *slot = Some(number.ok_or_else(|| {
                let most = i32::MAX;
                ApiError::Invalid(format!(
                    "query.{name}: must be an integer from {least} to {most}"
                ))
            })? as usize);
        }
        Ok(Self {
            cursor: cursor.unwrap_or(0),
            page_length,
        })
    }
}

/// User account to create.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct NewUser {
    /// Username of the account: ASCII letters, digits, punctuation except the backtick, and hanzi
    /// (U+4E00 to U+9FFF); not dots alone.
    #[schema(
        min_length = 1,
        max_length = 20,
        pattern = "^[!-_a-~\\u4e00-\\u9fff]+$"
    )]
    username: String,
    /// Full name of the person. The full name of a service account is always `Service Account`.
    #[schema(min_length = 1, max_length = 256)]
    full_name: String,
    /// Type of the account.
    account_type: AccountType,
    /// Password of the account. If it is omitted, the response contains a temporary password.
    #[serde(default)]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 1024, pattern = "^[ !-_a-~\\u4e00-\\u9fff]+$", format = Password)]
    password: Option<PasswordText>,
}

/// Changes to a user account; an omitted field stays unchanged.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = UserPatch)]
pub struct UserPatchBody {
    /// New username. A change ends the user's sessions.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = String, required = false, min_length = 1, max_length = 20, pattern = "^[!-_a-~\\u4e00-\\u9fff]+$")]
    username: Option<String>,
    /// New full name of the person.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = String, required = false, min_length = 1, max_length = 256)]
    full_name: Option<String>,
    /// New account type. A change ends the user's sessions.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = AccountType, required = false)]
    account_type: Option<AccountType>,
    /// New password. It ends the user's sessions and clears `resetPassword`, even if the same
    /// request sets that.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = String, required = false, min_length = 1, max_length = 1024, pattern = "^[ !-_a-~\\u4e00-\\u9fff]+$", format = Password)]
    password: Option<PasswordText>,
    /// Whether the account is locked. `true` ends the user's sessions; `false` also clears the
    /// failed logins.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = bool, required = false)]
    locked: Option<bool>,
    /// `true`: the user must set a new password, and the user's sessions end. `false` has no
    /// effect.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = bool, required = false)]
    reset_password: Option<bool>,
}

/// Changes to the authenticated user; an omitted field stays unchanged.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SelfPatch {
    /// New username.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = String, required = false, min_length = 1, max_length = 20, pattern = "^[!-_a-~\\u4e00-\\u9fff]+$")]
    username: Option<String>,
    /// New full name of the person.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = String, required = false, min_length = 1, max_length = 256)]
    full_name: Option<String>,
    /// New password; it must differ from the current one. It ends the user's other sessions.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = String, required = false, min_length = 1, max_length = 1024, pattern = "^[ !-_a-~\\u4e00-\\u9fff]+$", format = Password)]
    password: Option<PasswordText>,
}

/// Password to validate.
#[derive(Debug, Deserialize, ToSchema)]
pub struct PasswordToValidate {
    /// Password that the user intends to set.
    #[schema(value_type = String, format = Password)]
    password: PasswordText,
}

/// Reason why a user's next login needs a further step.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum LoginReason {
    /// The user must replace a temporary password.
    TemporaryPassword,
}

/// Returns the schema of an optional [`LoginReason`]. The one that utoipa derives is a union with null,
/// which some client generators cannot read.
fn login_reason() -> Object {
    ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::String, Type::Null]))
        .description(Some(
            "`temporaryPassword` if the user must replace a temporary password, otherwise null.",
        ))
        .enum_values(Some([json!("temporaryPassword"), json!(null)]))
        .build()
}

/// State of an account, for the login screen.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LoginStatus {
    /// `temporaryPassword` if the user must replace a temporary password, otherwise null.
    #[schema(required, schema_with = login_reason)]
    reason: Option<LoginReason>,
    /// Reason why the user must set a new password.
    reset_password_reason: ResetPasswordReason,
}

/// Returns the users, sorted by username.
#[utoipa::path(
    get,
    path = "/auth/users",
    operation_id = "listUsers",
    tag = "Users",
    params(Page),
    responses(
        (status = 200, description = "The selected part of the list of users.", body = UserList),
        (status = 422, description = "`invalidRequest`: a query parameter is invalid.", body = ErrorBody),
    ),
    security((), ("oauth2" = ["users.read.others"]))
)]
pub async fn list(
    app: web::Data<AppState>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let reader = reader(&request, Need::Scope(Scope::UsersReadOthers));
    app.service.authorize(&reader)?;
    let page = Page::parse(request.query_string())?;
    let most = page.page_length.unwrap_or(usize::MAX);
    let (profiles, total_length) = app.service.users(&reader, page.cursor, most)?;
    let list = UserList {
        data: profiles.into_iter().map(UserView::from).collect(),
        meta: ListMeta {
            cursor: page.cursor,
            total_length,
        },
    };
    Ok(HttpResponse::Ok().json(list))
}

/// Creates a user.
///
/// If the request contains no password, the response contains a temporary one.
#[utoipa::path(
    post,
    path = "/auth/users",
    operation_id = "createUser",
    tag = "Users",
    request_body = Data<NewUser>,
    responses(
        (status = 201, description = "The new user, with the temporary password if one was generated.", body = Data<UserWithPassword>),
        (status = 400, description = "`userAlreadyExists`, `usernameEmpty`, `fullNameEmpty`, `passwordEmpty`, `fullNameContainsInvalidCharacters`, \
            `usernameContainsInvalidCharacters`, `passwordContainsInvalidCharacters`, `passwordTooShort`, \
            `passwordMissingSpecialCharacters`.", body = ErrorBody),
        (status = 422, description = "`invalidRequest`: the request is malformed, a value is invalid, or the header `Opentrons-User-Notes` is longer than 2,000 characters.", body = ErrorBody),
        (status = 503, description = "`busy`: too many passwords are waiting to be checked; see `Retry-After`.", body = ErrorBody),
    ),
    security((), ("oauth2" = ["users.write"]))
)]
pub async fn create(
    app: web::Data<AppState>,
    request: HttpRequest,
    body: Body,
) -> Result<HttpResponse, ApiError> {
    let by = admit(&app, &request, Need::Scope(Scope::UsersWrite))?;
    let new: NewUser = json::data(&request, &body)?;
    let (user, temporary) = app
        .service
        .create_user(
            by,
            new.username,
            new.full_name,
            new.account_type.into(),
            new.password.map(|password| password.0),
        )
        .await?;
    let data = UserWithPassword::new(user, temporary.as_ref());
    Ok(HttpResponse::Created().json(Data { data }))
}

/// Returns a user.
#[utoipa::path(
    get,
    path = "/auth/users/byUsername/{username}",
    operation_id = "getUser",
    tag = "Users",
    params(("username" = String, Path, description = "Username of the account.")),
    responses(
        (status = 200, description = "The user.", body = Data<UserView>),
        (status = 404, description = "`userNotFound`: there is no user with this username.", body = ErrorBody),
    ),
    security((), ("oauth2" = ["users.read.others"]))
)]
pub async fn get(
    app: web::Data<AppState>,
    request: HttpRequest,
    username: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let reader = reader(&request, Need::Scope(Scope::UsersReadOthers));
    Ok(ok(UserView::from(app.service.user(&reader, &username)?)))
}

/// Changes a user.
#[utoipa::path(
    patch,
    path = "/auth/users/byUsername/{username}",
    operation_id = "updateUser",
    tag = "Users",
    params(("username" = String, Path, description = "Username of the account.")),
    request_body = Data<UserPatchBody>,
    responses(
        (status = 200, description = "The user after the change.", body = Data<UserView>),
        (status = 400, description = "`userAlreadyExists`, `usernameEmpty`, `fullNameEmpty`, `passwordEmpty`, `fullNameContainsInvalidCharacters`, \
            `usernameContainsInvalidCharacters`, `passwordContainsInvalidCharacters`, `passwordTooShort`, \
            `passwordMissingSpecialCharacters`, `passwordPreviouslyUsed`, `serviceAccountImmutable`, \
            `managedByDirectory`, `passwordManagedByDirectory`.", body = ErrorBody),
        (status = 404, description = "`userNotFound`: there is no user with this username.", body = ErrorBody),
        (status = 409, description = "`lastAdmin`: access control is enabled, and no administrator would be able to log in.", body = ErrorBody),
        (status = 422, description = "`invalidRequest`: the request is malformed, a value is invalid, or the header `Opentrons-User-Notes` is longer than 2,000 characters.", body = ErrorBody),
        (status = 503, description = "`busy`: too many passwords are waiting to be checked; see `Retry-After`.", body = ErrorBody),
    ),
    security((), ("oauth2" = ["users.write"]))
)]
pub async fn patch(
    app: web::Data<AppState>,
    request: HttpRequest,
    username: web::Path<String>,
    body: Body,
) -> Result<HttpResponse, ApiError> {
    let by = admit(&app, &request, Need::Scope(Scope::UsersWrite))?;
    let body: UserPatchBody = json::data(&request, &body)?;
    let patch = UserPatch {
        username: body.username,
        full_name: body.full_name,
        account_type: body.account_type.map(Into::into),
        locked: body.locked,
        reset_password: body.reset_password == Some(true),
    };
    let (user, _) = app
        .service
        .update_user(
            by,
            username.into_inner(),
            patch,
            body.password.map(|password| password.0),
        )
        .await?;
    Ok(ok(UserView::from(user)))
}

/// Deletes a user and ends the user's sessions.
#[utoipa::path(
    delete,
    path = "/auth/users/byUsername/{username}",
    operation_id = "deleteUser",
    tag = "Users",
    params(("username" = String, Path, description = "Username of the account.")),
    responses(
        (status = 200, description = "The user was deleted.", body = Empty),
        (status = 400, description = "`serviceAccountImmutable`: access control is enabled.", body = ErrorBody),
        (status = 404, description = "`userNotFound`: there is no user with this username.", body = ErrorBody),
        (status = 409, description = "`lastAdmin`: access control is enabled, and no administrator would be able to log in.", body = ErrorBody),
        (status = 422, description = "`invalidRequest`: the header `Opentrons-User-Notes` is longer than 2,000 characters.", body = ErrorBody),
    ),
    security((), ("oauth2" = ["users.write"]))
)]
pub async fn delete(
    app: web::Data<AppState>,
    request: HttpRequest,
    username: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let by = admit(&app, &request, Need::Scope(Scope::UsersWrite))?;
    app.service.delete_user(by, username.into_inner()).await?;
    Ok(nothing())
}

/// Sets a new temporary password for a user, unlocks the account and ends the user's sessions.
#[utoipa::path(
    post,
    path = "/auth/users/byUsername/{username}/resetPassword",
    operation_id = "resetUserPassword",
    tag = "Users",
    params(("username" = String, Path, description = "Username of the account.")),
    responses(
        (status = 200, description = "The user, with the new temporary password.", body = Data<UserWithPassword>),
        (status = 400, description = "`passwordManagedByDirectory`: the user comes from the lab's directory.", body = ErrorBody),
        (status = 404, description = "`userNotFound`: there is no user with this username.", body = ErrorBody),
        (status = 422, description = "`invalidRequest`: the header `Opentrons-User-Notes` is longer than 2,000 characters.", body = ErrorBody),
        (status = 503, description = "`busy`: too many passwords are waiting to be checked; see `Retry-After`.", body = ErrorBody),
    ),
    security((), ("oauth2" = ["users.write"]))
)]
pub async fn reset_password(
    app: web::Data<AppState>,
    request: HttpRequest,
    username: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let by = admit(&app, &request, Need::Scope(Scope::UsersWrite))?;
    let (user, password) = app
        .service
        .reset_password(by, username.into_inner())
        .await?;
    Ok(ok(UserWithPassword::new(user, Some(&password))))
}

/// Returns the state of a user's account, for the login screen.
#[utoipa::path(
    get,
    path = "/auth/users/byUsername/{username}/loginStatus",
    operation_id = "getLoginStatus",
    tag = "Log in",
    params(("username" = String, Path, description = "Username of the account.")),
    responses(
        (status = 200, description = "The state of the account.", body = Data<LoginStatus>),
        (status = 404, description = "`userNotFound`: there is no user with this username.", body = ErrorBody),
    )
)]
pub async fn login_status(
    app: web::Data<AppState>,
    username: web::Path<String>,
) -> Result<impl Responder, ApiError> {
    let status = app.service.login_status(&username)?;
    Ok(ok(LoginStatus {
        reason: status
            .temporary_password
            .then_some(LoginReason::TemporaryPassword),
        reset_password_reason: status.reset_reason.into(),
    }))
}

/// Returns the authenticated user. An access token is required even while access control is off.
#[utoipa::path(
    get,
    path = "/auth/users/self",
    operation_id = "getOwnUser",
    tag = "Users",
    responses(
        (status = 200, description = "The user.", body = Data<UserView>),
    ),
    security(("oauth2" = ["users.read.self"]))
)]
pub async fn get_self(
    app: web::Data<AppState>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let reader = reader(&request, Need::OwnScope(Scope::UsersReadSelf));
    Ok(ok(UserView::from(app.service.self_user(&reader)?)))
}

/// Changes the authenticated user's username, full name or password.
#[utoipa::path(
    patch,
    path = "/auth/users/self",
    operation_id = "updateOwnUser",
    tag = "Users",
    request_body = Data<SelfPatch>,
    responses(
        (status = 200, description = "The user after the change.", body = Data<UserView>),
        (status = 400, description = "`userAlreadyExists`, `usernameEmpty`, `fullNameEmpty`, `passwordEmpty`, `fullNameContainsInvalidCharacters`, \
            `usernameContainsInvalidCharacters`, `passwordContainsInvalidCharacters`, `passwordTooShort`, \
            `passwordMissingSpecialCharacters`, `passwordPreviouslyUsed`, `serviceAccountImmutable`, \
            `managedByDirectory`, `passwordManagedByDirectory`.", body = ErrorBody),
        (status = 404, description = "`userNotFound`: the user was deleted while the request was being processed.", body = ErrorBody),
        (status = 422, description = "`invalidRequest`: the request is malformed, a value is invalid, or the header `Opentrons-User-Notes` is longer than 2,000 characters.", body = ErrorBody),
        (status = 503, description = "`busy`: too many passwords are waiting to be checked; see `Retry-After`.", body = ErrorBody),
    ),
    security(("oauth2" = ["users.write.self"]))
)]
pub async fn patch_self(
    app: web::Data<AppState>,
    request: HttpRequest,
    body: Body,
) -> Result<HttpResponse, ApiError> {
    let by = admit(&app, &request, Need::OwnScope(Scope::UsersWriteSelf))?;
    let body: SelfPatch = json::data(&request, &body)?;
    let patch = UserPatch {
        username: body.username,
        full_name: body.full_name,
        ..UserPatch::default()
    };
    let user = app
        .service
        .update_self(by, patch, body.password.map(|password| password.0))
        .await?;
    Ok(ok(UserView::from(user)))
}

/// Checks whether `PATCH /auth/users/self` would accept a new password.
///
/// Nothing is changed, and the request does not count as a login. Because the response reveals
/// whether a password is the current one, a session may send at most 10 such requests per minute.
#[utoipa::path(
    post,
    path = "/auth/users/self/validatePassword",
    operation_id = "validateOwnPassword",
    tag = "Users",
    request_body = Data<PasswordToValidate>,
    responses(
        (status = 200, description = "The password would be accepted.", body = Empty),
        (status = 400, description = "`passwordEmpty`, `passwordTooShort`, `passwordMissingSpecialCharacters`, \
            `passwordContainsInvalidCharacters`, `passwordPreviouslyUsed`, `passwordManagedByDirectory`.", body = ErrorBody),
        (status = 422, description = "`invalidRequest`: the request is malformed, a value is invalid, or the header `Opentrons-User-Notes` is longer than 2,000 characters.", body = ErrorBody),
        (status = 429, description = "`tooManyAttempts`: more than 10 requests in a minute; see `Retry-After`.", body = ErrorBody),
        (status = 503, description = "`busy`: too many passwords are waiting to be checked; see `Retry-After`.", body = ErrorBody),
    ),
    security(("oauth2" = ["users.read.self"]))
)]
pub async fn validate_password(
    app: web::Data<AppState>,
    request: HttpRequest,
    body: Body,
) -> Result<HttpResponse, ApiError> {
    let by = admit(&app, &request, Need::OwnScope(Scope::UsersReadSelf))?;
    let body: PasswordToValidate = json::data(&request, &body)?;
    app.service.try_password(by, body.password.0).await?;
    Ok(nothing())
}
