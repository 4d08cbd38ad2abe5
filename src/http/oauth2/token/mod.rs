//! `POST /auth/oauth2/token`: issues a pair of tokens for a grant (RFC 6749 §4.3, §6).

mod password;
mod refresh_token;

use actix_web::http::header;
use actix_web::web;
use actix_web::{HttpRequest, HttpResponse};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::error::{OAuthError, OAuthErrorBody};
use super::form;
use crate::domain::issue::Issued;
use crate::domain::scopes::Scopes;
use crate::http::auth;
use crate::http::body::Body;
use crate::http::error::ErrorBody;
use crate::http::json::PasswordText;
use crate::http::AppState;

/// Pair of new tokens (RFC 6749 §5.1).
#[derive(Serialize, ToSchema)]
pub struct TokenResponse<'a> {
    /// Access token.
    access_token: &'a str,
    /// Token type: `Bearer` (RFC 6750).
    #[schema(example = "Bearer")]
    token_type: &'static str,
    /// Lifetime of both tokens, in seconds.
    expires_in: u64,
    /// Refresh token: exchange it for a new pair.
    refresh_token: &'a str,
    /// Scopes that the access token currently has: names, sorted, separated by spaces.
    scope: String,
}

/// Parameters of a token request. Which of them are required depends on the grant type.
#[derive(Deserialize, ToSchema)]
pub struct TokenRequest {
    /// Client identifier: always `opentrons_app`. It may be omitted if it is given by HTTP Basic
    /// with an empty secret.
    #[serde(rename = "client_id")]
    #[schema(value_type = String, required = false, pattern = "^opentrons_app$", example = "opentrons_app")]
    _client_id: Option<String>,
    /// Grant type: `password` (RFC 6749 §4.3) or `refresh_token` (§6).
    #[schema(pattern = "^(password|refresh_token)$", example = "password")]
    grant_type: String,
    /// Username of the account; required for `password`.
    #[schema(value_type = String, required = false)]
    username: Option<String>,
    /// Password of the account; required for `password`.
    #[schema(value_type = String, required = false, format = Password)]
    password: Option<PasswordText>,
    /// Refresh token to exchange for a new pair; required for `refresh_token`.
    #[schema(value_type = String, required = false)]
    refresh_token: Option<String>,
    /// Scopes to which the tokens are limited: names, separated by spaces. If omitted, the tokens
    /// have all scopes that the account or the session may have.
    #[schema(value_type = String, required = false)]
    scope: Option<String>,
}

impl TokenRequest {
    /// Returns the requested scopes, or `None` if the parameter is omitted.
    ///
    /// # Errors
    /// [`OAuthError::InvalidScope`] if a scope is unknown.
    fn scopes(&self) -> Result<Option<Scopes>, OAuthError> {
        self.scope
            .as_deref()
            .map(|names| Scopes::parse(names).ok_or(OAuthError::InvalidScope))
            .transpose()
    }
}

/// Returns the value of a parameter that the grant type requires.
///
/// # Errors
/// [`OAuthError::InvalidRequest`] if the parameter is missing.
fn required<T>(parameter: Option<T>, name: &str) -> Result<T, OAuthError> {
    parameter.ok_or_else(|| OAuthError::InvalidRequest(form::missing(name)))
}

/// Issues a pair of tokens for a password or a refresh token.
#[utoipa::path(
    post,
    path = "/auth/oauth2/token",
    operation_id = "issueTokens",
    tag = "Log in",
    request_body(content = TokenRequest, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "The new tokens.", body = TokenResponse),
        (status = 400, description = "`invalid_request`: the body is malformed, or a parameter is missing or repeated; \
            `invalid_grant`: the credentials or the refresh token are wrong, or the account is locked; \
            `invalid_scope`: a scope is unknown or not allowed; `unsupported_grant_type`.", body = OAuthErrorBody),
        (status = 401, description = "`invalid_client`: the client is unknown.", body = OAuthErrorBody),
        (status = 422, description = "`invalidRequest`: the header `Opentrons-User-Notes` is longer than 2,000 characters.", body = ErrorBody),
        (status = 429, description = "`temporarily_unavailable`: too many failed logins of an account that is slowed down instead of locked; see `Retry-After`.", body = OAuthErrorBody),
        (status = 503, description = "`temporarily_unavailable`: too many passwords are waiting to be checked; see `Retry-After`.", body = OAuthErrorBody),
    )
)]
pub async fn post(
    app: web::Data<AppState>,
    request: HttpRequest,
    body: Body,
) -> Result<HttpResponse, OAuthError> {
    let parameters: TokenRequest = form::parameters(&request, &body)?;
    let by = auth::open(&request)?;
    let issued = match parameters.grant_type.as_str() {
        "password" => password::grant(&app.service, by, parameters).await?,
        "refresh_token" => refresh_token::grant(&app.service, by, parameters).await?,
        _ => return Err(OAuthError::UnsupportedGrantType),
    };
    Ok(answer(&issued))
}

/// Responds with a pair of tokens (RFC 6749 §5.1). The server adds `Cache-Control: no-store` to
/// every response.
fn answer(issued: &Issued) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((header::PRAGMA, "no-cache"))
        .json(TokenResponse {
            access_token: issued.access.expose(),
            token_type: "Bearer",
            expires_in: issued.lifetime.as_secs(),
            refresh_token: issued.refresh.expose(),
            scope: issued.scopes.to_string(),
        })
}
