//! Who asks: the bearer token of a request (RFC 6750), and whether it lets the request in.

use actix_web::http::header::{self, HeaderMap};
use actix_web::HttpRequest;

use super::error::{ApiError, TokenFault};
use super::AppState;
use crate::domain::audit::{Actor, Origin};
use crate::domain::plan::Request;
use crate::domain::scope::{Scope, Scopes};
use crate::domain::token::{LoginId, TokenDigest};
use crate::domain::user::UserId;

/// Header in which users say why they do something.
const NOTES: &str = "opentrons-user-notes";

/// A user who is logged in.
#[derive(Clone, Copy, Debug)]
pub struct Who {
    /// The user.
    pub user: UserId,
    /// The login.
    pub login: LoginId,
}

/// Lets a request in that may do what needs `scope`: with a token that has it, or without a token
/// while access control is off.
///
/// # Errors
/// [`ApiError::Unauthorized`].
pub fn authorize(app: &AppState, request: &HttpRequest, scope: Scope) -> Result<Request, ApiError> {
    if !app.accounts.store().read(|state, _| state.access_control())
        && !request.headers().contains_key(header::AUTHORIZATION)
    {
        return Ok(anonymous(request));
    }
    authorize_user(app, request, scope).map(|(_, request)| request)
}

/// Lets a request in that is about the user who asks: always with a token.
///
/// # Errors
/// [`ApiError::Unauthorized`].
pub fn authorize_user(
    app: &AppState,
    request: &HttpRequest,
    scope: Scope,
) -> Result<(Who, Request), ApiError> {
    let required = Scopes::of(&[scope]);
    let refuse = |fault, provided| ApiError::Unauthorized {
        fault,
        required,
        provided,
    };
    let Some(token) = bearer(request.headers()) else {
        return Err(refuse(TokenFault::Missing, Scopes::NONE));
    };
    let digest = TokenDigest::of(token);
    app.accounts.store().read(|state, now| {
        let principal = state
            .authenticate(&digest, now)
            .ok_or_else(|| refuse(TokenFault::Invalid, Scopes::NONE))?;
        if !principal.scopes.contains(scope) {
            return Err(refuse(TokenFault::InsufficientScope, principal.scopes));
        }
        let who = Who {
            user: principal.user.id,
            login: principal.token.login,
        };
        let actor = Actor {
            account_name: principal.user.username.clone(),
            legal_name: principal.user.full_name.clone(),
        };
        let reason = notes(request.headers());
        let origin = Origin::Http;
        Ok((
            who,
            Request {
                actor,
                reason,
                origin,
            },
        ))
    })
}

/// A request by nobody in particular.
pub fn anonymous(request: &HttpRequest) -> Request {
    Request {
        actor: Actor::server(),
        reason: notes(request.headers()),
        origin: Origin::Http,
    }
}

/// The token of the one `Authorization` header (RFC 6750 §2.1; the scheme's name in any case,
/// RFC 9110 §11.1).
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(header::AUTHORIZATION);
    let value = values.next()?.to_str().ok()?;
    if values.next().is_some() {
        return None;
    }
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim_matches(' ');
    (scheme.eq_ignore_ascii_case("Bearer") && !token.is_empty()).then_some(token)
}

fn notes(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(NOTES)?;
    Some(String::from_utf8_lossy(value.as_bytes()).into_owned()).filter(|text| !text.is_empty())
}
