//! `POST /auth/oauth2/revoke` (RFC 7009): logging out.

use actix_web::web;
use actix_web::{HttpRequest, HttpResponse};

use super::error::{OAuthError, OAuthErrorBody};
use super::form;
use super::introspect::AboutToken;
use crate::domain::tokens::Presented;
use crate::http::auth;
use crate::http::body::Body;
use crate::http::error::ErrorBody;
use crate::http::{nothing, AppState, Empty};

/// Ends the session that an access or refresh token belongs to. An unknown token is not an error.
#[utoipa::path(
    post,
    path = "/auth/oauth2/revoke",
    operation_id = "revokeToken",
    tag = "Log in",
    request_body(content = AboutToken, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "The session has ended, or the token was unknown.", body = Empty),
        (status = 400, description = "`invalid_request`: the body is malformed, or a parameter is missing or repeated.", body = OAuthErrorBody),
        (status = 401, description = "`invalid_client`: the client is unknown.", body = OAuthErrorBody),
        (status = 422, description = "`invalidRequest`: the header `Opentrons-User-Notes` is longer than 2,000 characters.", body = ErrorBody),
    )
)]
pub async fn post(
    app: web::Data<AppState>,
    request: HttpRequest,
    body: Body,
) -> Result<HttpResponse, OAuthError> {
    let parameters: AboutToken = form::parameters(&request, &body)?;
    let presented = Presented::of(&parameters.token);
    app.service.revoke(auth::open(&request)?, presented).await?;
    Ok(nothing())
}
