//! Authorization of requests: the credential (RFC 6750), the source and the reason of each.

use actix_web::http::header::{self, HeaderMap};
use actix_web::HttpRequest;

use super::error::ApiError;
use super::{notes, proxy, AppState};
use crate::domain::authority::{self, Credential, Need, Request, Source};
use crate::domain::tokens::TokenDigest;

/// Authorizes a request for a change that needs `need`, before its body is parsed, and returns it
/// for the transaction that makes the change, which authorizes it again.
///
/// # Errors
/// - [`ApiError::Rule`] with
///   [`RuleError::Unauthorized`](crate::domain::error::RuleError::Unauthorized) if the access token
///   is missing, unknown, expired or revoked, or lacks the scope.
/// - [`ApiError::Invalid`] if the header `Opentrons-User-Notes` is longer than 2,000 characters.
pub fn admit(app: &AppState, http: &HttpRequest, need: Need) -> Result<Request, ApiError> {
    let mut request = without_notes(http, need);
    app.service.authorize(&request)?;
    request.reason = notes::from_headers(http.headers())?;
    Ok(request)
}

/// Returns a request that only reads and needs `need`. The service authorizes it when it reads.
pub fn reader(http: &HttpRequest, need: Need) -> Request {
    without_notes(http, need)
}

/// Returns a request for something that needs no authorization.
///
/// # Errors
/// [`ApiError::Invalid`] if the header `Opentrons-User-Notes` is longer than 2,000 characters.
pub fn open(http: &HttpRequest) -> Result<Request, ApiError> {
    Ok(Request::open(
        notes::from_headers(http.headers())?,
        source(http),
    ))
}

/// Returns a request with its credential and source, but without the user's notes.
fn without_notes(http: &HttpRequest, need: Need) -> Request {
    Request {
        credential: credential(http.headers()),
        need,
        reason: None,
        source: source(http),
    }
}

/// Returns the credential in the header `Authorization` (RFC 6750 §2.1). The name of the scheme is
/// case-insensitive (RFC 9110 §11.1); a header that is given more than once is malformed.
fn credential(headers: &HeaderMap) -> Credential {
    let mut values = headers.get_all(header::AUTHORIZATION);
    let (first, second) = (values.next(), values.next());
    let token = match (first, second) {
        (None, _) => return Credential::None,
        (Some(value), None) => value.to_str().ok().and_then(|value| {
            let (scheme, token) = value.split_once(' ')?;
            let token = token.trim_matches(' ');
            (scheme.eq_ignore_ascii_case("Bearer") && !token.is_empty()).then_some(token)
        }),
        (Some(_), Some(_)) => None,
    };
    token.map_or(Credential::Malformed, |token| {
        Credential::Token(TokenDigest::of(token))
    })
}

/// Returns the network of the client; `None` if it is unknown.
fn source(http: &HttpRequest) -> Source {
    proxy::client(http).map(authority::network)
}
