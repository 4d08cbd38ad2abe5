//! `POST /auth/oauth2/introspect` (RFC 7662): what the robot's other servers ask for each request
//! that they protect.

use actix_web::web::{self, Bytes};
use actix_web::{HttpRequest, HttpResponse};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::error::{OAuthError, OAuthErrorBody};
use super::form::{Form, CLIENT};
use crate::domain::token::TokenDigest;
use crate::domain::user::AccountType;
use crate::http::AppState;

/// What is known of a token. Of one that is not active there is nothing but that.
#[derive(Serialize, ToSchema)]
pub struct Introspection {
    /// Whether it is an access token that lets requests in now.
    active: bool,
    #[serde(flatten)]
    #[schema(inline)]
    token: Option<ActiveToken>,
}

/// An access token that is active.
#[derive(Serialize, ToSchema)]
pub struct ActiveToken {
    /// What it may do now: names, sorted, with a space between.
    scope: String,
    /// Whose it is.
    username: String,
    /// That user's name in the world.
    ot_fullname: String,
    /// That user's type of account.
    ot_account_type: AccountType,
    /// The client that it was issued to.
    #[schema(example = "opentrons_app")]
    client_id: &'static str,
    /// When it expires, in seconds since 1970 by the robot's wall clock as it is now.
    exp: i64,
    /// When it was issued, likewise.
    iat: i64,
    /// How it is used: `Bearer`.
    #[schema(example = "Bearer")]
    token_type: &'static str,
}

/// The parameters of requests about one token.
#[derive(Deserialize, ToSchema)]
#[allow(dead_code)] // for the document; `Form` reads the parameters
pub struct AboutToken {
    /// Always `opentrons_app`.
    #[schema(example = "opentrons_app")]
    client_id: String,
    /// The token.
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
    let store = app.accounts.store();
    let token = store.read(|state, now| {
        let principal = state.authenticate(&digest, now)?;
        Some(ActiveToken {
            scope: principal.scopes.to_string(),
            username: principal.user.username.clone(),
            ot_fullname: principal.user.full_name.clone(),
            ot_account_type: principal.user.account_type,
            client_id: CLIENT,
            exp: store.clock().unix_seconds(principal.token.expires),
            iat: store.clock().unix_seconds(principal.token.issued),
            token_type: "Bearer",
        })
    });
    Ok(HttpResponse::Ok().json(Introspection {
        active: token.is_some(),
        token,
    }))
}
