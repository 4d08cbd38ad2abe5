//! Who asks: what a request presents (RFC 6750), where it came from, and why it is made.

use std::net::IpAddr;

use actix_web::http::header::{self, HeaderMap};
use actix_web::HttpRequest;

use super::error::ApiError;
use super::{notes, AppState};
use crate::domain::authority::{Credential, Need, Request, Source};
use crate::domain::tokens::TokenDigest;

/// Where nginx says whose request it forwards.
const FORWARDED_FOR: &str = "x-forwarded-for";

/// Lets a request in that changes something, to be decided on: a refusal here spares the reading of
/// its body, and what decides asks again.
///
/// # Errors
/// [`ApiError::Rule`] when it is not let in, or [`ApiError::Invalid`] for its notes.
pub fn admit(app: &AppState, http: &HttpRequest, need: Need) -> Result<Request, ApiError> {
    let mut request = presented(http, need);
    app.service.authorize(&request)?;
    request.reason = notes::of(http.headers())?;
    Ok(request)
}

/// A request that reads.
pub fn reader(http: &HttpRequest, need: Need) -> Request {
    presented(http, need)
}

/// A request that anybody may make.
///
/// # Errors
/// [`ApiError::Invalid`] for its notes.
pub fn open(http: &HttpRequest) -> Result<Request, ApiError> {
    Ok(Request::open(notes::of(http.headers())?, source(http)))
}

fn presented(http: &HttpRequest, need: Need) -> Request {
    Request {
        credential: credential(http.headers()),
        need,
        reason: None,
        source: source(http),
    }
}

/// What the one `Authorization` field holds (RFC 6750 §2.1; the scheme's name in any case, RFC 9110
/// §11.1).
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

/// Where a request came from: its peer, or what nginx says of its client over the Unix socket.
///
/// Our snippet sets the field anew and sends no `Connection`. Without the snippet nginx passes on
/// what the client wrote, and says `Connection: close`: that is not believed.
fn source(http: &HttpRequest) -> Source {
    if let Some(peer) = http.peer_addr() {
        return Some(peer.ip());
    }
    let headers = http.headers();
    if headers.contains_key(header::CONNECTION) {
        return None;
    }
    let mut values = headers.get_all(FORWARDED_FOR);
    match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().ok()?.parse::<IpAddr>().ok(),
        _ => None,
    }
}
