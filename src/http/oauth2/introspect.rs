//! `POST /auth/oauth2/introspect` (RFC 7662): what the robot's other servers ask for each request
//! that they protect.

use actix_web::web::{self, Bytes};
use actix_web::{HttpRequest, HttpResponse};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::error::{OAuthError, OAuthErrorBody};
use super::form::{ClientId, Form, CLIENT};
use crate::domain::tokens::TokenDigest;
use crate::http::views::AccountType;
use crate::http::AppState;
use crate::service::ActiveToken;

/// What is known of a token. Of one that is not active there is nothing but that.
#[derive(Default, Serialize, ToSchema)]
pub struct Introspection {
    /// Whether it is an access token that lets requests in now.
    active: bool,
    /// What it may do now: names, sorted, with a space between.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    scope: Option<String>,
    /// Whose it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    username: Option<String>,
    /// That user's name in the world.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    ot_fullname: Option<String>,
    /// That user's type of account.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = AccountType, required = false)]
    ot_account_type: Option<AccountType>,
    /// The client that it was issued to.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false, example = "opentrons_app")]
    client_id: Option<&'static str>,
    /// When it expires, in seconds since 1970 by the robot's wall clock as it is now.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = i64, required = false)]
    exp: Option<i64>,
    /// When it was issued, likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = i64, required = false)]
    iat: Option<i64>,
    /// How it is used: `Bearer`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false, example = "Bearer")]
    token_type: Option<&'static str>,
}

impl From<ActiveToken> for Introspection {
    fn from(token: ActiveToken) -> Self {
        Self {
            active: true,
            scope: Some(token.scopes.to_string()),
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

/// The parameters of requests about one token.
#[derive(Deserialize, ToSchema)]
#[allow(dead_code)] // for the document; `Form` reads the parameters
pub struct AboutToken {
    /// Always `opentrons_app`.
    client_id: ClientId,
    /// The token.
    #[schema(min_length = 1)]
    token: String,
}

/// Tells whether an access token is active, and what it may do now.
#[utoipa::path(
    post,
    path = "/auth/oauth2/introspect",
    tag = "OAuth 2",
    request_body(content = AboutToken, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "What is known of the token.", body = Introspection),
        (status = 400, description = "`invalid_request`.", body = OAuthErrorBody),
        (status = 401, description = "`invalid_client`.", body = OAuthErrorBody),
    )
)]
pub async fn post(
    app: web::Data<AppState>,
    request: HttpRequest,
    body: Bytes,
) -> Result<HttpResponse, OAuthError> {
    let form = Form::of_client(&request, &body)?;
    let digest = TokenDigest::of(form.required("token")?);
    let found = app.service.introspect(&digest).map(Introspection::from);
    Ok(HttpResponse::Ok().json(found.unwrap_or_default()))
}
