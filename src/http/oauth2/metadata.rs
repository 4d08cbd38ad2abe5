//! The authorization server's metadata (RFC 8414).

use actix_web::http::header::HeaderMap;
use actix_web::http::uri::Authority;
use actix_web::{HttpRequest, HttpResponse, Responder};
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::scopes::Scope;

/// What a client can find out about this authorization server (RFC 8414 §2).
#[derive(Debug, Serialize, ToSchema)]
pub struct Metadata {
    /// Its URL, as the client reached it.
    #[schema(example = "http://robot:31950/auth")]
    issuer: String,
    /// Where tokens are had.
    token_endpoint: String,
    /// Where tokens are looked at.
    introspection_endpoint: String,
    /// Where logins are ended.
    revocation_endpoint: String,
    /// What tokens can be had for.
    grant_types_supported: [&'static str; 2],
    /// None: there is no authorization endpoint.
    response_types_supported: [&'static str; 0],
    /// All scopes.
    scopes_supported: Vec<&'static str>,
    /// None: the client is a public one.
    token_endpoint_auth_methods_supported: [&'static str; 1],
    /// Likewise.
    introspection_endpoint_auth_methods_supported: [&'static str; 1],
    /// Likewise.
    revocation_endpoint_auth_methods_supported: [&'static str; 1],
    /// What people read.
    service_documentation: String,
}

/// Tells what a client can do here.
#[utoipa::path(
    method(get, head),
    path = "/auth/.well-known/oauth-authorization-server",
    tag = "OAuth 2",
    responses((status = 200, description = "The metadata.", body = Metadata))
)]
pub async fn get(request: HttpRequest) -> impl Responder {
    answer(&request)
}

/// Tells what a client can do here, at the path that RFC 8414 gives it.
#[utoipa::path(
    method(get, head),
    path = "/.well-known/oauth-authorization-server/auth",
    tag = "OAuth 2",
    responses((status = 200, description = "The metadata.", body = Metadata))
)]
pub async fn get_at_root(request: HttpRequest) -> impl Responder {
    answer(&request)
}

fn answer(request: &HttpRequest) -> HttpResponse {
    let issuer = format!("{}/auth", origin(request.headers()));
    HttpResponse::Ok().json(Metadata {
        token_endpoint: format!("{issuer}/oauth2/token"),
        introspection_endpoint: format!("{issuer}/oauth2/introspect"),
        revocation_endpoint: format!("{issuer}/oauth2/revoke"),
        grant_types_supported: ["password", "refresh_token"],
        response_types_supported: [],
        scopes_supported: Scope::ALL.map(Scope::name).to_vec(),
        token_endpoint_auth_methods_supported: ["none"],
        introspection_endpoint_auth_methods_supported: ["none"],
        revocation_endpoint_auth_methods_supported: ["none"],
        service_documentation: format!("{issuer}/redoc"),
        issuer,
    })
}

/// Scheme and host by which the client came: nginx tells them, else the request itself.
fn origin(headers: &HeaderMap) -> String {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let scheme = match header("x-forwarded-proto") {
        Some("https") => "https",
        _ => "http",
    };
    let host = header("x-forwarded-host")
        .or_else(|| header("host"))
        .and_then(|host| host.parse::<Authority>().ok())
        .filter(|host| !host.as_str().contains('@'));
    match host {
        Some(host) => format!("{scheme}://{host}"),
        None => format!("{scheme}://localhost"),
    }
}
