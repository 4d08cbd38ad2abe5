//! `POST /auth/oauth2/introspect` (RFC 7662): the robot's other servers send it for each protected
//! request that has a token.

use actix_web::web;
use actix_web::{HttpRequest, HttpResponse};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::error::{OAuthError, OAuthErrorBody};
use super::form::{self, CLIENT};
use crate::domain::tokens::TokenDigest;
use crate::http::body::Body;
use crate::http::views::AccountType;
use crate::http::AppState;
use crate::service::ActiveToken;

/// Result of the introspection of a token. An inactive token yields only `active: false` (RFC 7662
/// §2.2).
#[derive(Default, Serialize, ToSchema)]
pub struct Introspection {
    /// Whether the token is a currently valid access token.
    active: bool,
    /// Scopes that the token currently has: names, sorted, separated by spaces.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    scope: Option<String>,
    /// Username of the account.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    username: Option<String>,
    /// Full name of the person.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    ot_fullname: Option<String>,
    /// Type of the account.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = AccountType, required = false)]
    ot_account_type: Option<AccountType>,
    /// Identifier of the client that the token was issued to.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false, example = "opentrons_app")]
    client_id: Option<&'static str>,
    /// Time of expiry, in seconds since 1970-01-01T00:00:00Z by the robot's wall clock as it is set
    /// now.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = i64, required = false)]
    exp: Option<i64>,
    /// Time of issue, in seconds since 1970-01-01T00:00:00Z by the robot's wall clock as it is set
    /// now.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = i64, required = false)]
    iat: Option<i64>,
    /// Token type: `Bearer` (RFC 6750).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false, example = "Bearer")]
    token_type: Option<&'static str>,
}

impl From<ActiveToken> for Introspection {
    fn from(token: ActiveToken) -> Self {
        Self {
            active: true,
            scope: Some(token.scopes.joined()),
            username: Some(token.username),
            ot_fullname: Some(token.full_name),
            ot_account_type: Some(token.account_type.into()),
            client_id: Some(CLIENT),
            exp: Some(token.expires),
            iat: Some(token.issued),
            token_type: Some("Bearer"),
        }
    }
}

/// Parameters of an introspection or revocation request.
#[derive(Deserialize, ToSchema)]
pub struct AboutToken {
    /// Client identifier: always `opentrons_app`. It may be omitted if it is given by HTTP Basic
    /// with an empty secret.
    #[serde(rename = "client_id")]
    #[schema(value_type = String, required = false, pattern = "^opentrons_app$", example = "opentrons_app")]
    _client_id: Option<String>,
    /// Token to introspect or to revoke.
    #[schema(min_length = 1)]
    pub token: String,
}

/// Returns whether a token is active and, if so, its account and scopes.
#[utoipa::path(
    post,
    path = "/auth/oauth2/introspect",
    operation_id = "introspectToken",
    tag = "Other servers",
    request_body(content = AboutToken, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "The state of the token.", body = Introspection),
        (status = 400, description = "`invalid_request`: the body is malformed, or a parameter is missing or repeated.", body = OAuthErrorBody),
        (status = 401, description = "`invalid_client`: the client is unknown.", body = OAuthErrorBody),
    )
)]
pub async fn post(
    app: web::Data<AppState>,
    request: HttpRequest,
    body: Body,
) -> Result<HttpResponse, OAuthError> {
    let parameters: AboutToken = form::parameters(&request, &body)?;
    let digest = TokenDigest::of(&parameters.token);
    let found = app.service.introspect(&digest).map(Introspection::from);
    Ok(HttpResponse::Ok().json(found.unwrap_or_default()))
}
