//! The HTTP API: one file per resource, and what they share.
//!
//! The doc comment of a handler is the description of its operation in the OpenAPI document.
//! Therefore a handler has no `# Errors` section: the `responses` of its `#[utoipa::path]` name its
//! errors, status by status; `docs/errors.rs` adds those that follow from the rest, such as 401 and
//! 403, and `docs/errors.json` says what each means. Any route can also respond with 400 for malformed
//! HTTP, 403 to a web page of another origin, 408, 413 and 500, and with 405 to other methods
//! ([`error::ApiError`]).

pub mod auth;
pub mod body;
pub mod directory;
pub mod docs;
pub mod envelope;
pub mod error;
pub mod health;
pub mod hello;
pub mod json;
pub mod notes;
pub mod oauth2;
pub mod proxy;
pub mod routes;
pub mod settings;
pub mod users;
pub mod views;

use std::time::Instant;

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::service::Service;

/// Maximum size of a request body, in bytes.
pub const MAX_BODY_BYTES: usize = 64 * 1024;

/// State shared by all handlers.
pub struct AppState {
    started: Instant,
    service: Service,
}

impl AppState {
    /// Creates the state of a server that starts now.
    pub fn new(service: Service) -> Self {
        Self {
            started: Instant::now(),
            service,
        }
    }
}

/// Envelope of a request or a response with one resource.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Data<T> {
    /// Resource in the envelope.
    pub data: T,
}

/// Empty object: body of a successful response without a resource.
#[derive(Debug, Serialize, ToSchema)]
pub struct Empty {}

/// Returns whether the body of a request has a media type, with or without parameters (RFC 9110
/// §8.3). A request must say so exactly once.
fn has_type(request: &HttpRequest, media_type: &str) -> bool {
    let mut values = request.headers().get_all(header::CONTENT_TYPE);
    let (Some(value), None) = (values.next(), values.next()) else {
        return false;
    };
    // As most clients write it.
    if value == media_type {
        return true;
    }
    value.to_str().is_ok_and(|value| {
        let named = value.split(';').next().unwrap_or_default();
        named.trim().eq_ignore_ascii_case(media_type)
    })
}

/// Responds with 200 and `{"data": …}`.
fn ok<T: Serialize>(data: T) -> HttpResponse {
    HttpResponse::Ok().json(Data { data })
}

/// Responds with 200 and `{}`.
fn nothing() -> HttpResponse {
    HttpResponse::Ok().json(Empty {})
}
