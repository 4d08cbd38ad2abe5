//! `/auth/users`: user accounts, by an administrator and by the users themselves.

use actix_web::web::{self, Bytes};
use actix_web::{HttpRequest, HttpResponse, Responder};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::auth::{admit, reader};
use super::error::{ApiError, ErrorBody, UnauthorizedBody};
use super::json::{self, present, PasswordText};
use super::views::{AccountType, ResetPasswordReason, UserView};
use super::{nothing, ok, AppState, Data, Empty};
use crate::domain::authority::Need;
use crate::domain::passwords::Password;
use crate::domain::scopes::Scope;
use crate::domain::users::profile::Profile;
use crate::domain::users::rules::UserPatch;

/// A user account, and its temporary password this once.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct UserWithPassword {
    /// The account.
    #[serde(flatten)]
    user: UserView,
    /// The password that the user logs in with first.
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

/// Where a list begins and how much there is.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListMeta {
    /// Position of the first item, from 0.
    cursor: usize,
    /// How many items there are in all.
    total_length: usize,
}

/// The envelope of an answer with a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct UserList {
    /// The items.
    data: Vec<UserView>,
    /// Where the list begins.
    meta: ListMeta,
}

/// Which part of a list.
#[derive(Debug, Default, IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
pub struct Page {
    /// Position of the first item, from 0.
    #[param(minimum = 0, maximum = 2_147_483_647, value_type = i32, required = false)]
    cursor: usize,
    /// Most items to answer with; all when it is left out.
    #[param(minimum = 1, maximum = 2_147_483_647, value_type = i32, required = false)]
    page_length: Option<usize>,
}

impl Page {
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
                return Err(ApiError::Invalid(format!("query.{name}: given twice")));
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

/// A user account to create.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct NewUser {
    /// The name to log in with: ASCII letters, digits, punctuation but the backtick, and hanzi; not
    /// dots alone.
    #[schema(
        min_length = 1,
        max_length = 20,
        pattern = "^[!-_a-~\\u4e00-\\u9fff]+$"
    )]
    username: String,
    /// Full name of the person. A service account's is always `Service Account`.
    #[schema(min_length = 1, max_length = 256)]
    full_name: String,
    /// Type of the account.
    account_type: AccountType,
    /// The password; without it the answer has a temporary one.
    #[serde(default)]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 1024, pattern = "^[ !-_a-~\\u4e00-\\u9fff]+$", format = Password)]
    password: Option<PasswordText>,
}

/// What to change of a user; a field that is left out stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = UserPatch)]
pub struct UserPatchBody {
    /// A new username.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = String, required = false, min_length = 1, max_length = 20, pattern = "^[!-_a-~\\u4e00-\\u9fff]+$")]
    username: Option<String>,
    /// A new full name.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = String, required = false, min_length = 1, max_length = 256)]
    full_name: Option<String>,
    /// Another type.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = AccountType, required = false)]
    account_type: Option<AccountType>,
    /// A new password. It ends all logins of the user, and clears `resetPassword`.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = String, required = false, min_length = 1, max_length = 1024, pattern = "^[ !-_a-~\\u4e00-\\u9fff]+$", format = Password)]
    password: Option<PasswordText>,
    /// Lock or unlock the account; unlocking forgets failed logins as well.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = bool, required = false)]
    locked: Option<bool>,
    /// Make the user set a new password.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = bool, required = false)]
    reset_password: Option<bool>,
}

/// What to change of oneself; a field that is left out stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SelfPatch {
    /// A new username.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = String, required = false, min_length = 1, max_length = 20, pattern = "^[!-_a-~\\u4e00-\\u9fff]+$")]
    username: Option<String>,
    /// A new full name.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = String, required = false, min_length = 1, max_length = 256)]
    full_name: Option<String>,
    /// A new password, other than the current one. It ends the user's other logins.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = String, required = false, min_length = 1, max_length = 1024, pattern = "^[ !-_a-~\\u4e00-\\u9fff]+$", format = Password)]
    password: Option<PasswordText>,
}

/// A password to try out.
#[derive(Debug, Deserialize, ToSchema)]
pub struct PasswordToValidate {
    /// The new password.
    #[schema(value_type = String, format = Password)]
    password: PasswordText,
}

/// What is special about a user's next login.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum LoginReason {
    /// A temporary password waits to be replaced.
    TemporaryPassword,
}

/// What a login screen needs to know.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LoginStatus {
    /// `temporaryPassword` while a temporary password waits to be replaced, else null.
    #[schema(required)]
    reason: Option<LoginReason>,
    /// Why the user must set a new password.
    reset_password_reason: ResetPasswordReason,
}

/// Lists users, sorted by username.
#[utoipa::path(
    method(get, head),
    path = "/auth/users",
    tag = "Users",
    params(Page),
    responses(
        (status = 200, description = "The users.", body = UserList),
        (status = 401, description = "The token is missing or inactive.", body = UnauthorizedBody),
        (status = 403, description = "The token lacks scopes.", body = UnauthorizedBody),
        (status = 422, description = "`invalidRequest`: a query parameter is wrong.", body = ErrorBody),
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
/// Without a password the answer has a temporary one, this once.
#[utoipa::path(
    post,
    path = "/auth/users",
    tag = "Users",
    request_body = Data<NewUser>,
    responses(
        (status = 201, description = "The user.", body = Data<UserWithPassword>),
        (status = 400, description = "`userAlreadyExists`, `usernameEmpty`, `fullNameEmpty`, `passwordEmpty`, `fullNameContainsInvalidCharacters`, \
            `usernameContainsInvalidCharacters`, `passwordContainsInvalidCharacters`, `passwordTooShort`, \
            `passwordMissingSpecialCharacters`.", body = ErrorBody),
        (status = 401, description = "The token is missing or inactive.", body = UnauthorizedBody),
        (status = 403, description = "The token lacks scopes.", body = UnauthorizedBody),
        (status = 422, description = "`invalidRequest`.", body = ErrorBody),
        (status = 503, description = "`busy`: see `Retry-After`.", body = ErrorBody),
    ),
    security((), ("oauth2" = ["users.write"]))
)]
pub async fn create(
    app: web::Data<AppState>,
    request: HttpRequest,
    body: Bytes,
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
    method(get, head),
    path = "/auth/users/byUsername/{username}",
    tag = "Users",
    params(("username" = String, Path, description = "Username of the account.")),
    responses(
        (status = 200, description = "The user.", body = Data<UserView>),
        (status = 401, description = "The token is missing or inactive.", body = UnauthorizedBody),
        (status = 403, description = "The token lacks scopes.", body = UnauthorizedBody),
        (status = 404, description = "`userNotFound`.", body = ErrorBody),
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
    tag = "Users",
    params(("username" = String, Path, description = "Username of the account.")),
    request_body = Data<UserPatchBody>,
    responses(
        (status = 200, description = "The user as it is now.", body = Data<UserView>),
        (status = 400, description = "`userAlreadyExists`, `usernameEmpty`, `fullNameEmpty`, `passwordEmpty`, `fullNameContainsInvalidCharacters`, \
            `usernameContainsInvalidCharacters`, `passwordContainsInvalidCharacters`, `passwordTooShort`, \
            `passwordMissingSpecialCharacters`, `serviceAccountImmutable`.", body = ErrorBody),
        (status = 401, description = "The token is missing or inactive.", body = UnauthorizedBody),
        (status = 403, description = "The token lacks scopes.", body = UnauthorizedBody),
        (status = 404, description = "`userNotFound`.", body = ErrorBody),
        (status = 409, description = "`lastAdmin`: no administrator could log in.", body = ErrorBody),
        (status = 422, description = "`invalidRequest`.", body = ErrorBody),
        (status = 503, description = "`busy`: see `Retry-After`.", body = ErrorBody),
    ),
    security((), ("oauth2" = ["users.write"]))
)]
pub async fn patch(
    app: web::Data<AppState>,
    request: HttpRequest,
    username: web::Path<String>,
    body: Bytes,
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
    let user = app
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

/// Deletes a user, and ends the user's sessions.
#[utoipa::path(
    delete,
    path = "/auth/users/byUsername/{username}",
    tag = "Users",
    params(("username" = String, Path, description = "Username of the account.")),
    responses(
        (status = 200, description = "The user is deleted.", body = Empty),
        (status = 400, description = "`serviceAccountImmutable`.", body = ErrorBody),
        (status = 401, description = "The token is missing or inactive.", body = UnauthorizedBody),
        (status = 403, description = "The token lacks scopes.", body = UnauthorizedBody),
        (status = 404, description = "`userNotFound`.", body = ErrorBody),
        (status = 409, description = "`lastAdmin`: no administrator could log in.", body = ErrorBody),
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

/// Gives a user a new temporary password, and unlocks the account.
#[utoipa::path(
    post,
    path = "/auth/users/byUsername/{username}/resetPassword",
    tag = "Users",
    params(("username" = String, Path, description = "Username of the account.")),
    responses(
        (status = 200, description = "The user, and the temporary password this once.", body = Data<UserWithPassword>),
        (status = 401, description = "The token is missing or inactive.", body = UnauthorizedBody),
        (status = 403, description = "The token lacks scopes.", body = UnauthorizedBody),
        (status = 404, description = "`userNotFound`.", body = ErrorBody),
        (status = 503, description = "`busy`: see `Retry-After`.", body = ErrorBody),
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

/// Returns what a login screen needs to know of a user.
#[utoipa::path(
    method(get, head),
    path = "/auth/users/byUsername/{username}/loginStatus",
    tag = "Users",
    params(("username" = String, Path, description = "Username of the account.")),
    responses(
        (status = 200, description = "Why, or `NONE`.", body = Data<LoginStatus>),
        (status = 404, description = "`userNotFound`.", body = ErrorBody),
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

/// Returns the authenticated user. A token is needed also while access control is off.
#[utoipa::path(
    method(get, head),
    path = "/auth/users/self",
    tag = "Users",
    responses(
        (status = 200, description = "The user.", body = Data<UserView>),
        (status = 401, description = "The token is missing or inactive.", body = UnauthorizedBody),
        (status = 403, description = "The token lacks scopes.", body = UnauthorizedBody),
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

/// Changes the user who asks, the password above all.
#[utoipa::path(
    patch,
    path = "/auth/users/self",
    tag = "Users",
    request_body = Data<SelfPatch>,
    responses(
        (status = 200, description = "The user as it is now.", body = Data<UserView>),
        (status = 400, description = "`userAlreadyExists`, `usernameEmpty`, `fullNameEmpty`, `passwordEmpty`, `fullNameContainsInvalidCharacters`, \
            `usernameContainsInvalidCharacters`, `passwordContainsInvalidCharacters`, `passwordTooShort`, \
            `passwordMissingSpecialCharacters`, `passwordPreviouslyUsed`, `serviceAccountImmutable`.", body = ErrorBody),
        (status = 401, description = "The token is missing or inactive.", body = UnauthorizedBody),
        (status = 403, description = "The token lacks scopes.", body = UnauthorizedBody),
        (status = 404, description = "`userNotFound`: the user was deleted meanwhile.", body = ErrorBody),
        (status = 422, description = "`invalidRequest`.", body = ErrorBody),
        (status = 503, description = "`busy`: see `Retry-After`.", body = ErrorBody),
    ),
    security(("oauth2" = ["users.write.self"]))
)]
pub async fn patch_self(
    app: web::Data<AppState>,
    request: HttpRequest,
    body: Bytes,
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

/// Tries a new password out: whether `PATCH /auth/users/self` would take it.
///
/// It changes nothing and is no login. As it tells whether a password is the current one, a session
/// may ask 10 times in a minute.
#[utoipa::path(
    post,
    path = "/auth/users/self/validatePassword",
    tag = "Users",
    request_body = Data<PasswordToValidate>,
    responses(
        (status = 200, description = "The password would be taken.", body = Empty),
        (status = 400, description = "`passwordEmpty`, `passwordTooShort`, `passwordMissingSpecialCharacters`, \
            `passwordContainsInvalidCharacters`, `passwordPreviouslyUsed`.", body = ErrorBody),
        (status = 401, description = "The token is missing or inactive.", body = UnauthorizedBody),
        (status = 403, description = "The token lacks scopes.", body = UnauthorizedBody),
        (status = 422, description = "`invalidRequest`.", body = ErrorBody),
        (status = 429, description = "`tooManyAttempts`: see `Retry-After`.", body = ErrorBody),
        (status = 503, description = "`busy`: see `Retry-After`.", body = ErrorBody),
    ),
    security(("oauth2" = ["users.read.self"]))
)]
pub async fn validate_password(
    app: web::Data<AppState>,
    request: HttpRequest,
    body: Bytes,
) -> Result<HttpResponse, ApiError> {
    let by = admit(&app, &request, Need::OwnScope(Scope::UsersReadSelf))?;
    let body: PasswordToValidate = json::data(&request, &body)?;
    app.service.try_password(by, body.password.0).await?;
    Ok(nothing())
}
