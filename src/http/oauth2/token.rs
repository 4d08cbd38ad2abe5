//! `POST /auth/oauth2/token`: logging in and going on (RFC 6749 §4.3, §6).

use actix_web::http::header;
use actix_web::web::{self, Bytes};
use actix_web::{HttpRequest, HttpResponse};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::error::{OAuthError, OAuthErrorBody};
use super::form::{ClientId, Form};
use crate::domain::passwords::Password;
use crate::domain::scopes::Scopes;
use crate::domain::sessions::{Issued, LoginOutcome, RefreshOutcome};
use crate::domain::tokens::TokenDigest;
use crate::http::auth;
use crate::http::AppState;

/// A new pair of tokens.
#[derive(Serialize, ToSchema)]
pub struct TokenResponse<'a> {
    /// What requests are let in by.
    access_token: &'a str,
    /// How: `Bearer`.
    #[schema(example = "Bearer")]
    token_type: &'static str,
    /// How long both tokens live, in seconds.
    expires_in: u64,
    /// What the next pair is had for.
    refresh_token: &'a str,
    /// What the access token may do now: names, sorted, with a space between.
    scope: String,
}

/// What tokens can be had for.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[allow(dead_code)] // for the document
pub enum GrantType {
    /// A username and a password (RFC 6749 §4.3).
    Password,
    /// A refresh token (RFC 6749 §6).
    RefreshToken,
}

/// The parameters of a token request.
#[derive(Deserialize, ToSchema)]
#[allow(dead_code)] // for the document; `Form` reads the parameters
pub struct TokenRequest {
    /// Always `opentrons_app`.
    client_id: ClientId,
    /// What is given for the tokens.
    grant_type: GrantType,
    /// For `password`: who.
    #[schema(value_type = String, required = false)]
    username: Option<String>,
    /// For `password`: the password.
    #[schema(value_type = String, required = false, format = Password)]
    password: Option<String>,
    /// For `refresh_token`: the token.
    #[schema(value_type = String, required = false)]
    refresh_token: Option<String>,
    /// Names of scopes with a space between, to have less than all.
    #[schema(value_type = String, required = false)]
    scope: Option<String>,
}

/// Gives tokens for a password or a refresh token.
#[utoipa::path(
    post,
    path = "/auth/oauth2/token",
    tag = "OAuth 2",
    request_body(content = TokenRequest, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "A pair of tokens.", body = TokenResponse),
        (status = 400, description = "`invalid_request`, `invalid_grant`, `invalid_scope`, \
            `unsupported_grant_type`.", body = OAuthErrorBody),
        (status = 401, description = "`invalid_client`.", body = OAuthErrorBody),
        (status = 429, description = "`temporarily_unavailable`: a service account failed too often; see `Retry-After`.", body = OAuthErrorBody),
        (status = 503, description = "`temporarily_unavailable`: see `Retry-After`.", body = OAuthErrorBody),
    )
)]
pub async fn post(
    app: web::Data<AppState>,
    request: HttpRequest,
    body: Bytes,
) -> Result<HttpResponse, OAuthError> {
    let form = Form::of_client(&request, &body)?;
    let by = auth::open(&request)?;
    let issued = match form.required("grant_type")? {
        "password" => {
            let username = form.required("username")?;
            let password = Password::new(form.required("password")?.to_owned());
            let asked = scopes(&form)?;
            match app.service.log_in(by, username, password, asked).await? {
                LoginOutcome::Granted(issued) => issued,
                LoginOutcome::Refused {
                    attempts_remaining,
                    locked,
                } => {
                    return Err(OAuthError::InvalidCredentials {
                        attempts_remaining,
                        locked,
                    })
                }
                LoginOutcome::ExcessiveScope => return Err(OAuthError::InvalidScope),
                LoginOutcome::MustWait { seconds } => return Err(OAuthError::MustWait { seconds }),
            }
        }
        "refresh_token" => {
            let digest = TokenDigest::of(form.required("refresh_token")?);
            let asked = scopes(&form)?;
            match app.service.refresh(by, digest, asked).await? {
                RefreshOutcome::Granted(issued) => issued,
                RefreshOutcome::Refused => return Err(OAuthError::InvalidRefreshToken),
                RefreshOutcome::ExcessiveScope => return Err(OAuthError::InvalidScope),
            }
        }
        _ => return Err(OAuthError::UnsupportedGrantType),
    };
    Ok(answer(&issued))
}

/// The scopes that a request asks for.
fn scopes(form: &Form) -> Result<Option<Scopes>, OAuthError> {
    form.optional("scope")
        .map(|names| Scopes::parse(names).ok_or(OAuthError::InvalidScope))
        .transpose()
}

/// RFC 6749 §5.1. The header `Cache-Control: no-store` is on every answer of the server.
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
