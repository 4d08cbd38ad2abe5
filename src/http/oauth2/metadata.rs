//! Metadata of the authorization server (RFC 8414).

use actix_web::{HttpRequest, HttpResponse, Responder};
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::scopes::Scope;
use crate::http::proxy;

/// Metadata of the authorization server (RFC 8414 §2).
#[derive(Debug, Serialize, ToSchema)]
pub struct Metadata {
    /// Issuer identifier: the URL of the server, with the address at which the client reached it.
    #[schema(example = "http://192.0.2.1:31950/auth")]
    issuer: String,
    /// URL of the token endpoint.
    token_endpoint: String,
    /// URL of the introspection endpoint.
    introspection_endpoint: String,
    /// URL of the revocation endpoint.
    revocation_endpoint: String,
    /// Supported grant types.
    grant_types_supported: [&'static str; 2],
    /// Supported response types: `none`, because there is no authorization endpoint. An empty list is
    /// not allowed (RFC 8414 §3.2), and neither is omitting it (§2).
    response_types_supported: [&'static str; 1],
    /// Supported scopes.
    scopes_supported: Vec<&'static str>,
    /// Client authentication methods of the token endpoint: `none`, because the client is public.
    token_endpoint_auth_methods_supported: [&'static str; 1],
    /// Client authentication methods of the introspection endpoint: `none`.
    introspection_endpoint_auth_methods_supported: [&'static str; 1],
    /// Client authentication methods of the revocation endpoint: `none`.
    revocation_endpoint_auth_methods_supported: [&'static str; 1],
    /// URL of the API documentation page.
    service_documentation: String,
}

/// Returns the authorization server's metadata (RFC 8414).
#[utoipa::path(
    get,
    path = "/auth/.well-known/oauth-authorization-server",
    operation_id = "getServerMetadata",
    tag = "Other servers",
    responses((status = 200, description = "The metadata.", body = Metadata))
)]
pub async fn get(request: HttpRequest) -> impl Responder {
    answer(&request)
}

/// Returns the authorization server's metadata, at the path that RFC 8414 §3.1 requires.
#[utoipa::path(
    get,
    path = "/.well-known/oauth-authorization-server/auth",
    operation_id = "getServerMetadataAtRoot",
    tag = "Other servers",
    responses((status = 200, description = "The metadata.", body = Metadata))
)]
pub async fn get_at_root(request: HttpRequest) -> impl Responder {
    answer(&request)
}

/// Responds with the metadata.
fn answer(request: &HttpRequest) -> HttpResponse {
    let issuer = format!("{}/auth", proxy::origin(request));
    HttpResponse::Ok().json(Metadata {
        token_endpoint: format!("{issuer}/oauth2/token"),
        introspection_endpoint: format!("{issuer}/oauth2/introspect"),
        revocation_endpoint: format!("{issuer}/oauth2/revoke"),
        grant_types_supported: ["password", "refresh_token"],
        response_types_supported: ["none"],
        scopes_supported: Scope::ALL.map(Scope::name).to_vec(),
        token_endpoint_auth_methods_supported: ["none"],
        introspection_endpoint_auth_methods_supported: ["none"],
        revocation_endpoint_auth_methods_supported: ["none"],
        service_documentation: format!("{issuer}/redoc"),
        issuer,
    })
}
